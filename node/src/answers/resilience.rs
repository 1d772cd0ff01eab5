//! What breaks if somebody drops out, with everybody's codes.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::ids::NationId;
use comity_protocol::resilience::concentration::concentration;
use comity_protocol::resilience::loss::{Loss, hidden_pairs, losses};
use comity_protocol::resilience::network::{Flow, Network};
use comity_protocol::resilience::supply::{Need, Supply};
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::silence::Stance;
use comity_protocol::view::View;
use comity_protocol::view::decision::DecisionState;

use crate::api::model::{
    ConcentrationRow, LossRow, OpenedRow, PairRow, PlaceOut, Resilience, ShareRow, WaitingDecision, rfc3339,
};
use crate::driver::Outlook;

/// Donors named of each concentration.
const TOP: usize = 5;
/// Nations that are to hold a statement before it counts as safe.
const HELD_BY: usize = 3;

/// Returns the answer of `/v1/resilience`.
pub fn resilience(outlook: &Outlook) -> Resilience {
    let (view, ledger) = (outlook.view(), outlook.ledger());
    let names = Names { ledger: &ledger };
    let supply = Supply::of(view);
    let network = Network::of(view);
    let whole = network.flow_without(|_| false);
    let losses = losses(&supply);
    let pairs = hidden_pairs(&supply, &losses).into_iter().map(|pair| PairRow {
        nations: pair.nations.iter().map(|nation| names.code(nation)).collect(),
        weighted: pair.weighted,
        beyond: pair.beyond,
        requirements: pair
            .needs
            .iter()
            .filter_map(|row| Some(view.requirements.get(*row)?.head.name.to_string()))
            .collect(),
    });
    let few = outlook.seen().held_by_fewer(HELD_BY);
    Resilience {
        as_of: rfc3339(outlook.as_of()),
        requirements: u32::try_from(supply.needs.len()).unwrap_or(u32::MAX),
        losses: losses.iter().map(|loss| names.loss(view, loss)).collect(),
        pairs: pairs.collect(),
        concentration: names.concentrations(view, &supply),
        hubs: hubs(view, &network, whole),
        transit: transit(view, &network, whole),
        flow: tonnes(whole),
        decisions: decisions(view),
        held_by_few: few.into_iter().map(|(nation, count)| (names.code(&nation), count)).collect(),
    }
}

struct Names<'a> {
    ledger: &'a Ledger<'a>,
}

impl Names<'_> {
    fn code(&self, nation: &NationId) -> String {
        self.ledger.code(nation)
    }

    fn loss(&self, view: &View, loss: &Loss) -> LossRow {
        let opened = loss.needs.iter().filter_map(|opened| {
            let need = view.requirements.get(opened.row)?;
            Some(OpenedRow {
                requirement: need.head.name.to_string(),
                item: need.item.clone(),
                unit: need.unit.clone(),
                uncovered: opened.uncovered,
                after_offers: opened.after_offers,
                newly: opened.newly,
            })
        });
        let value = loss.value.iter();
        LossRow {
            nation: self.code(&loss.nation),
            weighted: loss.weighted,
            value: value.map(|(currency, sum)| (currency.clone(), u64::try_from(*sum).unwrap_or(u64::MAX))).collect(),
            newly_uncovered: u32::try_from(loss.needs.iter().filter(|need| need.newly).count()).unwrap_or(u32::MAX),
            requirements: opened.collect(),
        }
    }

    fn concentrations(&self, view: &View, supply: &Supply) -> Vec<ConcentrationRow> {
        let row = |need: &Need| view.requirements.get(need.row);
        let needs = || supply.needs.iter().filter_map(row);
        let classes: BTreeSet<String> = needs().map(|need| need.class.clone()).collect();
        let themes: BTreeSet<String> = needs().filter_map(|need| need.theme.clone()).collect();
        let mut rows = vec![self.concentration("all", None, &supply.shares(|_| true))];
        rows.extend(classes.into_iter().map(|class| {
            let shares = supply.shares(|need| row(need).is_some_and(|need| need.class == class));
            self.concentration("class", Some(class), &shares)
        }));
        rows.extend(themes.into_iter().map(|theme| {
            let shares = supply.shares(|need| row(need).is_some_and(|need| need.theme.as_ref() == Some(&theme)));
            self.concentration("theme", Some(theme), &shares)
        }));
        rows.into_iter().flatten().collect()
    }

    fn concentration(
        &self,
        of: &str,
        name: Option<String>,
        shares: &BTreeMap<NationId, u128>,
    ) -> Option<ConcentrationRow> {
        let found = concentration(shares, TOP)?;
        let top = found.top.iter().map(|(nation, share)| ShareRow { nation: self.code(nation), share: *share });
        Some(ConcentrationRow {
            of: of.to_owned(),
            name,
            donors: u32::try_from(found.contributors).unwrap_or(u32::MAX),
            hhi: found.hhi,
            band: found.band().name().to_owned(),
            effective_hundredths: found.effective_hundredths,
            top: top.collect(),
        })
    }
}

fn tonnes(flow: Flow) -> Option<u64> {
    match flow {
        Flow::Tonnes(tonnes) => Some(tonnes),
        Flow::Unbounded => None,
    }
}

fn lost(whole: Flow, without: Flow) -> Option<u64> {
    Some(tonnes(whole)?.saturating_sub(tonnes(without)?))
}

/// The worst first: who cuts most places of need off, then who takes most of the flow.
fn ranked(mut rows: Vec<PlaceOut>) -> Vec<PlaceOut> {
    let rank = |row: &PlaceOut| (row.cut_off.len(), row.flow_lost.unwrap_or(0), row.cut);
    rows.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.place.cmp(&b.place)));
    rows
}

fn hubs(view: &View, network: &Network, whole: Flow) -> Vec<PlaceOut> {
    let cuts: BTreeSet<String> = network.cut_places().into_iter().collect();
    let named: BTreeMap<String, &str> =
        view.hubs.iter().map(|hub| (hub.head.name.to_string(), hub.name.as_str())).collect();
    let passed = network.places.keys();
    let rows = passed.map(|place| PlaceOut {
        place: place.clone(),
        name: named.get(place).map(|name| (*name).to_owned()),
        cut: cuts.contains(place),
        flow_lost: lost(whole, network.flow_without(|out| out == place)),
        cut_off: network.cut_off(|out| out == place).into_iter().filter(|sink| sink != place).collect(),
    });
    ranked(rows.collect())
}

fn transit(view: &View, network: &Network, whole: Flow) -> Vec<PlaceOut> {
    let mut hosted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for hub in &view.hubs {
        let place = hub.head.name.to_string();
        if network.places.contains_key(&place) {
            hosted.entry(&hub.head.name.code).or_default().insert(place);
        }
    }
    let rows = hosted.into_iter().map(|(code, places)| PlaceOut {
        place: code.to_owned(),
        name: None,
        cut: false,
        flow_lost: lost(whole, network.flow_without(|out| places.contains(out))),
        cut_off: network
            .cut_off(|out| places.contains(out))
            .into_iter()
            .filter(|sink| !places.contains(sink))
            .collect(),
    });
    ranked(rows.collect())
}

fn decisions(view: &View) -> Vec<WaitingDecision> {
    let open = view.decisions.iter().filter(|row| match row.state {
        DecisionState::Open | DecisionState::Provisional => true,
        DecisionState::Void
        | DecisionState::Adopted
        | DecisionState::Withdrawn
        | DecisionState::Amended
        | DecisionState::Broken
        | DecisionState::Blocked
        | DecisionState::LapsedUnproven => false,
    });
    open.map(|row| WaitingDecision {
        decision: row.head.name.to_string(),
        title: row.title.clone(),
        deadline: rfc3339(row.deadline),
        waits_for: row
            .parties
            .iter()
            .filter(|party| match party.party.stance {
                Stance::Objected | Stance::Unproven => true,
                Stance::Assented | Stance::KeptSilence => false,
            })
            .map(|party| party.code.clone())
            .collect(),
    })
    .collect()
}
