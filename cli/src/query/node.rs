//! The node, its peers, its alliance and its log, in words.

use std::fmt::Write as _;

use comity_node::api::model::{Log, LogRow, Nations, Peers, RecordAge, Status, Witnessed};
use comity_protocol::statement::visible;

use crate::output::now_jiff;
use crate::table::{Column, ago, counted, dash, number, short, table};

/// Returns `status` in words.
pub fn status(status: &Status) -> String {
    let mut text = format!(
        "{} node {} ({}) of alliance {:?}\n",
        status.nation,
        short(&status.node),
        visible(status.label.as_deref().unwrap_or("no label")),
        visible(&status.alliance_name),
    );
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<10} {value}");
    };
    row("standing", status.standing.clone());
    if !status.authoring.allowed {
        row("writing", format!("stopped: {}", dash(status.authoring.reason.as_deref())));
        row("", format!("to do: {}", dash(status.authoring.hint.as_deref())));
    }
    row("listens", if status.listen.is_empty() { "nowhere".to_owned() } else { status.listen.join(" ") });
    let connected = status.peers.iter().filter(|peer| peer.connected).count();
    row("peers", format!("{connected} of {} connected", status.peers.len()));
    row("heard", heard(&status.age, &status.nation));
    row("record", format!("{} in {}", counted(status.statements, "statement"), counted(status.envelopes, "envelope")));
    row("waiting", format!("{}, void {}", number(status.waiting), number(status.void)));
    row("held", short(&status.held));
    row("control", short(&status.control));
    row("state", short(&status.state));
    row(
        "charter",
        format!(
            "version {}, {} nations, quorum {}",
            status.charter.height, status.charter.nations, status.charter.quorum
        ),
    );
    row("quota", format!("{} of {} bytes of this node's chain", number(status.quota_used), number(status.quota)));
    row("store", format!("{}, {} bytes", status.store, number(status.store_bytes)));
    for warning in &status.warnings {
        row("warning", visible(warning));
    }
    for fork in status.forks.iter().filter(|fork| !fork.open) {
        let name = fork.label.clone().unwrap_or_else(|| short(&fork.node));
        let words =
            format!("node {name} of {} forked at {}; it stands up to {}", fork.nation, fork.seq, fork.stands_to);
        row("fork", visible(&words));
    }
    text.trim_end().to_owned()
}

/// Returns when each other nation was heard of last.
fn heard(age: &RecordAge, own: &str) -> String {
    let now = now_jiff();
    let others = age.nations.iter().filter(|row| row.nation != own);
    let words = others.map(|row| {
        // Both are RFC 3339 in UTC with milliseconds: the greater text is the later moment.
        let last = row.last_statement.as_deref().max(row.last_witness.as_deref());
        format!("{} {}", row.nation, last.map_or_else(|| "never".to_owned(), |at| ago(at, now)))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "no other nation".to_owned() } else { words.join(" · ") }
}

/// Returns `peers` as a table.
pub fn peers(peers: &Peers) -> String {
    let now = now_jiff();
    let rows = peers.peers.iter().map(|peer| {
        vec![
            dash(peer.nation.as_deref()),
            peer.node.as_deref().map_or_else(|| "-".to_owned(), short),
            dash(peer.label.as_deref()),
            peer.standing.clone(),
            if peer.connected { "connected".to_owned() } else { "not connected".to_owned() },
            number(peer.lag.behind),
            number(peer.lag.ahead),
            peer.heard.as_deref().map_or_else(|| "never".to_owned(), |at| ago(at, now)),
            peer.addresses.join(" "),
        ]
    });
    let columns = [
        Column::Left("NATION"),
        Column::Left("NODE"),
        Column::Left("LABEL"),
        Column::Left("STANDING"),
        Column::Left("LINK"),
        Column::Right("BEHIND"),
        Column::Right("AHEAD"),
        Column::Left("HEARD"),
        Column::Left("ADDRESSES"),
    ];
    table(&columns, rows.collect(), "no peers; add one with `comity peers add ADDRESS`")
}

/// Returns `nations` as a table.
pub fn nations(nations: &Nations) -> String {
    let now = now_jiff();
    let rows = nations.nations.iter().map(|nation| {
        vec![
            nation.code.clone(),
            nation.name.clone(),
            nation.state.clone(),
            nation.roster_version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            nation.nodes.len().to_string(),
            number(nation.statements),
            number(nation.waiting),
            number(nation.void),
            nation.last_heard.as_deref().map_or_else(|| "never".to_owned(), |at| ago(at, now)),
        ]
    });
    let columns = [
        Column::Left("CODE"),
        Column::Left("NAME"),
        Column::Left("STATE"),
        Column::Right("ROSTER"),
        Column::Right("NODES"),
        Column::Right("STATEMENTS"),
        Column::Right("WAITING"),
        Column::Right("VOID"),
        Column::Left("HEARD"),
    ];
    table(&columns, rows.collect(), "no nations")
}

/// Returns `log` as a table.
pub fn log(log: &Log) -> String {
    let now = now_jiff();
    let rows = log.rows.iter().map(|row| {
        let verdict = row.reason.as_deref().or(row.verdict.as_deref());
        vec![
            short(&row.envelope),
            row.nation.clone(),
            number(row.seq),
            ago(&row.time, now),
            row.kind.clone(),
            row.standing.clone(),
            dash(verdict),
            seen(&row.witnessed),
            row.records.join(" "),
        ]
    });
    let columns = [
        Column::Left("ENVELOPE"),
        Column::Left("NATION"),
        Column::Right("SEQ"),
        Column::Left("CLAIMED"),
        Column::Left("KIND"),
        Column::Left("STANDING"),
        Column::Left("VERDICT"),
        Column::Left("SEEN BY"),
        Column::Left("RECORDS"),
    ];
    let said: Vec<String> = log.rows.iter().filter(|row| !row.says.is_empty()).flat_map(said_lines).collect();
    let table = table(&columns, rows.collect(), "nothing stands so");
    if said.is_empty() { table } else { format!("{table}\n\n{}", said.join("\n")) }
}

/// Returns "5 of 7", and whether that is final.
pub fn seen(witnessed: &Witnessed) -> String {
    let seen = format!("{} of {}", witnessed.seen_by.len(), witnessed.nations);
    if witnessed.is_final { format!("{seen} final") } else { seen }
}

/// Returns what an envelope says, and why it counts or does not, a line each.
pub fn said_lines(row: &LogRow) -> Vec<String> {
    let mut lines = vec![format!("{} number {} of {}: {}", short(&row.envelope), row.seq, row.nation, row.standing)];
    lines.extend(row.excluded.iter().map(|why| format!("  {}", visible(why))));
    lines.push(format!("  seen by {}", seen(&row.witnessed)));
    for said in &row.says {
        let fields = said.fields.iter().map(|(name, value)| match value {
            serde_json::Value::String(text) => format!("{name}={}", visible(text)),
            other => format!("{name}={}", visible(&other.to_string())),
        });
        lines.push(format!("  {} {}", visible(&said.record), fields.collect::<Vec<_>>().join(" ")));
    }
    lines
}
