//! Stratum 3a, acknowledgements (spec 4.5.3): what each nation's witness says it holds, and what is final by that.
//!
//! An acknowledgement is a raw fact: whether the witness's own chain is accepted plays no part, so this stratum stands below
//! the chains' acceptance. It is read, as every body is, once all bodies below it are held (4.3.4): two nodes with equal
//! `held` digests have read the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{Body, KIND_WITNESS, WitnessBody};
use crate::chain::{Chain, Held};
use crate::charter::Charter;
use crate::ids::{AuthorId, CharterId, EnvelopeId, NationId, Tip};
use crate::roster::KeyStanding;

mod finality;

pub use finality::Finality;

/// What the nations' witnesses acknowledge, and what of each author's chain is final by that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements {
    scopes: BTreeMap<AuthorId, Scope>,
    authors: BTreeMap<AuthorId, Acked>,
    /// Acknowledgements of headers that are not held, or not linked.
    waiting: BTreeSet<Waiting>,
    /// The charter versions that each nation's witness envelopes name.
    charters: BTreeMap<NationId, BTreeSet<(u32, CharterId, Tip)>>,
}

/// Which envelopes of a witness key count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All that are held.
    All,
    /// Those up to a cut that is not held, or not linked.
    UpTo(Tip),
    /// Those on the path to a cut.
    Path(Tip),
}

/// What is acknowledged of one author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Acked {
    nations: BTreeMap<NationId, Said>,
    finality: Finality,
}

/// What one nation acknowledges of one author.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    /// Linked headers, each with the witness envelopes that say so.
    linked: BTreeSet<(Tip, Tip)>,
    /// Those of them that lead to no other: one, unless the nation lies; ascending.
    tops: Vec<Tip>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    author: AuthorId,
    tip: Tip,
    nation: NationId,
    by: Tip,
}

/// Every author's chain.
type Chains = BTreeMap<AuthorId, Chain>;

impl Acknowledgements {
    /// Returns the topmost headers of `author` that a nation acknowledges, ascending: one for an honest nation.
    pub fn tops(&self, nation: &NationId, author: &AuthorId) -> &[Tip] {
        self.said(nation, author).map_or(&[], |said| &said.tops)
    }

    /// Returns the nations that acknowledge a linked header or one above it, ascending; of any standing.
    pub fn nations_above(&self, chain: &Chain, held: &Held) -> Vec<NationId> {
        let Some(acked) = self.authors.get(&chain.author()).filter(|_| held.linked()) else { return Vec::new() };
        let leads = |said: &Said| said.tops.iter().any(|top| chain.leads_to(&held.id(), &top.id));
        acked.nations.iter().filter(|(_, said)| leads(said)).map(|(nation, _)| *nation).collect()
    }

    /// Returns height and id of the highest charter version that a nation's witness names.
    pub fn charter_of(&self, nation: &NationId) -> Option<(u32, CharterId)> {
        self.charters.get(nation)?.last().map(|&(height, charter, _)| (height, charter))
    }

    /// Returns what is final of an author's chain.
    pub fn finality(&self, author: &AuthorId) -> Finality {
        self.authors.get(author).map_or(Finality::default(), |acked| acked.finality)
    }

    /// Returns the headers that are acknowledged and not held, or not linked, with the nations that say so, ascending by
    /// author and position.
    pub fn absent(&self) -> impl Iterator<Item = (AuthorId, Tip, NationId)> {
        self.waiting.iter().map(|waiting| (waiting.author, waiting.tip, waiting.nation))
    }

    /// Returns the headers of an author that a nation acknowledges and that are not held, or not linked, ascending.
    pub fn absent_of(&self, nation: &NationId, author: &AuthorId) -> impl Iterator<Item = Tip> {
        let of_it = move |waiting: &&Waiting| waiting.author == *author;
        let all = self.waiting.range(first_of(*author)..).take_while(of_it);
        all.filter(move |waiting| waiting.nation == *nation).map(|waiting| waiting.tip)
    }

    /// The highest position of an author that any nation acknowledges, held or not; 0 for none.
    pub fn highest(&self, author: &AuthorId) -> u64 {
        let after = Waiting { tip: Tip { seq: u64::MAX, id: EnvelopeId::new([0xff; 32]) }, ..first_of(*author) };
        let waiting = self.waiting.range(first_of(*author)..after).next_back().map_or(0, |waiting| waiting.tip.seq);
        let nations = self.authors.get(author).into_iter().flat_map(|acked| acked.nations.values());
        let tops = nations.filter_map(|said| said.tops.last()).map(|top| top.seq);
        tops.max().unwrap_or(0).max(waiting)
    }

    /// Whether anything is acknowledged that is not held, or not linked.
    pub fn any_absent(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the lowest `limit` headers of an author that are acknowledged and not held, or not linked, each with a nation
    /// that says so.
    pub fn absent_for(&self, author: &AuthorId, limit: usize) -> Vec<(Tip, NationId)> {
        let of_it = |waiting: &&Waiting| waiting.author == *author;
        let all = self.waiting.range(first_of(*author)..).take_while(of_it);
        all.map(|waiting| (waiting.tip, waiting.nation)).take(limit).collect()
    }

    fn said(&self, nation: &NationId, author: &AuthorId) -> Option<&Said> {
        self.authors.get(author)?.nations.get(nation)
    }

    /// Takes in what the witness key `of` said in these envelopes, which are complete since now, or all of it where its
    /// standing changed. Returns the authors of whose chains a nation acknowledges something else at the top now.
    pub(crate) fn hear(
        &mut self,
        chains: &Chains,
        of: &AuthorId,
        standing: Option<KeyStanding>,
        new: &[Tip],
    ) -> BTreeSet<AuthorId> {
        let Some(chain) = chains.get(of) else { return BTreeSet::new() };
        let scope = scope_of(chain, standing);
        let before = match scope {
            Some(scope) => self.scopes.insert(*of, scope),
            None => self.scopes.remove(of),
        };
        if before == scope {
            let new = new.iter().filter_map(|tip| chain.get(&tip.id));
            return self.take(chains, chain, new);
        }
        if before.is_none() {
            return self.take(chains, chain, chain.iter());
        }
        // What a key says no more may be said by another key of the nation: all is heard again.
        let mut changed = self.silence(&of.nation);
        let keys: Vec<AuthorId> = self.scopes.keys().filter(|key| key.nation == of.nation).copied().collect();
        for chain in keys.iter().filter_map(|key| chains.get(key)) {
            changed.extend(self.take(chains, chain, chain.iter()));
        }
        changed
    }

    fn silence(&mut self, nation: &NationId) -> BTreeSet<AuthorId> {
        self.waiting.retain(|waiting| waiting.nation != *nation);
        self.charters.remove(nation);
        let mut changed = BTreeSet::new();
        for (author, acked) in &mut self.authors {
            if acked.nations.remove(nation).is_some() {
                changed.insert(*author);
            }
        }
        changed
    }

    fn take<'a>(
        &mut self,
        chains: &Chains,
        witness: &Chain,
        envelopes: impl Iterator<Item = &'a Held>,
    ) -> BTreeSet<AuthorId> {
        let mut changed = BTreeSet::new();
        let Some(scope) = self.scopes.get(&witness.author()).copied() else { return changed };
        for held in envelopes.filter(|held| held.complete() && scope.covers(witness, held)) {
            let Some(said) = said_in(held) else { continue };
            let named = (said.height, said.charter, held.tip());
            self.charters.entry(witness.author().nation).or_default().insert(named);
            for (author, tip) in acks_of(&said) {
                let of = chains.get(&author).filter(|chain| is_linked(chain, &tip));
                if self.say(author, of, tip, witness.author().nation, held.tip()) {
                    changed.insert(author);
                }
            }
        }
        changed
    }

    /// A nation acknowledges a header in envelope `by`; `chain` where that header is linked in it. Whether its tops changed.
    fn say(&mut self, author: AuthorId, chain: Option<&Chain>, tip: Tip, nation: NationId, by: Tip) -> bool {
        let Some(chain) = chain else {
            self.waiting.insert(Waiting { author, tip, nation, by });
            return false;
        };
        let said = self.authors.entry(author).or_default().nations.entry(nation).or_default();
        said.linked.insert((tip, by));
        said.rise(chain, tip)
    }

    /// Headers of a chain linked: what was said of them before counts from now on. Whether a nation's tops changed.
    pub(crate) fn linked(&mut self, chain: &Chain, fresh: &[Tip]) -> bool {
        let author = chain.author();
        if self.waiting.range(first_of(author)..).next().is_none_or(|waiting| waiting.author != author) {
            return false;
        }
        let mut changed = false;
        for tip in fresh {
            let from = Waiting { tip: *tip, ..first_of(author) };
            let of_it = |waiting: &&Waiting| waiting.author == author && waiting.tip == *tip;
            let now: Vec<Waiting> = self.waiting.range(from..).take_while(of_it).copied().collect();
            for waiting in now.into_iter().filter(|waiting| is_linked(chain, &waiting.tip)) {
                self.waiting.remove(&waiting);
                changed |= self.say(author, Some(chain), waiting.tip, waiting.nation, waiting.by);
            }
        }
        changed
    }

    /// Envelopes of an author were forgotten: what was said of them waits again, and what they said is unsaid. Returns the
    /// authors of whose chains a nation acknowledges something else at the top now.
    pub(crate) fn forgot(&mut self, chains: &Chains, of: &AuthorId, forgotten: &[Held]) -> BTreeSet<AuthorId> {
        let mut lowered: BTreeSet<(AuthorId, NationId)> = BTreeSet::new();
        for held in forgotten {
            if let Some(acked) = self.authors.get_mut(of) {
                for (nation, said) in &mut acked.nations {
                    let gone = said.linked.range((held.tip(), Tip::NONE)..).take_while(|(tip, _)| *tip == held.tip());
                    for (tip, by) in gone.copied().collect::<Vec<_>>() {
                        said.linked.remove(&(tip, by));
                        self.waiting.insert(Waiting { author: *of, tip, nation: *nation, by });
                        lowered.insert((*of, *nation));
                    }
                }
            }
        }
        if self.scopes.contains_key(of) {
            for held in forgotten {
                lowered.extend(self.unsay(&of.nation, held).into_iter().map(|author| (author, of.nation)));
            }
        }
        for (author, nation) in &lowered {
            if let (Some(acked), Some(chain)) = (self.authors.get_mut(author), chains.get(author))
                && let Some(said) = acked.nations.get_mut(nation)
            {
                said.lower(chain);
                if said.linked.is_empty() {
                    acked.nations.remove(nation);
                }
            }
        }
        lowered.into_iter().map(|(author, _)| author).collect()
    }

    /// An envelope of a nation's witness is held no more. Returns whom it acknowledged.
    fn unsay(&mut self, nation: &NationId, held: &Held) -> Vec<AuthorId> {
        let (Some(witness), by) = (said_in(held), held.tip()) else { return Vec::new() };
        if let Some(named) = self.charters.get_mut(nation) {
            named.remove(&(witness.height, witness.charter, by));
            if named.is_empty() {
                self.charters.remove(nation);
            }
        }
        let mut unsaid = Vec::new();
        for (author, tip) in acks_of(&witness) {
            self.waiting.remove(&Waiting { author, tip, nation: *nation, by });
            let said = self.authors.get_mut(&author).and_then(|acked| acked.nations.get_mut(nation));
            unsaid.extend(said.filter(|said| said.linked.contains(&(tip, by))).map(|said| {
                said.linked.remove(&(tip, by));
                author
            }));
        }
        unsaid
    }

    /// Works out again what is final of a chain; returns it, and whether it changed.
    pub(crate) fn settle(&mut self, author: &AuthorId, chain: Option<&Chain>, charter: &Charter) -> bool {
        let Some(acked) = self.authors.get_mut(author) else { return false };
        let finality = chain.map_or(Finality::default(), |chain| {
            Finality::of(chain, &tops_of_members(acked, charter), charter.members.len(), charter.quorum())
        });
        let changed = finality != acked.finality;
        acked.finality = finality;
        if acked.nations.is_empty() {
            self.authors.remove(author);
        }
        changed
    }

    /// Authors of whose chains something is acknowledged.
    pub(crate) fn authors(&self) -> impl Iterator<Item = &AuthorId> {
        self.authors.keys()
    }

    /// Returns the forked chains of witness keys, whose branches finality may rest on.
    pub(crate) fn forked_witnesses<'a>(&'a self, chains: &'a Chains) -> impl Iterator<Item = &'a Chain> {
        self.scopes.keys().filter_map(|key| chains.get(key)).filter(|chain| chain.fork().is_some())
    }

    /// Returns the headers of a forked chain to which the path is kept (spec 4.12 (b) and (d)), ascending.
    pub(crate) fn vouched(&self, chains: &Chains, chain: &Chain, charter: &Charter) -> Vec<EnvelopeId> {
        let author = chain.author();
        let mut kept = BTreeSet::new();
        for tops in self.kept_tops(chain, charter).into_values() {
            kept.extend(tops.into_iter().map(|top| top.id));
        }
        if self.scopes.contains_key(&author) && charter.members.contains_key(&author.nation) {
            for (of, acked) in &self.authors {
                let (Some(said), Some(of)) = (acked.nations.get(&author.nation), chains.get(of)) else { continue };
                let tops = self.kept_tops(of, charter).remove(&author.nation).unwrap_or_default();
                kept.extend(tops.into_iter().filter_map(|top| said.first_by(&top)).map(|by| by.id));
            }
        }
        kept.into_iter().collect()
    }

    fn kept_tops(&self, chain: &Chain, charter: &Charter) -> BTreeMap<NationId, Vec<Tip>> {
        let Some(acked) = self.authors.get(&chain.author()) else { return BTreeMap::new() };
        finality::kept_tops(chain, &tops_of_members(acked, charter), &acked.finality)
    }
}

impl Scope {
    fn covers(&self, chain: &Chain, held: &Held) -> bool {
        match self {
            Self::All => true,
            Self::UpTo(cut) => held.seq() <= cut.seq,
            Self::Path(cut) => chain.leads_to(&held.id(), &cut.id),
        }
    }
}

impl Said {
    /// Takes in another linked header; whether the tops changed.
    fn rise(&mut self, chain: &Chain, tip: Tip) -> bool {
        if self.tops.iter().any(|top| chain.leads_to(&tip.id, &top.id)) {
            return false;
        }
        self.tops.retain(|top| !chain.leads_to(&top.id, &tip.id));
        self.tops.push(tip);
        self.tops.sort_unstable();
        true
    }

    /// Works out the tops again, after headers are no longer acknowledged, or no longer linked.
    fn lower(&mut self, chain: &Chain) {
        self.tops.clear();
        let mut tips: Vec<Tip> = self.linked.iter().map(|(tip, _)| *tip).collect();
        tips.dedup();
        for tip in tips.into_iter().rev() {
            if tip.seq <= chain.agreed_to() && !self.tops.is_empty() {
                break;
            }
            self.rise(chain, tip);
        }
    }

    /// The lowest envelope that says so of exactly this header.
    fn first_by(&self, top: &Tip) -> Option<Tip> {
        self.linked.range((*top, Tip::NONE)..).next().filter(|(tip, _)| tip == top).map(|(_, by)| *by)
    }
}

fn tops_of_members<'a>(acked: &'a Acked, charter: &Charter) -> BTreeMap<NationId, &'a [Tip]> {
    let members = acked.nations.iter().filter(|(nation, _)| charter.members.contains_key(*nation));
    members.map(|(nation, said)| (*nation, said.tops.as_slice())).filter(|(_, tops)| !tops.is_empty()).collect()
}

fn first_of(author: AuthorId) -> Waiting {
    Waiting { author, tip: Tip::NONE, nation: NationId::ZERO, by: Tip::NONE }
}

fn is_linked(chain: &Chain, tip: &Tip) -> bool {
    chain.get(&tip.id).is_some_and(|held| held.linked() && held.seq() == tip.seq)
}

fn scope_of(chain: &Chain, standing: Option<KeyStanding>) -> Option<Scope> {
    match standing? {
        KeyStanding::Active { witness: true } => Some(Scope::All),
        KeyStanding::Retired { cut, witness: true } if is_linked(chain, &cut) => Some(Scope::Path(cut)),
        KeyStanding::Retired { cut, witness: true } => Some(Scope::UpTo(cut)),
        KeyStanding::Active { witness: false } | KeyStanding::Retired { witness: false, .. } => None,
    }
}

/// What a witness envelope says, if its body is held and is one.
fn said_in(held: &Held) -> Option<WitnessBody> {
    let body = held.body().filter(|_| held.kind() == KIND_WITNESS)?;
    match Body::decode(KIND_WITNESS, body) {
        Ok(Body::Witness(witness)) => Some(witness),
        Ok(Body::Change(_) | Body::KeyGrant(_) | Body::Unknown(_)) | Err(_) => None,
    }
}

fn acks_of(said: &WitnessBody) -> impl Iterator<Item = (AuthorId, Tip)> {
    said.acks.iter().filter(|ack| ack.tip != Tip::NONE).map(|ack| (ack.author, ack.tip))
}
