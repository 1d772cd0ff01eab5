//! What breaks if somebody drops out, in words.

use comity_node::api::model::{ConcentrationRow, LossRow, PlaceOut, Resilience};
use comity_protocol::statement::visible;

use crate::table::{Column, number, table};

/// Shares of needs are shown in hundredths of one whole need.
const HUNDREDTH_PPM: u64 = 10_000;

/// Returns the report, `top` rows of each table.
pub fn in_words(found: &Resilience, top: usize) -> String {
    let mut parts = vec![format!(
        "as of {}: {} requirements stand\nweighted: needs that open, each by the share of it that opens times 5 less its priority",
        found.as_of, found.requirements
    )];
    parts.push(losses(found, top));
    if !found.pairs.is_empty() {
        parts.push(pairs(found, top));
    }
    parts.push(concentration(&found.concentration, top));
    if !found.hubs.is_empty() {
        let flow = found.flow.map_or("no limit is stated".to_owned(), |flow| format!("{} t/day", number(flow)));
        parts.push(format!("gets through    {flow}\n{}", places("WITHOUT HUB", &found.hubs, top)));
    }
    if !found.transit.is_empty() {
        parts.push(places("WITHOUT TRANSIT THROUGH", &found.transit, top));
    }
    parts.extend(decisions(found, top));
    if !found.held_by_few.is_empty() {
        let few: Vec<String> = found.held_by_few.iter().map(|(nation, count)| format!("{nation} {count}")).collect();
        parts.push(format!("statements known to be held by fewer than three nations: {}", few.join(", ")));
    }
    parts.join("\n\n")
}

fn losses(found: &Resilience, top: usize) -> String {
    let rows = found.losses.iter().take(top).map(|row| {
        vec![row.nation.clone(), weighted(row.weighted), row.newly_uncovered.to_string(), value(row), opened(row)]
    });
    let columns = [
        Column::Left("WITHOUT"),
        Column::Right("WEIGHTED"),
        Column::Right("NEWLY UNCOVERED"),
        Column::Left("GOODS WORTH"),
        Column::Left("WORST"),
    ];
    table(&columns, rows.collect(), "nothing rests on anybody yet")
}

/// Returns hundredths of whole needs.
fn weighted(ppm: u64) -> String {
    let hundredths = ppm / HUNDREDTH_PPM;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn value(row: &LossRow) -> String {
    let sums: Vec<String> =
        row.value.iter().map(|(currency, minor)| format!("{} {currency}", number(minor / 100))).collect();
    sums.join(", ")
}

/// The requirement of which most opens, for people who ask what that number is made of.
fn opened(row: &LossRow) -> String {
    let worst = row.requirements.iter().filter(|opened| opened.uncovered > 0).max_by_key(|opened| opened.uncovered);
    worst.map_or_else(String::new, |opened| {
        format!("{} {} of {}", number(opened.uncovered), opened.unit, opened.requirement)
    })
}

fn pairs(found: &Resilience, top: usize) -> String {
    let rows = found.pairs.iter().take(top).map(|row| {
        vec![row.nations.join(" "), weighted(row.weighted), weighted(row.beyond), row.requirements.join(" ")]
    });
    let columns = [
        Column::Left("WITHOUT BOTH"),
        Column::Right("WEIGHTED"),
        Column::Right("BEYOND THE SUM"),
        Column::Left("REQUIREMENTS"),
    ];
    table(&columns, rows.collect(), "")
}

fn concentration(rows: &[ConcentrationRow], top: usize) -> String {
    let rows = rows.iter().take(top).map(|row| {
        let shares: Vec<String> = row
            .top
            .iter()
            .map(|share| format!("{} {}.{:02} %", share.nation, share.share / 100, share.share % 100))
            .collect();
        vec![
            row.name.as_ref().map_or_else(|| row.of.clone(), |name| format!("{} {}", row.of, visible(name))),
            row.donors.to_string(),
            format!("{}.{:04}", row.hhi / 10_000, row.hhi % 10_000),
            row.band.clone(),
            format!("{}.{:02}", row.effective_hundredths / 100, row.effective_hundredths % 100),
            shares.join(", "),
        ]
    });
    let columns = [
        Column::Left("COVER OF"),
        Column::Right("DONORS"),
        Column::Right("HHI"),
        Column::Left("BAND"),
        Column::Right("EFFECTIVE"),
        Column::Left("LARGEST"),
    ];
    table(&columns, rows.collect(), "nobody covers anything yet")
}

fn places(what: &'static str, rows: &[PlaceOut], top: usize) -> String {
    let rows = rows.iter().take(top).map(|row| {
        vec![
            row.name
                .as_ref()
                .map_or_else(|| visible(&row.place), |name| format!("{} ({})", visible(&row.place), visible(name))),
            if row.cut { "falls apart".to_owned() } else { String::new() },
            row.flow_lost.map_or_else(|| "not known".to_owned(), number),
            visible(&row.cut_off.join(" ")),
        ]
    });
    let columns = [Column::Left(what), Column::Left("NETWORK"), Column::Right("T/DAY LOST"), Column::Left("CUT OFF")];
    table(&columns, rows.collect(), "")
}

fn decisions(found: &Resilience, top: usize) -> Option<String> {
    let waiting = found.decisions.iter().filter(|row| !row.waits_for.is_empty()).take(top);
    let lines: Vec<String> = waiting
        .map(|row| format!("{} ({}) waits for {}", row.decision, visible(&row.title), row.waits_for.join(" ")))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
