//! Decisions in words.

use std::fmt::Write as _;

use comity_node::api::model::{Decision, DecisionAnswer, Decisions, Participant};
use comity_protocol::statement::visible;

use crate::output::now_jiff;
use crate::table::{Column, ago, dash, short, table};

/// Returns all proposals as a table: what is open first, then by deadline.
pub fn list(decisions: &Decisions) -> String {
    let shown = decisions.rows.iter().filter(|row| row.latest || row.state == "adopted");
    let mut sorted: Vec<&Decision> = shown.collect();
    sorted.sort_by_key(|row| (rank(&row.state), &row.deadline));
    let rows = sorted.into_iter().map(|row| {
        let record = if row.latest { row.record.clone() } else { format!("{}@{}", row.record, short(&row.version)) };
        let count = |stance: &str| row.participants.iter().filter(|party| party.stance == stance).count().to_string();
        vec![
            record,
            row.state.clone(),
            minute(&row.deadline),
            row.participants.len().to_string(),
            count("assented"),
            count("kept-silence"),
            count("objected"),
            count("unproven"),
            row.title.clone(),
            row.flags.join(" "),
        ]
    });
    let columns = [
        Column::Left("PROPOSAL"),
        Column::Left("STATE"),
        Column::Left("DEADLINE (UTC)"),
        Column::Right("NATIONS"),
        Column::Right("ASSENTED"),
        Column::Right("SILENT"),
        Column::Right("OBJECTED"),
        Column::Right("UNPROVEN"),
        Column::Left("TITLE"),
        Column::Left("FLAGS"),
    ];
    table(&columns, rows.collect(), "no proposals")
}

fn rank(state: &str) -> u8 {
    match state {
        "open" => 0,
        "provisional" => 1,
        "blocked" => 2,
        "lapsed-unproven" => 3,
        "broken" => 4,
        "adopted" => 5,
        _ => 6,
    }
}

/// Returns one proposal with every participant.
pub fn show(row: &Decision) -> String {
    let mut text = format!("{}  {}\n", row.record, visible(&row.title));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11} {}", visible(value));
    };
    line("state", &row.state.to_uppercase());
    line("means", &row.meaning);
    line("version", &format!("{}, proposed by {} at {}", short(&row.version), row.nation, minute(&row.time)));
    line("open", &format!("{} to {} UTC", minute(&row.opens_at), minute(&row.closes_at)));
    let deadline = format!("{} UTC, {}", minute(&row.deadline), ago(&row.deadline, now_jiff()));
    line("deadline", &if row.deadline == row.closes_at { deadline } else { format!("{deadline} (extended)") });
    if row.short {
        line("short", "open for less than 24 hours: only the assent of every participant adopts it");
    }
    line("text", &format!("SHA-256 {}", row.text_hash));
    if let Some(key) = &row.subject_key {
        line("subject", key);
    }
    if let Some(rival) = &row.rival {
        line("rival", &format!("{rival} has the same subject and closes first (C25)"));
    }
    if let Some(version) = &row.stopped_by {
        line("ended by", &format!("version {} of the same record, in time", short(version)));
    }
    for (name, value) in &row.effect {
        line("effect", &format!("{name} = {value}"));
    }
    if !row.flags.is_empty() {
        line("flags", &row.flags.join(" "));
    }
    if let Some(words) = &row.text {
        text.push('\n');
        for paragraph in words.lines() {
            let _ = writeln!(text, "  | {}", visible(paragraph));
        }
    }
    text.push('\n');
    for party in &row.participants {
        participant(row, party, &mut text);
    }
    text.push_str(&needed(row));
    text.trim_end().to_owned()
}

fn participant(row: &Decision, party: &Participant, text: &mut String) {
    let _ = writeln!(text, "  {:<5} {}", party.nation, stance(row, party));
    for answer in &party.answers {
        let words = answer.text.as_deref().map(|words| format!(": {}", visible(words))).unwrap_or_default();
        let _ = writeln!(text, "          {} {}, {}{words}", said(answer), minute(&answer.time), answer.record);
    }
    if party.forked {
        text.push_str("          FORKED: what was proved of this nation may be so no longer, see `comity explain`\n");
    }
}

fn said(answer: &DecisionAnswer) -> &'static str {
    match (answer.kind.as_str(), answer.timely) {
        ("assent", _) => "assented",
        ("object", true) => "objected",
        ("object", false) => "objected, not in time or not yet acknowledged by its witness,",
        ("reserve", _) => "reserved its position",
        ("request_extension", true) => "asked for 24 hours more",
        ("request_extension", false) => "asked for 24 hours more, too late or not yet acknowledged by its witness,",
        _ => "had seen it",
    }
}

fn stance(row: &Decision, party: &Participant) -> String {
    match party.stance.as_str() {
        "assented" => "assented".to_owned(),
        "objected" => "objected".to_owned(),
        "kept-silence" => {
            let proofs = party.proofs.iter().map(|proof| {
                let seen_by = if proof.seen_by.is_empty() { "itself".to_owned() } else { proof.seen_by.join(" ") };
                format!("envelope {} of {}, seen by {seen_by}", short(&proof.envelope), minute(&proof.time))
            });
            format!("kept silence, proved by {}", proofs.collect::<Vec<_>>().join("; "))
        }
        _ if row.state == "open" => match &party.seen_at {
            Some(at) => format!("has said nothing, its witness saw it at {}", minute(at)),
            None => "has said nothing, its witness has not acknowledged it yet".to_owned(),
        },
        _ => {
            let heard = party.last_heard.as_deref().map_or_else(|| "never".to_owned(), |at| ago(at, now_jiff()));
            format!("unproven, last heard {heard}")
        }
    }
}

/// What is still needed, as a list.
fn needed(row: &Decision) -> String {
    if !["open", "provisional", "lapsed-unproven"].contains(&row.state.as_str()) {
        return String::new();
    }
    let mut text = String::new();
    for party in row.participants.iter().filter(|party| party.stance == "unproven") {
        // While it is open nobody can have proved anything past the deadline.
        let lacks = party.needs.iter().filter(|need| row.state != "open" || !need.contains("after the deadline"));
        for need in lacks {
            let _ = writeln!(text, "  {:<5} {need}", party.nation);
        }
    }
    if text.is_empty() { text } else { format!("\nstill needed, or an assent\n{text}") }
}

/// Returns what an answer that was just written comes to, where that is not plain.
pub fn consequence(record: &str, after: &Decision) -> Option<String> {
    let answer = after.participants.iter().flat_map(|party| &party.answers).find(|answer| answer.record == record)?;
    let note = match (answer.kind.as_str(), answer.timely) {
        ("object" | "request_extension", false) if answer.time >= after.deadline => {
            format!(
                "it is late: the proposal closed at {} UTC; it is kept, and counts for nothing",
                minute(&after.deadline)
            )
        }
        ("object" | "request_extension", false) => {
            "it counts once this nation's own witness acknowledges it".to_owned()
        }
        ("request_extension", true) => format!("the proposal now closes at {} UTC", minute(&after.deadline)),
        _ if after.state != "open" => format!("the proposal is {}: {}", after.state, after.meaning),
        _ => return None,
    };
    Some(format!("note: {note}"))
}

/// Returns a moment without its seconds where it has none, and without the letters between.
fn minute(at: &str) -> String {
    let at = at.strip_suffix('Z').unwrap_or(at);
    let at = at.strip_suffix(".000").unwrap_or(at);
    dash(Some(&at.strip_suffix(":00").unwrap_or(at).replace('T', " ")))
}
