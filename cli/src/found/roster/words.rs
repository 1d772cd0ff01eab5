//! A roster in words, with what it changes.

use std::fmt::Write as _;

use comity_node::api::model::rfc3339;
use comity_protocol::control::{KeyStatus, Roster, RosterKey};
use comity_protocol::ids::Timestamp;
use comity_protocol::roster::StepError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::Failure;
use crate::output::Output;

/// A roster, or its draft, as shown to a person or a program.
#[derive(Serialize, ToSchema)]
pub struct RosterShown {
    /// Its id.
    roster: String,
    /// Id of the alliance.
    alliance: String,
    /// Id of the nation.
    nation: String,
    /// Code of the nation, where the file says it.
    code: Option<String>,
    /// The root key that signs it.
    root: String,
    /// Generation of that key, 0 at founding or admission.
    root_gen: u16,
    /// Its version, from 1.
    version: u64,
    /// Id of the roster before it.
    prev: Option<String>,
    /// When it was drafted.
    time: String,
    /// Whether the root signed it.
    signed: bool,
    /// Whether the nation closed its own chains.
    closed: bool,
    /// A line for people.
    note: String,
    /// The nation's nodes, by label.
    keys: Vec<KeyShown>,
    /// What it changes, in words; of a draft, and where it is signed from one.
    changes: Vec<String>,
    /// What the signer should know, in words.
    remarks: Vec<String>,
}

/// One node of a roster.
#[derive(Serialize, ToSchema)]
pub struct KeyShown {
    /// Its key.
    node: String,
    /// Its name.
    label: String,
    /// Whether it witnesses for the nation.
    witness: bool,
    /// `active` or `retired`.
    status: &'static str,
    /// Number of a retired node's last envelope that counts.
    cut_seq: Option<u64>,
    /// Id of that envelope.
    cut_id: Option<String>,
}

/// What is known about a roster that does not stand in it.
#[derive(Default)]
pub(super) struct Context<'a> {
    pub(super) signed: bool,
    /// Of a draft; a signed roster alone does not say it.
    pub(super) code: Option<&'a str>,
    pub(super) prev: Option<&'a Roster>,
    pub(super) remarks: Vec<String>,
}

/// Says which step rule a draft breaks, and what to do.
pub(super) fn step_refused(error: &StepError) -> Failure {
    let hint = match error {
        StepError::Version { .. } | StepError::Prev => "draft it again from the roster in force",
        StepError::KeyMissing(_) => "a key is never taken out: retire it instead",
        StepError::KeyChanged(_) => "give the machine a new home and enrol its new key",
        StepError::Unretired(_) => "a retired key stays retired: enrol a new one",
        StepError::CutGrows { .. } => "a cut only moves down; what was said above it is said again under a new key",
        StepError::TooManyActive { .. } => "retire one in the same version: comity roster retire … --enrol REQUEST",
        StepError::Witnesses(_) => "retire the present witness first, or enrol the node without --witness",
        StepError::ClosedActive { .. } => "a closed roster retires every key",
        StepError::Reopened => "a nation that closed its chains comes back only as a new member",
    };
    Failure::refused("this roster would not be valid")
        .because(format!("step rule {}: {error}", error.code()))
        .hint(hint)
}

pub(super) fn show(roster: &Roster, context: &Context<'_>, output: &Output) {
    let mut keys: Vec<KeyShown> = roster.keys.iter().map(key_shown).collect();
    keys.sort_by(|a, b| (&a.label, &a.node).cmp(&(&b.label, &b.node)));
    let shown = RosterShown {
        roster: roster.id().hex(),
        alliance: roster.alliance.hex(),
        nation: roster.nation.hex(),
        code: context.code.map(str::to_owned),
        root: roster.root.hex(),
        root_gen: roster.root_gen,
        version: roster.version,
        prev: (!roster.prev.is_zero()).then(|| roster.prev.hex()),
        time: rfc3339(Timestamp(roster.time_ms)),
        signed: context.signed,
        closed: roster.closed,
        note: roster.note.clone(),
        keys,
        changes: changes(context.prev, roster),
        remarks: context.remarks.clone(),
    };
    output.result(&shown, || in_words(&shown));
}

fn key_shown(key: &RosterKey) -> KeyShown {
    let (status, cut) = match key.status {
        KeyStatus::Active => ("active", None),
        KeyStatus::Retired { cut } => ("retired", Some(cut)),
    };
    KeyShown {
        node: key.node.hex(),
        label: key.label.clone(),
        witness: key.witness,
        status,
        cut_seq: cut.map(|cut| cut.seq),
        cut_id: cut.map(|cut| cut.id.hex()),
    }
}

/// Returns what a roster changes in the one before it, a line each; nothing where that one is not known.
fn changes(prev: Option<&Roster>, next: &Roster) -> Vec<String> {
    let Some(prev) = prev else { return Vec::new() };
    let mut lines = Vec::new();
    if prev.root != next.root {
        lines.push(format!("is the first under root {} of generation {}", next.root.short(), next.root_gen));
    }
    for key in &next.keys {
        let old = prev.keys.iter().find(|old| old.node == key.node);
        let name = format!("{} {}", key.label, key.node.short());
        lines.extend(match (old.map(|old| old.status), key.status) {
            (None, KeyStatus::Active) => {
                Some(format!("enrols {name}{}", if key.witness { " as the witness" } else { "" }))
            }
            (None, KeyStatus::Retired { cut }) => Some(format!("lists {name} as retired at envelope {}", cut.seq)),
            (Some(KeyStatus::Active), KeyStatus::Retired { cut }) if cut.seq == 0 => {
                Some(format!("retires {name} from its beginning: nothing it said counts"))
            }
            (Some(KeyStatus::Active), KeyStatus::Retired { cut }) => {
                Some(format!("retires {name} at envelope {} ({})", cut.seq, cut.id.short()))
            }
            (Some(KeyStatus::Retired { cut: old }), KeyStatus::Retired { cut }) if old != cut => {
                Some(format!("moves the cut of {name} from envelope {} to {} ({})", old.seq, cut.seq, cut.id.short()))
            }
            (Some(KeyStatus::Active), KeyStatus::Active)
            | (Some(KeyStatus::Retired { .. }), KeyStatus::Active | KeyStatus::Retired { .. }) => None,
        });
        if let Some(old) = old.filter(|old| old.label != key.label) {
            lines.push(format!("calls {} {} now {}", old.label, key.node.short(), key.label));
        }
    }
    if next.closed && !prev.closed {
        lines.push("closes the nation's chains for ever".to_owned());
    }
    lines
}

fn in_words(shown: &RosterShown) -> String {
    let nation = &shown.nation[..10];
    let nation =
        shown.code.as_deref().map_or_else(|| format!("nation {nation}"), |code| format!("{code} (nation {nation})"));
    let mut text = format!(
        "roster version {} of {nation}, root {} generation {}, {}\n",
        shown.version,
        &shown.root[..10],
        shown.root_gen,
        shown.time
    );
    for key in &shown.keys {
        let witness = if key.witness { ", witness" } else { "" };
        let cut = key.cut_seq.map(|seq| format!(" at envelope {seq}")).unwrap_or_default();
        let _ = writeln!(text, "  {:<12} {} {}{cut}{witness}", key.label, key.node, key.status);
    }
    if shown.closed {
        text.push_str("closed: no node of this nation speaks any more\n");
    }
    if !shown.note.is_empty() {
        let _ = writeln!(text, "note: {}", shown.note);
    }
    for change in &shown.changes {
        let _ = writeln!(text, "it {change}");
    }
    for remark in &shown.remarks {
        let _ = writeln!(text, "note: {remark}");
    }
    text.push_str(if shown.signed { "signed by the nation's root key" } else { "not yet signed" });
    text
}
