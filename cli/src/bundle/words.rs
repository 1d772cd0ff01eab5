//! An audit in words.

use std::fmt::Write as _;

use comity_protocol::statement::visible;

use super::report::{AuthorRow, BundleReport, OmissionRow, RosterRow};
use super::votes::DecisionRow;
use crate::table::{Column, counted, number, short, table};

/// Returns a report in words.
pub fn report(report: &BundleReport) -> String {
    let mut text = head(report);
    let mut part = |name: &str, lines: String| {
        let _ = write!(text, "\n\n{name}\n{lines}");
    };
    part("MEMBERSHIP", membership(report));
    part("KEYS", keys(&report.rosters));
    part("AUTHORS", authors(&report.authors));
    part("DOCUMENTS", documents(report));
    if !report.omissions.is_empty() {
        part("MISSING", omissions(&report.omissions));
    }
    if let Some(existence) = &report.existence {
        let mut lines = format!(
            "{} {} of {} at {}, {}\n{} claimed to hold it",
            short(&existence.id),
            existence.seq,
            existence.nation,
            existence.time,
            existence.standing,
            counted(existence.holders.len() as u64, "nation"),
        );
        for holder in &existence.holders {
            let _ = write!(lines, "\n  {} by {} (witness {})", holder.nation, holder.by, short(&holder.witness));
        }
        part("ENVELOPE", lines);
    }
    let nothing: Vec<String> = report.not_established.iter().map(|line| format!("  {line}")).collect();
    part("NOT ESTABLISHED", nothing.join("\n"));
    text
}

fn head(report: &BundleReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("bundle", format!("{}, {} bytes", report.file, number(report.bytes)));
    row("alliance", format!("{:?} {}", visible(&report.alliance_name), report.alliance));
    let signed = if report.signed { "signed by it" } else { "signed by nobody" };
    row(
        "exporter",
        format!(
            "{} node {}, {signed}, {} with {}",
            report.exporter,
            short(&report.exporter_node),
            report.created,
            visible(&report.software)
        ),
    );
    row(
        "checked",
        format!(
            "{}, {}, {}, {} over envelopes",
            counted(report.counts.control, "control record"),
            counted(report.counts.envelopes, "envelope"),
            if report.counts.bodies == 1 {
                "1 body".to_owned()
            } else {
                format!("{} bodies", number(report.counts.bodies))
            },
            counted(report.counts.signatures, "signature"),
        ),
    );
    row("state", format!("{} (charter version {})", report.state, report.height));
    row(
        "published",
        match report.published {
            "match" => "the last witness of the exporter's nation published the same".to_owned(),
            "differs" => "THE LAST WITNESS OF THE EXPORTER'S NATION PUBLISHED ANOTHER STATE".to_owned(),
            "not_comparable" => {
                "the last witness of the exporter's nation wrote before what is here changed".to_owned()
            }
            _ => "no witness of the exporter's nation is here".to_owned(),
        },
    );
    let verdict = match (report.intact, report.omissions.len()) {
        (true, 0) => "intact: every signature and link holds, and nothing acknowledged is missing".to_owned(),
        (true, count) => format!("every signature and link holds; {count} ACKNOWLEDGED RECORDS ARE MISSING"),
        (false, _) => "every signature and link holds; THE EVALUATION IS NOT WHAT WAS PUBLISHED".to_owned(),
    };
    row("verdict", verdict);
    for differing in &report.differing {
        row(
            "DIFFERS",
            format!(
                "{}: published {}, evaluated {}",
                differing.name,
                short(&differing.published),
                short(&differing.evaluated)
            ),
        );
    }
    text.trim_end().to_owned()
}

fn membership(report: &BundleReport) -> String {
    let founders: Vec<String> =
        report.founders.iter().map(|founder| format!("{} {}", founder.nation, short(&founder.root))).collect();
    let mut text = format!("version 0: founded and signed by {}", founders.join(", "));
    for decision in &report.decisions {
        let _ = write!(text, "\n{}", decision_line(decision));
    }
    if let Some(conflict) = &report.conflict {
        let motions: Vec<String> = conflict.motions.iter().map(|motion| short(motion)).collect();
        let _ = write!(
            text,
            "\nCONFLICT: two motions sealed for version {}: {}; shown by their own signatures: {}{}",
            conflict.height,
            motions.join(", "),
            conflict.accused.join(", "),
            if conflict.below_anchor { " (below what the exporter pinned)" } else { "" }
        );
    }
    for breach in &report.breaches {
        let _ = write!(text, "\n{} {} at version {}: {}", breach.rule, breach.nation, breach.height, breach.what);
    }
    if report.breaches.is_empty() {
        text.push_str("\nthe votes here prove no breach of the two steps");
    }
    text
}

fn decision_line(decision: &DecisionRow) -> String {
    let by = |step: &str| {
        let votes = decision.votes.iter().filter(|vote| vote.step == step);
        votes.map(|vote| format!("{}/{}", vote.nation, vote.round)).collect::<Vec<_>>().join(" ")
    };
    format!(
        "version {} {} {}: {} ({}); support {}; seal {}",
        decision.height,
        if decision.adopted { "→" } else { "open" },
        short(&decision.motion),
        visible(&decision.title),
        visible(&decision.changes.join(", ")),
        by("support"),
        by("seal")
    )
}

fn keys(rosters: &[RosterRow]) -> String {
    let rows = rosters.iter().flat_map(|roster| {
        roster.keys.iter().map(move |key| {
            vec![
                roster.nation.clone(),
                format!("{}.{}", roster.root_gen, roster.version),
                if roster.in_force { "in force".to_owned() } else { String::new() },
                roster.time.clone(),
                short(&key.node),
                key.label.clone(),
                match key.cut {
                    None if key.witness => "active, witness".to_owned(),
                    None => "active".to_owned(),
                    Some(cut) => format!("retired after {cut}"),
                },
            ]
        })
    });
    let columns = [
        Column::Left("NATION"),
        Column::Left("ROSTER"),
        Column::Left(""),
        Column::Left("SIGNED"),
        Column::Left("NODE"),
        Column::Left("LABEL"),
        Column::Left("STATUS"),
    ];
    table(&columns, rows.collect(), "no rosters")
}

fn authors(authors: &[AuthorRow]) -> String {
    let mut rows = Vec::new();
    for author in authors {
        rows.push(vec![
            author.nation.clone(),
            short(&author.node),
            author.status.to_owned(),
            number(author.accepted),
            number(author.suspended),
            number(author.disavowed),
            number(author.post_removal),
            number(author.unlinked),
            number(author.bodies_missing),
            author.fork.as_ref().map(|fork| format!("FORK at {}", fork.seq)).unwrap_or_default(),
        ]);
    }
    let columns = [
        Column::Left("NATION"),
        Column::Left("NODE"),
        Column::Left("STATUS"),
        Column::Right("ACCEPTED"),
        Column::Right("SUSPENDED"),
        Column::Right("DISAVOWED"),
        Column::Right("POST-REMOVAL"),
        Column::Right("UNLINKED"),
        Column::Right("NO BODY"),
        Column::Left(""),
    ];
    let mut text = table(&columns, rows, "nobody wrote");
    for author in authors {
        for envelope in author.fork.iter().flat_map(|fork| &fork.envelopes) {
            let _ = write!(
                text,
                "\n  {} {} at {}: signature at {} {}",
                author.nation, envelope.id, envelope.time, envelope.signed_at, envelope.signature
            );
        }
    }
    text
}

fn documents(report: &BundleReport) -> String {
    let rows = report.documents.iter().map(|row| {
        let counts = [row.valid, row.void, row.waiting, row.sealed, row.unknown];
        std::iter::once(row.nation.clone()).chain(counts.map(number)).collect()
    });
    let columns = [
        Column::Left("NATION"),
        Column::Right("VALID"),
        Column::Right("VOID"),
        Column::Right("WAITING"),
        Column::Right("SEALED"),
        Column::Right("UNKNOWN KIND"),
    ];
    table(&columns, rows.collect(), "no nations")
}

fn omissions(omissions: &[OmissionRow]) -> String {
    let rows = omissions.iter().map(|row| {
        vec![
            row.missing.to_owned(),
            row.nation.clone().unwrap_or_default(),
            row.node.as_deref().map(short).unwrap_or_default(),
            row.seq.to_string(),
            row.id.as_deref().map(short).unwrap_or_default(),
            row.acknowledged_by.join(" "),
        ]
    });
    let columns = [
        Column::Left("WHAT"),
        Column::Left("NATION"),
        Column::Left("NODE"),
        Column::Right("NUMBER"),
        Column::Left("ID"),
        Column::Left("ACKNOWLEDGED BY"),
    ];
    table(&columns, rows.collect(), "nothing")
}
