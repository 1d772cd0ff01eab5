//! The properties of the aid view (DOMAIN 2.11) over what honest replicas hold at the end of a run.
//!
//! A state may hold anything that a member could sign, so each property is checked where it claims something: what is left
//! out is said in its paragraph. Where a property speaks of a statement that is yet to come, that statement is imagined on
//! a copy of the rows (`imagined`); where it speaks of other arrivals, the records are evaluated again. What costs a whole
//! evaluation is done for one nation a state, chosen by its digest.

mod imagined;

use std::collections::BTreeMap;

use comity_protocol::chain::Chain;
use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{Digest, NationId, Timestamp};
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::units::Unit;
use comity_protocol::view::coverage::{CoverageRow, coverage};
use comity_protocol::view::rows::{Head, Standing};
use comity_protocol::view::{View, export, view};

use super::{Violation, elements};

pub use imagined::{p3_cover_narrows_gaps_and_withdrawal_widens_them, p5_conflicts_are_read_pessimistically};

/// Properties that no implemented feature brings about yet, with what each waits for.
pub const NOT_YET: &[(&str, &str)] = &[
    ("P7 live grants fit the capacity of their hub", "slots and grants of hub capacity (part 4)"),
    ("P8 an adopted decision leaves that state only with a fork flag", "proposals and decisions (part 4)"),
    ("P9 a node without a key learns nothing of an item but its envelope", "sealed statements and key grants (part 5)"),
    ("P10 N-2 loses at least what either N-1 loses", "cover without two nations (part 4)"),
];

/// Checks everything below on final states of honest replicas, each once for equal states; returns all that does not hold.
pub fn all(states: &[&State], as_of: Timestamp) -> Vec<Violation> {
    let mut found: Vec<Violation> = p1_equal_records_show_equal_views(states, as_of).err().into_iter().collect();
    let distinct: BTreeMap<Digest, &State> = states.iter().map(|state| (state.state(), *state)).collect();
    for state in distinct.into_values() {
        let shown = view(state, as_of);
        let checks = [
            p1_order_and_repetition_show_nothing(state, &shown),
            p2_parts_sum_to_the_pledge(&shown),
            p3_cover_narrows_gaps_and_withdrawal_widens_them(state, &shown),
            p4_no_nation_changes_what_another_said(state, &shown),
            p5_conflicts_are_read_pessimistically(state, &shown),
            p6_what_is_replayed_changes_nothing(state, &shown),
            p10_a_leaver_takes_only_what_it_has_not_delivered(&shown),
            p11_between_two_deadlines_nothing_changes(state, &shown),
            p12_quantities_convert_back_or_not_at_all(&shown),
        ];
        found.extend(checks.into_iter().filter_map(Result::err));
    }
    found
}

/// P1: the same records show the same view, to everybody and whatever the order of arrival.
///
/// Replicas with equal state digests export the same bytes and show equal views at one moment.
///
/// # Errors
/// Names two replicas, by their place, that differ.
pub fn p1_equal_records_show_equal_views(states: &[&State], as_of: Timestamp) -> Result<(), Violation> {
    let mut alike: BTreeMap<[Digest; 2], Vec<usize>> = BTreeMap::new();
    for (place, state) in states.iter().enumerate() {
        alike.entry([state.state(), state.held()]).or_default().push(place);
    }
    for places in alike.values().filter(|places| places.len() > 1) {
        let told = places.iter().map(|place| {
            let state = states[*place];
            let (shown, ledger) = (view(state, as_of), Ledger::of(state));
            let text = export::jsonl(&ledger, &shown, as_of) + &export::csv(&ledger, &shown, as_of);
            (*place, shown, text)
        });
        all_alike(&told.collect::<Vec<_>>())?;
    }
    Ok(())
}

fn all_alike(told: &[(usize, View, String)]) -> Result<(), Violation> {
    let Some((first, rest)) = told.split_first() else { return Ok(()) };
    let Some(other) = rest.iter().find(|other| (&other.1, &other.2) != (&first.1, &first.2)) else { return Ok(()) };
    let line = first.2.lines().zip(other.2.lines()).find(|(one, two)| one != two);
    let text = format!("replicas {} and {} hold the same and differ: {line:?}", first.0, other.0);
    Err(Violation::new("P1 equal records show equal views", text))
}

/// P1, the other half: the records in another order and twice give the same state and view.
///
/// # Errors
/// Says which of the two differs.
pub fn p1_order_and_repetition_show_nothing(state: &State, shown: &View) -> Result<(), Violation> {
    let mut elements = elements(state, |_| true);
    elements.reverse();
    // Repetition of all would double the cost; every third makes the case.
    let again: Vec<Element> = elements.iter().step_by(3).cloned().collect();
    elements.extend(again);
    let other = evaluate(state.anchor(), elements);
    let differs = |what: &str| {
        let text = format!("the {what} of {} differs when its records arrive in reverse", state.state().short());
        Err(Violation::new("P1 order and repetition show nothing", text))
    };
    if other.state() != state.state() {
        return differs("digest");
    }
    if view(&other, shown.as_of) != *shown { differs("view") } else { Ok(()) }
}

/// P2: the parts of a pledge sum to it: D + T + O + F = max(P, D + T).
///
/// # Errors
/// Names the pledge and its parts.
pub fn p2_parts_sum_to_the_pledge(view: &View) -> Result<(), Violation> {
    for pledge in &view.pledges {
        let sums = &pledge.buckets;
        let moved = u128::from(sums.delivered) + u128::from(sums.in_transit);
        let rest = [sums.to_ship, sums.offered_firm, sums.offered_conditional];
        let parts = moved + rest.into_iter().map(u128::from).sum::<u128>();
        if parts != u128::from(sums.pledged).max(moved) {
            let text = format!("{}: {sums:?}", pledge.head.name);
            return Err(Violation::new("P2 parts sum to the pledge", text));
        }
    }
    for row in &view.requirements {
        let cover = &row.cover;
        let after = cover.gap_firm.saturating_sub(cover.offered_firm);
        let sound = cover.gap_after_offers == after
            && cover.gap_if_all == after.saturating_sub(cover.offered_conditional)
            && (cover.gap_firm == 0 || cover.surplus == 0);
        if !sound {
            let text = format!("{}: {cover:?}", row.head.name);
            return Err(Violation::new("P2 parts sum to the pledge", text));
        }
    }
    Ok(())
}

/// Whether a chain forked, and reaches less far where fewer acknowledge it.
fn stands_by_what_was_seen(state: &State, without: &State, chain: &Chain) -> bool {
    let author = chain.author();
    let witnessed = chain.fork().is_some_and(|fork| state.final_tip(&author).seq >= fork);
    witnessed && without.chain(&author).is_none_or(|less| less.tip() != chain.tip())
}

/// P4: no statement of one nation changes a fact of another's statement: which versions there are, which one counts, when
/// it was said and by whom, whether it stands, and whether it is invalid. What it *counts for* may change, of course.
///
/// The records without all envelopes of one nation are evaluated anew; everything else must read the same. One thing may not:
/// how far a forked chain stands above its freeze point is what the nations saw of it, the one that leaves among them (T5).
///
/// # Errors
/// Names the two nations.
pub fn p4_no_nation_changes_what_another_said(state: &State, shown: &View) -> Result<(), Violation> {
    let nations: Vec<NationId> = state.nations().map(|nation| nation.id).collect();
    let Some(leaver) = chosen(state, &nations) else { return Ok(()) };
    let without = evaluate(state.anchor(), elements(state, |nation| nation != leaver));
    let shown_without = view(&without, shown.as_of);
    for nation in nations.iter().filter(|nation| *nation != leaver) {
        if state.chains_of(nation).any(|chain| stands_by_what_was_seen(state, &without, chain)) {
            continue;
        }
        let rows = state.section(nation).table() == without.section(nation).table();
        if !rows || facts(shown, nation) != facts(&shown_without, nation) {
            let text = format!("what {} said reads otherwise without {}", nation.short(), leaver.short());
            return Err(Violation::new("P4 no nation changes what another said", text));
        }
    }
    Ok(())
}

/// What a view tells of a nation's statements by themselves.
fn facts(view: &View, nation: &NationId) -> Vec<String> {
    let heads = heads(view).into_iter().filter(|head| head.name.nation == *nation);
    let told = heads.map(|head| {
        let Head { name, author, time, status, standing: _, surviving } = head;
        format!("{} {author} {} {status:?} {surviving}", name.pinned(), time.0)
    });
    let invalid = view.invalid.iter().filter(|row| row.name.nation == *nation);
    told.chain(invalid.map(|row| format!("{} {}", row.name.pinned(), row.reason))).collect::<Vec<_>>()
}

fn heads(view: &View) -> Vec<&Head> {
    let mut heads: Vec<&Head> = Vec::new();
    heads.extend(view.requirements.iter().map(|row| &row.head));
    heads.extend(view.pledges.iter().map(|row| &row.head));
    heads.extend(view.accepts.iter().map(|row| &row.head));
    heads.extend(view.declines.iter().map(|row| &row.head));
    heads.extend(view.shipments.iter().map(|row| &row.head));
    heads.extend(view.dispatches.iter().map(|row| &row.head));
    heads.extend(view.losses.iter().map(|row| &row.head));
    heads.extend(view.receipts.iter().map(|row| &row.head));
    heads.extend(view.hubs.iter().map(|row| &row.head));
    heads.extend(view.profiles.iter().map(|row| &row.head));
    heads.extend(view.observations.iter().map(|row| &row.head));
    heads.extend(view.statements.iter().map(|row| &row.head));
    heads.sort_by(|one, two| one.name.cmp(&two.name));
    heads
}

/// P6: what is replayed changes nothing: half of the envelopes, receipts among them, taken in twice more.
///
/// # Errors
/// Says what the replica took for new, or that the view changed.
pub fn p6_what_is_replayed_changes_nothing(state: &State, shown: &View) -> Result<(), Violation> {
    let subset: Vec<Element> = elements(state, |_| true).into_iter().skip(1).step_by(2).collect();
    let mut replayed = state.clone();
    for _ in 0..2 {
        let changes = replayed.admit(subset.clone());
        if !changes.is_empty() {
            return Err(Violation::new("P6 what is replayed changes nothing", format!("taken for new: {changes:?}")));
        }
    }
    if view(&replayed, shown.as_of) == *shown {
        return Ok(());
    }
    Err(Violation::new("P6 what is replayed changes nothing", "the view changed".to_owned()))
}

/// P10: cover without a nation is never more than with it, and the same without one that has nothing to deliver.
///
/// # Errors
/// Names the nation and the requirement.
pub fn p10_a_leaver_takes_only_what_it_has_not_delivered(view: &View) -> Result<(), Violation> {
    let before = coverage(view, None);
    let mut nations: Vec<NationId> = heads(view).iter().map(|head| head.name.nation).collect();
    nations.sort_unstable();
    nations.dedup();
    // A nation that nobody knows has said nothing either.
    nations.push(NationId::ZERO);
    for leaver in nations {
        let gives = |row: &comity_protocol::view::rows::PledgeRow| {
            row.head.name.nation == leaver && row.head.standing == Standing::Counted
        };
        let silent = !view.pledges.iter().any(|row| gives(row) || row.custody.contains_key(&leaver));
        compare_cover(&before, &coverage(view, Some(leaver)), leaver, silent)?;
    }
    Ok(())
}

fn compare_cover(
    before: &[CoverageRow],
    after: &[CoverageRow],
    leaver: NationId,
    silent: bool,
) -> Result<(), Violation> {
    let worse = |(before, after): (&CoverageRow, &CoverageRow)| {
        after.cover_firm > before.cover_firm || after.gap_firm < before.gap_firm || (silent && before != after)
    };
    let broken = before.iter().zip(after).find(|(before, after)| worse((before, after)));
    if before.len() == after.len() && broken.is_none() {
        return Ok(());
    }
    let text = format!("without {}: {broken:?}", leaver.short());
    Err(Violation::new("P10 a leaver takes only what it has not delivered", text))
}

/// P11: between two deadlines nothing changes: the last moment that the view claims to hold at shows the same, and so does
/// one in the middle.
///
/// # Errors
/// Names the moment.
pub fn p11_between_two_deadlines_nothing_changes(state: &State, shown: &View) -> Result<(), Violation> {
    let last = Timestamp(shown.same_until.0.saturating_sub(1));
    let middle = shown.as_of.plus_ms(last.since(shown.as_of) / 2);
    for moment in [middle, last] {
        let mut later = view(state, moment);
        later.as_of = shown.as_of;
        if later != *shown {
            let text = format!("the view of {} is another at {}", shown.as_of.rfc3339(), moment.rfc3339());
            return Err(Violation::new("P11 between two deadlines nothing changes", text));
        }
    }
    Ok(())
}

/// P12: every quantity shown in the unit it was typed in converts back to the same base units, or is not shown in it.
///
/// # Errors
/// Names the quantity and the unit.
pub fn p12_quantities_convert_back_or_not_at_all(view: &View) -> Result<(), Violation> {
    let needs = view.requirements.iter().map(|row| (row.quantity, row.typed_unit.as_str()));
    let offers = view.pledges.iter().map(|row| (row.quantity, row.typed_unit.as_str()));
    let taken = view.accepts.iter().map(|row| (row.quantity, row.typed_unit.as_str()));
    let counted = view.receipts.iter().map(|row| (row.counted, row.typed_unit.as_str()));
    let lines = view.shipments.iter().flat_map(|row| &row.lines).map(|row| (row.quantity, row.typed_unit.as_str()));
    for (base, symbol) in needs.chain(offers).chain(taken).chain(counted).chain(lines) {
        let Some(unit) = Unit::find(symbol) else { continue };
        let Some(amount) = unit.from_base(base).filter(|_| base > 0) else { continue };
        let back = unit.to_base(&amount);
        if back.as_ref() != Ok(&base) {
            let text = format!("{base} is shown as {amount} {symbol}, which is {back:?}");
            return Err(Violation::new("P12 quantities convert back or not at all", text));
        }
    }
    Ok(())
}

/// Returns one of these that the state's digest chooses.
fn chosen<'a, T>(state: &State, all: &'a [T]) -> Option<&'a T> {
    let digit = usize::from(state.state().as_bytes()[0]);
    all.get(digit.checked_rem(all.len())?)
}

#[cfg(test)]
mod tests;
