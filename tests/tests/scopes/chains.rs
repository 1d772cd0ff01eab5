//! What is accepted of one author's chain (spec 4.5.4), for every tree its key may have signed (PROTOCOL section 8.2).
//!
//! World: four nations, of which one lies (f = 1), each with one replica. One author's key signed a tree of headers: up to
//! six of them, up to two forks, now and then one that breaks the rule of time or of quota. Actions: any replica receives
//! any header, body, witness envelope, or the roster that retires the key at some cut, whenever it wants. A replica is a
//! function of what it holds, so instead of the product of four replicas one lattice of what one can hold is searched
//! ([`crate::lattice`]): a state of the world is four sets of it, and what two replicas become that exchange all is the
//! step from either to the union.
//!
//! Checked on every set: I4; the tip, the fork, what links and what is looked for against [`crate::oracle`]; the freeze
//! point; what is kept, and that forgetting the rest changes nothing, now and after whatever comes next (I10). On every step:
//! one state for every order (I1, I19, T1), forks never rise, and what was accepted stays accepted below a fork or unless
//! the roster cuts it.
//!
//! T4 (I5) is proved over the oracle, for all that three honest nations may ever have said and a fourth that says anything;
//! that the evaluation has what the oracle has is checked with the rest.

use comity_protocol::body::{Ack, Body};
use comity_protocol::chain::EnvelopeStanding;
use comity_protocol::control::Params;
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AuthorId, EnvelopeId, NationId, Tip};
use comity_protocol::testing::{TestAlliance, TestEnvelope, retire};

use crate::dice::{Dice, cases};
use crate::lattice::{Counts, Lattice, Pool, Set, Step, admit, bit};
use crate::oracle::{Cut, Held, NATIONS, Reading, Status};
use crate::random::witness_body;
use crate::seen::compare;
use crate::trees::{Blemish, Tree};

/// How the evaluation reads spec 4.5.4.
const READING: Reading = Reading::Final;

/// What an item of the scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Header(usize),
    Body(usize),
    /// A header with its body.
    Envelope(usize),
    Retire(Cut),
    /// A nation's witness says that it holds the path to a header.
    Ack(usize, usize),
}

/// Whether bodies come alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bodies {
    Alone,
    WithHeaders,
    /// With some of the headers; those of the others never come.
    WithSome(Set),
}

/// One tree with everything that may arrive.
struct Scope<'t> {
    tree: &'t Tree,
    author: AuthorId,
    nations: Vec<NationId>,
    envelopes: Vec<TestEnvelope>,
    what: Vec<What>,
    pool: Pool,
}

/// The alliance of all scopes: nation 0 with a witness and the author, and three more with a witness each.
fn alliance() -> TestAlliance {
    let params = Params { chain_quota: 10_000, ..Params::default() };
    TestAlliance::with_params(1, &[("UKR", 2), ("POL", 1), ("DEU", 1), ("EST", 1)], params)
}

impl<'t> Scope<'t> {
    fn new(alliance: &TestAlliance, tree: &'t Tree, bodies: Bodies) -> Self {
        let node = &alliance.nations[0].nodes[1];
        let envelopes = tree.sign(node);
        let base =
            vec![Element::Control(alliance.genesis.clone()), Element::Control(alliance.nations[0].rosters[0].clone())];
        let nations = alliance.nations.iter().map(|nation| nation.id).collect();
        let mut pool = Pool::new(format!("{tree:?}, bodies {bodies:?}"), alliance.anchor(), base);
        pool.author = Some(node.author);
        let mut scope = Self { tree, author: node.author, nations, envelopes, what: Vec::new(), pool };
        for header in 0..tree.len() {
            let [head, body] = scope.envelopes[header].elements();
            match bodies {
                Bodies::Alone => {
                    scope.item(What::Header(header), vec![head]);
                    scope.item(What::Body(header), vec![body]);
                }
                Bodies::WithSome(some) if some & bit(header) == 0 => scope.item(What::Header(header), vec![head]),
                Bodies::WithHeaders | Bodies::WithSome(_) => scope.item(What::Envelope(header), vec![head, body]),
            }
        }
        scope
    }

    fn item(&mut self, what: What, elements: Vec<Element>) {
        self.what.push(what);
        self.pool.item(format!("{what:?}"), elements);
    }

    /// Rosters that retire the key; a replica holds one of them at most.
    fn retire(&mut self, alliance: &TestAlliance, cuts: &[Cut]) {
        for &cut in cuts {
            let first = alliance.nations[0].rosters.first();
            let tip = self.tip_of(cut);
            let roster = alliance.roster_after(0, first, |roster| retire(roster, &self.author.key, tip));
            self.item(What::Retire(cut), vec![Element::Control(roster)]);
            self.pool.alternatives |= bit(self.what.len() - 1);
        }
    }

    /// A witness of each nation, which says once or more often what it holds.
    fn acknowledge(&mut self, alliance: &TestAlliance, acks: &[(usize, usize)]) {
        let rosters = alliance.nations[1..].iter().flat_map(|nation| &nation.rosters);
        self.pool.base.extend(rosters.cloned().map(Element::Control));
        let mut witnesses: Vec<_> = alliance.nations.iter().map(|nation| nation.nodes[0].clone()).collect();
        for &(nation, header) in acks {
            let ack = Ack { author: self.author, tip: self.envelopes[header].header.tip() };
            let said = witnesses[nation].body(&Body::Witness(witness_body(alliance, vec![ack])));
            self.item(What::Ack(nation, header), said.elements().into());
        }
    }

    fn tip_of(&self, cut: Cut) -> Tip {
        match cut {
            Cut::Nothing => Tip::NONE,
            Cut::At(header) => self.envelopes[header].header.tip(),
            Cut::Elsewhere(seq) => Tip { seq, id: EnvelopeId::new([7; 32]) },
            Cut::Misplaced(header, seq) => Tip { seq, id: self.envelopes[header].id() },
        }
    }

    /// The headers, the bodies, the acknowledgements and the status in a set.
    fn told(&self, set: Set) -> Told {
        let mut told = Told { headers: 0, bodies: 0, acks: [0; NATIONS], status: Status::Active };
        for item in self.pool.members(set) {
            match self.what[item] {
                What::Header(header) => told.headers |= bit(header),
                What::Body(header) => told.bodies |= bit(header),
                What::Envelope(header) => {
                    told.headers |= bit(header);
                    told.bodies |= bit(header);
                }
                What::Retire(cut) => told.status = Status::Retired(cut),
                What::Ack(nation, header) if self.read(set, item) => told.acks[nation] |= bit(header),
                What::Ack(..) => {}
            }
        }
        told
    }

    /// A witness envelope is read when those its nation said before are held.
    fn read(&self, set: Set, item: usize) -> bool {
        let nation = |item: usize| match self.what[item] {
            What::Ack(nation, _) => Some(nation),
            What::Header(_) | What::Body(_) | What::Envelope(_) | What::Retire(_) => None,
        };
        (0..item).filter(|earlier| nation(*earlier) == nation(item)).all(|earlier| set & bit(earlier) != 0)
    }

    /// Explores the scope, and checks every set and every step.
    fn explore(&self, dice: &mut Dice, reading: Reading) -> Result<Lattice<'_>, String> {
        let mut seen: Vec<Set> = Vec::new();
        Lattice::explore(&self.pool, dice, admit, &mut |step| {
            let to = step.from | bit(step.item);
            if seen.last() != Some(&to) {
                seen.push(to);
                self.check(to, step.after, reading)?;
            }
            self.check_step(step)
        })
    }

    fn check(&self, set: Set, state: &State, reading: Reading) -> Result<(), String> {
        let told = self.told(set);
        let held = told.held(self.tree);
        let Some(chain) = state.chain(&self.author) else { return expect("headers held", 0, held.headers) };
        expect("fork", chain.fork(), held.fork(reading))?;
        let accepted = held.accepted(reading);
        let linked = held.linked(reading);
        for (header, envelope) in self.envelopes.iter().enumerate() {
            let Some(there) = chain.get(&envelope.id()) else { continue };
            expect("linked", there.linked(), linked & bit(header) != 0)?;
            for (nation, id) in self.nations.iter().enumerate() {
                let seen = state.seen_by(&self.author, there).contains(id);
                expect("acknowledged", seen, held.acknowledges(nation, header))?;
            }
            expect("final", state.is_final(&self.author, there), held.agreed() && held.fin() & bit(header) != 0)?;
            let standing = match told.status {
                _ if accepted & bit(header) != 0 => EnvelopeStanding::Accepted,
                _ if linked & bit(header) == 0 => EnvelopeStanding::Unlinked,
                Status::Active => EnvelopeStanding::Suspended,
                Status::Retired(_) => EnvelopeStanding::Disavowed,
            };
            expect("standing", chain.standing(there), standing)?;
        }
        // A path from 1, its headers one on the other, up to the tip (I4).
        let mut below = Tip::NONE;
        for seq in 1..=accepted.count_ones().into() {
            let next = chain.accepted(seq).ok_or_else(|| format!("nothing accepted at {seq}"))?;
            expect("the accepted path", (next.seq(), next.prev()), (seq, below.id))?;
            below = next.tip();
        }
        expect("tip", chain.tip(), below)?;
        expect("tip", chain.tip(), held.tip(reading).map_or(Tip::NONE, |tip| self.envelopes[tip].header.tip()))?;
        expect("a cut is looked for", chain.incomplete().is_some(), !held.cut_held())?;
        match told.status {
            Status::Active => {
                let final_to = state.final_tip(&self.author).seq;
                let frozen = chain.fork().is_none_or(|fork| below.seq < fork || below.seq <= final_to);
                expect("frozen below the fork or where it is final", frozen, true)?;
            }
            Status::Retired(cut) => expect("never beyond the cut", below.seq <= self.tip_of(cut).seq, true)?,
        }
        let path = (0..self.tree.len()).filter(|header| accepted & bit(*header) != 0);
        let bodies = path.take_while(|header| told.bodies & bit(*header) != 0).count();
        expect("bodies to", usize::try_from(chain.bodies_to()).expect("small"), bodies)
    }

    fn check_step(&self, step: &Step<'_>) -> Result<(), String> {
        let (from, to) = (self.told(step.from), self.told(step.from | bit(step.item)));
        let fork = step.after.chain(&self.author).and_then(|chain| chain.fork());
        if from.status == to.status {
            let before = step.before.chain(&self.author);
            for held in before.into_iter().flat_map(|chain| chain.accepted_from(1)) {
                let now = step.after.chain(&self.author).and_then(|chain| chain.accepted(held.seq()));
                let stays = now.is_some_and(|now| now.id() == held.id()) || fork.is_some_and(|fork| held.seq() >= fork);
                expect("what was accepted stays, below a fork", stays, true)?;
            }
        }
        self.check_retention(step, &from, &to)
    }

    /// A replica that forgets before the step what is not kept is where it should be after it.
    fn check_retention(&self, step: &Step<'_>, from: &Told, to: &Told) -> Result<(), String> {
        let Some(chain) = step.before.chain(&self.author) else { return Ok(()) };
        if chain.fork().is_none() {
            return expect("without a fork all is kept", chain.iter().all(|held| chain.keeps(held)), true);
        }
        let mut forgetful = step.before.clone();
        let mut unkept: Vec<EnvelopeId> =
            chain.iter().filter(|held| !chain.keeps(held)).map(|held| held.id()).collect();
        let mut forgotten = forgetful.forget_unkept_headers(&self.author);
        forgotten.sort_unstable();
        unkept.sort_unstable();
        expect("what is forgotten is what is not kept", &forgotten, &unkept)?;
        if forgotten.is_empty() {
            return Ok(());
        }
        let digests = |state: &State| (state.held(), state.state(), state.frontier(), state.control());
        expect("digests after forgetting", digests(&forgetful), digests(step.before))?;
        let chain = forgetful.chain(&self.author).ok_or("the chain is gone")?;
        for held in chain.iter() {
            let then = step.before.envelope(&held.id()).ok_or("it was not held")?;
            let now = forgetful.view_of(chain, held);
            expect("verdict after forgetting", (now.standing, now.verdict), (then.standing, then.verdict))?;
        }
        let news = self.pool.items[step.item].elements.clone();
        // Where nothing is held above a gap and nothing is cut, nothing that was forgotten is needed again.
        let gapless = |headers: Set| self.tree.paths(headers) == headers;
        // What a nation has seen is looked for when its word comes; whoever forgot it gets it again.
        let recalled = matches!(self.what[step.item], What::Ack(..));
        if gapless(from.headers) && gapless(to.headers) && to.status == Status::Active && !recalled {
            let mut after = forgetful.clone();
            after.admit(news.clone());
            after.forget_unkept_headers(&self.author);
            let mut full = step.after.clone();
            full.forget_unkept_headers(&self.author);
            compare(&after, &full, &self.pool.probe()).map_err(|why| format!("forgot before and after: {why}"))?;
        }
        // Otherwise what was forgotten is asked for and comes again; then nothing is lost. Only a cut makes it needed.
        let mut after = forgetful;
        after.admit(news);
        if to.status == Status::Active && !recalled {
            expect("frontier, having forgotten", after.frontier(), step.after.frontier())?;
        }
        let again = self.envelopes.iter().filter(|envelope| forgotten.contains(&envelope.id()));
        after.admit(again.flat_map(|envelope| self.again(envelope, step.from)).collect());
        compare(&after, step.after, &self.pool.probe()).map_err(|why| format!("forgot, and it came again: {why}"))
    }

    /// What of an envelope is in a set.
    fn again(&self, envelope: &TestEnvelope, set: Set) -> Vec<Element> {
        let items = self.pool.members(set).map(|item| &self.pool.items[item]);
        let of = items.flat_map(|item| &item.elements).filter(|element| match element {
            Element::Header(header) => header.id() == envelope.id(),
            Element::Body { id, .. } => *id == envelope.id(),
            Element::Control(_) => false,
        });
        of.cloned().collect()
    }
}

/// What a set holds, in the oracle's words.
#[derive(Clone, Copy, Debug)]
struct Told {
    headers: Set,
    bodies: Set,
    acks: [Set; NATIONS],
    status: Status,
}

impl Told {
    fn held<'a>(&'a self, tree: &'a Tree) -> Held<'a> {
        Held { tree, headers: self.headers, acks: &self.acks, status: self.status }
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?} and should be {should:?}")) }
}

/// Every cut a roster may name.
fn every_cut(tree: &Tree) -> Vec<Cut> {
    let depth = tree.seqs.last().copied().unwrap_or(0);
    let misplaced = |header: usize| Cut::Misplaced(header, tree.seqs[header] % depth + 1);
    let headers = 0..tree.len();
    let at = headers.clone().map(Cut::At);
    let elsewhere = (1..=depth + 1).map(Cut::Elsewhere);
    let misplaced = headers.filter(|header| tree.seqs[*header] % depth + 1 != tree.seqs[*header]).map(misplaced);
    std::iter::once(Cut::Nothing).chain(at).chain(elsewhere).chain(misplaced).collect()
}

/// Explores a tree with every cut or `cuts` drawn ones.
fn explore(alliance: &TestAlliance, tree: &Tree, cuts: Option<usize>, bodies: Bodies, dice: &mut Dice) -> Counts {
    let mut scope = Scope::new(alliance, tree, bodies);
    let mut chosen = every_cut(tree);
    if let Some(count) = cuts {
        dice.shuffle(&mut chosen);
        chosen.truncate(count);
    }
    scope.retire(alliance, &chosen);
    let mut lattice = scope.explore(dice, READING).unwrap_or_else(|why| panic!("{why}"));
    if tree.len() <= 4 && bodies == Bodies::WithHeaders && tree.blemish == Blemish::None {
        lattice.every_union(dice).unwrap_or_else(|why| panic!("{why}"));
    }
    lattice.counts
}

#[test]
fn every_tree_of_headers_is_accepted_by_the_rules_whatever_arrives_when() {
    let begun = std::time::Instant::now();
    let (alliance, mut dice) = (alliance(), Dice::new(1));
    let (mut counts, mut trees) = (Counts::default(), 0);
    for tree in &Tree::all(6, 2) {
        for tree in tree.blemished() {
            let sound = tree.blemish == Blemish::None;
            // Every day: all of up to four headers; of larger ones all sound trees, and not all cuts.
            let cuts = match (tree.len(), sound, cases()) {
                (..=4, _, _) | (5, true, _) | (5, _, 2..) | (_, _, 10..) => None,
                (5, _, _) => Some(0),
                (_, true, _) => Some(1),
                (_, false, _) => continue,
            };
            trees += 1;
            counts.add(explore(&alliance, &tree, cuts, Bodies::WithHeaders, &mut dice));
        }
    }
    println!("{trees} trees, {counts:?} in {:?}", begun.elapsed());
}

#[test]
fn bodies_that_come_apart_from_their_headers_change_nothing_but_how_far_bodies_are_held() {
    let begun = std::time::Instant::now();
    let (alliance, mut dice) = (alliance(), Dice::new(2));
    let (mut counts, mut trees) = (Counts::default(), 0);
    let alone = if cases() < 10 { 4 } else { 5 };
    for tree in &Tree::all(5 + usize::from(cases() > 1), 2) {
        let bodies = if tree.len() <= alone {
            Bodies::Alone
        } else {
            Bodies::WithSome(dice.below(64).try_into().expect("small"))
        };
        trees += 1;
        counts.add(explore(&alliance, tree, Some(1), bodies, &mut dice));
    }
    println!("{trees} trees, {counts:?} in {:?}", begun.elapsed());
}

#[test]
fn what_witnesses_say_arrives_in_any_order_and_counts_as_it_was_said() {
    let (alliance, mut dice) = (alliance(), Dice::new(3));
    let mut counts = Counts::default();
    for tree in &Tree::all(3 + usize::from(cases() > 9), 2) {
        // Three nations say truly what they hold, a path each; the fourth says anything, both branches of a fork too.
        let mut acks: Vec<(usize, usize)> = (0..3).map(|nation| (nation, dice.below(tree.len()))).collect();
        acks.extend((0..tree.len()).rev().take(2).map(|header| (3, header)));
        let mut scope = Scope::new(&alliance, tree, Bodies::WithHeaders);
        scope.acknowledge(&alliance, &acks);
        counts.add(scope.explore(&mut dice, READING).unwrap_or_else(|why| panic!("{why}")).counts);
    }
    println!("{counts:?}");
}

/// All that three honest witnesses may ever have said: each the path to one linked header (W1, W2), or nothing.
fn honest(tree: &Tree) -> Vec<[Set; 3]> {
    let sound = (0..tree.len()).filter(|header| tree.sound() & bit(*header) != 0);
    let paths: Vec<Set> = std::iter::once(0).chain(sound.map(|header| tree.path(header))).collect();
    let mut all = Vec::new();
    for (i, first) in paths.iter().enumerate() {
        for (j, second) in paths[..=i].iter().enumerate() {
            // Which nation says what makes no difference, so each choice of three is taken once.
            all.extend(paths[..=j].iter().map(|third| [*first, *second, *third]));
        }
    }
    all
}

/// Checks T4 over the oracle: what is final lies on one path and is accepted, however much of the tree is held.
fn final_stays(tree: &Tree, acks: &[Set; NATIONS], reading: Reading) -> Result<u64, String> {
    let mut sets = 0;
    for headers in 0..1 << tree.len() {
        let held = Held { tree, headers, acks, status: Status::Active };
        sets += 1;
        expect("final headers agree", held.agreed(), true)?;
        let fin = held.fin();
        expect("final headers are accepted", fin & !held.accepted(reading), 0)?;
        // More headers make no fewer final, so what is final here is accepted in every larger set.
        for header in 0..tree.len() {
            let more = Held { headers: headers | bit(header), ..held };
            expect("final headers stay final", fin & !more.fin(), 0)?;
        }
    }
    Ok(sets)
}

#[test]
fn by_the_rules_of_finality_a_final_envelope_stays_accepted_whatever_one_nation_says() {
    let (mut sets, mut said) = (0, 0);
    let mut unfrozen = 0;
    for tree in &Tree::all(4 + usize::from(cases() > 1) + usize::from(cases() > 9), 2) {
        for [one, two, three] in honest(tree) {
            said += 1;
            let acks = [one, two, three, Set::MAX];
            sets += final_stays(tree, &acks, Reading::Final).unwrap_or_else(|why| panic!("{tree:?} {acks:?}: {why}"));
            unfrozen += u64::from(final_stays(tree, &acks, Reading::Right).is_err());
        }
    }
    assert!(unfrozen > 0, "without finality a fork takes back what a quorum saw");
    println!("{sets} sets under {said} assignments of acknowledgements");
}

#[test]
fn two_lying_nations_of_four_split_what_is_final() {
    let fork = Tree::all(2, 1).into_iter().find(|tree| tree.seqs == [1, 1]).expect("a fork at 1");
    let acks = [bit(0), bit(1), Set::MAX, Set::MAX];
    assert!(final_stays(&fork, &acks, Reading::Final).is_err(), "the check sees a split");
}

#[test]
fn each_wrong_reading_of_the_rules_is_noticed_in_a_small_scope() {
    let alliance = alliance();
    for wrong in Reading::WRONG {
        let trees = Tree::all(3, 2);
        let mut blemished = trees.iter().flat_map(Tree::blemished);
        let noticed = blemished.find_map(|tree| {
            let mut scope = Scope::new(&alliance, &tree, Bodies::WithHeaders);
            scope.retire(&alliance, &every_cut(&tree));
            scope.explore(&mut Dice::new(4), wrong).err()
        });
        println!("{wrong:?}: {}", noticed.unwrap_or_else(|| panic!("nobody notices {wrong:?}")));
    }
}
