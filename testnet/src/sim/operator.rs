//! What the people at a node do: legal statements of every kind, odd ones that are legal all the same, and illegal ones
//! whose refusal is known beforehand.
//!
//! An [`Operator`] sees what its node holds and nothing else, as a person at the node would. Its orders follow from its
//! seed and the states it was shown; hostile statements of others never make it panic.

mod desk;
mod odd;
mod wrong;

use std::collections::VecDeque;

use comity_protocol::effect::{Idempotency, RecordWrite, Replaces, WriteRefused, Written};
use comity_protocol::evaluate::State;
use comity_protocol::guard::VoidReason;
use comity_protocol::ids::AuthorId;
use comity_protocol::replica::content_digest;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use desk::Desk;

/// Keyed orders that may be repeated; the oldest is forgotten first.
const KEYED_MAX: usize = 16;

/// One write that somebody asks a node for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it is in a word or two, for traces.
    pub what: &'static str,
    /// The record versions.
    pub writes: Vec<RecordWrite>,
    /// Makes a repetition give the first answer.
    pub idempotency: Option<Idempotency>,
    /// How many other nations are to confirm it; 0 for none.
    pub wait: usize,
    /// What the node is to answer if it handles the order in the state the operator was shown.
    pub meant: Meant,
}

/// The answer an order is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// It is carried out.
    Legal,
    /// It is refused for this reason.
    Refused(Refusal),
}

/// A refusal by what is wrong with the order itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// [`WriteRefused::Exists`].
    Exists,
    /// [`WriteRefused::NoRecord`].
    NoRecord,
    /// [`WriteRefused::OtherVersion`].
    OtherVersion,
    /// [`WriteRefused::Count`].
    Count,
    /// [`WriteRefused::IdempotencyKey`].
    IdempotencyKey,
    /// [`WriteRefused::OtherContent`].
    OtherContent,
    /// [`WriteRefused::TooLarge`]; no change that passes the guard's own bound reaches it.
    TooLarge,
    /// [`WriteRefused::Void`].
    Void(VoidReason),
}

/// How an answer compares with what an order was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// As it was meant.
    AsMeant,
    /// Refused for what the node is in: its key, its chain, its disk, its quota, or how many wait at it.
    Circumstances,
    /// Anything else: the node or the operator is wrong.
    Otherwise,
}

impl Meant {
    /// Compares an answer with what was meant.
    pub fn compare(self, answer: &Result<Written, WriteRefused>) -> Answered {
        let refusal = match answer {
            Ok(_) if self == Self::Legal => return Answered::AsMeant,
            Ok(_) => return Answered::Otherwise,
            Err(refused) => Refusal::of(refused),
        };
        match refusal {
            None => Answered::Circumstances,
            Some(refusal) if self == Self::Refused(refusal) => Answered::AsMeant,
            Some(_) => Answered::Otherwise,
        }
    }
}

impl Refusal {
    /// Returns what is wrong with an order; `None` if it is refused for what the node is in.
    pub const fn of(refused: &WriteRefused) -> Option<Self> {
        match refused {
            WriteRefused::Exists { .. } => Some(Self::Exists),
            WriteRefused::NoRecord { .. } => Some(Self::NoRecord),
            WriteRefused::OtherVersion { .. } => Some(Self::OtherVersion),
            WriteRefused::Count { .. } => Some(Self::Count),
            WriteRefused::IdempotencyKey => Some(Self::IdempotencyKey),
            WriteRefused::OtherContent { .. } => Some(Self::OtherContent),
            WriteRefused::TooLarge { .. } => Some(Self::TooLarge),
            WriteRefused::Void(reason) => Some(Self::Void(*reason)),
            WriteRefused::NotActive
            | WriteRefused::Halted(_)
            | WriteRefused::StorageFull
            | WriteRefused::Quota { .. }
            | WriteRefused::TooManyWaiting => None,
        }
    }
}

/// The people at one node.
#[derive(Clone, Debug)]
pub struct Operator {
    rng: ChaCha8Rng,
    keys: u64,
    /// Keyed orders made so far, the latest last.
    keyed: VecDeque<Order>,
}

impl Operator {
    /// Makes the people of a seed; two nodes of a run need two seeds.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), keys: 0, keyed: VecDeque::new() }
    }

    /// Returns what they ask for next of the node that holds `state` and writes as `me`.
    ///
    /// About seven in ten are statements as an entry makes them, the others odd or illegal in equal parts. The meaning
    /// holds for this very state: an order that waits while its nation's document moves on may be answered otherwise.
    pub fn next(&mut self, state: &State, me: &AuthorId) -> Order {
        let mut order = match self.rng.random_range(0..20_u32) {
            0..=2 => wrong::order(&mut self.rng, state, me, &self.keyed),
            3..=5 => odd::order(&mut self.rng, state, me),
            _ => Desk::new(&mut self.rng, state, me).order(),
        };
        if order.wait == 0 && self.rng.random_range(0..6_u32) == 0 {
            let others = state.nations().count().saturating_sub(1);
            order.wait = if others == 0 { 0 } else { self.rng.random_range(1..=others) };
        }
        let repeatable = order.writes.iter().all(|write| write.replaces == Replaces::Nothing);
        if order.meant == Meant::Legal && repeatable && self.rng.random_range(0..4_u32) == 0 {
            self.key(&mut order, me);
        }
        order
    }

    /// Returns an earlier keyed order once more, if there is one; it is to be given its first answer again.
    ///
    /// If the first was never carried out (refused, or lost with a crash before its answer) this one is carried out instead.
    pub fn repeat(&mut self) -> Option<Order> {
        let (older, newer) = self.keyed.as_slices();
        let all: Vec<&Order> = older.iter().chain(newer).collect();
        all.choose(&mut self.rng).map(|order| Order { what: "repeat", ..(*order).clone() })
    }

    fn key(&mut self, order: &mut Order, me: &AuthorId) {
        self.keys += 1;
        let short = format!("{}-{}", me.key.short(), self.keys);
        // Now and then as long as a key may be.
        let filler = comity_protocol::limits::IDEMPOTENCY_KEY_BYTES_MAX - short.len();
        let key = if self.keys.is_multiple_of(5) { short + &"x".repeat(filler) } else { short };
        let content = content_digest(format!("{:?}", order.writes).as_bytes());
        order.idempotency = Some(Idempotency { key, content });
        if self.keyed.len() == KEYED_MAX {
            self.keyed.pop_front();
        }
        self.keyed.push_back(order.clone());
    }
}

#[cfg(test)]
mod tests;
