//! The evaluation (spec 4.5): from the set of records held to the state, with no clock and no memory of arrival.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use automerge::Automerge;

use crate::chain::{AuthorStatus, Chain, EnvelopeStanding, Held, PathChange};
use crate::charter::{Anchor, Charter, CharterMember};
use crate::control::VerifiedControl;
use crate::envelope::AttestedHeader;
use crate::ids::{AuthorId, AuthorKey, CharterId, ControlId, Digest, EnvelopeId, NationId, Timestamp, Tip};
use crate::roster::{KeyStanding, NationRoster};
use crate::rules::Rules;
use crate::section::{Quarantined, Section, Verdict, WaitingReason};
use crate::witness::Acknowledgements;

mod acknowledged;
mod author;
mod charter;
mod controls;
mod digest;
mod explain;
mod receipt;

pub use author::AuthorError;
pub use explain::Lacking;
pub use receipt::{ControlReceipt, Receipt};

use controls::Controls;

/// One member of the set that is evaluated: a record that passed the receipt checks of spec 4.4.
#[derive(Clone, Debug)]
pub enum Element {
    /// A genesis, motion, vote or roster.
    Control(VerifiedControl),
    /// An envelope's header; the same element whether it came alone or in a run.
    Header(AttestedHeader),
    /// An envelope's body.
    Body {
        /// The envelope.
        id: EnvelopeId,
        /// Its bytes; what its header does not name by hash and length counts for nothing (R07).
        bytes: Arc<[u8]>,
    },
}

/// What one batch changed, in the order of strata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Headers that were not held before.
    pub headers: Vec<EnvelopeId>,
    /// Envelopes whose body was not held before.
    pub bodies: Vec<EnvelopeId>,
    /// Control records kept now and not before, ascending by id.
    pub control_kept: Vec<ControlId>,
    /// Control records kept before and not now, ascending by id.
    pub control_dropped: Vec<ControlId>,
    /// The charter version in force changed.
    pub charter: bool,
    /// Nations whose evaluated roster changed.
    pub rosters: BTreeSet<NationId>,
    /// Authors whose chain forked, or forked lower than known, with the position.
    pub forked: Vec<(AuthorId, u64)>,
    /// Envelopes accepted now and not before, each chain ascending.
    pub accepted: Vec<Placed>,
    /// Authors of whose chains nations acknowledge something else at the top now, or something else is final.
    pub acknowledged: BTreeSet<AuthorId>,
    /// Envelopes accepted before and not now.
    pub dropped: Vec<(AuthorId, EnvelopeId)>,
    /// Envelopes whose change entered its document, those of `rebuilt` nations excepted.
    pub valid: Vec<(AuthorId, EnvelopeId)>,
    /// Nations whose document may read differently now.
    pub documents: BTreeSet<NationId>,
    /// Nations whose document is to be read anew: what was valid before may not be now.
    pub rebuilt: BTreeSet<NationId>,
}

/// An envelope and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// Its author.
    pub author: AuthorId,
    /// Its position and id.
    pub tip: Tip,
}

impl Changes {
    /// Whether nothing changed that anybody could see.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a key may hold a full link (spec 4.13), over all nations that list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Active in an evaluated roster; of several nations, the one with the smallest id.
    Active {
        /// The nation it speaks for.
        nation: NationId,
    },
    /// Retired, or of a removed nation, and Active in no evaluated roster.
    Retired {
        /// The nation it spoke for.
        nation: NationId,
    },
    /// In no evaluated roster.
    Unknown,
}

/// One envelope held, with all the evaluation says of it.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeView<'a> {
    /// Its author's chain.
    pub chain: &'a Chain,
    /// The envelope.
    pub held: &'a Held,
    /// Where it stands in its chain.
    pub standing: EnvelopeStanding,
    /// What it counts for; `None` unless it is accepted.
    pub verdict: Option<Verdict>,
}

/// The state of the record: a function of the anchor and the set of elements admitted, whatever their order and batching.
#[derive(Clone, Debug)]
pub struct State {
    anchor: Anchor,
    rules: Rules,
    controls: Controls,
    rosters: BTreeMap<NationId, NationRoster>,
    chains: BTreeMap<AuthorId, Chain>,
    /// Bodies whose header is not held.
    strays: BTreeMap<(EnvelopeId, Digest), Arc<[u8]>>,
    acknowledgements: Acknowledgements,
    /// Documents; one whose chains lost envelopes is built anew when it is next read.
    sections: BTreeMap<NationId, OnceLock<Section>>,
    no_section: Section,
    digests: digest::Digests,
}

/// Evaluates a whole set at once.
pub fn evaluate(anchor: Anchor, elements: Vec<Element>) -> State {
    let mut state = State::new(anchor);
    state.admit(elements);
    state
}

/// What a batch has touched so far.
#[derive(Default)]
struct Touched {
    controls: bool,
    authors: BTreeSet<AuthorId>,
    /// The author of the last element: elements come in runs.
    last: Option<AuthorId>,
}

impl State {
    /// Starts with the empty set.
    pub fn new(anchor: Anchor) -> Self {
        Self::under(anchor, Rules::default())
    }

    /// Starts with the empty set, under rules one of which a simulation may have broken.
    #[doc(hidden)]
    pub fn under(anchor: Anchor, rules: Rules) -> Self {
        Self {
            anchor,
            rules,
            controls: Controls::new(anchor.alliance),
            rosters: BTreeMap::new(),
            chains: BTreeMap::new(),
            strays: BTreeMap::new(),
            acknowledgements: Acknowledgements::default(),
            sections: BTreeMap::new(),
            no_section: Section::under(rules),
            digests: digest::Digests::default(),
        }
    }

    /// Takes elements into the set and returns what that changed.
    ///
    /// Any order within and between batches gives the same state, and so does any repetition: after every call the state is
    /// that of [`evaluate`] over all elements so far. Appending to accepted chains costs time by what is appended, not by
    /// what is held; a fork, a cut or a change of a roster builds the documents of the nation concerned anew.
    pub fn admit(&mut self, elements: Vec<Element>) -> Changes {
        let mut changes = Changes::default();
        let mut touched = Touched::default();
        for element in elements {
            match element {
                Element::Control(control) => touched.controls |= self.controls.insert(control),
                Element::Header(header) => self.take_header(&header, &mut touched, &mut changes),
                Element::Body { id, bytes } => self.take_body(id, &bytes, &mut touched, &mut changes),
            }
        }
        if touched.controls {
            self.evaluate_controls(&mut touched, &mut changes);
        }
        self.acknowledge(&touched, &mut changes);
        self.settle(&touched, &mut changes);
        self.vouch(&touched, &changes);
        if touched.controls || !touched.authors.is_empty() || !changes.acknowledged.is_empty() {
            self.digests = digest::Digests::default();
        }
        changes
    }

    fn take_header(&mut self, attested: &AttestedHeader, touched: &mut Touched, changes: &mut Changes) {
        let header = attested.header();
        if header.alliance != self.anchor.alliance {
            return;
        }
        let author = header.author_id();
        let quota = self.quota();
        let chain = self.chains.entry(author).or_insert_with(|| {
            let mut chain = Chain::new(header.alliance, author, self.rules);
            chain.set_quota(quota);
            chain
        });
        let fork = chain.fork();
        touched.last = Some(author);
        if !chain.insert(attested) {
            return;
        }
        touched.authors.insert(author);
        changes.headers.push(attested.id());
        if let Some(seq) = chain.fork().filter(|_| chain.fork() != fork) {
            changes.forked.retain(|(forked, _)| *forked != author);
            changes.forked.push((author, seq));
        }
        if let Some(body) = self.strays.get(&(attested.id(), header.body_hash)).cloned() {
            self.take_body(attested.id(), &body, touched, changes);
        }
        let all = (attested.id(), Digest::ZERO)..=(attested.id(), Digest::new([0xff; 32]));
        let settled: Vec<_> = self.strays.range(all).map(|(key, _)| *key).collect();
        settled.iter().for_each(|key| {
            self.strays.remove(key);
        });
    }

    fn take_body(&mut self, id: EnvelopeId, bytes: &Arc<[u8]>, touched: &mut Touched, changes: &mut Changes) {
        let author =
            touched.last.filter(|author| self.chains.get(author).is_some_and(|chain| chain.get(&id).is_some()));
        let Some(author) = author.or_else(|| self.author_of(&id)) else {
            self.strays.insert((id, crate::envelope::body_hash(bytes)), bytes.clone());
            return;
        };
        touched.last = Some(author);
        let Some(chain) = self.chains.get_mut(&author) else { return };
        if chain.attach(&id, bytes) {
            touched.authors.insert(author);
            changes.bodies.push(id);
        }
    }

    /// Strata 1 and 2.
    fn evaluate_controls(&mut self, touched: &mut Touched, changes: &mut Changes) {
        let charter = self.controls.walk(&self.anchor);
        if charter {
            changes.charter = true;
            self.charter_changed(touched);
        }
        for (nation, roster) in self.controls.fresh_rosters(charter, &self.rosters) {
            if self.rosters.get(&nation) == Some(&roster) {
                continue;
            }
            changes.rosters.insert(nation);
            self.rosters.insert(nation, roster);
            self.sections.entry(nation).or_insert_with(|| OnceLock::from(Section::under(self.rules)));
            for chain in self.chains_of(&nation) {
                touched.authors.insert(chain.author());
            }
        }
        (changes.control_kept, changes.control_dropped) = self.controls.keep(&self.rosters);
    }

    /// Every chain is looked at again under another charter: its nation may be in or out, its quota raised.
    fn charter_changed(&mut self, touched: &mut Touched) {
        let quota = self.quota();
        for (author, chain) in &mut self.chains {
            chain.set_quota(quota);
            touched.authors.insert(*author);
        }
        let nations: BTreeSet<NationId> = self.nations().map(|member| member.id).collect();
        self.rosters.retain(|nation, _| nations.contains(nation));
        self.sections.retain(|nation, _| nations.contains(nation));
    }

    fn quota(&self) -> u64 {
        self.charter().map_or(0, |charter| charter.params.chain_quota)
    }

    /// Stratum 3a, and what is final by it.
    fn acknowledge(&mut self, touched: &Touched, changes: &mut Changes) {
        let moved = &mut changes.acknowledged;
        if changes.charter && self.chains.values().any(Chain::relinked) {
            moved.extend(self.hear_all_again());
        }
        for author in &touched.authors {
            let Some(chain) = self.chains.get_mut(author) else { continue };
            let fresh = chain.take_fresh();
            if let Some(chain) = self.chains.get(author)
                && self.acknowledgements.linked(chain, &fresh)
            {
                moved.insert(*author);
            }
        }
        for author in &touched.authors {
            let standing = self.key_standing(author);
            let new = self.chains.get_mut(author).map_or_else(Vec::new, Chain::take_spoken);
            moved.extend(self.acknowledgements.hear(&self.chains, author, standing, &new));
        }
        let Some(charter) = self.controls.course().versions.last() else { return };
        let concerned: BTreeSet<AuthorId> =
            if changes.charter { self.acknowledgements.authors().copied().collect() } else { moved.clone() };
        for author in concerned {
            if self.acknowledgements.settle(&author, self.chains.get(&author), charter) {
                moved.insert(author);
            }
        }
    }

    /// A lower quota counts again, so that chains reach less far than they did: all that was said is heard anew.
    fn hear_all_again(&mut self) -> BTreeSet<AuthorId> {
        let mut moved: BTreeSet<AuthorId> = self.acknowledgements.authors().copied().collect();
        self.acknowledgements = Acknowledgements::default();
        let authors: Vec<AuthorId> = self.chains.keys().copied().collect();
        for author in authors {
            if let Some(chain) = self.chains.get_mut(&author) {
                chain.take_fresh();
                chain.take_spoken();
            }
            let standing = self.key_standing(&author);
            moved.extend(self.acknowledgements.hear(&self.chains, &author, standing, &[]));
        }
        moved
    }

    /// Strata 3b and 4.
    fn settle(&mut self, touched: &Touched, changes: &mut Changes) {
        let mut nations: BTreeMap<NationId, bool> = BTreeMap::new();
        let concerned: BTreeSet<AuthorId> = touched.authors.union(&changes.acknowledged).copied().collect();
        for author in &concerned {
            let status = self.author_status(author);
            let Some(chain) = self.chains.get_mut(author) else { continue };
            let rebuild = nations.entry(author.nation).or_default();
            let from = match chain.settle(status, self.acknowledgements.finality(author).tip) {
                PathChange::Unchanged => continue,
                PathChange::Extended { from } => from,
                PathChange::Replaced { dropped, from } => {
                    *rebuild = true;
                    changes.dropped.extend(dropped.into_iter().map(|id| (*author, id)));
                    from
                }
            };
            changes.accepted.extend(chain.accepted_from(from).map(|held| Placed { author: *author, tip: held.tip() }));
        }
        for (nation, rebuild) in nations {
            self.read_on(nation, rebuild, &concerned, changes);
        }
    }

    /// Tells forked chains which of their branches finality rests on (spec 4.12 (b) and (d)).
    fn vouch(&mut self, touched: &Touched, changes: &Changes) {
        let forked = |chain: &&Chain| chain.fork().is_some();
        let authors = touched.authors.iter().chain(&changes.acknowledged);
        let mut concerned: BTreeSet<AuthorId> =
            authors.filter_map(|author| self.chains.get(author)).filter(forked).map(Chain::author).collect();
        // What of a witness's words is kept depends on where the chains that they name are cut off.
        let cut_off = |author: &AuthorId| match self.author_status(author) {
            AuthorStatus::Retired { .. } | AuthorStatus::Removed { .. } => true,
            AuthorStatus::Active | AuthorStatus::Unlisted => false,
        };
        if !changes.acknowledged.is_empty() || changes.charter || concerned.iter().any(cut_off) {
            concerned.extend(self.acknowledgements.forked_witnesses(&self.chains).map(Chain::author));
        }
        if changes.charter {
            concerned.extend(self.chains.values().filter(forked).map(Chain::author));
        }
        self.vouch_for(concerned);
    }

    fn vouch_for(&mut self, authors: BTreeSet<AuthorId>) {
        let Some(charter) = self.controls.course().versions.last() else { return };
        for author in authors {
            let Some(chain) = self.chains.get(&author) else { continue };
            let vouched = self.acknowledgements.vouched(&self.chains, chain, charter);
            if let Some(chain) = self.chains.get_mut(&author) {
                chain.vouch_for(vouched);
            }
        }
    }

    /// Stratum 4 of one nation: reads what its accepted paths gained, or leaves the document to be built when it is asked for.
    fn read_on(&mut self, nation: NationId, rebuild: bool, touched: &BTreeSet<AuthorId>, changes: &mut Changes) {
        if self.charter().is_none_or(|charter| charter.nation(&nation).is_none()) {
            return;
        }
        let slot = self.sections.entry(nation).or_insert_with(|| OnceLock::from(Section::under(self.rules)));
        if rebuild {
            // A hostile author can fork lower and lower, one header at a time: that must not build a document each time.
            *slot = OnceLock::new();
        }
        let Some(section) = slot.get_mut() else {
            changes.rebuilt.insert(nation);
            changes.documents.insert(nation);
            return;
        };
        let first = AuthorId { nation, key: AuthorKey::ZERO };
        let chains = self.chains.range(first..).take_while(|(author, _)| author.nation == nation);
        for (author, chain) in chains.filter(|(author, _)| touched.contains(author)) {
            let read = section.read_chain(chain);
            if read.any {
                changes.documents.insert(nation);
            }
            debug_assert_eq!(section.read_to(&author.key), chain.bodies_to());
            changes.valid.extend(read.valid.into_iter().map(|(key, id)| (AuthorId { nation, key }, id)));
        }
    }

    /// Where the evaluation starts.
    pub const fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// The charter in force; `None` until the genesis is held, and while the anchored version is not reached.
    pub fn charter(&self) -> Option<&Charter> {
        self.charter_versions().last().map(Arc::as_ref)
    }

    /// The id of the charter in force; the alliance's before the genesis is held.
    pub fn charter_id(&self) -> CharterId {
        self.charter().map_or(self.anchor.charter, |charter| charter.id)
    }

    /// Returns all nations of the charter, ascending by id, the present ones first.
    pub fn nations(&self) -> impl Iterator<Item = &CharterMember> {
        self.charter().into_iter().flat_map(Charter::nations)
    }

    /// Returns the nation with this code.
    pub fn nation_by_code(&self, code: &str) -> Option<&CharterMember> {
        self.charter()?.by_code(code)
    }

    /// Returns a nation's evaluated roster.
    pub fn roster(&self, nation: &NationId) -> Option<&NationRoster> {
        self.rosters.get(nation)
    }

    /// Returns what a nation's evaluated roster says of a key.
    pub fn key_standing(&self, author: &AuthorId) -> Option<KeyStanding> {
        self.rosters.get(&author.nation)?.keys.get(&author.key).copied()
    }

    /// Returns what decides how far an author's chain counts.
    pub fn author_status(&self, author: &AuthorId) -> AuthorStatus {
        if let Some(removal) = self.charter().and_then(|charter| charter.removed.get(&author.nation)) {
            return AuthorStatus::Removed { cut: removal.cuts.get(&author.key).copied().unwrap_or(Tip::NONE) };
        }
        match self.key_standing(author) {
            Some(KeyStanding::Active { .. }) => AuthorStatus::Active,
            Some(KeyStanding::Retired { cut, .. }) => AuthorStatus::Retired { cut },
            None => AuthorStatus::Unlisted,
        }
    }

    /// Returns whether a key may hold a full link, whichever nation lists it.
    pub fn standing(&self, key: &AuthorKey) -> Standing {
        let mut standing = Standing::Unknown;
        for (nation, roster) in &self.rosters {
            let author = AuthorId { nation: *nation, key: *key };
            match roster.keys.get(key).map(|_| self.author_status(&author)) {
                Some(AuthorStatus::Active) => return Standing::Active { nation: *nation },
                Some(AuthorStatus::Retired { .. } | AuthorStatus::Removed { .. }) => {
                    standing = Standing::Retired { nation: *nation };
                }
                Some(AuthorStatus::Unlisted) | None => {}
            }
        }
        standing
    }

    /// Returns all Active authors, ascending.
    pub fn active_authors(&self) -> impl Iterator<Item = AuthorId> {
        let authors = self
            .rosters
            .iter()
            .flat_map(|(nation, roster)| roster.keys.keys().map(|key| AuthorId { nation: *nation, key: *key }));
        authors.filter(|author| self.author_status(author) == AuthorStatus::Active)
    }

    /// Returns a control record that is kept.
    pub fn control_record(&self, id: &ControlId) -> Option<&Arc<VerifiedControl>> {
        self.controls.kept().get(id)
    }

    /// Returns the ids of the control records kept (spec 4.11), ascending.
    pub fn control_ids(&self) -> impl Iterator<Item = &ControlId> {
        self.controls.kept().keys()
    }

    /// Returns the control records kept, in the order of a ControlReply: genesis; by height the votes, then the motions they
    /// name; rosters by version.
    pub fn control_records(&self) -> Vec<&Arc<VerifiedControl>> {
        self.controls.in_reply_order()
    }

    /// Returns everything held of an author.
    pub fn chain(&self, author: &AuthorId) -> Option<&Chain> {
        self.chains.get(author)
    }

    /// Returns every author's chain, ascending by author.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.chains.values()
    }

    /// Returns the chains of a nation's authors, ascending.
    pub fn chains_of(&self, nation: &NationId) -> impl Iterator<Item = &Chain> {
        let first = AuthorId { nation: *nation, key: AuthorKey::ZERO };
        self.chains.range(first..).take_while(move |(author, _)| author.nation == first.nation).map(|(_, chain)| chain)
    }

    /// Returns one envelope held, by its id.
    pub fn envelope(&self, id: &EnvelopeId) -> Option<EnvelopeView<'_>> {
        self.chains.values().find_map(|chain| chain.get(id).map(|held| self.view_of(chain, held)))
    }

    /// Returns all the evaluation says of an envelope of `chain`.
    pub fn view_of<'a>(&'a self, chain: &'a Chain, held: &'a Held) -> EnvelopeView<'a> {
        let standing = chain.standing(held);
        let verdict = (standing == EnvelopeStanding::Accepted).then(|| self.verdict(chain, held));
        EnvelopeView { chain, held, standing, verdict }
    }

    fn verdict(&self, chain: &Chain, held: &Held) -> Verdict {
        let author = chain.author();
        self.section(&author.nation).verdict(&author.key, held).unwrap_or(Verdict::Waiting(match held.body() {
            None => WaitingReason::BodyMissing,
            Some(_) => WaitingReason::EarlierBodyMissing,
        }))
    }

    /// Returns a nation's public document; empty for one that never said anything.
    pub fn section(&self, nation: &NationId) -> &Section {
        self.sections.get(nation).map_or(&self.no_section, |section| {
            section.get_or_init(|| {
                let mut section = Section::under(self.rules);
                self.chains_of(nation).for_each(|chain| {
                    section.read_chain(chain);
                });
                section
            })
        })
    }

    /// Builds a nation's public document from the log: for audit, export and proofs; reading goes by its rows.
    ///
    /// # Errors
    /// [`Quarantined`] if the change library fails on a change the guard admitted.
    pub fn document(&self, nation: &NationId) -> Result<Automerge, Quarantined> {
        self.document_as_of(nation, Timestamp(u64::MAX))
    }

    /// Builds a nation's public document from the changes whose envelopes claim at most `as_of`, as do those they build on.
    ///
    /// # Errors
    /// [`Quarantined`] if the change library fails on a change the guard admitted.
    pub fn document_as_of(&self, nation: &NationId, as_of: Timestamp) -> Result<Automerge, Quarantined> {
        self.section(nation).document(self.chains_of(nation), as_of)
    }

    /// Drops every control record held that is not kept (spec 4.11); the state stays what it is.
    pub fn forget_unkept_control(&mut self) {
        if !self.controls.course().bases.is_empty() {
            self.controls.forget_unkept();
        }
    }

    /// Drops the headers of a forked author that are not kept (spec 4.12), with their bodies, and returns their ids.
    ///
    /// The state stays what it is. A later cut may lead to a header that was dropped: the chain is then Incomplete until a
    /// peer delivers it, so this is for chains whose unkept headers pass a bound, not for every fork.
    pub fn forget_unkept_headers(&mut self, author: &AuthorId) -> Vec<EnvelopeId> {
        let forgotten = self.chains.get_mut(author).map_or_else(Vec::new, Chain::forget_unkept);
        if forgotten.is_empty() {
            return Vec::new();
        }
        self.digests = digest::Digests::default();
        let mut moved = self.acknowledgements.forgot(&self.chains, author, &forgotten);
        if let Some(charter) = self.controls.course().versions.last() {
            for author in &moved {
                self.acknowledgements.settle(author, self.chains.get(author), charter);
            }
        }
        for author in &moved {
            let (status, witnessed) = (self.author_status(author), self.acknowledgements.finality(author).tip);
            if let Some(chain) = self.chains.get_mut(author) {
                chain.settle(status, witnessed);
            }
        }
        moved.insert(*author);
        moved.extend(self.acknowledgements.forked_witnesses(&self.chains).map(Chain::author));
        moved.retain(|author| self.chains.get(author).is_some_and(|chain| chain.fork().is_some()));
        self.vouch_for(moved);
        forgotten.iter().map(Held::id).collect()
    }

    fn author_of(&self, id: &EnvelopeId) -> Option<AuthorId> {
        self.chains.values().find(|chain| chain.get(id).is_some()).map(Chain::author)
    }
}

#[cfg(test)]
mod tests;
