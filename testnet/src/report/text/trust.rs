//! What was expected, signed and typed.

use std::fmt::Write as _;

use super::super::{Finding, Report, SignedRecord};

/// Renders what an exercise about trust showed; nothing for others.
pub(super) fn render(out: &mut String, report: &Report) -> std::fmt::Result {
    if !report.signed.is_empty() {
        writeln!(out, "\nsigned with root keys")?;
        report.signed.iter().try_for_each(|signed| sign(out, signed))?;
    }
    if !report.commands.is_empty() {
        writeln!(out, "\ntyped by operators")?;
        for command in &report.commands {
            writeln!(out, "{:>8} ms  {}$ comity {}", command.at_ms, command.on, command.command)?;
            command.printed.iter().try_for_each(|line| writeln!(out, "             {line}"))?;
        }
    }
    if !report.findings.is_empty() {
        writeln!(out, "\nexpected                    after ms")?;
        report.findings.iter().try_for_each(|finding| find(out, finding))?;
    }
    if !report.said.is_empty() {
        writeln!(out, "\n{:<16}  {:<12}  {:>10}  how it stands", "batch", "node", "statements")?;
        for said in &report.said {
            let standing = said.standing.as_deref().unwrap_or("-");
            let finality = if said.finality { ", final" } else { "" };
            writeln!(out, "{:<16}  {:<12}  {:>10}  {standing}{finality}", said.batch, said.by, said.statements)?;
        }
    }
    if !report.outsiders.is_empty() {
        writeln!(out, "not of the alliance now: {}", report.outsiders.join(", "))?;
    }
    Ok(())
}

fn sign(out: &mut String, signed: &SignedRecord) -> std::fmt::Result {
    match &signed.refused {
        None => writeln!(out, "{:>8} ms  {}: {}", signed.at_ms, signed.nation, signed.what),
        Some(refused) => {
            writeln!(out, "{:>8} ms  {}: refused to {}: {refused}", signed.at_ms, signed.nation, signed.what)
        }
    }
}

fn find(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let outcome = if finding.held { "held" } else { "NOT HELD" };
    writeln!(out, "{outcome:<8}  {:>24}  {} ({})", finding.after_ms, finding.expectation, finding.asked.join(" "))?;
    finding.instead.iter().try_for_each(|line| writeln!(out, "          {line}"))
}
