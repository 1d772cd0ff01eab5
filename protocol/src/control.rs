//! Control records (spec 4.3.1–4.3.3): genesis, motion, vote and roster, with their signatures.
//!
//! What they *do* is evaluated in [`crate::charter`] and [`crate::roster`]; here are bytes, ids and signatures only.

use std::collections::BTreeSet;

use crate::body::{decode_tip, encode_tip};
use crate::codec::{DecodeError, Reader, Writer, ascending, control_text_permitted};
use crate::ids::{AllianceId, AuthorKey, CharterId, ControlId, NationId, RootKey, Tip};
use crate::keys::{BadSignature, RecordKind, SecretKey, Signature, key_permitted, record_id, tagged_hash, verify};
use crate::limits::{
    CUTS_MAX, MOTION_CHANGES_MAX, MOTION_TEXT_BYTES_MAX, NATIONS_MAX, ROSTER_KEYS_MAX, ROSTER_VERSION_MAX, TIME_MS_MAX,
    VOTE_ROUNDS,
};

/// The only `wire` and `rules` a genesis of this version names.
pub const VERSION: u16 = 1;

/// Parameters of an alliance; a motion may only raise them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Active node keys per nation.
    pub max_active_keys: u8,
    /// Bytes of one author's chain: headers, signatures and bodies.
    pub chain_quota: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_active_keys: 8, chain_quota: 268_435_456 }
    }
}

/// A founding or admitted nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its root key.
    pub root: RootKey,
    /// Its code: 3 to 8 characters of A–Z and 0–9.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Reserved for pre-rotation; stored, without effect in rules 1.
    pub next_root: Option<RootKey>,
}

/// The alliance that this one re-founds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The old alliance.
    pub alliance: AllianceId,
    /// Its last charter version.
    pub charter: CharterId,
}

/// What founds an alliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The alliance's name.
    pub name: String,
    /// When it was drafted.
    pub created_ms: u64,
    /// Makes two alliances of the same founders differ.
    pub nonce: [u8; 32],
    /// Informative.
    pub parent: Option<Parent>,
    /// Parameters at the start.
    pub params: Params,
    /// Ascending by root key.
    pub founders: Vec<Member>,
}

/// A genesis with every founder's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGenesis {
    /// The genesis.
    pub genesis: Genesis,
    /// One signature a founder, in the founders' order.
    pub signatures: Vec<(RootKey, Signature)>,
}

/// A proposed change of the charter; a kept vote makes it worth keeping, nobody signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Motion {
    /// The alliance.
    pub alliance: AllianceId,
    /// The charter height it changes.
    pub height: u32,
    /// The charter version it changes.
    pub base: CharterId,
    /// Makes two motions of equal content differ.
    pub nonce: u64,
    /// A line for people.
    pub title: String,
    /// Reasons, at most 16 KiB.
    pub text: Vec<u8>,
    /// 1 to 16 changes.
    pub changes: Vec<CharterChange>,
}

/// One change of the charter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CharterChange {
    /// A nation joins.
    Admit(Member),
    /// A nation is removed; each of its chains counts up to its cut.
    Remove {
        /// The nation.
        nation: NationId,
        /// Ascending by node key.
        cuts: Vec<(AuthorKey, Tip)>,
        /// Its last roster that counts.
        roster: Tip,
    },
    /// A nation's root key is replaced.
    ReplaceRoot {
        /// The nation.
        nation: NationId,
        /// The new key.
        root: RootKey,
        /// Its last roster that counts.
        roster: Tip,
    },
    /// Parameters are raised.
    SetParams(Params),
    /// The rules version goes up by one.
    SetRules(u16),
}

/// The two signatures a nation gives a motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoteStep {
    /// First.
    Support,
    /// Second, after more than two thirds supported.
    Seal,
}

/// A nation's vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The alliance.
    pub alliance: AllianceId,
    /// Who votes.
    pub nation: NationId,
    /// With which root key.
    pub root: RootKey,
    /// The charter height voted on.
    pub height: u32,
    /// The charter version voted on.
    pub base: CharterId,
    /// 0 to 63.
    pub round: u16,
    /// Support or seal.
    pub step: VoteStep,
    /// The motion.
    pub motion: ControlId,
    /// Claimed time.
    pub time_ms: u64,
}

/// A nation's full list of node keys, one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The alliance.
    pub alliance: AllianceId,
    /// The nation.
    pub nation: NationId,
    /// The root key that signs.
    pub root: RootKey,
    /// Generation of the root key, 0 at founding or admission.
    pub root_gen: u16,
    /// 1 to 4,096.
    pub version: u64,
    /// The roster before; zero for version 1.
    pub prev: ControlId,
    /// Claimed time.
    pub time_ms: u64,
    /// Every key the nation ever listed, ascending by node key.
    pub keys: Vec<RosterKey>,
    /// The nation has closed its own chains.
    pub closed: bool,
    /// A line for people; may be empty.
    pub note: String,
}

/// One node key of a nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterKey {
    /// The node's ed25519 key.
    pub node: AuthorKey,
    /// The node's X25519 key for compartments.
    pub kem: [u8; 32],
    /// A name for people.
    pub label: String,
    /// Whether this key witnesses for the nation.
    pub witness: bool,
    /// Whether it may speak.
    pub status: KeyStatus,
}

/// Whether a node key may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It may.
    Active,
    /// It may not; what it said up to the cut stands.
    Retired {
        /// Its last envelope that counts.
        cut: Tip,
    },
}

/// A control record whose signatures were checked, with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedControl {
    id: ControlId,
    record: ControlRecord,
}

/// A control record in its signed form, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// Kind 1.
    Genesis(SignedGenesis),
    /// Kind 2; carries no signature.
    Motion(Motion),
    /// Kind 3.
    Vote(Vote, Signature),
    /// Kind 4.
    Roster(Roster, Signature),
}

/// Why a control record is not one (R05, and R06 for its ranges).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A signature fails.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The signatures of a genesis are not those of its founders, in order.
    #[error("genesis has {have} signatures for {founders} founders, or not in their order")]
    Signers {
        /// Signatures present.
        have: usize,
        /// Founders named.
        founders: usize,
    },
    /// A key that no record may name (T7).
    #[error("key {0} is small-order or not canonically encoded")]
    Key(String),
    /// A code is malformed or used twice.
    #[error("nation code {0} is malformed or used twice")]
    Code(String),
}

impl Genesis {
    /// Returns the signed bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u16(VERSION).u16(VERSION).str(&self.name).u64(self.created_ms).raw(&self.nonce);
        out.opt(self.parent, |out, parent| {
            out.id(&parent.alliance).id(&parent.charter);
        });
        encode_params(&mut out, self.params);
        out.list(self.founders.iter(), encode_member);
        out.into_bytes()
    }

    /// Reads a genesis.
    ///
    /// # Errors
    /// [`DecodeError`]; also for another wire or rules version, or founders that are not 1 to 64 ascending root keys.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        for what in ["genesis wire", "genesis rules"] {
            let version = input.u16()?;
            if version != VERSION {
                return Err(DecodeError::Tag { what, tag: version.into() });
            }
        }
        let genesis = Self {
            name: input.control_str("alliance name")?.to_owned(),
            created_ms: decode_time(input)?,
            nonce: input.array()?,
            parent: input.opt("parent", |input| Ok(Parent { alliance: input.id()?, charter: input.id()? }))?,
            params: decode_params(input)?,
            founders: input.list("founders", NATIONS_MAX, 41, decode_member)?,
        };
        if genesis.founders.is_empty() {
            return Err(DecodeError::Range("founders"));
        }
        ascending("founders", &genesis.founders, |founder| founder.root)?;
        Ok(genesis)
    }

    /// Returns the alliance this founds.
    pub fn alliance_id(&self) -> AllianceId {
        record_id(RecordKind::Genesis, &self.encode())
    }

    /// Returns a founder's signature over this genesis.
    pub fn sign(&self, root: &SecretKey) -> (RootKey, Signature) {
        (root.public(), root.sign(RecordKind::Genesis, &self.encode()))
    }
}

impl SignedGenesis {
    fn check(&self) -> Result<(), ControlError> {
        let founders = &self.genesis.founders;
        let in_order = self.signatures.len() == founders.len()
            && self.signatures.iter().zip(founders).all(|((root, _), founder)| *root == founder.root);
        if !in_order {
            return Err(ControlError::Signers { have: self.signatures.len(), founders: founders.len() });
        }
        let mut codes = BTreeSet::new();
        for founder in founders {
            check_member(founder)?;
            if !codes.insert(&founder.code) {
                return Err(ControlError::Code(founder.code.clone()));
            }
        }
        let bytes = self.genesis.encode();
        for (root, signature) in &self.signatures {
            verify(RecordKind::Genesis, root, &bytes, signature)?;
        }
        Ok(())
    }
}

/// Returns the id of the nation that joined `alliance` with this root key.
pub fn nation_id(alliance: &AllianceId, root: &RootKey) -> NationId {
    tagged_hash("nation", &[alliance.as_bytes().as_slice(), root.as_bytes()].concat())
}

/// Whether `code` is 3 to 8 characters of A–Z and 0–9.
pub fn code_permitted(code: &str) -> bool {
    (3..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

impl Motion {
    /// Returns the bytes its id is over.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.id(&self.alliance).u32(self.height).id(&self.base).u64(self.nonce).str(&self.title).bytes(&self.text);
        out.list(self.changes.iter(), encode_charter_change);
        out.into_bytes()
    }

    /// Reads a motion.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let motion = Self {
            alliance: input.id()?,
            height: input.u32()?,
            base: input.id()?,
            nonce: input.u64()?,
            title: input.control_str("motion title")?.to_owned(),
            text: input.bytes("motion text", MOTION_TEXT_BYTES_MAX)?.to_vec(),
            changes: input.list("motion changes", MOTION_CHANGES_MAX, 4, decode_charter_change)?,
        };
        if motion.changes.is_empty() { Err(DecodeError::Range("motion changes")) } else { Ok(motion) }
    }

    /// Returns its id.
    pub fn id(&self) -> ControlId {
        record_id(RecordKind::Motion, &self.encode())
    }
}

impl Vote {
    /// Returns the signed bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.id(&self.alliance).id(&self.nation).id(&self.root).u32(self.height).id(&self.base).u16(self.round);
        out.u8(match self.step {
            VoteStep::Support => 1,
            VoteStep::Seal => 2,
        });
        out.id(&self.motion).u64(self.time_ms);
        out.into_bytes()
    }

    /// Reads a vote.
    ///
    /// # Errors
    /// [`DecodeError`]; also for a round above 63.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let vote = Self {
            alliance: input.id()?,
            nation: input.id()?,
            root: input.id()?,
            height: input.u32()?,
            base: input.id()?,
            round: input.u16()?,
            step: match input.u8()? {
                1 => VoteStep::Support,
                2 => VoteStep::Seal,
                tag => return Err(DecodeError::Tag { what: "vote step", tag: tag.into() }),
            },
            motion: input.id()?,
            time_ms: decode_time(input)?,
        };
        if vote.round < VOTE_ROUNDS { Ok(vote) } else { Err(DecodeError::Range("vote round")) }
    }

    /// Returns its id.
    pub fn id(&self) -> ControlId {
        record_id(RecordKind::Vote, &self.encode())
    }

    /// Signs it with the nation's root key.
    pub fn sign(self, root: &SecretKey) -> ControlRecord {
        let signature = root.sign(RecordKind::Vote, &self.encode());
        ControlRecord::Vote(self, signature)
    }
}

impl Roster {
    /// Returns the signed bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.id(&self.alliance).id(&self.nation).id(&self.root).u16(self.root_gen).u64(self.version).id(&self.prev);
        out.u64(self.time_ms);
        out.list(self.keys.iter(), |out, key| {
            out.id(&key.node).raw(&key.kem).str(&key.label).u8(key.witness.into());
            match &key.status {
                KeyStatus::Active => {
                    out.u16(1);
                }
                KeyStatus::Retired { cut } => {
                    out.u16(2);
                    encode_tip(out, cut);
                }
            }
        });
        out.u8(self.closed.into()).str(&self.note);
        out.into_bytes()
    }

    /// Reads a roster.
    ///
    /// # Errors
    /// [`DecodeError`]; also for a version outside 1 to 4,096.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let roster = Self {
            alliance: input.id()?,
            nation: input.id()?,
            root: input.id()?,
            root_gen: input.u16()?,
            version: input.u64()?,
            prev: input.id()?,
            time_ms: decode_time(input)?,
            keys: input.list("roster keys", ROSTER_KEYS_MAX, 70, decode_roster_key)?,
            closed: input.flag("roster closed")?,
            note: decode_note(input)?,
        };
        ascending("roster keys", &roster.keys, |key| key.node)?;
        if !(1..=ROSTER_VERSION_MAX).contains(&roster.version) {
            return Err(DecodeError::Range("roster version"));
        }
        Ok(roster)
    }

    /// Returns its id.
    pub fn id(&self) -> ControlId {
        record_id(RecordKind::Roster, &self.encode())
    }

    /// Signs it with the nation's root key.
    pub fn sign(self, root: &SecretKey) -> ControlRecord {
        let signature = root.sign(RecordKind::Roster, &self.encode());
        ControlRecord::Roster(self, signature)
    }
}

impl ControlRecord {
    /// Returns the number of the kind, as on the wire and in the store.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 1,
            Self::Motion(_) => 2,
            Self::Vote(..) => 3,
            Self::Roster(..) => 4,
        }
    }

    /// Returns the record's id, which no signature changes.
    pub fn id(&self) -> ControlId {
        match self {
            Self::Genesis(signed) => record_id(RecordKind::Genesis, &signed.genesis.encode()),
            Self::Motion(motion) => motion.id(),
            Self::Vote(vote, _) => vote.id(),
            Self::Roster(roster, _) => roster.id(),
        }
    }

    /// Returns the signed form: the record, then its signatures.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Genesis(signed) => {
                out.raw(&signed.genesis.encode());
                out.list(signed.signatures.iter(), |out, (root, signature)| {
                    out.id(root).raw(&signature.0);
                });
            }
            Self::Motion(motion) => {
                out.raw(&motion.encode());
            }
            Self::Vote(vote, signature) => {
                out.raw(&vote.encode()).raw(&signature.0);
            }
            Self::Roster(roster, signature) => {
                out.raw(&roster.encode()).raw(&signature.0);
            }
        }
        out.into_bytes()
    }

    /// Reads the signed form of a record of `kind`.
    ///
    /// # Errors
    /// [`DecodeError`] (R01, R06).
    pub fn decode(kind: u8, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let record = match kind {
            1 => Self::Genesis(SignedGenesis {
                genesis: Genesis::decode(&mut input)?,
                signatures: input.list("genesis signatures", NATIONS_MAX, 96, |input| {
                    Ok((input.id()?, Signature(input.array()?)))
                })?,
            }),
            2 => Self::Motion(Motion::decode(&mut input)?),
            3 => Self::Vote(Vote::decode(&mut input)?, Signature(input.array()?)),
            4 => Self::Roster(Roster::decode(&mut input)?, Signature(input.array()?)),
            tag => return Err(DecodeError::Tag { what: "control record", tag: tag.into() }),
        };
        input.finish()?;
        Ok(record)
    }

    /// Checks every signature and key of the record (R05, T7, T25, T40); whether it has any effect is for the evaluation.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn verify(self) -> Result<VerifiedControl, ControlError> {
        match &self {
            Self::Genesis(signed) => signed.check()?,
            Self::Motion(motion) => {
                for change in &motion.changes {
                    match change {
                        CharterChange::Admit(member) => check_member(member)?,
                        CharterChange::ReplaceRoot { root, .. } => check_key(root)?,
                        CharterChange::Remove { .. } | CharterChange::SetParams(_) | CharterChange::SetRules(_) => {}
                    }
                }
            }
            Self::Vote(vote, signature) => verify(RecordKind::Vote, &vote.root, &vote.encode(), signature)?,
            Self::Roster(roster, signature) => {
                for key in &roster.keys {
                    check_key(&key.node)?;
                }
                verify(RecordKind::Roster, &roster.root, &roster.encode(), signature)?;
            }
        }
        Ok(VerifiedControl { id: self.id(), record: self })
    }
}

impl VerifiedControl {
    /// Its id.
    pub const fn id(&self) -> ControlId {
        self.id
    }

    /// The record.
    pub const fn record(&self) -> &ControlRecord {
        &self.record
    }
}

fn check_key<K>(key: &crate::ids::Id<K>) -> Result<(), ControlError> {
    if key_permitted(key) { Ok(()) } else { Err(ControlError::Key(key.hex())) }
}

fn check_member(member: &Member) -> Result<(), ControlError> {
    check_key(&member.root)?;
    if code_permitted(&member.code) { Ok(()) } else { Err(ControlError::Code(member.code.clone())) }
}

fn encode_params(out: &mut Writer, params: Params) {
    out.u8(params.max_active_keys).u64(params.chain_quota);
}

fn decode_params(input: &mut Reader<'_>) -> Result<Params, DecodeError> {
    Ok(Params { max_active_keys: input.u8()?, chain_quota: input.u64()? })
}

fn encode_member(out: &mut Writer, member: &Member) {
    out.id(&member.root).str(&member.code).str(&member.name);
    out.opt(member.next_root.as_ref(), |out, root| {
        out.id(root);
    });
}

fn decode_member(input: &mut Reader<'_>) -> Result<Member, DecodeError> {
    Ok(Member {
        root: input.id()?,
        code: input.control_str("nation code")?.to_owned(),
        name: input.control_str("nation name")?.to_owned(),
        next_root: input.opt("next root", Reader::id)?,
    })
}

fn encode_charter_change(out: &mut Writer, change: &CharterChange) {
    match change {
        CharterChange::Admit(member) => {
            out.u16(1);
            encode_member(out, member);
        }
        CharterChange::Remove { nation, cuts, roster } => {
            out.u16(2).id(nation);
            out.list(cuts.iter(), |out, (node, tip)| {
                out.id(node);
                encode_tip(out, tip);
            });
            encode_tip(out, roster);
        }
        CharterChange::ReplaceRoot { nation, root, roster } => {
            out.u16(3).id(nation).id(root);
            encode_tip(out, roster);
        }
        CharterChange::SetParams(params) => {
            out.u16(4);
            encode_params(out, *params);
        }
        CharterChange::SetRules(rules) => {
            out.u16(5).u16(*rules);
        }
    }
}

fn decode_charter_change(input: &mut Reader<'_>) -> Result<CharterChange, DecodeError> {
    Ok(match input.u16()? {
        1 => CharterChange::Admit(decode_member(input)?),
        2 => {
            let nation = input.id()?;
            let cuts = input.list("cuts", CUTS_MAX, 72, |input| Ok((input.id()?, decode_tip(input)?)))?;
            ascending("cuts", &cuts, |(node, _)| *node)?;
            CharterChange::Remove { nation, cuts, roster: decode_tip(input)? }
        }
        3 => CharterChange::ReplaceRoot { nation: input.id()?, root: input.id()?, roster: decode_tip(input)? },
        4 => CharterChange::SetParams(decode_params(input)?),
        5 => CharterChange::SetRules(input.u16()?),
        tag => return Err(DecodeError::Tag { what: "charter change", tag: tag.into() }),
    })
}

fn decode_roster_key(input: &mut Reader<'_>) -> Result<RosterKey, DecodeError> {
    Ok(RosterKey {
        node: input.id()?,
        kem: input.array()?,
        label: input.control_str("node label")?.to_owned(),
        witness: input.flag("witness")?,
        status: match input.u16()? {
            1 => KeyStatus::Active,
            2 => KeyStatus::Retired { cut: decode_tip(input)? },
            tag => return Err(DecodeError::Tag { what: "key status", tag: tag.into() }),
        },
    })
}

fn decode_note(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    let note = input.str("roster note", crate::limits::CONTROL_STRING_BYTES_MAX)?;
    if note.is_empty() || control_text_permitted(note) {
        Ok(note.to_owned())
    } else {
        Err(DecodeError::Text("roster note"))
    }
}

fn decode_time(input: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let time_ms = input.u64()?;
    if time_ms <= TIME_MS_MAX { Ok(time_ms) } else { Err(DecodeError::Range("time")) }
}

#[cfg(test)]
mod tests;
