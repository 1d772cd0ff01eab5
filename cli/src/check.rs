//! `comity node check`: whether a store still says what was written into it.

use std::path::Path;

use comity_node::store::{Depth, check};
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::Failure;
use crate::output::Output;

/// What a check of a store found.
#[derive(Serialize, ToSchema)]
pub struct NodeCheck {
    /// The store's file.
    store: String,
    /// `quick` or `deep`.
    depth: &'static str,
    /// Id of the alliance.
    alliance: String,
    /// Id of the nation.
    nation: String,
    /// The node's key.
    node: String,
    /// Envelopes read.
    envelopes: u64,
    /// Bodies read.
    bodies: u64,
    /// Control records read.
    control: u64,
    /// Whether nothing is damaged.
    sound: bool,
    /// The damaged rows.
    damage: Vec<DamageRow>,
}

/// One damaged row of a store.
#[derive(Serialize, ToSchema)]
pub struct DamageRow {
    /// The table it stands in.
    table: &'static str,
    /// Which row, and what is wrong with it.
    what: String,
    /// Whether it is of this node's own chain.
    own: bool,
}

/// Checks the store at `path`, whose node may be running, or a backup, and names every damaged row.
///
/// # Errors
/// [`Failure`]: exit code 1 where damage was found, 4 where the store cannot be read.
pub fn run(path: &Path, depth: Depth, output: &Output) -> Result<(), Failure> {
    let checked = check(path, depth)?;
    let own = checked.identity.author();
    let report = NodeCheck {
        store: path.display().to_string(),
        depth: match checked.depth {
            Depth::Quick => "quick",
            Depth::Deep => "deep",
        },
        alliance: checked.identity.alliance.hex(),
        nation: checked.identity.nation.hex(),
        node: checked.identity.node.hex(),
        envelopes: checked.headers,
        bodies: checked.bodies,
        control: checked.control,
        sound: checked.is_sound(),
        damage: checked
            .damage
            .iter()
            .map(|damage| DamageRow {
                table: damage.table(),
                what: damage.to_string(),
                own: damage.author() == Some(own),
            })
            .collect(),
    };
    output.result(&report, || in_words(&report));
    if report.sound {
        return Ok(());
    }
    Err(Failure::refused(format!("{} damaged rows in {}", report.damage.len(), report.store)).hint(
        if report.damage.iter().any(|row| row.own) {
            "start the node: it fetches its own envelopes again from its peers, and writes nothing until it has them"
        } else {
            "start the node: it fetches what is damaged again from its peers"
        },
    ))
}

fn in_words(report: &NodeCheck) -> String {
    let mut text = format!(
        "{} check of {}\n{} envelopes, {} bodies, {} control records",
        report.depth, report.store, report.envelopes, report.bodies, report.control
    );
    for row in &report.damage {
        text.push_str(&format!("\n  {}: {}", row.table, row.what));
    }
    if report.sound {
        text.push_str("\nsound");
    }
    text
}
