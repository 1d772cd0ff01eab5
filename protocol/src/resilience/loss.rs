//! What is open without one nation, and where two together are worse than both apart (DOMAIN 2.7, N-1 and N-2).

use std::collections::{BTreeMap, BTreeSet};

use super::supply::{Need, Supply, ppm};
use crate::ids::NationId;

/// What the loss of one nation uncovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who is gone.
    pub nation: NationId,
    /// The needs of which more is open, in the order of the view.
    pub needs: Vec<NeedLoss>,
    /// The sum over them of the share that opens, in millionths, times the need's weight.
    pub weighted: u64,
    /// What its goods that do not come would have been worth, in minor units by currency; goods without a value are left out.
    pub value: BTreeMap<String, u128>,
}

/// What the loss of a nation uncovers of one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedLoss {
    /// The need's place in [`crate::view::View::requirements`].
    pub row: usize,
    /// What opens beyond what is open anyway, in base units.
    pub uncovered: u64,
    /// What of that the firm offers of others do not close.
    pub after_offers: u64,
    /// Whether nothing of it was open before.
    pub newly: bool,
}

/// Two nations whose loss together is worse than the sum of both losses: what one would cover rests on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairLoss {
    /// The two, ascending.
    pub nations: [NationId; 2],
    /// The loss of both, as in [`Loss::weighted`].
    pub weighted: u64,
    /// What it exceeds the sum of both losses by.
    pub beyond: u64,
    /// The needs of which more opens than the sum, in the order of the view.
    pub needs: Vec<usize>,
}

/// Returns the loss of each nation on which anything rests, the worst first; of equals the smaller id first.
pub fn losses(supply: &Supply) -> Vec<Loss> {
    let mut losses: BTreeMap<NationId, Loss> = BTreeMap::new();
    for need in &supply.needs {
        for nation in touching(need) {
            let loss = losses.entry(nation).or_insert_with(|| Loss {
                nation,
                needs: Vec::new(),
                weighted: 0,
                value: BTreeMap::new(),
            });
            add(loss, need);
        }
    }
    let mut ranked: Vec<Loss> = losses.into_values().collect();
    ranked.sort_by(|a, b| b.weighted.cmp(&a.weighted).then_with(|| a.nation.cmp(&b.nation)));
    ranked
}

fn add(loss: &mut Loss, need: &Need) {
    let gone = |nation: &NationId| *nation == loss.nation;
    let nobody = |_: &NationId| false;
    let before = need.gap_without(nobody);
    let uncovered = need.gap_without(gone) - before;
    let after_offers = need.gap_after_offers_without(gone).saturating_sub(need.gap_after_offers_without(nobody));
    for part in &need.parts {
        let lost = part.lost_without(gone);
        if let Some((value, currency)) = part.unit_value.as_ref().filter(|_| lost > 0) {
            let sum = loss.value.entry(currency.clone()).or_insert(0);
            *sum = sum.saturating_add(u128::from(lost) * u128::from(*value));
        }
    }
    if uncovered > 0 || after_offers > 0 {
        loss.weighted = loss.weighted.saturating_add(need.weight * ppm(uncovered, need.quantity));
        loss.needs.push(NeedLoss { row: need.row, uncovered, after_offers, newly: before == 0 && uncovered > 0 });
    }
}

/// Returns the pairs whose loss together is worse than the sum of both, the worst first; of equals the smaller ids first.
///
/// Only nations that stand together behind one need can be such a pair, so the cost grows with the needs and not with all pairs
/// of nations. `losses` are those of the same supply.
pub fn hidden_pairs(supply: &Supply, losses: &[Loss]) -> Vec<PairLoss> {
    let single: BTreeMap<NationId, u64> = losses.iter().map(|loss| (loss.nation, loss.weighted)).collect();
    let of = |nation: &NationId| single.get(nation).copied().unwrap_or(0);
    let mut beyond: BTreeMap<[NationId; 2], (i128, Vec<usize>)> = BTreeMap::new();
    for need in &supply.needs {
        let touching: Vec<NationId> = touching(need).into_iter().collect();
        let before = need.gap_without(|_| false);
        let share = |gap: u64| i128::from(need.weight * ppm(gap - before, need.quantity));
        let alone: Vec<i128> = touching.iter().map(|one| share(need.gap_without(|nation| nation == one))).collect();
        for (at, one) in touching.iter().enumerate() {
            for (and, other) in touching.iter().enumerate().skip(at + 1) {
                let both = share(need.gap_without(|nation| nation == one || nation == other));
                let more = both - alone[at] - alone[and];
                if more != 0 {
                    let (sum, needs) = beyond.entry([*one, *other]).or_default();
                    *sum += more;
                    if more > 0 {
                        needs.push(need.row);
                    }
                }
            }
        }
    }
    let mut pairs: Vec<PairLoss> = beyond
        .into_iter()
        .filter_map(|(nations, (more, needs))| {
            let beyond = u64::try_from(more).ok().filter(|more| *more > 0)?;
            let weighted = of(&nations[0]).saturating_add(of(&nations[1])).saturating_add(beyond);
            Some(PairLoss { nations, weighted, beyond, needs })
        })
        .collect();
    pairs.sort_by(|a, b| b.beyond.cmp(&a.beyond).then_with(|| a.nations.cmp(&b.nations)));
    pairs
}

/// The nations on whom something of a need rests that is not there yet.
fn touching(need: &Need) -> BTreeSet<NationId> {
    let open = need.parts.iter().filter(|part| part.firm() > part.delivered || part.offered > 0);
    open.flat_map(|part| part.custody.keys().copied().chain([part.donor]).chain(part.origin)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::supply::{Part, WHOLE_PPM};

    fn nation(byte: u8) -> NationId {
        NationId::new([byte; 32])
    }

    fn part(donor: u8, [delivered, in_transit, to_ship, offered]: [u64; 4]) -> Part {
        Part {
            row: usize::from(donor),
            donor: nation(donor),
            origin: None,
            delivered,
            in_transit,
            custody: BTreeMap::from([(nation(donor), in_transit)]),
            to_ship,
            offered,
            unit_value: Some((100, "EUR".to_owned())),
        }
    }

    fn need(row: usize, quantity: u64, weight: u64, parts: Vec<Part>) -> Need {
        let firm = parts.iter().map(Part::firm).sum();
        let offered = parts.iter().map(|part| part.offered).sum();
        Need { row, quantity, weight, firm, offered, parts }
    }

    #[test]
    fn what_arrived_stays_and_what_is_promised_goes() {
        // 100 needed: 1 brought 20, has 10 under way and 30 to ship; 2 has 40 to ship; 3 offers 25 more.
        let parts = vec![part(1, [20, 10, 30, 0]), part(2, [0, 0, 40, 0]), part(3, [0, 0, 0, 25])];
        let found = losses(&Supply { needs: vec![need(0, 100, 4, parts)] });
        let of = |byte| found.iter().find(|loss| loss.nation == nation(byte)).expect("it gives something");
        assert_eq!(of(1).needs, [NeedLoss { row: 0, uncovered: 40, after_offers: 15, newly: true }]);
        assert_eq!(of(1).weighted, 4 * 400_000);
        assert_eq!(of(1).value, BTreeMap::from([("EUR".to_owned(), 4_000)]));
        assert_eq!(of(2).needs, [NeedLoss { row: 0, uncovered: 40, after_offers: 15, newly: true }]);
        assert_eq!((of(3).weighted, of(3).needs.len()), (0, 0), "an offer beyond the need is missed by nobody");
        assert_eq!(found.iter().map(|loss| loss.nation).collect::<Vec<_>>(), [nation(1), nation(2), nation(3)]);
    }

    #[test]
    fn surplus_hides_a_loss_until_two_are_gone() {
        // Each of the two covers all: neither is missed alone, and both together are.
        let parts = vec![part(1, [0, 0, 100, 0]), part(2, [0, 0, 100, 0]), part(3, [0, 0, 0, 0])];
        let supply = Supply { needs: vec![need(7, 100, 4, parts)] };
        assert!(losses(&supply).iter().all(|loss| loss.weighted == 0));
        let pairs = hidden_pairs(&supply, &losses(&supply));
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            (pairs[0].nations, pairs[0].beyond, &pairs[0].needs),
            ([nation(1), nation(2)], 4 * WHOLE_PPM, &vec![7])
        );
    }

    #[test]
    fn goods_under_way_are_lost_with_whoever_holds_them() {
        let mut handed_over = part(1, [0, 50, 0, 0]);
        handed_over.custody = BTreeMap::from([(nation(2), 30), (nation(1), 20)]);
        let found = losses(&Supply { needs: vec![need(0, 50, 1, vec![handed_over])] });
        let uncovered =
            |byte| found.iter().find(|loss| loss.nation == nation(byte)).expect("it holds some").needs[0].uncovered;
        assert_eq!((uncovered(1), uncovered(2)), (20, 30));
    }

    #[test]
    fn goods_of_anothers_origin_rest_on_both() {
        let mut foreign = part(1, [0, 30, 70, 0]);
        foreign.origin = Some(nation(2));
        let found = losses(&Supply { needs: vec![need(0, 100, 1, vec![foreign])] });
        let uncovered =
            |byte| found.iter().find(|loss| loss.nation == nation(byte)).expect("it matters").needs[0].uncovered;
        assert_eq!((uncovered(1), uncovered(2)), (100, 70), "what left already needs no consent any more");
    }

    /// Against the definition, over every small supply of a grid.
    #[test]
    fn pairs_are_exactly_those_worse_than_the_sum() {
        for pattern in 0..4_u64.pow(4) {
            let amount = |place: u32| (pattern / 4_u64.pow(place) % 4) * 40;
            let parts = (0..3).map(|donor| part(donor + 1, [0, 0, amount(u32::from(donor)), 0])).collect::<Vec<_>>();
            let parts2 = vec![part(1, [0, 0, amount(3), 0]), part(2, [0, 0, 60, 0])];
            let supply = Supply { needs: vec![need(0, 100, 2, parts), need(1, 90, 3, parts2)] };
            let whole = |gone: &[u8]| -> u64 {
                let gone: Vec<NationId> = gone.iter().map(|byte| nation(*byte)).collect();
                let is_gone = |nation: &NationId| gone.contains(nation);
                let open = |need: &Need| need.gap_without(is_gone) - need.gap_without(|_| false);
                supply.needs.iter().map(|need| need.weight * ppm(open(need), need.quantity)).sum()
            };
            let pairs = hidden_pairs(&supply, &losses(&supply));
            for (one, other) in [(1, 2), (1, 3), (2, 3)] {
                let both = whole(&[one, other]);
                let beyond = both.saturating_sub(whole(&[one]) + whole(&[other]));
                let found = pairs.iter().find(|pair| pair.nations == [nation(one), nation(other)]);
                assert_eq!(found.map_or(0, |pair| pair.beyond), beyond, "pattern {pattern}, {one} and {other}");
                assert!(found.is_none_or(|pair| pair.weighted == both), "pattern {pattern}");
            }
        }
    }
}
