//! What a run saw from outside: who was answered what, who said what, who complained. Checks compare it with the replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_protocol::charter::Charter;
use comity_protocol::control::Vote;
use comity_protocol::effect::{ConfirmRefused, RequestId, WriteRefused, Written};
use comity_protocol::ids::{AuthorId, AuthorKey, CharterId, Digest, EnvelopeId, NationId, Tip};

use super::operator::Order;

/// An order that was given, and what became of it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// At which node.
    pub node: usize,
    /// What was asked.
    pub order: Order,
    /// The answer, if there was one before the process ended.
    pub outcome: Option<Result<Written, WriteRefused>>,
    /// The nations that confirmed holding it, if as many as asked did.
    pub held: Option<Vec<NationId>>,
}

/// Everything seen from outside.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    /// Orders by request.
    pub placed: BTreeMap<RequestId, Placed>,
    /// Envelopes that a caller was told are durable, with the node that said so.
    pub acknowledged: BTreeMap<EnvelopeId, usize>,
    /// First answer by node and idempotency key.
    pub remembered: BTreeMap<(usize, String), EnvelopeId>,
    /// Envelopes that honest nodes said as their own, by author and position, with the node that did.
    pub spoken: BTreeMap<(AuthorId, u64), BTreeMap<EnvelopeId, usize>>,
    /// Envelopes seen on any link, honest or not, by author and position: what the world could know.
    pub seen: BTreeMap<(AuthorId, u64), BTreeSet<EnvelopeId>>,
    /// Answers to confirmations that nobody has looked at yet.
    pub confirmed: BTreeMap<RequestId, Result<Tip, ConfirmRefused>>,
    /// The highest envelope of each author that was final at some honest node, by what finality rested on.
    pub finals: BTreeMap<(AuthorId, Digest), Tip>,
    /// Who struck out whom.
    pub struck: Vec<(usize, AuthorKey)>,
    /// Every vote that anybody signed, by the version it is on, in the order of signing.
    pub votes: BTreeMap<CharterId, Vec<Vote>>,
    /// Which versions honest nodes adopted after which.
    pub successors: BTreeMap<CharterId, BTreeSet<CharterId>>,
    /// Every version that was adopted, and the ones before them.
    pub versions: BTreeMap<CharterId, Arc<Charter>>,
    /// The highest of them; of two at one height the first.
    pub highest: Option<Arc<Charter>>,
    /// The first version that an honest node anchored at each height.
    pub anchors: BTreeMap<u32, CharterId>,
    /// The version in force at the heal and the highest round that was open in it.
    pub open_at_heal: Option<(CharterId, u16)>,
    /// Turns of honest nodes so far: what is looked at now and then is looked at by this count.
    pub turns: u64,
}

/// Counts of a run, for reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Steps carried out, by kind.
    pub done: BTreeMap<&'static str, u32>,
    /// Steps that could not be done when their time came.
    pub left_out: u32,
    /// Writes acknowledged.
    pub acknowledged: u32,
    /// Writes refused.
    pub refused: u32,
    /// Starts of processes after a crash.
    pub restarts: u32,
    /// Votes signed.
    pub votes: u32,
    /// Versions of the charter that somebody honest adopted.
    pub sealed: u32,
    /// Authors that are forked at the end.
    pub forks: u32,
    /// Envelopes that an honest node holds at the end.
    pub envelopes: u32,
    /// Inputs handled by replicas.
    pub inputs: u64,
    /// Virtual milliseconds from the heal to convergence.
    pub converged_after_ms: u64,
}
