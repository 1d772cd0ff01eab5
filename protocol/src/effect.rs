//! What goes into the replica and what it wishes for: the two edges of the sans-IO machine (DESIGN 2).
//!
//! The driver turns sockets, disk and calls into [`Input`]s and carries [`Effect`]s out strictly in their order. An
//! [`Effect::Save`] stands before everything that rests on it: the driver commits the saves of a whole batch of inputs as
//! one transaction and carries out the other effects only after the commit. If a save fails it drops the replica,
//! answers the writes it has not answered yet with that failure, and builds the replica again from the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bundle::Carried;
use crate::charter::Anchor;
use crate::control::VerifiedControl;
use crate::envelope::AttestedHeader;
use crate::evaluate::Changes;
use crate::guard::VoidReason;
use crate::ids::{AuthorId, AuthorKey, ControlId, Digest, EnvelopeId, NationId, Tip};
use crate::keys::Signature;
use crate::value::{Fields, OpId};

/// One link, as the transport numbers it; never used again after it went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One exchange on a link: a request of ours (numbered by the replica) or of the peer (numbered by the transport).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// One local request, as the driver numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What happens to the replica.
#[derive(Clone, Debug)]
pub enum Input {
    /// A link came up; its key is proved by the handshake.
    LinkUp(LinkUp),
    /// A link went down; nothing more comes from it.
    LinkDown {
        /// Which.
        link: LinkId,
    },
    /// A frame arrived on a link's push stream.
    Pushed {
        /// From where.
        link: LinkId,
        /// Tag and encoding, without the length.
        frame: Vec<u8>,
    },
    /// The transport could not take a push of this link: its queue is full.
    PushStalled {
        /// Which.
        link: LinkId,
    },
    /// The peer asks something.
    Asked {
        /// From where.
        link: LinkId,
        /// Names the answer.
        exchange: ExchangeId,
        /// Tag and encoding, without the length.
        frame: Vec<u8>,
    },
    /// A frame of an answer to [`Effect::Ask`]; the last one is an End.
    Reply {
        /// From where.
        link: LinkId,
        /// Which question.
        exchange: ExchangeId,
        /// Tag and encoding, without the length.
        frame: Vec<u8>,
    },
    /// An exchange of ours ended without an End: the stream broke, or nothing moved for too long.
    ExchangeFailed {
        /// On which link.
        link: LinkId,
        /// Which question.
        exchange: ExchangeId,
    },
    /// Somebody local writes.
    Write(WriteRequest),
    /// The caller of a write no longer waits for confirmations.
    StopWaiting {
        /// Which write.
        request: RequestId,
    },
    /// Somebody local brings control records (a roster, say), in signed form.
    Import {
        /// Names the outcome.
        request: RequestId,
        /// Kind and bytes of each.
        records: Vec<(u8, Vec<u8>)>,
    },
    /// Somebody local brings frames of a courier file; they pass the receipt checks of a peer's answer (spec 4.16).
    Carried {
        /// Names the outcome.
        request: RequestId,
        /// Tag and encoding of each, without the length.
        frames: Vec<Vec<u8>>,
    },
    /// The disk filled up or has room again.
    Storage(Storage),
    /// Somebody local says that this node may author again (spec 4.12).
    Confirm(Confirm),
    /// Time passed: the wake-up the replica asked for is due.
    Tick,
}

/// A link that came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkUp {
    /// The link.
    pub link: LinkId,
    /// The peer's key.
    pub peer: AuthorKey,
    /// Where the peer is.
    pub source: Source,
}

/// Where a peer is, as the lobby counts it (spec 4.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This machine: testnets run many nodes here.
    Loopback,
    /// An IPv6 address, or an IPv4 address mapped into it.
    Address([u8; 16]),
}

/// Whether the store takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It does.
    Room,
    /// It does not: own writes and foreign records are refused, serving goes on.
    Full,
}

/// Whether a node may author, as far as its home says when it starts (spec 4.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authoring {
    /// Nothing forbids it.
    #[default]
    Free,
    /// The sentinel is missing, says that the home was restored, or names an envelope that the store does not hold.
    Restored {
        /// The last envelope that the key is known to have signed; none where nothing says it.
        sentinel: Option<Tip>,
        /// Where the own chain in the store ended when that was noticed.
        stored: u64,
    },
    /// It was stopped before, and nobody has released it since.
    Halted(HaltReason),
}

/// Somebody local takes the own chain for whole, so that this node may author on it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Names the answer.
    pub request: RequestId,
    /// The topmost own envelope, as the caller saw it; another one than that is refused.
    pub adopt: Tip,
    /// What the caller rests on.
    pub evidence: Evidence,
}

/// What a confirmation rests on beside the own store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Peers that compared their records with ours since the start, and show nothing more of the own chain.
    Peers,
    /// Nothing: the caller answers for it.
    Nobody,
}

/// What there is to confirm, and what stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Why this node does not author, if it does not.
    pub halted: Option<HaltReason>,
    /// The topmost envelope of the own chain up to which nothing is missing.
    pub tip: Tip,
    /// Peers that have compared their record with ours since the start, ascending; only those of an Active key count.
    pub compared: Vec<AuthorKey>,
    /// Their nations, ascending.
    pub nations: Vec<NationId>,
    /// The highest position of the own chain that any of them shows.
    pub shown: u64,
    /// The first thing that stands against it where peers are asked.
    pub against: Option<ConfirmRefused>,
    /// The first thing that stands against it where nobody is asked.
    pub against_alone: Option<ConfirmRefused>,
}

/// Why a confirmation is refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmRefused {
    /// There is nothing to confirm.
    #[error("this node was not stopped for a restored home or an envelope from elsewhere")]
    NotHalted,
    /// Two envelopes stand at one position: no confirmation mends that.
    #[error("two envelopes of this node's key stand at {seq}")]
    Forked {
        /// The position.
        seq: u64,
    },
    /// A part of the own chain is not here.
    #[error("own envelope {seq} or its body is missing here")]
    Incomplete {
        /// The lowest position without.
        seq: u64,
    },
    /// The key signed more than is held.
    #[error("this key has signed up to envelope {}, and only {held} are here", sentinel.seq)]
    BelowSentinel {
        /// What it signed last.
        sentinel: Tip,
        /// How far the own chain is held.
        held: u64,
    },
    /// The own chain holds another envelope where the key is known to have signed one.
    #[error("envelope {} here is not the one that this home signed: the key speaks elsewhere", sentinel.seq)]
    OtherAtSentinel {
        /// What it signed.
        sentinel: Tip,
    },
    /// Nobody could be asked.
    #[error("no peer has compared its record with this one since the node started")]
    NoPeer,
    /// A peer shows more than it has delivered.
    #[error("node {} shows envelope {shown} of this key, and only {held} are here", peer.short())]
    PeerShowsMore {
        /// The peer.
        peer: AuthorKey,
        /// What it shows.
        shown: u64,
        /// What is held.
        held: u64,
    },
    /// The caller saw another end of the chain.
    #[error("the chain of this key ends at {}:{} now", tip.seq, tip.id.short())]
    OtherTip {
        /// Where it ends.
        tip: Tip,
    },
    /// The disk is full.
    #[error("the disk is full")]
    StorageFull,
}

/// A local write: one envelope with one or more record versions.
#[derive(Clone, Debug)]
pub struct WriteRequest {
    /// Names the answer.
    pub request: RequestId,
    /// The record versions, at most [`crate::limits::WRITES_PER_REQUEST_MAX`]; written together or not at all.
    pub writes: Vec<RecordWrite>,
    /// Makes a repetition of this write give the first answer.
    pub idempotency: Option<Idempotency>,
    /// How many other nations must confirm holding it before [`Effect::Held`]; 0 for none.
    pub wait: usize,
}

/// One version of one record of the own nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// The record's kind.
    pub kind: String,
    /// The record's id.
    pub id: String,
    /// What it replaces.
    pub replaces: Replaces,
    /// All its fields.
    pub fields: Fields,
}

/// What a new version of a record replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Nothing: the record must not exist yet.
    Nothing,
    /// Every surviving version, whichever they are when the write is carried out.
    Surviving,
    /// Every surviving version, if the winner among them is this one (`--if-version`).
    IfWinner(EnvelopeId),
    /// These versions of the record, all in the document; nothing is asked of the others (re-stating, D12).
    Exactly(Vec<OpId>),
}

/// A caller's own name for a write (`--id`, `Idempotency-Key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to [`crate::limits::IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub key: String,
    /// Hash of what the caller asked for, in the caller's own terms; the same key with another hash is refused.
    pub content: Digest,
}

/// The answer to a write, as it is remembered under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The caller's name for the write.
    pub key: String,
    /// Hash of what the caller asked for.
    pub content: Digest,
    /// Kind and id of the first record written.
    pub record: (String, String),
    /// The envelope that carries it.
    pub version: EnvelopeId,
}

/// What the replica wants done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make these durable, all or none, before any later effect.
    Save(Vec<SaveOp>),
    /// Send a frame on the link's push stream.
    Push {
        /// Where to.
        link: LinkId,
        /// Tag and encoding, without the length.
        frame: Vec<u8>,
    },
    /// Ask the peer; its frames come back as [`Input::Reply`].
    Ask {
        /// Whom.
        link: LinkId,
        /// Names the answer.
        exchange: ExchangeId,
        /// Tag and encoding, without the length.
        frame: Vec<u8>,
    },
    /// Answer a question of the peer; the last frame is an End.
    Answer {
        /// Whom.
        link: LinkId,
        /// Which question.
        exchange: ExchangeId,
        /// Tag and encoding of each, without the length.
        frames: Vec<Vec<u8>>,
    },
    /// Close the link; the replica has forgotten it.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// Which keys the handshake may let in, beside strangers to the lobby; sent whenever it changes.
    Admission(Admission),
    /// A write was carried out (and is durable) or refused.
    Written {
        /// Which.
        request: RequestId,
        /// The answer.
        outcome: Result<Written, WriteRefused>,
    },
    /// As many nations as a write asked for confirm holding it.
    Held {
        /// Which write.
        request: RequestId,
        /// They, ascending; the own nation is not among them.
        nations: Vec<NationId>,
    },
    /// Local control records were taken in or refused, in the order given.
    Imported {
        /// Which import.
        request: RequestId,
        /// What became of each.
        outcomes: Vec<ImportOutcome>,
    },
    /// This node may author again, or not, and why.
    Confirmed {
        /// Which confirmation.
        request: RequestId,
        /// The end of the own chain that was adopted.
        outcome: Result<Tip, ConfirmRefused>,
    },
    /// Frames of a courier file were taken in or refused.
    Carried {
        /// Which request.
        request: RequestId,
        /// What became of them.
        carried: Box<Carried>,
    },
    /// The record changed; views made before are stale.
    Changed(Box<Changes>),
    /// Something the operator must see.
    Alarm(Alarm),
}

/// One thing to make durable.
#[derive(Clone, Debug)]
pub enum SaveOp {
    /// A control record.
    Control(VerifiedControl),
    /// A header.
    Header(AttestedHeader),
    /// The own signature of a header that was saved without one.
    Signature {
        /// The envelope.
        id: EnvelopeId,
        /// Checked.
        signature: Signature,
    },
    /// The body of a header that is saved, here or before.
    Body {
        /// The envelope.
        id: EnvelopeId,
        /// Matches the header's hash and length.
        bytes: Arc<[u8]>,
    },
    /// The answer to a write, under its idempotency key.
    Remember(Remembered),
    /// The charter version that no later record can undo (spec 4.5.1); it replaces the one saved before.
    Anchor(Anchor),
    /// That this node met an envelope under its own key which it did not write, and stops (spec 4.12).
    Halt {
        /// That envelope.
        tip: Tip,
    },
    /// That somebody has taken the own chain for whole up to here, and this node authors again.
    Release {
        /// Where it ends.
        tip: Tip,
    },
}

/// Which keys the handshake lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Active in an evaluated roster: full links.
    pub active: BTreeSet<AuthorKey>,
    /// Retired, or of a removed nation, and Active nowhere: refused.
    pub refused: BTreeSet<AuthorKey>,
}

/// Why the replica closes a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The peer shows our own key.
    OwnKey,
    /// The peer's key is retired.
    Retired,
    /// The lobby is full, or holds another link of this address.
    LobbyFull,
    /// The peer stayed in the lobby for too long without a roster that lists it (`refused_not_in_roster`).
    NotInRoster,
    /// More was sent than a lobby link may.
    LobbyBytes,
    /// Nothing was heard for 6 s.
    Silent,
    /// Three strikes; the peer is not dialled again before `retry_after_ms`.
    Strikes {
        /// How long to stay away.
        retry_after_ms: u64,
    },
    /// A peer struck out lately comes back too early.
    BackOff {
        /// How long to stay away.
        retry_after_ms: u64,
    },
    /// The peer is of another alliance.
    OtherAlliance,
    /// The two speak no common wire version.
    NoCommonVersion,
    /// Requests went on after the answer "rate".
    Rate,
}

/// A write that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Kind and id of the first record written.
    pub record: (String, String),
    /// The envelope that carries it: names the version.
    pub version: EnvelopeId,
    /// Whether this is the remembered answer to an earlier write under the same idempotency key.
    pub replayed: bool,
    /// Other nations that confirm holding it by now, ascending.
    pub held_by: Vec<NationId>,
}

/// Why a write is refused; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// The own key is not Active in the own nation's roster.
    #[error("this node's key is not active in its nation's roster")]
    NotActive,
    /// The own key may not sign any more.
    #[error("this node does not author: {0}")]
    Halted(HaltReason),
    /// The disk is full.
    #[error("the disk is full")]
    StorageFull,
    /// The idempotency key was used for other content.
    #[error("{key:?} was used for other content before")]
    OtherContent {
        /// The key.
        key: String,
        /// What was written under it.
        version: EnvelopeId,
    },
    /// The idempotency key is empty or too long.
    #[error("an idempotency key has 1 to {} bytes", crate::limits::IDEMPOTENCY_KEY_BYTES_MAX)]
    IdempotencyKey,
    /// Nothing, or too much, to write at once.
    #[error("{have} record versions in one write, 1 to {} are possible", crate::limits::WRITES_PER_REQUEST_MAX)]
    Count {
        /// How many.
        have: usize,
    },
    /// A first version for a record that exists.
    #[error("{kind}/{id} exists")]
    Exists {
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
    },
    /// A new version for a record that does not exist.
    #[error("{kind}/{id} does not exist")]
    NoRecord {
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
    },
    /// The record has another current version than the caller expects.
    #[error("{kind}/{id} is at version {}, not at {}", current.short(), expected.short())]
    OtherVersion {
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
        /// What the caller expects.
        expected: EnvelopeId,
        /// What it is.
        current: EnvelopeId,
    },
    /// The change would not pass the guard.
    #[error("the change would be void: {0}")]
    Void(#[from] VoidReason),
    /// The body is larger than an envelope takes.
    #[error("the change takes {bytes} bytes, at most {} fit one envelope", crate::limits::BODY_BYTES_MAX)]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The chain has no room for another envelope of this size.
    #[error("the chain of this key is full: the quota of {quota} bytes is used up")]
    Quota {
        /// The charter's quota.
        quota: u64,
    },
    /// Too many writes wait for other nations already.
    #[error("{} writes wait for confirmations already", crate::limits::WAITING_WRITES_MAX)]
    TooManyWaiting,
}

/// Why a node does not author on its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaltReason {
    /// An envelope under the own key that this node did not write: it was restored, cloned, or the key was stolen (4.12).
    #[error("envelope {} of this node's key came from elsewhere (restored, cloned, or the key was stolen)", tip.seq)]
    ForeignOwn {
        /// Its position.
        tip: Tip,
    },
    /// The home was restored or has lost its sentinel, so the key may have signed more than is held here (4.12).
    #[error("{}", restored_text(sentinel.as_ref(), *stored))]
    Restored {
        /// The last envelope that the key is known to have signed.
        sentinel: Option<Tip>,
        /// Where the own chain in the store ended.
        stored: u64,
    },
    /// The charter's rules are newer than this software.
    #[error("the alliance uses rules {rules}, which this software does not know")]
    Rules {
        /// The charter's rules.
        rules: u16,
    },
    /// The own chain forked: two envelopes of this key stand at one position.
    #[error("two envelopes of this node's key stand at {seq}; its nation must retire the key")]
    Forked {
        /// The position.
        seq: u64,
    },
    /// A part of the own chain is not here (a damaged row, say); it is fetched from peers.
    #[error("own envelope {seq} or its body is missing")]
    OwnBodyMissing {
        /// Its position.
        seq: u64,
    },
}

fn restored_text(sentinel: Option<&Tip>, stored: u64) -> String {
    match sentinel {
        Some(tip) if tip.seq > stored => {
            format!("this home was restored: its key has signed envelope {}, its store ended at {stored}", tip.seq)
        }
        Some(tip) => format!("this home was restored: envelope {} is not the one that its key signed", tip.seq),
        None => format!(
            "this home was restored or has lost its sentinel: its key may have signed more than the {stored} envelopes of \
             its store"
        ),
    }
}

/// What became of one imported control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is new and kept.
    Accepted(ControlId),
    /// It was held already.
    Known(ControlId),
    /// It is not taken in.
    Refused(ImportRefused),
}

/// Why a control record is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// It does not decode.
    #[error(transparent)]
    Decode(#[from] crate::codec::DecodeError),
    /// A signature or key of it is bad.
    #[error(transparent)]
    Signature(#[from] crate::control::ControlError),
    /// It belongs to another alliance.
    #[error("it belongs to another alliance")]
    OtherAlliance,
    /// Nothing that is held makes it count: an unknown nation or root key, or a step the rules do not allow.
    #[error("nothing held makes it count: unknown nation or root key, or not a valid next step")]
    NoEffect,
    /// The disk is full.
    #[error("the disk is full")]
    StorageFull,
}

/// Something the operator must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Authoring stopped.
    Halted(HaltReason),
    /// An author forked.
    Fork {
        /// The author.
        author: AuthorId,
        /// The lowest sequence number with two envelopes.
        seq: u64,
    },
    /// A peer speaks a newer wire version.
    Newer {
        /// The peer.
        peer: AuthorKey,
    },
    /// Two motions are sealed for one charter version. Above the anchor membership is frozen there; below it nothing changes.
    CharterConflict {
        /// The height of the version both change.
        height: u32,
        /// The two motions.
        motions: [ControlId; 2],
        /// The version is below the anchor.
        below_anchor: bool,
    },
    /// The anchored charter version cannot be reached from the records held: some were lost, and nothing counts until they
    /// are back.
    AnchorLost {
        /// Its height.
        height: u32,
    },
    /// A peer struck out.
    StruckOut {
        /// The peer.
        peer: AuthorKey,
    },
    /// Nations acknowledge an envelope that nobody has delivered for ten minutes (4.13).
    Withheld {
        /// Its author.
        author: AuthorId,
        /// Its sequence number.
        seq: u64,
        /// The nations that say they hold it, ascending.
        witnesses: Vec<NationId>,
    },
    /// A peer that holds the same set evaluates it differently: one of the two is broken (4.5.6).
    Divergence {
        /// The peer.
        peer: AuthorKey,
    },
}
