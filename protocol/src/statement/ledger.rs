//! The nations of an alliance with their open statements: what drafts are prepared against and views are computed from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Kind;
use super::reference::{Ref, RefText};
use super::silence::Silence;
use crate::body::{Body, ChangeBody};
use crate::chain::{Chain, EnvelopeStanding, Held};
use crate::charter::CharterMember;
use crate::compartment::PUBLIC;
use crate::evaluate::State;
use crate::guard;
use crate::ids::{AuthorId, EnvelopeId, NationId};
use crate::table::{Record, Table, Version};

/// A member nation as the charter names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NationName {
    /// Its identity.
    pub id: NationId,
    /// Its code, distinct in the alliance (DESIGN 4).
    pub code: String,
    /// Its name.
    pub name: String,
}

/// Member nations and the row tables of their open documents.
#[derive(Clone, Debug, Default)]
pub struct Ledger<'a> {
    nations: Vec<NationName>,
    tables: BTreeMap<NationId, &'a Table>,
    silence: Arc<Silence>,
    struck: Struck,
}

/// Envelopes held that a fork or a cut takes out, with where they stand.
type Struck = Arc<BTreeMap<EnvelopeId, Out>>;

/// One of them, not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Out {
    standing: EnvelopeStanding,
    author: AuthorId,
    kind: u16,
    /// Its body, where every body below it is held too.
    body: Option<Arc<[u8]>>,
}

/// What members said by some moment, held apart from the state it was taken from.
///
/// Taking one copies no record: tables share them. It is what a view is computed from while the state goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    nations: Vec<NationName>,
    tables: BTreeMap<NationId, Table>,
    silence: Arc<Silence>,
    struck: Struck,
}

/// Most candidates an ambiguous reference lists.
pub const CANDIDATES_MAX: usize = 8;

/// Why a reference as typed names nothing, or more than one thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No nation has that code.
    #[error("no member has the code {0:?}")]
    Nation(String),
    /// No record has that name.
    #[error("{0} names no record here")]
    NotFound(String),
    /// The record has no such version.
    #[error("{0} names no version here")]
    NoVersion(String),
    /// More than one record or version begins like that.
    #[error("{text} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// As typed.
        text: String,
        /// The first [`CANDIDATES_MAX`] of what it may mean.
        candidates: Vec<String>,
    },
}

impl Snapshot {
    /// Takes a snapshot of a state.
    pub fn of(state: &State) -> Self {
        Self::with_silence(state, Arc::new(Silence::of(state)))
    }

    /// Takes a snapshot of a state whose silence was worked out before.
    pub fn with_silence(state: &State, silence: Arc<Silence>) -> Self {
        let tables = state.nations().map(|member| (member.id, state.section(&member.id).table().clone()));
        Self { nations: state.nations().map(name).collect(), tables: tables.collect(), silence, struck: struck(state) }
    }

    /// Returns the ledger of what was said.
    pub fn ledger(&self) -> Ledger<'_> {
        let tables = self.tables.iter().map(|(nation, table)| (*nation, table)).collect();
        let ledger = Ledger::new(self.nations.clone(), tables).with_silence(Arc::clone(&self.silence));
        Ledger { struck: Arc::clone(&self.struck), ..ledger }
    }
}

impl<'a> Ledger<'a> {
    /// Returns the ledger of a state: its members and what they say in the open, without what chains prove.
    pub fn of(state: &'a State) -> Self {
        let tables = state.nations().map(|member| (member.id, state.section(&member.id).table())).collect();
        Self { struck: struck(state), ..Self::new(state.nations().map(name).collect(), tables) }
    }

    /// Returns where an envelope stands that a fork or a cut takes out; `None` for any other.
    pub fn struck(&self, envelope: &EnvelopeId) -> Option<EnvelopeStanding> {
        self.struck.get(envelope).map(|out| out.standing)
    }

    /// Returns the records that such envelopes write, with where one of these stands; reads them all.
    pub fn struck_records(&self) -> BTreeMap<(NationId, String, String), EnvelopeStanding> {
        let mut records = BTreeMap::new();
        for (envelope, out) in self.struck.iter() {
            for (kind, id) in self.struck_writes(envelope) {
                records.entry((out.author.nation, kind, id)).or_insert(out.standing);
            }
        }
        records
    }

    /// Returns which envelopes are taken out, by author and by where they stand, ascending.
    pub fn struck_by(&self) -> BTreeMap<(AuthorId, EnvelopeStanding), Vec<EnvelopeId>> {
        let mut by: BTreeMap<(AuthorId, EnvelopeStanding), Vec<EnvelopeId>> = BTreeMap::new();
        for (envelope, out) in self.struck.iter() {
            by.entry((out.author, out.standing)).or_default().push(*envelope);
        }
        by
    }

    /// Returns the open records that an envelope writes which is taken out: their kinds and ids.
    pub fn struck_writes(&self, envelope: &EnvelopeId) -> Vec<(String, String)> {
        let Some(out) = self.struck.get(envelope) else { return Vec::new() };
        let body = out.body.as_ref().and_then(|body| Body::decode(out.kind, body).ok());
        let Some(Body::Change(ChangeBody::Clear { compartment: PUBLIC, change })) = body else { return Vec::new() };
        let writes = guard::writes(&out.author.key, &change).unwrap_or_default();
        writes.into_iter().map(|write| (write.kind, write.id)).collect()
    }

    /// Whether nothing is taken out.
    pub fn nothing_struck(&self) -> bool {
        self.struck.is_empty()
    }

    /// Puts a ledger together; nations are kept in the order of their ids, and one without a table has said nothing.
    pub fn new(mut nations: Vec<NationName>, tables: BTreeMap<NationId, &'a Table>) -> Self {
        nations.sort_by_key(|nation| nation.id);
        nations.dedup_by_key(|nation| nation.id);
        Self { nations, tables, silence: Arc::default(), struck: Struck::default() }
    }

    /// Returns this ledger with what the chains prove about its proposals; without it no silence is proved.
    #[must_use]
    pub fn with_silence(mut self, silence: Arc<Silence>) -> Self {
        self.silence = silence;
        self
    }

    /// What the chains prove about proposals.
    pub fn silence(&self) -> &Silence {
        &self.silence
    }

    /// Returns the members, ascending by id.
    pub fn nations(&self) -> &[NationName] {
        &self.nations
    }

    /// Returns a member.
    pub fn nation(&self, id: &NationId) -> Option<&NationName> {
        self.nations.binary_search_by_key(id, |nation| nation.id).ok().map(|index| &self.nations[index])
    }

    /// Returns the member of that code.
    pub fn nation_by_code(&self, code: &str) -> Option<&NationName> {
        self.nations.iter().find(|nation| nation.code == code)
    }

    /// Returns a nation's code, or the first digits of its id if it is no member.
    pub fn code(&self, id: &NationId) -> String {
        self.nation(id).map_or_else(|| id.short(), |nation| nation.code.clone())
    }

    /// Returns the open statements of a member.
    pub fn table(&self, id: &NationId) -> Option<&'a Table> {
        self.nation(id).and_then(|nation| self.tables.get(&nation.id).copied())
    }

    /// Returns the members that have said something, with their statements, ascending by id.
    pub fn tables(&self) -> impl Iterator<Item = (&NationName, &'a Table)> {
        self.nations.iter().filter_map(|nation| Some((nation, *self.tables.get(&nation.id)?)))
    }

    /// Returns the record a reference names, if it is here and readable.
    pub fn record(&self, reference: &Ref) -> Option<&'a Record> {
        if reference.compartment != 0 {
            return None;
        }
        self.table(&reference.nation)?.record(&reference.kind, &reference.id)
    }

    /// Returns the version a pinned reference names, if it is here and readable.
    pub fn version(&self, reference: &Ref) -> Option<&'a Version> {
        self.record(reference)?.by_envelope(&reference.version?)
    }

    /// Returns the reference in text: `CODE/kind/id`, with `@version` if pinned.
    pub fn text(&self, reference: &Ref) -> String {
        let record = format!("{}/{}/{}", self.code(&reference.nation), reference.kind, reference.id);
        match &reference.version {
            Some(version) => format!("{record}@{version}"),
            None => record,
        }
    }

    /// Returns the one record a typed reference names among these kinds (any, if the list is empty); pinned exactly if it
    /// was typed with a version.
    ///
    /// # Errors
    /// [`ResolveError`] if it names none, or more than one.
    pub fn resolve(&self, typed: &RefText, kinds: &[Kind]) -> Result<Ref, ResolveError> {
        let mut found: Vec<(Ref, &'a Record)> = Vec::new();
        if let Some((code, kind)) = &typed.place {
            let nation = self.nation_by_code(code).ok_or_else(|| ResolveError::Nation(code.clone()))?;
            if let Some(table) = self.tables.get(&nation.id) {
                found.extend(starting_with(nation.id, table, kind, &typed.id));
            }
        } else {
            for (nation, table) in self.tables() {
                if kinds.is_empty() {
                    let matches = |((_, id), _): &(&(String, String), &Record)| id.starts_with(&typed.id);
                    found.extend(
                        table.records().filter(matches).map(|((kind, id), record)| named(nation.id, kind, id, record)),
                    );
                } else {
                    found.extend(kinds.iter().flat_map(|kind| starting_with(nation.id, table, kind.name(), &typed.id)));
                }
            }
        }
        if let Some(exact) = found.iter().position(|(reference, _)| reference.id == typed.id)
            && typed.place.is_some()
        {
            found = vec![found.swap_remove(exact)];
        }
        match found.as_slice() {
            [] => Err(ResolveError::NotFound(typed.to_string())),
            [(reference, record)] => self.resolve_version(typed, reference, record),
            several => Err(ResolveError::Ambiguous {
                text: typed.to_string(),
                candidates: several.iter().take(CANDIDATES_MAX).map(|(reference, _)| self.text(reference)).collect(),
            }),
        }
    }

    fn resolve_version(&self, typed: &RefText, reference: &Ref, record: &Record) -> Result<Ref, ResolveError> {
        let Some(prefix) = &typed.version else { return Ok(reference.clone()) };
        let versions: Vec<EnvelopeId> = record
            .versions
            .values()
            .map(|version| version.source.envelope)
            .filter(|envelope| envelope.hex().starts_with(prefix))
            .collect();
        match *versions.as_slice() {
            [] => Err(ResolveError::NoVersion(typed.to_string())),
            [version] => Ok(reference.clone().pinned(version)),
            _ => Err(ResolveError::Ambiguous {
                text: typed.to_string(),
                candidates: versions
                    .iter()
                    .take(CANDIDATES_MAX)
                    .map(|version| self.text(&reference.clone().pinned(*version)))
                    .collect(),
            }),
        }
    }
}

fn struck(state: &State) -> Struck {
    let mut struck = BTreeMap::new();
    for chain in state.chains() {
        // Of a chain that is accepted as far as it is held, nothing is looked at.
        if u64::try_from(chain.len()).is_ok_and(|held| held == chain.tip().seq) {
            continue;
        }
        let out = |held: &&Held| match chain.standing(held) {
            EnvelopeStanding::Suspended | EnvelopeStanding::Disavowed | EnvelopeStanding::PostRemoval => true,
            EnvelopeStanding::Accepted | EnvelopeStanding::Unlinked => false,
        };
        let readable = readable(chain);
        // What only this store holds and nobody keeps (4.12) must not be seen in a view: equal records show equal views.
        let kept = chain.iter().filter(out).filter(|held| chain.keeps(held));
        struck.extend(kept.map(|held| {
            let body = held.body().filter(|_| readable.contains(&held.id())).cloned();
            let out = Out { standing: chain.standing(held), author: chain.author(), kind: held.kind(), body };
            (held.id(), out)
        }));
    }
    Arc::new(struck)
}

/// Returns the envelopes beside the accepted path with every body up to them held: equal digests say no more (4.5.6).
fn readable(chain: &Chain) -> BTreeSet<EnvelopeId> {
    let mut readable = BTreeSet::new();
    for held in chain.iter().filter(|held| held.linked() && held.body().is_some()) {
        if chain.standing(held) == EnvelopeStanding::Accepted {
            continue;
        }
        let below = held.seq() - 1;
        let on_path = below == 0 || chain.accepted(below).is_some_and(|parent| parent.id() == held.prev());
        if readable.contains(&held.prev()) || on_path && below <= chain.bodies_to() {
            readable.insert(held.id());
        }
    }
    readable
}

fn name(member: &CharterMember) -> NationName {
    NationName { id: member.id, code: member.code.clone(), name: member.name.clone() }
}

fn named<'a>(nation: NationId, kind: &str, id: &str, record: &'a Record) -> (Ref, &'a Record) {
    (Ref { nation, compartment: 0, kind: kind.to_owned(), id: id.to_owned(), version: None }, record)
}

fn starting_with<'a>(
    nation: NationId,
    table: &'a Table,
    kind: &str,
    prefix: &str,
) -> impl Iterator<Item = (Ref, &'a Record)> + use<'a> {
    table.records_starting(kind, prefix).map(move |((kind, id), record)| named(nation, kind, id, record))
}
