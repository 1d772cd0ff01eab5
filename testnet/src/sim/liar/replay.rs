//! Replay: what was true once, and what is true elsewhere (T2, T3, T5).
//!
//! The liar keeps some of the pushes that it heard and sent, heartbeats among them, and sends them again on any link. It
//! keeps the first answer of each kind that it gave and gives it again, as if nothing had happened since: old frontiers,
//! old prefixes of chains, old control records, old Hellos. A few times it offers what its key signed in another alliance,
//! and that alliance's genesis; each costs a strike, so it stops short of being struck out for it.

use std::collections::{BTreeMap, VecDeque};

use comity_protocol::control::{ControlRecord, Genesis, Member, Params, SignedGenesis};
use comity_protocol::effect::{Effect, Input, LinkId};
use comity_protocol::envelope::{Header, SignedHeader};
use comity_protocol::ids::{AllianceId, AuthorId, AuthorKey, EnvelopeId};
use comity_protocol::message::{ControlReply, Frame, PushedEnvelope};

use super::Rewritten;
use super::desk::Desk;

/// Frames remembered.
const FRAMES_MAX: usize = 64;
/// Bytes of a frame that is remembered.
const FRAME_BYTES: usize = 16_384;
/// Answers remembered.
const ANSWERS_MAX: usize = 64;
/// Records of another alliance offered to one peer: one strike below what closes a link.
const FOREIGN_MAX: u32 = 2;
/// Old frames sent at once.
const REPLAYS_MAX: usize = 4;

/// What kind of question an answer was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Hello,
    Control,
    Frontier,
    Range(AuthorId),
}

/// What a replayer remembers.
#[derive(Debug)]
pub(super) struct ReplayOld {
    frames: VecDeque<Vec<u8>>,
    answers: BTreeMap<Question, Vec<Vec<u8>>>,
    elsewhere: AllianceId,
    foreign: BTreeMap<AuthorKey, u32>,
}

impl ReplayOld {
    pub(super) fn new(desk: &mut Desk) -> Self {
        Self { frames: VecDeque::new(), answers: BTreeMap::new(), elsewhere: desk.id(), foreign: BTreeMap::new() }
    }

    pub(super) fn hear(&mut self, input: &Input) {
        if let Input::Pushed { frame, .. } = input {
            self.keep(frame);
        }
    }

    /// Remembers a frame; of the oldest ones half are never forgotten.
    fn keep(&mut self, frame: &[u8]) {
        if frame.len() > FRAME_BYTES {
            return;
        }
        if self.frames.len() == FRAMES_MAX {
            self.frames.remove(FRAMES_MAX / 2);
        }
        self.frames.push_back(frame.to_vec());
    }

    pub(super) fn rewrite(&mut self, desk: &mut Desk, effect: &Effect) -> Rewritten {
        match effect {
            Effect::Push { frame, .. } => {
                self.keep(frame);
                Rewritten::Kept
            }
            Effect::Answer { link, exchange, frames } => {
                let question = match desk.questions.get(&(*link, *exchange)).map(|frame| Frame::decode(frame)) {
                    Some(Ok(Frame::Hello(_))) => Question::Hello,
                    Some(Ok(Frame::Control(_))) => Question::Control,
                    Some(Ok(Frame::Frontier)) => Question::Frontier,
                    Some(Ok(Frame::Range(range))) => Question::Range(range.author),
                    Some(_) | None => return Rewritten::Kept,
                };
                let Some(old) = self.answers.get(&question).cloned() else {
                    if self.answers.len() < ANSWERS_MAX {
                        self.answers.insert(question, frames.clone());
                    }
                    return Rewritten::Kept;
                };
                let (link, exchange) = (*link, *exchange);
                if question == Question::Control && desk.one_in(3) && self.may_offer_foreign(desk, link) {
                    let frames = vec![self.foreign_genesis(desk), frames.last().cloned().unwrap_or_default()];
                    return Rewritten::Changed(Effect::Answer { link, exchange, frames });
                }
                if desk.one_in(3) {
                    return Rewritten::Kept;
                }
                Rewritten::Changed(Effect::Answer { link, exchange, frames: old })
            }
            Effect::Save(_)
            | Effect::Ask { .. }
            | Effect::Close { .. }
            | Effect::Admission(_)
            | Effect::Written { .. }
            | Effect::Held { .. }
            | Effect::Imported { .. }
            | Effect::Confirmed { .. }
            | Effect::Carried { .. }
            | Effect::Changed(_)
            | Effect::Alarm(_) => Rewritten::Kept,
        }
    }

    pub(super) fn act(&mut self, desk: &mut Desk) {
        let Some(link) = desk.some_link() else { return };
        if desk.one_in(8) && self.may_offer_foreign(desk, link) {
            let envelope = self.foreign_envelope(desk);
            desk.push(link, Frame::Push(vec![envelope]).encode());
            return;
        }
        let frames: Vec<Vec<u8>> = self.frames.iter().cloned().collect();
        for _ in 0..=desk.below(REPLAYS_MAX) {
            if let Some(frame) = desk.pick(&frames) {
                desk.push(link, frame.clone());
            }
        }
    }

    fn may_offer_foreign(&mut self, desk: &Desk, link: LinkId) -> bool {
        let Some(wire) = desk.links.get(&link) else { return false };
        let offered = self.foreign.entry(wire.peer).or_default();
        *offered += 1;
        *offered <= FOREIGN_MAX
    }

    /// An envelope that the same key signed in another alliance.
    fn foreign_envelope(&self, desk: &Desk) -> PushedEnvelope {
        let body = b"said elsewhere".to_vec();
        let header = Header {
            alliance: self.elsewhere,
            nation: desk.me.nation,
            author: desk.me.key,
            seq: 1,
            prev: EnvelopeId::ZERO,
            time_ms: desk.now.0,
            kind: 900,
            body_len: 14,
            body_hash: comity_protocol::envelope::body_hash(&body),
        };
        let bytes = header.encode();
        PushedEnvelope { header: bytes, signature: SignedHeader::sign(header, &desk.key).signature, body: body.into() }
    }

    /// A frame with the genesis of an alliance that the liar's key founded alone.
    fn foreign_genesis(&self, desk: &Desk) -> Vec<u8> {
        let founder =
            Member { root: desk.key.public(), code: "ELSE".to_owned(), name: "Elsewhere".to_owned(), next_root: None };
        let genesis = Genesis {
            name: "elsewhere".to_owned(),
            created_ms: desk.now.0,
            nonce: *self.elsewhere.as_bytes(),
            parent: None,
            params: Params::default(),
            founders: vec![founder],
        };
        let signatures = vec![genesis.sign(&desk.key)];
        let record = ControlRecord::Genesis(SignedGenesis { genesis, signatures });
        Frame::ControlReply(ControlReply { records: vec![(record.kind(), record.encode())], more: false }).encode()
    }
}
