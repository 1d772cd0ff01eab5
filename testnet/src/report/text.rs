//! The report for people.

use std::fmt::Write as _;

mod trust;

use super::{CoverageRow, CutKind, Report, Rows};

/// Lines of a long list that are shown.
const LIST_LINES_MAX: usize = 20;

/// Renders a report as lines of text.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = head(&mut out, report)
        .and_then(|()| events(&mut out, report))
        .and_then(|()| trust::render(&mut out, report))
        .and_then(|()| written(&mut out, report))
        .and_then(|()| report.rows.as_ref().map_or(Ok(()), |rows| accounts(&mut out, rows)))
        .and_then(|()| cover(&mut out, report))
        .and_then(|()| end(&mut out, report));
    out
}

fn head(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "{}, seed {}: {} nations ({})",
        report.scenario,
        report.seed,
        report.nations.len(),
        report.nations.join(" ")
    )?;
    writeln!(out, "views as of {}", report.as_of)?;
    writeln!(out, "links up            {:>8} ms", report.links_up_ms)?;
    if let Some(ms) = report.heal_to_converged_ms {
        writeln!(out, "heal to converged   {ms:>8} ms")?;
    }
    if let Some(ms) = report.last_write_to_converged_ms {
        writeln!(out, "after the last write{ms:>8} ms")?;
    }
    writeln!(out, "whole run           {:>8} ms", report.took_ms)
}

fn events(out: &mut String, report: &Report) -> std::fmt::Result {
    for cut in &report.cuts {
        let sides: Vec<String> = cut.sides.iter().map(|side| side.join(" ")).collect();
        let noticed = cut.noticed_ms.map_or("never noticed".to_owned(), |ms| format!("noticed after {ms} ms"));
        writeln!(
            out,
            "cut                 {} ({}), {noticed}, {} statements meanwhile, {} bytes crossed",
            sides.join(" | "),
            match cut.kind {
                CutKind::Silent => "silent",
                CutKind::Reset => "reset",
            },
            cut.statements_during,
            cut.bytes_crossed,
        )?;
    }
    for kill in &report.kills {
        let write = match (kill.write_in_flight, kill.write_was_durable) {
            (false, _) => "nothing in flight",
            (true, Some(true)) => "a write in flight, which was on disk",
            (true, Some(false)) => "a write in flight, written when repeated",
            (true, None) => "a write in flight",
        };
        let back = kill.restart_ms.map_or("not back".to_owned(), |ms| format!("back after {ms} ms"));
        writeln!(out, "killed              {}, {write}, {back}", kill.nation)?;
    }
    if let Some(leave) = &report.leaver {
        let last =
            leave.last_acknowledged_before_kill_ms.map_or(String::new(), |ms| format!(", the last {ms} ms before"));
        let home = if leave.home_intact { "its home is intact" } else { "its home is damaged" };
        let count = leave.statements_acknowledged;
        writeln!(out, "left for good       {} after {count} acknowledged statements{last}; {home}", leave.nation)?;
    }
    Ok(())
}

fn written(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\nnation  acknowledged  first ms   last ms  everybody had it ms  what")?;
    for row in &report.written {
        let ms = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| ms.to_string());
        let kinds: Vec<String> = row.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(
            out,
            "{:<6}  {:>12}  {:>8}  {:>8}  {:>19}  {}",
            row.nation,
            row.acknowledged,
            ms(row.first_ms),
            ms(row.last_ms),
            ms(row.everybody_had_it_ms),
            kinds.join(", "),
        )?;
    }
    Ok(())
}

fn accounts(out: &mut String, rows: &Rows) -> std::fmt::Result {
    writeln!(out, "\ndonor  rows read  pledges  observations  refused")?;
    for count in &rows.by_donor {
        let donor = count.donor.as_deref().unwrap_or("?");
        let (pledges, observations, refused) = (count.pledges, count.observations, count.refused);
        writeln!(out, "{donor:<5}  {:>9}  {pledges:>7}  {observations:>12}  {refused:>7}", count.read)?;
    }
    let (read, pledges, observations, refused) = (rows.read, rows.pledges, rows.observations, rows.refused);
    writeln!(out, "all    {read:>9}  {pledges:>7}  {observations:>12}  {refused:>7}")?;
    for refused in rows.refusals.iter().take(LIST_LINES_MAX) {
        writeln!(out, "line {}: {}", refused.line, refused.refusal)?;
    }
    more(out, rows.refusals.len())
}

fn cover(out: &mut String, report: &Report) -> std::fmt::Result {
    if report.coverage_before.is_empty() && report.coverage_after.is_empty() {
        return Ok(());
    }
    let without = report.leaver.as_ref().map_or("nobody".to_owned(), |leave| leave.nation.clone());
    writeln!(
        out,
        "\n{:<26}  {:>16}  {:>14}  {:>14}  {:>14}",
        "requirement", "needed", "firm before", "firm after", "gap after"
    )?;
    for (before, after) in report.coverage_before.iter().zip(&report.coverage_after) {
        let mark = if before.cover_firm == after.cover_firm { "" } else { "  changed" };
        writeln!(
            out,
            "{:<26}  {:>16}  {:>14}  {:>14}  {:>14}  {}{mark}",
            before.requirement,
            amount(before, before.quantity),
            amount(before, before.cover_firm),
            amount(after, after.cover_firm),
            amount(after, after.gap_firm),
            before.item,
        )?;
    }
    let (open, all) = (report.uncovered.len(), report.coverage_after.len());
    writeln!(out, "without {without}: {open} of {all} requirements are not firmly covered")
}

fn end(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\nacknowledged        {:>8}", report.statements_acknowledged)?;
    writeln!(out, "lost                {:>8}", report.statements_lost)?;
    list(out, &report.lost)?;
    writeln!(out, "only in a dead home {:>8}", report.unreplicated_at_kill.len())?;
    list(out, &report.unreplicated_at_kill)?;
    if !report.set_aside.is_empty() {
        let aside: Vec<String> =
            report.set_aside.iter().map(|row| format!("{} {}", row.standing, row.version)).collect();
        writeln!(out, "held, do not count  {:>8}", aside.len())?;
        list(out, &aside)?;
    }
    for problem in &report.problems {
        writeln!(out, "problem: {problem}")?;
    }
    let digests: std::collections::BTreeSet<&String> = report.state_digests.values().collect();
    match (report.converged, digests.first()) {
        (true, Some(digest)) => {
            writeln!(out, "converged: {} live nodes, state {digest}", report.state_digests.len())?;
        }
        (true, None) => writeln!(out, "converged")?,
        (false, _) => {
            writeln!(out, "NOT converged:")?;
            for (nation, digest) in &report.state_digests {
                writeln!(out, "  {nation} {digest}")?;
            }
        }
    }
    match &report.dir {
        Some(dir) => {
            let dir = dir.display();
            writeln!(out, "homes {dir}/<nation>, logs {dir}/logs, acknowledged writes {dir}/acknowledged.jsonl")
        }
        None => writeln!(out, "homes and logs are deleted; keep them with --keep or --dir"),
    }
}

fn list(out: &mut String, ids: &[String]) -> std::fmt::Result {
    for id in ids.iter().take(LIST_LINES_MAX) {
        writeln!(out, "  {id}")?;
    }
    more(out, ids.len())
}

fn more(out: &mut String, length: usize) -> std::fmt::Result {
    if length > LIST_LINES_MAX {
        writeln!(out, "  and {} more; --json has all", length - LIST_LINES_MAX)?;
    }
    Ok(())
}

/// Returns a base quantity as people write it: tonnes and cubic metres where it is whole in them.
fn amount(row: &CoverageRow, quantity: u64) -> String {
    let larger = match row.unit.as_str() {
        "g" => [(1_000_000, "t"), (1_000, "kg")].as_slice(),
        "ml" => &[(1_000_000, "m3"), (1_000, "l")],
        "mm" => &[(1_000_000, "km"), (1_000, "m")],
        _ => &[],
    };
    match larger.iter().find(|(factor, _)| quantity.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{} {unit}", quantity / factor),
        None => format!("{quantity} {}", row.unit),
    }
}
