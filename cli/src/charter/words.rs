//! The charter in words.

use std::fmt::Write as _;

use comity_node::api::model::{CharterState, HealthRow, MemberRow};
use comity_protocol::statement::visible;

use crate::table::{number, short};

pub(super) fn shown(charter: &CharterState) -> String {
    let mut text = format!(
        "alliance {:?} {}\ncharter version {} ({}), rules {}: {} nations, changes need {}\n",
        visible(&charter.alliance_name),
        charter.alliance,
        charter.height,
        short(&charter.charter),
        charter.rules,
        charter.health.nations,
        charter.health.quorum
    );
    if let Some(parent) = &charter.parent {
        let _ = writeln!(text, "it re-founds alliance {} as of charter {}", parent.alliance, short(&parent.charter));
    }
    for member in &charter.members {
        let _ = writeln!(
            text,
            "  {:<8} {}  root {} generation {}, member since version {}, {}",
            member.code,
            visible(&member.name),
            member.root,
            member.root_gen,
            member.since_version,
            roster(member)
        );
    }
    for removed in &charter.removed {
        let _ = writeln!(
            text,
            "  {:<8} {}  removed by version {}, rosters up to version {}",
            removed.code,
            visible(&removed.name),
            removed.removed_by,
            removed.roster_version
        );
        for cut in &removed.cuts {
            let name = visible(cut.label.as_deref().unwrap_or("node"));
            let _ = match cut.seq {
                0 => writeln!(text, "           {name} {}: nothing counts", short(&cut.node)),
                seq => writeln!(text, "           {name} {}: counts up to envelope {seq}", short(&cut.node)),
            };
        }
    }
    let _ = writeln!(
        text,
        "a nation has at most {} active nodes, a chain at most {} bytes",
        charter.max_active_keys,
        number(charter.chain_quota)
    );
    let _ = writeln!(text, "decided for good up to version {}", charter.anchor_height);
    for (what, conflict) in [("CONFLICT", &charter.conflict), ("ALARM", &charter.conflict_below_anchor)] {
        if let Some(conflict) = conflict {
            let _ = writeln!(text, "{what}: {}", conflict.words);
        }
    }
    let _ = write!(text, "health: {}", charter.health.words);
    text
}

fn roster(member: &MemberRow) -> String {
    let version =
        member.roster_version.map_or_else(|| "no roster".to_owned(), |version| format!("roster version {version}"));
    let mut parts = vec![version];
    if let Some(fork) = member.roster_fork {
        parts.push(format!("FORKED at version {fork}: its root is to be replaced"));
    }
    if member.roster_missing {
        parts.push("the roster it starts from is not held".to_owned());
    }
    if member.closed {
        parts.push("closed".to_owned());
    }
    if member.dark {
        parts.push("not heard of for 48 h".to_owned());
    }
    parts.join(", ")
}

pub(super) fn history(charter: &CharterState) -> String {
    let lines = charter.versions.iter().map(|version| {
        let made = version
            .motion
            .as_deref()
            .map_or_else(|| "founded as".to_owned(), |motion| format!("by motion {}", short(motion)));
        let mut text = format!(
            "version {} ({}) {made} {:?}: {} nations, changes need {}",
            version.height,
            short(&version.charter),
            visible(&version.title),
            version.nations,
            version.quorum
        );
        for change in &version.changes {
            let _ = write!(text, "\n    {}", visible(change));
        }
        text
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn health(charter: &CharterState) -> String {
    let HealthRow { nations, quorum, closed, dark, words, .. } = &charter.health;
    let list = |codes: &[String]| if codes.is_empty() { "none".to_owned() } else { codes.join(" ") };
    format!(
        "{nations} nations, changes need {quorum}\nclosed: {}\nnot heard of for 48 h: {}\n{words}",
        list(closed),
        list(dark)
    )
}
