//! What follows from what was said: a pure function of the ledger and a moment (DOMAIN R3).
//!
//! Five passes: every record's version that counts is read (`read`), pledges and answers are linked (`answers`), shipments
//! with what moved (`movement`, `line`), quantities are put into buckets and summed (`cover`), and all of it becomes rows
//! (`assemble`). No pass depends on the order in which statements arrived, and none looks further than its joins.

pub mod rows;
pub mod goods;
pub mod coverage;
pub mod decision;
pub mod export;
mod flags;
mod read;
mod struck;
mod answers;
mod line;
mod movement;
mod cover;
mod assemble;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::evaluate::State;
use crate::ids::Timestamp;
use crate::statement::ledger::Ledger;
use crate::statement::silence::Silence;
use assemble::Assembly;
use cover::{ReadingPledges, Sums};
use decision::{AnswerRow, Decided, DecisionRow};
use flags::Flags;
use goods::{DispatchRow, LossRow, ReceiptRow, ShipmentRow};
use rows::{
    AcceptOutcome, AcceptRow, DeclineRow, Flag, HubRow, InvalidRow, ObservationRow, PledgeRow, ProfileRow,
    RequirementRow,
};

/// Everything shown of a ledger at one moment; each list in R8 order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The moment.
    pub as_of: Timestamp,
    /// The next moment at which a clock alone may change something: the day ends, or a claimed time is no longer ahead.
    pub same_until: Timestamp,
    /// Needs with their cover.
    pub requirements: Vec<RequirementRow>,
    /// Offers with their buckets.
    pub pledges: Vec<PledgeRow>,
    /// Acceptances.
    pub accepts: Vec<AcceptRow>,
    /// Refusals.
    pub declines: Vec<DeclineRow>,
    /// Shipments with what became of each line.
    pub shipments: Vec<ShipmentRow>,
    /// Dispatches.
    pub dispatches: Vec<DispatchRow>,
    /// Losses.
    pub losses: Vec<LossRow>,
    /// Receipts.
    pub receipts: Vec<ReceiptRow>,
    /// Hubs.
    pub hubs: Vec<HubRow>,
    /// Profiles.
    pub profiles: Vec<ProfileRow>,
    /// Observations.
    pub observations: Vec<ObservationRow>,
    /// Every version of every proposal, by deadline.
    pub decisions: Vec<DecisionRow>,
    /// Answers to proposals.
    pub answers: Vec<AnswerRow>,
    /// Records whose version that counts is invalid.
    pub invalid: Vec<InvalidRow>,
    /// What needs an eye, by code and then by statement.
    pub flags: Vec<Flag>,
}

/// Computes the view of a state at a moment.
pub fn view(state: &State, as_of: Timestamp) -> View {
    View::of(&Ledger::of(state).with_silence(Arc::new(Silence::of(state))), as_of)
}

impl View {
    /// Whether the view of the same ledger at `as_of` differs from this in the moment only (P11).
    pub fn holds_at(&self, as_of: Timestamp) -> bool {
        (self.as_of..self.same_until).contains(&as_of)
    }

    /// Computes the view of a ledger at a moment.
    pub fn of(ledger: &Ledger<'_>, as_of: Timestamp) -> Self {
        let mut flags = Flags::default();
        let mut reading = read::read(ledger, as_of, &mut flags);
        struck::flag(ledger, &mut flags);
        let links = answers::link(&mut reading, &mut flags);
        let movement = movement::gather(ledger, &mut reading, &links, &mut flags);
        let mut states = Vec::with_capacity(reading.pledges.len());
        let mut buckets = Vec::with_capacity(reading.pledges.len());
        for (pledge, (answered, moved)) in reading.pledges.iter().zip(links.answered.iter().zip(&movement.moved)) {
            let (state, sums) = cover::pledge(pledge, answered, moved, as_of);
            states.push(state);
            buckets.push(sums);
        }
        cover::count_once(&mut reading.pledges, &states, &mut buckets, &mut flags);
        let mut pledges_of: Vec<Vec<usize>> = vec![Vec::new(); reading.requirements.len()];
        for (pledge, requirement) in links.requirement_of.iter().enumerate() {
            if let Some(requirement) = requirement {
                pledges_of[*requirement].push(pledge);
            }
        }
        let mut accepts_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (accept, pledge) in links.accept_of.iter().enumerate() {
            if let (Some(pledge), AcceptOutcome::Stands) = (pledge, links.outcomes[accept]) {
                accepts_of.entry(*pledge).or_default().push(accept);
            }
        }
        let accepts: Vec<rows::Name> = reading.accepts.iter().map(|accept| accept.name.clone()).collect();
        let mut pledges = ReadingPledges { pledges: &mut reading.pledges, accepts: &accepts };
        let covered: Vec<cover::Covered> = reading
            .requirements
            .iter()
            .zip(&pledges_of)
            .map(|(requirement, places)| {
                let sums = Sums { requirement, pledges: places, accepts: &accepts_of };
                cover::requirement(&sums, &mut pledges, &links, &buckets, as_of, &mut flags)
            })
            .collect();
        let decided = decision::decide(ledger, &mut reading, as_of, &mut flags);
        let (flags, named) = flags.finish();
        let invalid = std::mem::take(&mut reading.invalid);
        let assembly = Assembly {
            ledger,
            as_of,
            reading: &reading,
            links: &links,
            movement,
            states: &states,
            buckets: &buckets,
            named: &named,
        };
        assembled(&assembly, covered, pledges_of, decided, invalid, flags)
    }
}

fn assembled(
    assembly: &Assembly<'_, '_>,
    covered: Vec<cover::Covered>,
    pledges_of: Vec<Vec<usize>>,
    decided: Decided,
    invalid: Vec<InvalidRow>,
    flags: Vec<Flag>,
) -> View {
    let reading = assembly.reading;
    let until = reading.same_until(assembly.as_of);
    let same_until = decision::same_until(&decided.decisions, assembly.as_of).map_or(until, |moment| moment.min(until));
    let requirements = reading.requirements.iter().zip(covered).zip(pledges_of);
    View {
        as_of: assembly.as_of,
        same_until,
        requirements: requirements
            .map(|((item, covered), pledges)| assembly.requirement(item, covered, pledges))
            .collect(),
        pledges: placed(&reading.pledges, |at, item| assembly.pledge(at, item)),
        accepts: placed(&reading.accepts, |at, item| assembly.accept(at, item)),
        declines: placed(&reading.declines, |at, item| assembly.decline(at, item)),
        shipments: placed(&reading.shipments, |at, item| assembly.shipment(at, item)),
        dispatches: placed(&reading.dispatches, |at, item| assembly.dispatch(at, item)),
        losses: placed(&reading.losses, |at, item| assembly.loss(at, item)),
        receipts: placed(&reading.receipts, |at, item| assembly.receipt(at, item)),
        hubs: reading.hubs.iter().map(assemble::hub).collect(),
        profiles: reading.profiles.iter().map(assemble::profile).collect(),
        observations: reading.observations.iter().map(|item| assembly.observation(item)).collect(),
        decisions: decided.decisions,
        answers: decided.answers,
        invalid,
        flags,
    }
}

fn placed<T, R>(items: &[T], row: impl Fn(usize, &T) -> R) -> Vec<R> {
    items.iter().enumerate().map(|(at, item)| row(at, item)).collect()
}
