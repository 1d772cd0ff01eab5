//! What follows from what was said: a pure function of the ledger and a moment (DOMAIN R3).
//!
//! Passes, one after the other: every record's version that counts is read (`read`), pledges and answers are linked
//! (`answers`), shipments with what moved (`movement`, `line`), pledges with the stock and consent behind them (`supply`),
//! quantities are put into buckets and summed (`cover`, `phase`), hubs are filled (`passage`), custody is followed
//! (`custody`), differences are settled (`settlement`), and all of it becomes rows (`assemble`, `statements`). No pass depends on the order in which statements arrived, and none looks further than its joins.

pub mod rows;
pub mod goods;
pub mod coverage;
pub mod decision;
pub mod export;
mod flags;
mod read;
mod struck;
mod pause;
mod answers;
mod line;
mod movement;
pub mod supply;
pub mod phase;
mod cover;
pub mod passage;
pub mod custody;
pub mod settlement;
pub mod statements;
pub mod money;
mod assemble;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::evaluate::State;
use crate::ids::Timestamp;
use crate::statement::conversion::Conversions;
use crate::statement::ledger::Ledger;
use crate::statement::silence::Silence;
use answers::{Grounds, Links};
use assemble::Assembly;
use cover::{ReadingPledges, Sums};
use decision::{AnswerRow, Decided, DecisionRow};
use flags::Flags;
use goods::{DispatchRow, LossRow, ReceiptRow, ShipmentRow};
use movement::Movement;
use passage::{AllotmentRow, Passage, PermitRow, SlotRow};
use pause::Pauses;
use read::Reading;
use rows::{
    AcceptOutcome, AcceptRow, DeclineRow, Flag, HubRow, InvalidRow, ObservationRow, PledgeRow, ProfileRow,
    RequirementRow,
};
use settlement::DiscrepancyRow;
use statements::{FxRow, StatementRow, States, TopicRow, ValuationRow};
use supply::{Backing, ConsentRow, FundRow, LotRow};

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
    /// Stock lots with what is drawn on them.
    pub lots: Vec<LotRow>,
    /// Consents of nations of origin.
    pub consents: Vec<ConsentRow>,
    /// Money for pledges.
    pub funds: Vec<FundRow>,
    /// Slots: requests with what became of them.
    pub slots: Vec<SlotRow>,
    /// Shares of hubs.
    pub allotments: Vec<AllotmentRow>,
    /// Transit permits.
    pub permits: Vec<PermitRow>,
    /// Lines of which something else arrived than left, by shipment and line.
    pub discrepancies: Vec<DiscrepancyRow>,
    /// Topics.
    pub topics: Vec<TopicRow>,
    /// Tables of rates.
    pub fx_tables: Vec<FxRow>,
    /// Valuations.
    pub valuations: Vec<ValuationRow>,
    /// Every statement of a kind that has no list above by which it is known: kind by kind, each in R8 order.
    pub statements: Vec<StatementRow>,
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
        let pauses = Pauses::of(&reading, as_of);
        let endorsed = phase::endorse(&mut reading, &mut flags);
        let mut promised = promise(ledger, &mut reading, &pauses, as_of, &mut flags);
        let (funding, funds) = supply::fund(&mut reading, &promised.links, ledger, &mut flags);
        let passage = passage::pass(ledger, &mut reading, &pauses, as_of, &mut flags);
        let held = custody::hold(ledger, &mut reading, &mut promised.movement, &passage.permits, as_of, &mut flags);
        let discrepancies = settlement::settle(&mut reading, &promised.links, &promised.movement, as_of, &mut flags);
        let decided = decision::decide(ledger, &mut reading, as_of, &mut flags);
        let (flags, named) = flags.finish();
        let statements = statements::rows(&States {
            reading: &reading,
            pauses: &pauses,
            passage: &passage,
            held: &held,
            discrepancies: &discrepancies,
            consents: &promised.backing.consents,
            consent: &promised.backing.consent,
            funds: &funds,
            funding: &funding,
        });
        let invalid = std::mem::take(&mut reading.invalid);
        let assembly = Assembly {
            ledger,
            as_of,
            reading: &reading,
            places: read::index(&reading.pledges),
            links: &promised.links,
            movement: &promised.movement,
            states: &promised.states,
            buckets: &promised.buckets,
            named: &named,
            consent: &promised.backing.consent,
            funding: &funding,
            held: &held,
            custody: &custody::by_pledge(&promised.movement),
            closed: &settlement::closed(&discrepancies),
            endorsed: &endorsed,
        };
        let found = Found {
            covered: promised.covered,
            pledges_of: promised.pledges_of,
            lots: promised.backing.lots,
            consents: promised.backing.consents,
            funds,
            passage,
            discrepancies,
            statements,
            decided,
            invalid,
            flags,
        };
        assembled(&assembly, found)
    }
}

/// What pledges come to.
struct Promised {
    links: Links,
    movement: Movement,
    states: Vec<rows::PledgeState>,
    buckets: Vec<rows::Buckets>,
    backing: Backing,
    covered: Vec<cover::Covered>,
    pledges_of: Vec<Vec<usize>>,
}

fn promise<'a>(
    ledger: &Ledger<'a>,
    reading: &mut Reading<'a>,
    pauses: &Pauses<'a>,
    as_of: Timestamp,
    flags: &mut Flags,
) -> Promised {
    let conversions = Conversions::of(ledger);
    let links = answers::link(reading, &Grounds { pauses, conversions: &conversions }, flags);
    let movement = movement::gather(ledger, reading, &links, &conversions, flags);
    let bucket = |reading: &Reading<'_>, room: &[Option<u128>]| -> (Vec<_>, Vec<_>) {
        let pledges = reading.pledges.iter().enumerate();
        let each = pledges.map(|(at, pledge)| {
            let ends = (links.paused[at], room.get(at).copied().flatten());
            cover::pledge(pledge, &links.answered[at], &movement.moved[at], ends, as_of)
        });
        each.unzip()
    };
    let (_, unbacked) = bucket(reading, &[]);
    let ground = supply::Ground { ledger, movement: &movement, buckets: &unbacked, conversions: &conversions, as_of };
    let backing = supply::back(reading, &ground, flags);
    let (states, mut buckets) = bucket(reading, &backing.room);
    cover::count_once(&mut reading.pledges, &states, &mut buckets, flags);
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
    let arrivals = phase::arrivals(reading, &movement);
    let mut pledges = ReadingPledges { pledges: &mut reading.pledges, accepts: &accepts, arrivals: &arrivals };
    let cover = |(requirement, places): (_, &Vec<usize>)| {
        let sums = Sums { requirement, pledges: places, accepts: &accepts_of };
        cover::requirement(&sums, &mut pledges, &links, &buckets, as_of, flags)
    };
    let covered = reading.requirements.iter().zip(&pledges_of).map(cover).collect();
    Promised { links, movement, states, buckets, backing, covered, pledges_of }
}

/// What the passes found, beside what an [`Assembly`] makes rows from.
struct Found {
    covered: Vec<cover::Covered>,
    pledges_of: Vec<Vec<usize>>,
    lots: Vec<LotRow>,
    consents: Vec<ConsentRow>,
    funds: Vec<FundRow>,
    passage: Passage,
    discrepancies: Vec<DiscrepancyRow>,
    statements: Vec<StatementRow>,
    decided: Decided,
    invalid: Vec<InvalidRow>,
    flags: Vec<Flag>,
}

fn assembled(assembly: &Assembly<'_, '_>, found: Found) -> View {
    let reading = assembly.reading;
    let moments = [
        Some(reading.same_until(assembly.as_of)),
        decision::same_until(&found.decided.decisions, assembly.as_of),
        assembly.held.until,
    ];
    let same_until = moments.into_iter().flatten().min().unwrap_or(assembly.as_of);
    let requirements = reading.requirements.iter().zip(found.covered).zip(found.pledges_of).enumerate();
    View {
        as_of: assembly.as_of,
        same_until,
        requirements: requirements
            .map(|(at, ((item, covered), pledges))| assembly.requirement(at, item, covered, pledges))
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
        lots: found.lots,
        consents: found.consents,
        funds: found.funds,
        slots: found.passage.slots,
        allotments: found.passage.allotments,
        permits: found.passage.permits,
        discrepancies: found.discrepancies,
        topics: statements::topics(reading),
        fx_tables: statements::fx_tables(reading),
        valuations: statements::valuations(reading),
        statements: found.statements,
        decisions: found.decided.decisions,
        answers: found.decided.answers,
        invalid: found.invalid,
        flags: found.flags,
    }
}

fn placed<T, R>(items: &[T], row: impl Fn(usize, &T) -> R) -> Vec<R> {
    items.iter().enumerate().map(|(at, item)| row(at, item)).collect()
}
