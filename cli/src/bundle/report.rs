//! What an audit found, as JSON.

use std::collections::BTreeMap;

use comity_node::api::model::rfc3339;
use comity_protocol::body::{Body, KIND_WITNESS};
use comity_protocol::bundle::{Audited, Missing, Omission, PublishedDigests, Sealed};
use comity_protocol::chain::{AuthorStatus, Chain, EnvelopeStanding, Held};
use comity_protocol::control::{ControlRecord, KeyStatus, Roster};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, NationId, Timestamp, hex};
use serde::Serialize;
use utoipa::ToSchema;

use super::votes::{self, BreachRow, DecisionRow};

/// What no bundle can establish, to be said with every audit.
pub const NOT_ESTABLISHED: [&str; 4] = [
    "that nothing was withheld which no witness acknowledged",
    "that what the statements say is true",
    "what compartments contain for which no key is here",
    "who pressed the key",
];

/// What an audit of a bundle found.
#[derive(Serialize, ToSchema)]
pub struct BundleReport {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it is as it was written, every signature and link in it holds, and what was published agrees with it.
    pub intact: bool,
    /// Whether the exporting node signed it.
    pub signed: bool,
    /// Code of the exporter's nation.
    pub exporter: String,
    /// The exporting node's key.
    pub exporter_node: String,
    /// When the exporter says it was made.
    pub created: String,
    /// What made it, as the exporter says.
    pub software: String,
    /// Id of the alliance.
    pub alliance: String,
    /// Name of the alliance.
    pub alliance_name: String,
    /// The charter version that the exporter had pinned; `null` for the founding.
    pub anchor: Option<u32>,
    /// Two motions sealed for one version; `null` if there are none.
    pub conflict: Option<ConflictRow>,
    /// The charter version in force.
    pub height: u32,
    /// Its id.
    pub charter: String,
    /// Nations in it.
    pub nations: u32,
    /// Nations needed to change it.
    pub quorum: u32,
    /// Digest of the state that the bundle evaluates to.
    pub state: String,
    /// Control records, envelopes, bodies and signatures read and checked.
    pub counts: CountsRow,
    /// Digests that the exporter published and the evaluation does not give.
    pub differing: Vec<DigestRow>,
    /// What the exporter's nation published before: `match`, `differs`, `not_comparable` or `none`.
    pub published: &'static str,
    /// The founders, who all signed the genesis.
    pub founders: Vec<FounderRow>,
    /// Every motion with its votes.
    pub decisions: Vec<DecisionRow>,
    /// What the votes prove against their signers.
    pub breaches: Vec<BreachRow>,
    /// Every roster: which keys spoke for which nation.
    pub rosters: Vec<RosterRow>,
    /// Every author with what stands of its chain.
    pub authors: Vec<AuthorRow>,
    /// Every nation's document.
    pub documents: Vec<DocumentRow>,
    /// What a witness acknowledged and the bundle lacks.
    pub omissions: Vec<OmissionRow>,
    /// Who claimed to hold the envelope asked for, and by when; `null` if none was asked for.
    pub existence: Option<Existence>,
    /// What no bundle can establish.
    pub not_established: Vec<String>,
}

/// Two motions sealed for one charter version.
#[derive(Serialize, ToSchema)]
pub struct ConflictRow {
    /// The version.
    pub height: u32,
    /// The motions.
    pub motions: Vec<String>,
    /// Codes of the nations whose own signatures show that they broke the two steps for it.
    pub accused: Vec<String>,
    /// Whether it is below the version that the exporter pinned, and changes nothing.
    pub below_anchor: bool,
}

/// How much was read and checked.
#[derive(Serialize, ToSchema)]
pub struct CountsRow {
    /// Control records.
    pub control: u64,
    /// Envelopes.
    pub envelopes: u64,
    /// Bodies.
    pub bodies: u64,
    /// Signatures over envelopes.
    pub signatures: u64,
}

/// A digest that does not agree.
#[derive(Serialize, ToSchema)]
pub struct DigestRow {
    /// Its name.
    pub name: &'static str,
    /// What was published.
    pub published: String,
    /// What the bundle evaluates to.
    pub evaluated: String,
}

/// A founding nation.
#[derive(Serialize, ToSchema)]
pub struct FounderRow {
    /// Its code.
    pub nation: String,
    /// Its name.
    pub name: String,
    /// Its root key at founding.
    pub root: String,
}

/// A roster.
#[derive(Serialize, ToSchema)]
pub struct RosterRow {
    /// Code of the nation.
    pub nation: String,
    /// Generation of the root key that signed it.
    pub root_gen: u16,
    /// Its version.
    pub version: u64,
    /// Its id.
    pub id: String,
    /// When it says it was signed.
    pub time: String,
    /// Whether it is the one in force.
    pub in_force: bool,
    /// Whether the nation closed its chains.
    pub closed: bool,
    /// The keys.
    pub keys: Vec<KeyRow>,
}

/// A key in a roster.
#[derive(Serialize, ToSchema)]
pub struct KeyRow {
    /// The node's key.
    pub node: String,
    /// Its name.
    pub label: String,
    /// Whether it witnesses for the nation.
    pub witness: bool,
    /// The last envelope that counts; `null` for an active key.
    pub cut: Option<u64>,
}

/// An author's chain.
#[derive(Serialize, ToSchema)]
pub struct AuthorRow {
    /// Code of the nation.
    pub nation: String,
    /// The node's key.
    pub node: String,
    /// `active`, `retired`, `removed` or `unlisted`.
    pub status: &'static str,
    /// Envelopes that stand.
    pub accepted: u64,
    /// Linked, and above a fork, or of a key in no roster in force.
    pub suspended: u64,
    /// Above the cut of a retired key.
    pub disavowed: u64,
    /// Above the cut of a removed nation.
    pub post_removal: u64,
    /// Not linked.
    pub unlinked: u64,
    /// Envelopes without their body.
    pub bodies_missing: u64,
    /// Where the chain forks; `null` if it does not.
    pub fork: Option<BundleFork>,
}

/// Two or more envelopes at one position of one chain.
#[derive(Serialize, ToSchema)]
pub struct BundleFork {
    /// The position.
    pub seq: u64,
    /// The envelopes.
    pub envelopes: Vec<ForkEnvelope>,
}

/// One of the envelopes of a fork.
#[derive(Serialize, ToSchema)]
pub struct ForkEnvelope {
    /// Its id.
    pub id: String,
    /// When it says it was signed.
    pub time: String,
    /// The signature that covers it: its own, or that of a later envelope of its branch.
    pub signature: String,
    /// The position of the envelope whose signature that is.
    pub signed_at: u64,
}

/// A nation's public document.
#[derive(Serialize, ToSchema)]
pub struct DocumentRow {
    /// Code of the nation.
    pub nation: String,
    /// Changes in it.
    pub valid: u64,
    /// Bodies that count for nothing.
    pub void: u64,
    /// Changes that wait for another.
    pub waiting: u64,
    /// Changes of compartments that nobody can read here.
    pub sealed: u64,
    /// Bodies of a kind this version does not know.
    pub unknown: u64,
}

/// Something that a witness acknowledged and the bundle lacks.
#[derive(Serialize, ToSchema)]
pub struct OmissionRow {
    /// `envelope`, `body`, `roster` or `charter`.
    pub missing: &'static str,
    /// Code of the nation whose it is; `null` for a charter version.
    pub nation: Option<String>,
    /// The author's key, of an envelope or a body.
    pub node: Option<String>,
    /// The position, the roster's version, or the charter's height.
    pub seq: u64,
    /// Its id; `null` for a charter version.
    pub id: Option<String>,
    /// Codes of the nations whose witnesses acknowledge it.
    pub acknowledged_by: Vec<String>,
}

/// Who claimed to hold an envelope, and by when.
#[derive(Serialize, ToSchema)]
pub struct Existence {
    /// The envelope.
    pub id: String,
    /// Code of its nation.
    pub nation: String,
    /// Its author's key.
    pub node: String,
    /// Its position.
    pub seq: u64,
    /// When it says it was signed.
    pub time: String,
    /// Where it stands.
    pub standing: &'static str,
    /// The nations, ascending by the time they claim.
    pub holders: Vec<HolderRow>,
}

/// A nation that claimed to hold an envelope.
#[derive(Serialize, ToSchema)]
pub struct HolderRow {
    /// Its code.
    pub nation: String,
    /// The time that its witness claims in its first envelope that acknowledges it.
    pub by: String,
    /// That envelope of the witness.
    pub witness: String,
}

impl BundleReport {
    /// Describes what an audit found.
    pub fn of(file: String, sealed: &Sealed, audited: &Audited) -> Self {
        let (state, manifest) = (&audited.state, &sealed.manifest);
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let charter = state.charter();
        Self {
            file,
            bytes: sealed.bytes,
            intact: audited.agrees(),
            signed: sealed.seal.signature.is_some(),
            exporter: code(state, &manifest.exporter.nation),
            exporter_node: manifest.exporter.key.hex(),
            created: moment(manifest.created_ms),
            software: manifest.software.clone(),
            alliance: manifest.alliance.hex(),
            alliance_name: charter.map(|charter| charter.name.clone()).unwrap_or_default(),
            anchor: manifest.anchor.map(|(height, _)| height),
            conflict: conflict(state),
            height: charter.map_or(0, |charter| charter.height),
            charter: state.charter_id().hex(),
            nations: small(charter.map_or(0, |charter| charter.members.len())),
            quorum: small(charter.map_or(0, |charter| charter.quorum())),
            state: state.state().hex(),
            counts: CountsRow {
                control: manifest.counts.control,
                envelopes: manifest.counts.headers,
                bodies: manifest.counts.bodies,
                signatures: manifest.counts.signatures,
            },
            differing: differing(audited),
            published: match audited.published {
                PublishedDigests::None => "none",
                PublishedDigests::NotComparable { .. } => "not_comparable",
                PublishedDigests::Match { .. } => "match",
                PublishedDigests::Differs { .. } => "differs",
            },
            founders: founders(state),
            decisions: votes::decisions(state),
            breaches: votes::breaches(state),
            rosters: rosters(state),
            authors: state.chains().map(|chain| author(state, chain)).collect(),
            documents: documents(state),
            omissions: audited.omissions.iter().map(|omission| omitted(state, omission)).collect(),
            existence: None,
            not_established: NOT_ESTABLISHED.map(str::to_owned).to_vec(),
        }
    }
}

/// Returns the code of a nation; its id where nothing names it.
pub fn code(state: &State, nation: &NationId) -> String {
    state
        .charter()
        .and_then(|charter| charter.nation(nation))
        .map_or_else(|| nation.hex(), |nation| nation.code.clone())
}

/// Returns a claimed time in words.
pub fn moment(ms: u64) -> String {
    rfc3339(Timestamp(ms))
}

fn conflict(state: &State) -> Option<ConflictRow> {
    let (conflict, below_anchor) = match (state.charter_conflict(), state.conflict_below_anchor()) {
        (Some(conflict), _) => (conflict, false),
        (None, Some(conflict)) => (conflict, true),
        (None, None) => return None,
    };
    Some(ConflictRow {
        height: conflict.height,
        motions: conflict.motions.iter().map(comity_protocol::ids::Id::hex).collect(),
        accused: {
            let mut codes: Vec<String> = conflict.accused().iter().map(|nation| code(state, nation)).collect();
            codes.sort_unstable();
            codes
        },
        below_anchor,
    })
}

fn differing(audited: &Audited) -> Vec<DigestRow> {
    let row = |(name, published, evaluated): &(&'static str, _, _)| {
        let (published, evaluated): (&comity_protocol::ids::Digest, &comity_protocol::ids::Digest) =
            (published, evaluated);
        DigestRow { name, published: published.hex(), evaluated: evaluated.hex() }
    };
    let mut rows: Vec<DigestRow> = audited.differing.iter().map(row).collect();
    if let PublishedDigests::Differs { published, evaluated, .. } = &audited.published {
        rows.push(row(&("state of the last witness", *published, *evaluated)));
    }
    rows
}

fn founders(state: &State) -> Vec<FounderRow> {
    let signed = state.control_records().into_iter().find_map(|control| match control.record() {
        ControlRecord::Genesis(signed) => Some(&signed.genesis),
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    });
    let founders = signed.into_iter().flat_map(|genesis| &genesis.founders);
    let row = |founder: &comity_protocol::control::Member| FounderRow {
        nation: founder.code.clone(),
        name: founder.name.clone(),
        root: founder.root.hex(),
    };
    founders.map(row).collect()
}

fn rosters(state: &State) -> Vec<RosterRow> {
    let row = |roster: &Roster, id: comity_protocol::ids::ControlId| RosterRow {
        nation: code(state, &roster.nation),
        root_gen: roster.root_gen,
        version: roster.version,
        id: id.hex(),
        time: moment(roster.time_ms),
        in_force: state.roster(&roster.nation).is_some_and(|held| held.tip() == (roster.version, id)),
        closed: roster.closed,
        keys: roster
            .keys
            .iter()
            .map(|key| KeyRow {
                node: key.node.hex(),
                label: key.label.clone(),
                witness: key.witness,
                cut: match &key.status {
                    KeyStatus::Active => None,
                    KeyStatus::Retired { cut } => Some(cut.seq),
                },
            })
            .collect(),
    };
    let mut rows: Vec<RosterRow> = state
        .control_records()
        .into_iter()
        .filter_map(|control| match control.record() {
            ControlRecord::Roster(roster, _) => Some(row(roster, control.id())),
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
        })
        .collect();
    rows.sort_by(|a, b| (&a.nation, a.root_gen, a.version, &a.id).cmp(&(&b.nation, b.root_gen, b.version, &b.id)));
    rows
}

fn author(state: &State, chain: &Chain) -> AuthorRow {
    let mut row = AuthorRow {
        nation: code(state, &chain.author().nation),
        node: chain.author().key.hex(),
        status: match chain.status() {
            AuthorStatus::Active => "active",
            AuthorStatus::Retired { .. } => "retired",
            AuthorStatus::Removed { .. } => "removed",
            AuthorStatus::Unlisted => "unlisted",
        },
        accepted: 0,
        suspended: 0,
        disavowed: 0,
        post_removal: 0,
        unlinked: 0,
        bodies_missing: 0,
        fork: chain.fork().map(|seq| fork(chain, seq)),
    };
    for held in chain.iter() {
        row.bodies_missing += u64::from(held.body().is_none());
        match chain.standing(held) {
            EnvelopeStanding::Accepted => row.accepted += 1,
            EnvelopeStanding::Suspended => row.suspended += 1,
            EnvelopeStanding::Disavowed => row.disavowed += 1,
            EnvelopeStanding::PostRemoval => row.post_removal += 1,
            EnvelopeStanding::Unlinked => row.unlinked += 1,
        }
    }
    row
}

fn fork(chain: &Chain, seq: u64) -> BundleFork {
    let envelope = |held: &Held| {
        let signed = match held.signature() {
            Some(signature) => Some((held.seq(), *signature)),
            None => attesting(chain, held),
        };
        let (signed_at, signature) = signed.unzip();
        ForkEnvelope {
            id: held.id().hex(),
            time: moment(held.time_ms()),
            signature: signature.map(|signature| hex(&signature.0)).unwrap_or_default(),
            signed_at: signed_at.unwrap_or_default(),
        }
    };
    let mut envelopes: Vec<ForkEnvelope> = chain.at(seq).map(envelope).collect();
    envelopes.sort_by(|a, b| a.id.cmp(&b.id));
    BundleFork { seq, envelopes }
}

/// The next signature above a header, on the first branch that leads through it.
fn attesting(chain: &Chain, held: &Held) -> Option<(u64, comity_protocol::keys::Signature)> {
    chain.heads().iter().find_map(|head| {
        let through = chain.path(&head.tip.id, held.seq(), held.seq()).first().is_some_and(|at| at.id() == held.id());
        let seq = chain.next_signed(&head.tip.id, held.seq()).filter(|_| through)?;
        Some((seq, *chain.path(&head.tip.id, seq, seq).first()?.signature()?))
    })
}

fn documents(state: &State) -> Vec<DocumentRow> {
    let row = |nation: &comity_protocol::charter::CharterMember| {
        let counts = state.section(&nation.id).counts();
        DocumentRow {
            nation: nation.code.clone(),
            valid: counts.valid,
            void: counts.void,
            waiting: counts.waiting,
            sealed: counts.sealed,
            unknown: counts.unknown_kind,
        }
    };
    state.nations().map(row).collect()
}

fn omitted(state: &State, omission: &Omission) -> OmissionRow {
    let of = |missing, author: &AuthorId, tip: &comity_protocol::ids::Tip| {
        (missing, Some(author.nation), Some(author.key.hex()), tip.seq, Some(tip.id.hex()))
    };
    let (missing, nation, node, seq, id) = match &omission.missing {
        Missing::Envelope { author, tip } => of("envelope", author, tip),
        Missing::Body { author, tip } => of("body", author, tip),
        Missing::Roster { nation, version, id } => ("roster", Some(*nation), None, *version, Some(id.hex())),
        Missing::Charter { height } => ("charter", None, None, u64::from(*height), None),
    };
    OmissionRow {
        missing,
        nation: nation.map(|nation| code(state, &nation)),
        node,
        seq,
        id,
        acknowledged_by: omission.nations.iter().map(|nation| code(state, nation)).collect(),
    }
}

/// Finds an envelope by the first digits of its id, and who claimed to hold it.
pub fn existence(state: &State, digits: &str) -> Option<Existence> {
    let found = |chain: &Chain| chain.iter().map(Held::id).find(|id| id.hex().starts_with(digits));
    let (chain, id) = state.chains().find_map(|chain| Some((chain, found(chain)?)))?;
    let held = chain.get(&id)?;
    let covers = |ack: &comity_protocol::body::Ack| {
        ack.author == chain.author()
            && ack.tip.seq >= held.seq()
            && chain.path(&ack.tip.id, held.seq(), held.seq()).first().is_some_and(|at| at.id() == id)
    };
    let mut first: BTreeMap<NationId, (u64, String)> = BTreeMap::new();
    for witness in state.chains() {
        let nation = witness.author().nation;
        let marked =
            state.roster(&nation).and_then(|roster| roster.key(&witness.author().key)).is_some_and(|key| key.witness);
        for envelope in witness.iter().filter(|envelope| marked && envelope.kind() == KIND_WITNESS) {
            let body = envelope.body().and_then(|body| Body::decode(KIND_WITNESS, body).ok());
            if let Some(Body::Witness(body)) = body
                && body.acks.iter().any(covers)
            {
                let claim = (envelope.time_ms(), envelope.id().hex());
                let earliest = first.entry(nation).or_insert_with(|| claim.clone());
                if claim < *earliest {
                    *earliest = claim;
                }
            }
        }
    }
    let mut holders: Vec<(u64, HolderRow)> = first
        .into_iter()
        .map(|(nation, (time, witness))| (time, HolderRow { nation: code(state, &nation), by: moment(time), witness }))
        .collect();
    holders.sort_by_key(|(time, _)| *time);
    Some(Existence {
        id: id.hex(),
        nation: code(state, &chain.author().nation),
        node: chain.author().key.hex(),
        seq: held.seq(),
        time: moment(held.time_ms()),
        standing: chain.standing(held).code(),
        holders: holders.into_iter().map(|(_, row)| row).collect(),
    })
}
