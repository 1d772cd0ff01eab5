//! What every lie needs: the member's key, the links, chance from a seed, and what the liar may still spend.

use std::collections::{BTreeMap, VecDeque};

use comity_protocol::body::Body;
use comity_protocol::effect::{Effect, ExchangeId, Input, LinkId, RecordWrite, Replaces, RequestId, WriteRequest};
use comity_protocol::envelope::{Header, SignedHeader, body_hash};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AllianceId, AuthorId, AuthorKey, Id, Timestamp, Tip};
use comity_protocol::keys::SecretKey;
use comity_protocol::limits::{PUSH_BYTES_MAX, PUSH_ENVELOPES_MAX};
use comity_protocol::message::{Frame, PushedEnvelope};
use comity_protocol::replica::Config;
use comity_protocol::value::{Fields, Value, record_id_from};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// What a liar may add to what an honest node would send; a run of the simulator has to stay fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Extra frames in one virtual second.
    pub(super) frames_per_second: u32,
    /// Extra frames in all.
    pub(super) frames: u32,
    /// Extra bytes in all.
    pub(super) bytes: usize,
    /// Envelopes signed beside those of the inner replica; each costs every receiver a verification.
    pub(super) signatures: u32,
}

impl Allowance {
    /// What most strategies may spend.
    pub(super) const MODEST: Self = Self { frames_per_second: 16, frames: 400, bytes: 4 * 1_048_576, signatures: 64 };
    /// What a flood may spend: questions beyond the rate of 20 a second and the burst of 100.
    pub(super) const FLOOD: Self = Self { frames_per_second: 240, frames: 1_200, bytes: 6 * 1_048_576, signatures: 96 };
}

/// How old the last sign of life of a link may be for the inner replica to be told something over it.
const ALIVE_MS: u64 = 3_000;
/// Shortest and longest pause between two lies, in milliseconds.
const PAUSE_MS: (u64, u64) = (150, 1_400);
/// Numbers of the liar's own questions start here, far above those of its inner replica.
const EXCHANGES_FROM: u64 = 1 << 40;
/// Numbers of the liar's own writes start here, far above those of its operator.
const REQUESTS_FROM: u64 = 1 << 60;

/// One link that is up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) peer: AuthorKey,
    heard_at: Timestamp,
}

/// The table a liar works at.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) alliance: AllianceId,
    pub(super) me: AuthorId,
    pub(super) key: SecretKey,
    pub(super) now: Timestamp,
    pub(super) rng: ChaCha8Rng,
    pub(super) links: BTreeMap<LinkId, Wire>,
    /// Questions of peers that the inner replica has not answered yet.
    pub(super) questions: BTreeMap<(LinkId, ExchangeId), Vec<u8>>,
    /// What goes out, in order.
    pub(super) out: VecDeque<Effect>,
    /// Own envelopes that the inner replica is told of, as if a peer had pushed them.
    pub(super) inject: Vec<PushedEnvelope>,
    /// Writes the liar gives its inner replica.
    pub(super) writes: Vec<WriteRequest>,
    left: Allowance,
    second: u64,
    frames_in_second: u32,
    next_exchange: u64,
    next_request: u64,
    next_lie: Timestamp,
}

impl Desk {
    pub(super) fn new(config: &Config, left: Allowance, seed: u64) -> Self {
        Self {
            alliance: config.alliance,
            me: AuthorId { nation: config.nation, key: config.key.public() },
            key: config.key.clone(),
            now: Timestamp::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            links: BTreeMap::new(),
            questions: BTreeMap::new(),
            out: VecDeque::new(),
            inject: Vec::new(),
            writes: Vec::new(),
            left,
            second: 0,
            frames_in_second: 0,
            next_exchange: EXCHANGES_FROM,
            next_request: REQUESTS_FROM,
            next_lie: Timestamp::default(),
        }
    }

    // Time and links.

    /// Takes note of what happens before anybody else sees it.
    pub(super) fn note(&mut self, now: Timestamp, input: &Input) {
        self.now = self.now.max(now);
        match input {
            Input::LinkUp(up) => {
                self.links.insert(up.link, Wire { peer: up.peer, heard_at: self.now });
            }
            Input::LinkDown { link } => self.gone(*link),
            Input::Asked { link, exchange, frame } => {
                self.questions.insert((*link, *exchange), frame.clone());
                self.heard(*link);
            }
            Input::Pushed { link, .. } | Input::Reply { link, .. } => self.heard(*link),
            Input::PushStalled { .. }
            | Input::ExchangeFailed { .. }
            | Input::Write(_)
            | Input::StopWaiting { .. }
            | Input::Import { .. }
            | Input::Carried { .. }
            | Input::Storage(_)
            | Input::Confirm(_)
            | Input::Tick => {}
        }
    }

    fn heard(&mut self, link: LinkId) {
        let now = self.now;
        if let Some(wire) = self.links.get_mut(&link) {
            wire.heard_at = now;
        }
    }

    /// Forgets a link.
    pub(super) fn gone(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.questions.retain(|(of, _), _| *of != link);
    }

    /// When the next lie is due; `None` while there is nobody to lie to or nothing left to spend.
    pub(super) fn next_lie(&self) -> Option<Timestamp> {
        let able = !self.links.is_empty() && self.left.frames > 0;
        able.then(|| self.next_lie.max(self.now.plus_ms(1)))
    }

    /// Whether a lie is due now; the next one is planned then.
    pub(super) fn lie_due(&mut self) -> bool {
        if self.links.is_empty() || self.left.frames == 0 || self.next_lie > self.now {
            return false;
        }
        let pause = self.rng.random_range(PAUSE_MS.0..=PAUSE_MS.1);
        let first = self.next_lie == Timestamp::default();
        self.next_lie = self.now.plus_ms(pause);
        !first
    }

    /// The links that are up.
    pub(super) fn all_links(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// One of the links that are up.
    pub(super) fn some_link(&mut self) -> Option<LinkId> {
        let links = self.all_links();
        self.pick(&links).copied()
    }

    /// A link over which the inner replica may be told something without a dead link looking alive.
    pub(super) fn lively_link(&self) -> Option<LinkId> {
        let alive = |wire: &Wire| self.now.since(wire.heard_at) < ALIVE_MS;
        self.links.iter().find(|(_, wire)| alive(wire)).map(|(link, _)| *link)
    }

    // Chance.

    /// A number below `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound.max(1))
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(items.len());
        items.get(at)
    }

    pub(super) fn id<K>(&mut self) -> Id<K> {
        Id::new(self.rng.random())
    }

    pub(super) fn random_bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.rng.random()).collect()
    }

    // Sending.

    /// Leaves nothing to spend.
    pub(super) const fn rest(&mut self) {
        self.left.frames = 0;
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let second = self.now.0 / 1_000;
        if second != self.second {
            self.second = second;
            self.frames_in_second = 0;
        }
        let affordable =
            self.left.frames > 0 && self.left.bytes >= bytes && self.frames_in_second < self.left.frames_per_second;
        if affordable {
            self.left.frames -= 1;
            self.left.bytes -= bytes;
            self.frames_in_second += 1;
        }
        affordable
    }

    /// Sends extra bytes on a push stream; whether there was anything left to spend.
    pub(super) fn push(&mut self, link: LinkId, frame: Vec<u8>) -> bool {
        let sent = self.links.contains_key(&link) && self.spend(frame.len());
        if sent {
            self.out.push_back(Effect::Push { link, frame });
        }
        sent
    }

    /// Pushes envelopes on one link, packed as an honest node packs them.
    pub(super) fn push_envelopes(&mut self, link: LinkId, envelopes: &[PushedEnvelope]) {
        let mut rest = envelopes;
        while !rest.is_empty() {
            let mut bytes = 16;
            let fits = |envelope: &&PushedEnvelope| {
                bytes += PushedEnvelope::bytes(envelope.body.len());
                bytes <= PUSH_BYTES_MAX
            };
            let take = rest.iter().take_while(fits).count().clamp(1, PUSH_ENVELOPES_MAX);
            self.push(link, Frame::Push(rest[..take].to_vec()).encode());
            rest = &rest[take..];
        }
    }

    /// Asks something the inner replica knows nothing of; its answer is not listened to.
    pub(super) fn ask(&mut self, link: LinkId, frame: Vec<u8>) -> bool {
        let sent = self.links.contains_key(&link) && self.spend(frame.len());
        if sent {
            self.next_exchange += 1;
            self.out.push_back(Effect::Ask { link, exchange: ExchangeId(self.next_exchange), frame });
        }
        sent
    }

    // Writing.

    /// Signs a header, while there are signatures left.
    pub(super) fn sign(&mut self, header: Header, body: Vec<u8>) -> Option<PushedEnvelope> {
        if self.left.signatures == 0 {
            return None;
        }
        self.left.signatures -= 1;
        let bytes = header.encode();
        let SignedHeader { signature, .. } = SignedHeader::sign(header, &self.key);
        Some(PushedEnvelope { header: bytes, signature, body: body.into() })
    }

    /// Starts to write behind the own accepted tip; `None` where the key must not write.
    pub(super) fn pen(&self, state: &State) -> Option<Pen> {
        let (tip, earliest) = state.author_tip(&self.me).ok()?;
        Some(Pen { tip, time_ms: self.now.max(earliest).0 })
    }

    /// Shows own envelopes to everybody, the inner replica included.
    pub(super) fn publish(&mut self, envelopes: Vec<PushedEnvelope>) {
        for link in self.all_links() {
            self.push_envelopes(link, &envelopes);
        }
        self.inject.extend(envelopes);
    }

    /// Has the inner replica write a small honest statement, so that there is something to lie about.
    pub(super) fn write_something(&mut self) {
        self.next_request += 1;
        let note = format!("note {}", self.below(1_000));
        let write = RecordWrite {
            kind: "observation".to_owned(),
            id: record_id_from(self.rng.random()),
            replaces: Replaces::Nothing,
            fields: Fields::from([("note".to_owned(), Value::Text(note))]),
        };
        let request = RequestId(self.next_request);
        self.writes.push(WriteRequest { request, writes: vec![write], idempotency: None, wait: 0 });
    }

    /// Whether a write is the liar's own and not its operator's.
    pub(super) const fn wrote(request: RequestId) -> bool {
        request.0 >= REQUESTS_FROM
    }
}

/// Where the next own envelope stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) tip: Tip,
    pub(super) time_ms: u64,
}

impl Pen {
    /// The header of the next envelope around `body`, whatever it is.
    pub(super) fn header(&self, desk: &Desk, kind: u16, body: &[u8]) -> Header {
        Header {
            alliance: desk.alliance,
            nation: desk.me.nation,
            author: desk.me.key,
            seq: self.tip.seq + 1,
            prev: self.tip.id,
            time_ms: self.time_ms,
            kind,
            body_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body_hash: body_hash(body),
        }
    }

    /// Signs the next envelope and moves on to it.
    pub(super) fn write(&mut self, desk: &mut Desk, kind: u16, body: Vec<u8>) -> Option<PushedEnvelope> {
        let header = self.header(desk, kind, &body);
        let tip = Tip { seq: header.seq, id: header.id() };
        let envelope = desk.sign(header, body)?;
        self.tip = tip;
        Some(envelope)
    }

    /// Signs the next envelope around a body of a known kind.
    pub(super) fn write_body(&mut self, desk: &mut Desk, body: &Body) -> Option<PushedEnvelope> {
        self.write(desk, body.kind(), body.encode())
    }
}
