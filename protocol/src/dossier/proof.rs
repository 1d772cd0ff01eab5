//! The portable proof of a fork: two signed branches from one position, checked with nothing else at hand.

use crate::chain::{Chain, Held};
use crate::codec::{DecodeError, Reader, Writer};
use crate::control::{ControlError, ControlRecord, Roster, nation_id};
use crate::envelope::{Header, HeaderDecodeError};
use crate::evaluate::State;
use crate::ids::{AllianceId, AuthorId, Digest, EnvelopeId, RootKey, Timestamp, Tip};
use crate::keys::{BadSignature, RecordKind, Signature, verify};
use crate::limits::{CONTROL_RECORD_BYTES_MAX, SEQ_MAX, SIGNATURE_POINT_SEQ};

/// The version of this layout.
const FORM: u16 = 1;
/// Most headers of a branch: signatures that every store keeps are never further apart (spec 4.13.1).
const STEPS_MAX: usize = 257;
const _: () = assert!(STEPS_MAX as u64 == SIGNATURE_POINT_SEQ + 1);
const STEP_BYTES: usize = 8 + 2 + 4 + 32;

/// Proof that one key signed two different envelopes with one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkProof {
    /// The alliance.
    pub alliance: AllianceId,
    /// The key and the nation it claims to speak for.
    pub author: AuthorId,
    /// The number.
    pub seq: u64,
    /// The two branches, ascending by the id of their first header.
    pub branches: [ForkBranch; 2],
    /// The signed form of a roster that lists the key, for a reader who does not know it.
    pub roster: Option<Vec<u8>>,
}

/// A header at the fork, with those above it up to the next signed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkBranch {
    /// The predecessor that the first header names.
    pub prev: EnvelopeId,
    /// Consecutive headers, the one at the fork first.
    pub steps: Vec<Step>,
    /// The signature over the last of them, which covers all.
    pub signature: Signature,
}

/// One header of a branch: what cannot be recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Claimed time.
    pub time_ms: u64,
    /// Kind of body.
    pub kind: u16,
    /// Length of the body.
    pub body_len: u32,
    /// Hash of the body.
    pub body_hash: Digest,
}

/// What a proof shows once all of it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFork {
    /// The alliance.
    pub alliance: AllianceId,
    /// The key and the nation it claims to speak for.
    pub author: AuthorId,
    /// Both statements with their claimed times, ascending by id.
    pub said: [(Tip, Timestamp); 2],
    /// How the key came to speak for the nation, where the proof carries a roster.
    pub enrolment: Option<Enrolment>,
}

/// A roster that lists the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The root key that signed it.
    pub root: RootKey,
    /// Generation of that key.
    pub root_gen: u16,
    /// Its version.
    pub version: u64,
    /// The node's name in it.
    pub label: String,
    /// Whether the nation's id is that of this root key, so that nothing else is needed to know that the nation signed it.
    pub names_nation: bool,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkProofError {
    /// It is not the encoding of one.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another form of a later version.
    #[error("a proof of form {0}, and this version reads form 1")]
    Form(u16),
    /// A header that a branch implies breaks its field ranges.
    #[error("branch {branch}: {source}")]
    Header {
        /// 1 or 2.
        branch: usize,
        /// What is wrong.
        source: HeaderDecodeError,
    },
    /// A branch is not signed by the key.
    #[error("branch {branch}: {source}")]
    Signature {
        /// 1 or 2.
        branch: usize,
        /// What is wrong.
        source: BadSignature,
    },
    /// Both branches begin with the same envelope, or stand in the wrong order.
    #[error("the two statements are not two, in order")]
    NotTwo,
    /// The roster is not valid.
    #[error("the roster: {0}")]
    Roster(#[source] ControlError),
    /// The roster is of another alliance or nation, or does not list the key.
    #[error("the roster does not list this key for this nation")]
    OtherRoster,
}

impl ForkProof {
    /// Returns the proof of an author's lowest fork; `None` where its chain is not forked.
    ///
    /// Nodes that hold the same set give the same proof: of more than two statements the two with the smallest ids are taken.
    pub fn of(state: &State, author: &AuthorId) -> Option<Self> {
        let chain = state.chain(author)?;
        let seq = chain.fork()?;
        let mut held: Vec<&Held> = chain.at(seq).collect();
        held.sort_unstable_by_key(|held| held.id());
        let mut branches = held.into_iter().filter_map(|held| branch(chain, held));
        let branches = [branches.next()?, branches.next()?];
        Some(Self { alliance: state.anchor().alliance, author: *author, seq, branches, roster: listing(state, author) })
    }

    /// Returns the ids of both statements; the same bytes as the headers of the proof imply.
    pub fn ids(&self) -> (EnvelopeId, EnvelopeId) {
        let [first, second] = &self.branches;
        let id = |branch: &ForkBranch| self.headers(branch).next().map_or(EnvelopeId::ZERO, |header| header.id());
        (id(first), id(second))
    }

    /// Returns the headers of a branch, recomputed upward.
    fn headers<'a>(&'a self, branch: &'a ForkBranch) -> impl Iterator<Item = Header> + 'a {
        let mut prev = branch.prev;
        branch.steps.iter().zip(self.seq..).map(move |(step, seq)| {
            let header = Header {
                alliance: self.alliance,
                nation: self.author.nation,
                author: self.author.key,
                seq,
                prev,
                time_ms: step.time_ms,
                kind: step.kind,
                body_len: step.body_len,
                body_hash: step.body_hash,
            };
            prev = header.id();
            header
        })
    }

    /// Checks every link and both signatures, and that the roster, where there is one, lists the key.
    ///
    /// # Errors
    /// [`ForkProofError`]; the proof then proves nothing.
    pub fn verify(&self) -> Result<ProvenFork, ForkProofError> {
        let [first, second] = &self.branches;
        let said = [self.verify_branch(1, first)?, self.verify_branch(2, second)?];
        if said[0].0.id >= said[1].0.id {
            return Err(ForkProofError::NotTwo);
        }
        let enrolment = self.roster.as_deref().map(|bytes| self.verify_roster(bytes)).transpose()?;
        Ok(ProvenFork { alliance: self.alliance, author: self.author, said, enrolment })
    }

    fn verify_branch(&self, number: usize, branch: &ForkBranch) -> Result<(Tip, Timestamp), ForkProofError> {
        let mut first = None;
        let mut last = None;
        for header in self.headers(branch) {
            header.check_fields().map_err(|source| ForkProofError::Header { branch: number, source })?;
            first.get_or_insert((Tip { seq: header.seq, id: header.id() }, Timestamp(header.time_ms)));
            last = Some(header);
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Err(DecodeError::Range("steps of a branch").into());
        };
        verify(RecordKind::Envelope, &last.author, &last.encode(), &branch.signature)
            .map_err(|source| ForkProofError::Signature { branch: number, source })?;
        Ok(first)
    }

    fn verify_roster(&self, bytes: &[u8]) -> Result<Enrolment, ForkProofError> {
        let verified = ControlRecord::decode(ROSTER_KIND, bytes)?.verify().map_err(ForkProofError::Roster)?;
        let roster = super::roster::of(&verified).ok_or(ForkProofError::OtherRoster)?;
        let key = roster.keys.iter().find(|key| key.node == self.author.key);
        let key = key.filter(|_| roster.alliance == self.alliance && roster.nation == self.author.nation);
        let Roster { root, root_gen, version, .. } = *roster;
        let label = key.ok_or(ForkProofError::OtherRoster)?.label.clone();
        let names_nation = nation_id(&self.alliance, &root) == self.author.nation;
        Ok(Enrolment { root, root_gen, version, label, names_nation })
    }

    /// Returns the bytes of the proof.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u16(FORM).id(&self.alliance).id(&self.author.nation).id(&self.author.key).u64(self.seq);
        for branch in &self.branches {
            out.id(&branch.prev);
            out.list(branch.steps.iter(), |out, step| {
                out.u64(step.time_ms).u16(step.kind).u32(step.body_len).id(&step.body_hash);
            });
            out.raw(&branch.signature.0);
        }
        out.opt(self.roster.as_ref(), |out, roster| {
            out.bytes(roster);
        });
        out.into_bytes()
    }

    /// Reads the bytes of a proof, all of them; nothing is checked beyond their form.
    ///
    /// # Errors
    /// [`ForkProofError::Form`] or [`ForkProofError::Decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ForkProofError> {
        let mut input = Reader::new(bytes);
        let form = input.u16()?;
        if form != FORM {
            return Err(ForkProofError::Form(form));
        }
        let alliance = input.id()?;
        let author = AuthorId { nation: input.id()?, key: input.id()? };
        let seq = input.u64()?;
        let branches = [decode_branch(&mut input)?, decode_branch(&mut input)?];
        let roster = input.opt("roster", |input| Ok(input.bytes("roster", CONTROL_RECORD_BYTES_MAX)?.to_vec()))?;
        input.finish()?;
        // Leaves room above for every step.
        if !(1..=SEQ_MAX - STEPS_MAX as u64).contains(&seq) {
            return Err(DecodeError::Range("position of the fork").into());
        }
        Ok(Self { alliance, author, seq, branches, roster })
    }
}

const ROSTER_KIND: u8 = 4;

fn decode_branch(input: &mut Reader<'_>) -> Result<ForkBranch, DecodeError> {
    let prev = input.id()?;
    let steps = input.list("steps of a branch", STEPS_MAX, STEP_BYTES, |input| {
        Ok(Step { time_ms: input.u64()?, kind: input.u16()?, body_len: input.u32()?, body_hash: input.id()? })
    })?;
    if steps.is_empty() {
        return Err(DecodeError::Range("steps of a branch"));
    }
    Ok(ForkBranch { prev, steps, signature: Signature(input.array()?) })
}

/// Follows a header up to the next signed one.
fn branch(chain: &Chain, held: &Held) -> Option<ForkBranch> {
    let path = match held.signature() {
        Some(_) => vec![held],
        None => signed_above(chain, held)?,
    };
    let signature = *path.last()?.signature()?;
    let step = |held: &&Held| Step {
        time_ms: held.time_ms(),
        kind: held.kind(),
        body_len: held.body_len(),
        body_hash: held.body_hash(),
    };
    Some(ForkBranch { prev: held.prev(), steps: path.iter().map(step).collect(), signature })
}

fn signed_above<'a>(chain: &'a Chain, held: &Held) -> Option<Vec<&'a Held>> {
    let paths = chain.heads().iter().filter_map(|head| {
        let above = |to| chain.path(&head.tip.id, held.seq(), to);
        above(held.seq()).first().filter(|first| first.id() == held.id())?;
        Some(above(chain.next_signed(&head.tip.id, held.seq())?))
    });
    paths.min_by_key(|path| (path.len(), path.last().map(|held| held.id())))
}

/// Returns the signed form of the oldest roster on the way to the one in force that lists the key: where no root was
/// replaced, the nation's own id vouches for who signed it.
fn listing(state: &State, author: &AuthorId) -> Option<Vec<u8>> {
    let evaluated = state.roster(&author.nation)?;
    let kept = evaluated.kept.iter().filter_map(|(_, id)| state.control_record(id));
    let mut listing = kept.filter(|control| {
        super::roster::of(control).is_some_and(|roster| roster.keys.iter().any(|key| key.node == author.key))
    });
    let control = listing.next()?;
    Some(control.record().encode())
}
