//! A forked author, honest witnesses and lying ones, stores that forget what they need not keep (PROTOCOL 2.2, E3).

use std::collections::BTreeSet;

use super::acks;
use crate::chain::Chain;
use crate::dossier::Seen;
use crate::evaluate::tests::histories::Dice;
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, EnvelopeId, NationId, Tip};
use crate::rules::{Rule, Rules};
use crate::testing::{TestAlliance, TestEnvelope, TestNode};

const CODES: [&str; 7] = ["UKR", "POL", "DEU", "EST", "FIN", "SWE", "NOR"];

/// One nation's replica, if it is honest, and its witness key with the places it signed from.
struct Nation {
    id: NationId,
    state: State,
    lies: bool,
    witness: TestNode,
    places: Vec<TestNode>,
    /// What this replica has ever seen final.
    finals: BTreeSet<EnvelopeId>,
}

struct World {
    dice: Dice,
    alliance: TestAlliance,
    author: AuthorId,
    nations: Vec<Nation>,
    /// The author's key, wherever it signed.
    places: Vec<TestNode>,
    published: Vec<TestEnvelope>,
    forgets: bool,
}

/// What a run showed.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    forked: bool,
    /// A final envelope lies above the freeze point.
    beyond: bool,
    /// Envelopes that were final and are accepted no more.
    lost: usize,
    /// Two stores that exchanged what they keep see it differently.
    differ: bool,
    split: bool,
    /// Some store forgot something.
    forgot: bool,
}

impl World {
    fn new(seed: u64, nations: usize, liars: usize, rules: Rules, forgets: bool) -> Self {
        let sizes: Vec<(&str, usize)> =
            CODES[..nations].iter().map(|code| (*code, 1 + usize::from(*code == "UKR"))).collect();
        let alliance = TestAlliance::new(3, &sizes);
        let mut dice = Dice::new(seed);
        let mut lies: Vec<bool> = (0..nations).map(|nation| nation < liars).collect();
        dice.shuffle(&mut lies);
        let of = |(at, lies): (usize, bool)| {
            let mut state = State::under(alliance.anchor(), rules);
            state.admit(alliance.elements());
            let witness = alliance.nations[at].nodes[0].clone();
            let places = vec![witness.clone()];
            Nation { id: alliance.nations[at].id, state, lies, witness, places, finals: BTreeSet::new() }
        };
        let nations = lies.into_iter().enumerate().map(of).collect();
        let node = alliance.nations[0].nodes[1].clone();
        Self { dice, alliance, author: node.author, nations, places: vec![node], published: Vec::new(), forgets }
    }

    /// The same, but at the end the author's nation retires its key, at a place that it chooses.
    fn run_to_a_cut(mut self) -> Told {
        let mut told = Told::default();
        self.go(&mut told);
        let cut = self.places[self.dice.below(self.places.len())].tip;
        let roster = self.alliance.retire(0, 1, cut);
        for nation in &mut self.nations {
            nation.state.admit(vec![Element::Control(roster.clone())]);
        }
        self.exchange(&mut told);
        told
    }

    fn run(mut self) -> Told {
        let mut told = Told::default();
        self.go(&mut told);
        self.exchange(&mut told);
        told
    }

    fn go(&mut self, told: &mut Told) {
        let steps = 20 + self.dice.below(40);
        for _ in 0..steps {
            match self.dice.below(10) {
                0..3 => self.author_speaks(),
                3..6 => self.witness_speaks(),
                _ => self.deliver(),
            }
            self.look(told);
        }
    }

    /// The author goes on where it was; a stolen key goes on anywhere.
    fn author_speaks(&mut self) {
        let last = self.places.len() - 1;
        let at = if self.dice.chance(65) { last } else { self.dice.below(self.places.len()) };
        let mut place = self.places[at].clone();
        for _ in 0..1 + self.dice.below(3) {
            let body = vec![u8::try_from(self.dice.below(200)).expect("small")];
            self.published.push(place.envelope(99, body));
            self.places.push(place.clone());
        }
    }

    fn witness_speaks(&mut self) {
        let at = self.dice.below(self.nations.len());
        let said = if self.nations[at].lies { self.lie(at) } else { self.speak_truly(at) };
        if let Some(said) = said {
            self.nations[at].state.admit(said.elements().into());
            self.published.push(said);
        }
    }

    fn speak_truly(&mut self, at: usize) -> Option<TestEnvelope> {
        let nation = &mut self.nations[at];
        let tip = nation.state.acknowledgeable(&nation.id, &self.author)?;
        Some(nation.witness.body(&acks(&[(self.author, tip)])))
    }

    /// A liar acknowledges any header, now and then on another branch of its own chain.
    fn lie(&mut self, at: usize) -> Option<TestEnvelope> {
        let tip = self.places[self.dice.below(self.places.len())].tip;
        let places = self.nations[at].places.len();
        let from = if self.dice.chance(70) { places - 1 } else { self.dice.below(places) };
        let nation = &mut self.nations[at];
        let mut place = nation.places[from].clone();
        let said = (tip != Tip::NONE).then(|| place.body(&acks(&[(self.author, tip)])));
        nation.places.push(place);
        said
    }

    fn deliver(&mut self) {
        let to = self.dice.below(self.nations.len());
        for _ in 0..1 + self.dice.below(6) {
            if let Some(envelope) = self.published.get(self.dice.below(self.published.len())) {
                self.nations[to].state.admit(envelope.elements().into());
            }
        }
        // What lies below comes before it in any real exchange.
        if self.dice.chance(60) {
            let known: Vec<Element> = self
                .published
                .iter()
                .take(self.dice.below(self.published.len() + 1))
                .flat_map(TestEnvelope::elements)
                .collect();
            self.nations[to].state.admit(known);
        }
        if self.forgets && self.dice.chance(50) {
            self.nations[to].forget();
        }
    }

    fn look(&mut self, told: &mut Told) {
        let author = self.author;
        for nation in self.nations.iter_mut().filter(|nation| !nation.lies) {
            nation.check_final(&author, told);
            if let Some(chain) = nation.state.chain(&author) {
                told.forked |= chain.fork().is_some();
                told.beyond |= chain.fork().is_some_and(|fork| nation.state.final_tip(&author).seq >= fork);
                told.split |= nation.state.witness_split(&author);
                told.forgot |= self.forgets && chain.unkept() > 0;
            }
        }
    }

    /// All replicas tell each other what they keep, one after the other and with forgetting in between, as stores do.
    fn exchange(&mut self, told: &mut Told) {
        let honest: Vec<usize> = (0..self.nations.len()).filter(|at| !self.nations[*at].lies).collect();
        for _ in 0..6 {
            for &from in &honest {
                if self.forgets {
                    self.nations[from].forget();
                }
                let kept = self.nations[from].elements();
                for &to in honest.iter().filter(|to| **to != from) {
                    self.nations[to].state.admit(kept.clone());
                    if self.forgets {
                        self.nations[to].forget();
                    }
                }
                self.look(told);
            }
        }
        let mut states = honest.iter().map(|at| &self.nations[*at].state).map(|s| (s.held(), s.state(), Seen::of(s)));
        let first = states.next();
        told.differ = states.any(|state| Some(state) != first);
        let all: BTreeSet<EnvelopeId> = honest.iter().flat_map(|at| self.nations[*at].finals.clone()).collect();
        for nation in honest.iter().map(|at| &self.nations[*at]) {
            told.lost += all.iter().filter(|id| !nation.accepts(&self.author, id)).count();
        }
    }
}

impl Nation {
    fn accepts(&self, author: &AuthorId, id: &EnvelopeId) -> bool {
        let chain = self.state.chain(author);
        chain.and_then(|chain| chain.accepted(chain.get(id)?.seq())).is_some_and(|held| held.id() == *id)
    }

    /// What was ever final here is accepted (I5, T4).
    fn check_final(&mut self, author: &AuthorId, told: &mut Told) {
        let fin = self.state.final_tip(author);
        if let Some(chain) = self.state.chain(author) {
            self.finals.extend(chain.path(&fin.id, 1, fin.seq).into_iter().map(|held| held.id()));
        }
        told.lost += self.finals.iter().filter(|id| !self.accepts(author, id)).count();
    }

    fn forget(&mut self) {
        let before = (self.state.held(), self.state.state(), Seen::of(&self.state));
        let authors: Vec<AuthorId> = self.state.chains().map(Chain::author).collect();
        for author in &authors {
            self.state.forget_unkept_headers(author);
        }
        let after = (self.state.held(), self.state.state(), Seen::of(&self.state));
        assert_eq!(before, after, "what is not kept changes nothing");
        let again = authors.iter().flat_map(|author| self.state.forget_unkept_headers(author));
        assert_eq!(again.count(), 0, "what is kept stays kept");
    }

    fn elements(&self) -> Vec<Element> {
        let mut elements = Vec::new();
        for chain in self.state.chains() {
            for held in chain.iter() {
                let header = crate::envelope::AttestedHeader::trusted(chain.header(held), held.signature().copied());
                elements.push(Element::Header(header));
                elements.extend(held.body().map(|bytes| Element::Body { id: held.id(), bytes: bytes.clone() }));
            }
        }
        elements
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed that failed is run again by its number")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs many worlds; `COMITY_CASES` multiplies them, `COMITY_SEED` runs one alone.
fn runs(base: u64, mut check: impl FnMut(u64, usize)) {
    let seeds = match number("COMITY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..base * number("COMITY_CASES").unwrap_or(1),
    };
    for seed in seeds {
        for nations in [4, 5, 7] {
            check(seed, nations);
        }
    }
}

/// How many nations may lie.
const fn tolerated(nations: usize) -> usize {
    nations.div_ceil(3) - 1
}

#[test]
fn whatever_less_than_a_third_say_a_final_envelope_stays_accepted_and_stores_agree() {
    let (mut forked, mut beyond, mut forgot) = (0, 0, 0);
    runs(100, |seed, nations| {
        for forgets in [false, true] {
            let told = World::new(seed, nations, tolerated(nations), Rules::default(), forgets).run();
            assert_eq!(
                (told.lost, told.differ, told.split),
                (0, false, false),
                "seed {seed}, {nations} nations, {forgets}"
            );
            forked += u32::from(told.forked);
            beyond += u32::from(told.beyond);
            forgot += u32::from(told.forgot);
        }
    });
    println!("{forked} forked, {beyond} with final envelopes above the freeze point, {forgot} that forgot");
    assert!(number("COMITY_SEED").is_some() || forked > 100 && beyond > 10 && forgot > 10);
}

/// A cut may stand on any branch, also one that nobody but a liar acknowledges.
#[test]
fn wherever_a_key_is_cut_off_stores_agree_on_who_has_seen_what_stands() {
    runs(100, |seed, nations| {
        for forgets in [false, true] {
            for liars in [tolerated(nations), tolerated(nations) + 1] {
                let told = World::new(seed, nations, liars, Rules::default(), forgets).run_to_a_cut();
                assert!(!told.differ || (forgets && told.split), "seed {seed}, {nations} nations, {liars}, {forgets}");
            }
        }
    });
}

#[test]
fn without_finality_a_fork_takes_back_what_was_final() {
    let mut lost = 0;
    runs(30, |seed, nations| {
        lost += World::new(seed, nations, 0, Rules::broken(Rule::FinalBeforeFreeze), false).run().lost;
    });
    assert!(number("COMITY_SEED").is_some() || lost > 0, "the check has teeth");
}

#[test]
fn where_a_third_or_more_lie_stores_that_hold_all_still_agree() {
    let (mut lost, mut split) = (0, 0);
    runs(60, |seed, nations| {
        let told = World::new(seed, nations, tolerated(nations) + 1, Rules::default(), false).run();
        assert!(!told.differ, "seed {seed}, {nations} nations");
        lost += told.lost;
        split += u32::from(told.split);
    });
    println!("{lost} final envelopes lost, {split} splits");
}
