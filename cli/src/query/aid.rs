//! The aid record in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comity_node::api::model::{Board, BoardRow, Explanation, FlagRow, Flags, Gaps, Listing, RecordRow, Shown};
use comity_protocol::statement::units::Unit;
use comity_protocol::statement::visible;
use serde_json::Value;

use super::node::seen;
use crate::output::now_jiff;
use crate::table::{Column, ago, dash, number, short, table};

/// The unit each requirement was typed in, by its reference: text shows quantities in it, JSON in the base unit.
pub type Units = BTreeMap<String, String>;

/// Returns the units of a listing of requirements.
pub fn units(requirements: &Listing) -> Units {
    let unit = |row: &RecordRow| Some((row.record.clone(), row.fields.get("unit")?.as_str()?.to_owned()));
    requirements.rows.iter().filter_map(unit).collect()
}

/// A unit in which every quantity of one line is a short decimal number.
struct Scale {
    unit: Option<Unit>,
    symbol: String,
}

impl Scale {
    /// Takes the requirement's own unit, or the base unit where that would not show `quantities` exactly.
    fn of(requirement: &str, units: &Units, base: &str, quantities: &[u64]) -> Self {
        let unit = units.get(requirement).and_then(|symbol| Unit::find(symbol));
        let exact = unit.filter(|unit| quantities.iter().all(|quantity| unit.from_base(*quantity).is_some()));
        match exact {
            Some(unit) => Self { unit: Some(unit), symbol: unit.symbol.to_owned() },
            None => Self { unit: None, symbol: base.to_owned() },
        }
    }

    fn amount(&self, base: u64) -> String {
        let scaled = self.unit.and_then(|unit| unit.from_base(base));
        match scaled {
            Some(text) => text.parse().map_or(text, number),
            None => number(base),
        }
    }
}

/// Returns `board` as a table of requirements with their pledges below them.
pub fn board(board: &Board, units: &Units) -> String {
    let mut rows = Vec::new();
    for row in &board.rows {
        let cover = &row.cover;
        let shown = [cover.quantity, cover.delivered, cover.in_transit, cover.to_ship, cover.gap_firm];
        let scale = Scale::of(&row.requirement, units, &cover.unit, &shown);
        rows.push(requirement_line(row, &scale));
        for pledge in &row.pledges {
            let buckets = &pledge.buckets;
            rows.push(vec![
                format!("  {}", pledge.pledge),
                String::new(),
                scale.amount(buckets.pledged),
                scale.amount(buckets.delivered),
                scale.amount(buckets.in_transit),
                scale.amount(buckets.to_ship),
                scale.amount(buckets.offered_firm + buckets.offered_conditional),
                String::new(),
                String::new(),
                pledge.state.clone(),
                pledge.flags.join(" "),
            ]);
        }
    }
    let columns = [
        Column::Left("REQUIREMENT / PLEDGE"),
        Column::Left("ITEM"),
        Column::Right("QUANTITY"),
        Column::Right("DELIVERED"),
        Column::Right("TRANSIT"),
        Column::Right("TO SHIP"),
        Column::Right("OFFERED"),
        Column::Right("GAP"),
        Column::Left("UNIT"),
        Column::Left("STATE"),
        Column::Left("FLAGS"),
    ];
    let text = table(&columns, rows, "no requirements");
    let silent: Vec<&str> = board.age.nations.iter().filter(|row| row.silent).map(|row| row.nation.as_str()).collect();
    let text = match (&board.age.words, silent.as_slice()) {
        (Some(words), _) => format!("WARNING: {words}\n{text}"),
        (None, []) => text,
        (None, silent) => format!("not heard of lately: {}\n{text}", silent.join(", ")),
    };
    with_moment(&board.as_of, &text)
}

fn requirement_line(row: &BoardRow, scale: &Scale) -> Vec<String> {
    let cover = &row.cover;
    vec![
        row.requirement.clone(),
        row.item.clone(),
        scale.amount(cover.quantity),
        scale.amount(cover.delivered),
        scale.amount(cover.in_transit),
        scale.amount(cover.to_ship),
        scale.amount(cover.offered + cover.offered_conditional),
        scale.amount(cover.gap_firm),
        scale.symbol.clone(),
        std::iter::once(row.state.as_str())
            .chain(row.overlays.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(", "),
        row.flags.join(" "),
    ]
}

/// Returns `gaps` as a table; requirements without a gap only where `all` asks for them.
pub fn gaps(gaps: &Gaps, all: bool, units: &Units) -> String {
    let rows = gaps.rows.iter().filter(|row| all || row.gap_firm > 0).map(|row| {
        let shown = [row.quantity, row.delivered, row.in_transit, row.to_ship, row.offered, row.gap_firm];
        let scale = Scale::of(&row.requirement, units, &row.unit, &shown);
        vec![
            row.requirement.clone(),
            row.item.clone(),
            scale.amount(row.quantity),
            scale.amount(row.delivered),
            scale.amount(row.in_transit),
            scale.amount(row.to_ship),
            scale.amount(row.offered),
            scale.amount(row.gap_firm),
            scale.amount(row.gap_after_offers),
            scale.amount(row.gap_if_all),
            scale.symbol.clone(),
            row.flags.join(" "),
        ]
    });
    let columns = [
        Column::Left("REQUIREMENT"),
        Column::Left("ITEM"),
        Column::Right("NEEDED"),
        Column::Right("DELIVERED"),
        Column::Right("TRANSIT"),
        Column::Right("TO SHIP"),
        Column::Right("OFFERED"),
        Column::Right("GAP"),
        Column::Right("AFTER OFFERS"),
        Column::Right("IF ALL"),
        Column::Left("UNIT"),
        Column::Left("FLAGS"),
    ];
    with_moment(&gaps.as_of, &table(&columns, rows.collect(), "nothing is missing"))
}

/// Returns `flags` as a table.
pub fn flags(flags: &Flags) -> String {
    with_moment(&flags.as_of, &flag_table(&flags.rows))
}

fn flag_table(rows: &[FlagRow]) -> String {
    let rows = rows.iter().map(|row| {
        vec![
            row.case.clone(),
            row.name.clone(),
            row.statements.join(" "),
            if row.clears.is_empty() { "clears itself".to_owned() } else { row.clears.join(" ") },
            dash(row.detail.as_deref()),
        ]
    });
    let columns = [
        Column::Left("CASE"),
        Column::Left("FLAG"),
        Column::Left("STATEMENTS"),
        Column::Left("CLEARED BY"),
        Column::Left("DETAIL"),
    ];
    table(&columns, rows.collect(), "no flags")
}

/// Returns the records of one kind as a table.
pub fn listing(listing: &Listing) -> String {
    let now = now_jiff();
    let rows = listing.rows.iter().map(|row| {
        vec![
            row.record.clone(),
            state_of(row),
            summary(row),
            ago(&row.time, now),
            if row.surviving > 1 { format!("{} versions", row.surviving) } else { short(&row.version) },
            seen(&row.witnessed),
            row.flags.join(" "),
        ]
    });
    let columns = [
        Column::Left("RECORD"),
        Column::Left("STATE"),
        Column::Left("SAYS"),
        Column::Left("CLAIMED"),
        Column::Left("VERSION"),
        Column::Left("SEEN BY"),
        Column::Left("FLAGS"),
    ];
    with_moment(&listing.as_of, &table(&columns, rows.collect(), "none"))
}

fn state_of(row: &RecordRow) -> String {
    match (&row.invalid, &row.state) {
        (Some(reason), _) => format!("invalid: {reason}"),
        (None, Some(state)) => state.clone(),
        (None, None) => row.status.clone(),
    }
}

/// The fields a person looks for first, in this order.
const SUMMARY: [&str; 12] = [
    "item",
    "name",
    "quantity",
    "counted",
    "unit",
    "requirement",
    "pledge",
    "shipment",
    "deliver_to",
    "needed_by",
    "deliver_by",
    "reason",
];

fn summary(row: &RecordRow) -> String {
    let said = SUMMARY.iter().filter_map(|name| row.fields.get(*name)).map(plain);
    said.collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns one statement in words.
pub fn shown(shown: &Shown) -> String {
    let record = &shown.record;
    let mut text = format!("{}\n", record.record);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<20} {}", visible(value));
    };
    line("version", &record.version);
    line("claimed", &record.time);
    line("state", &state_of(record));
    line("seen by", &seen(&record.witnessed));
    for (name, value) in &record.fields {
        line(name, &plain(value));
    }
    if let Some(buckets) = &record.buckets {
        line(
            "buckets",
            &format!(
                "delivered {}, in transit {}, to ship {}, offered {} + {} conditional ({})",
                number(buckets.delivered),
                number(buckets.in_transit),
                number(buckets.to_ship),
                number(buckets.offered_firm),
                number(buckets.offered_conditional),
                buckets.unit
            ),
        );
    }
    if let Some(cover) = &record.cover {
        line(
            "gap",
            &format!(
                "{} firm, {} after offers, {} if all ({})",
                number(cover.gap_firm),
                number(cover.gap_after_offers),
                number(cover.gap_if_all),
                cover.unit
            ),
        );
    }
    for referrer in &shown.referred_by {
        line("referred to by", referrer);
    }
    if shown.versions.len() > 1 {
        let _ = writeln!(text, "versions, newest first:");
        for version in shown.versions.iter().rev() {
            let standing = if version.replaced { "replaced" } else { "stands" };
            let seen = seen(&version.witnessed);
            let _ = writeln!(text, "  {} {} {standing}, seen by {seen}", version.time, version.version);
        }
    }
    if !shown.flags.is_empty() {
        let _ = writeln!(text, "{}", flag_table(&shown.flags));
    }
    with_moment(&shown.as_of, text.trim_end())
}

/// Returns why something stands as it does, in words.
pub fn explanation(explained: &Explanation) -> String {
    let mut text = format!(
        "{}\nenvelope {} is number {} of node {} of {}, claimed at {}\nit is {}",
        explained.subject,
        explained.envelope,
        number(explained.seq),
        short(&explained.node),
        explained.nation,
        explained.time,
        explained.standing
    );
    if let Some(verdict) = &explained.verdict {
        let _ = write!(text, ", its change is {verdict}");
    }
    if let Some(reason) = &explained.reason {
        let _ = write!(text, " ({reason})");
    }
    if let Some(seq) = explained.fork {
        let _ = write!(text, "\nits author signed two envelopes numbered {seq}");
    }
    if !explained.held_by.is_empty() {
        let _ = write!(text, "\nheld by {}", explained.held_by.join(" "));
    }
    for step in &explained.steps {
        let _ = write!(text, "\n- {}", visible(step));
    }
    for said in &explained.says {
        let fields: Vec<String> = said.fields.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let _ = write!(text, "\n{} {}", visible(&said.record), visible(&fields.join(" ")));
    }
    if !explained.flags.is_empty() {
        let _ = write!(text, "\n{}", flag_table(&explained.flags));
    }
    text
}

fn with_moment(as_of: &str, text: &str) -> String {
    format!("as of {as_of}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_shown_in_the_unit_of_the_requirement_or_exactly_in_the_base_unit() {
        let units = Units::from([("UKR/requirement/a".to_owned(), "t".to_owned())]);
        let tonnes = Scale::of("UKR/requirement/a", &units, "g", &[4_000_000, 250_000]);
        assert_eq!(
            (tonnes.amount(4_000_000), tonnes.amount(250_000), tonnes.symbol.as_str()),
            ("4".into(), "0.25".into(), "t")
        );
        let unknown = Scale::of("UKR/requirement/b", &units, "g", &[4_000_000]);
        assert_eq!((unknown.amount(4_000_000), unknown.symbol.as_str()), ("4,000,000".into(), "g"));
    }
}
