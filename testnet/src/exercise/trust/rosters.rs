//! Rosters: drafted on what a node shows, signed in the safe, imported at that node.

use std::collections::BTreeSet;

use comity_protocol::control::{KeyStatus, Roster, RosterKey};
use comity_protocol::ids::{AuthorId, AuthorKey, ControlId, unhex};

use super::known::Known;
use super::{import, nodes_of};
use crate::exercise::now;
use crate::exercise::stage::Stage;
use crate::files::read_text;
use crate::report::SignedRecord;

/// Signs a nation's next roster and imports it at one node.
pub(super) async fn sign(
    stage: &mut Stage,
    nation: &str,
    retire: &BTreeSet<String>,
    enrol: &BTreeSet<String>,
    at: &str,
) {
    stage.step(&format!("{nation}'s root signs a roster"));
    let drafted = draft(stage, nation, retire, enrol, at).await;
    let roster = match drafted {
        Ok(roster) => roster,
        Err(problem) => {
            stage.problems.push(format!("no roster of {nation} can be drafted at {at}: {problem}"));
            return;
        }
    };
    let what = in_words(&roster, retire, enrol);
    let Some(root) = stage.trust.safe.drawer(nation).key(&roster.root) else {
        stage.problems.push(format!("the root key of {nation} that the charter names is not in the safe"));
        return;
    };
    let record = roster.sign(root);
    let id = record.id().hex();
    import(stage, at, &[record]).await;
    stage.trust.outsiders.extend(retire.iter().cloned());
    let at_ms = stage.ledger.now_ms();
    stage.trust.signed.push(SignedRecord { nation: nation.to_owned(), what, record: Some(id), refused: None, at_ms });
}

async fn draft(
    stage: &mut Stage,
    nation: &str,
    retire: &BTreeSet<String>,
    enrol: &BTreeSet<String>,
    at: &str,
) -> Result<Roster, String> {
    let known = Known::of(&stage.client(at)).await?;
    let id = known.nation(nation)?;
    let member = known.charter()?.nation(&id).ok_or("the nation is none")?.clone();
    let evaluated = known.state.roster(&id);
    let (version, prev) = evaluated.map_or((0, ControlId::ZERO), |roster| roster.tip());
    let mut keys: Vec<RosterKey> =
        evaluated.and_then(|roster| roster.record()).map_or_else(Vec::new, |roster| roster.keys.clone());
    for name in retire {
        let key = stage.seats.get(name).and_then(|seat| AuthorKey::from_hex(&seat.key)).ok_or("no such node")?;
        let row = keys.iter_mut().find(|row| row.node == key).ok_or_else(|| format!("{name} is in no roster"))?;
        row.status = KeyStatus::Retired { cut: known.cut(&AuthorId { nation: id, key }) };
    }
    for name in enrol {
        let key = requested(stage, name)?;
        let is_witnessed = keys.iter().any(|row| row.witness && row.status == KeyStatus::Active);
        keys.push(RosterKey { witness: !is_witnessed, ..key });
    }
    keys.sort_by_key(|key| key.node);
    Ok(Roster {
        alliance: known.charter()?.alliance,
        nation: id,
        root: member.root,
        root_gen: member.root_gen,
        version: version + 1,
        prev,
        time_ms: now().0,
        keys,
        closed: false,
        note: String::new(),
    })
}

/// Reads what a new node asks for.
fn requested(stage: &Stage, name: &str) -> Result<RosterKey, String> {
    let text = read_text(&stage.layout.home(name).join("node.request")).map_err(|error| error.to_string())?;
    let field = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        line.ok_or_else(|| format!("the request of {name} names no {field}"))
    };
    let kem: Option<[u8; 32]> = unhex(field("kem")?).and_then(|kem| kem.try_into().ok());
    Ok(RosterKey {
        node: AuthorKey::from_hex(field("node")?).ok_or("the request names no key")?,
        kem: kem.ok_or("the request names no key to encrypt to")?,
        label: field("label")?.to_owned(),
        witness: false,
        status: KeyStatus::Active,
    })
}

fn in_words(roster: &Roster, retire: &BTreeSet<String>, enrol: &BTreeSet<String>) -> String {
    let mut what = format!("roster {} of root generation {}", roster.version, roster.root_gen);
    for name in retire {
        what.push_str(&format!(", retires {name}"));
    }
    for key in &roster.keys {
        if let KeyStatus::Retired { cut } = key.status {
            what.push_str(&format!(" ({} cut at {})", key.label, cut.seq));
        }
    }
    for name in enrol {
        what.push_str(&format!(", enrols {name}"));
    }
    what
}

/// Returns the first live node of a nation; `None` if it has none.
pub(super) fn live_node(stage: &Stage, nation: &str) -> Option<String> {
    let live = stage.live();
    nodes_of(stage, nation).into_iter().find(|name| live.contains(name) && !stage.trust.outsiders.contains(name))
}
