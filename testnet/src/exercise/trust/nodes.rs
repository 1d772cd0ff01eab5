//! Homes and processes: clones, new nodes, destroyed ones, and what their operators type.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use super::{Batch, ExerciseError};
use crate::draft::Draft;
use crate::exercise::desk::Presence;
use crate::exercise::said;
use crate::exercise::stage::Stage;
use crate::files::read_text;
use crate::processes::{Layout, Member, Node, NodeConfig, TestnetError, comity, key_in, listens};
use crate::relay::Pair;
use crate::scenario::{Entry, Scenario, Step};
use crate::wire::{PeerRequest, WriteAnswer, WriteRequest};

/// Makes ready what exists before the first node starts: a root key for every nation that is admitted later, and the home of
/// every clone, copied as it was founded.
/// # Errors
/// [`TestnetError`] if a command fails or a home cannot be copied.
pub(in crate::exercise) async fn prepare(
    exe: &Path,
    layout: &Layout,
    scenario: &Scenario,
) -> Result<super::Safe, TestnetError> {
    let mut safe = super::Safe::default();
    for nation in &scenario.nations {
        let file = layout.alliance().join(format!("{}.root", nation.code));
        if nation.entry == Entry::ByMotion {
            new_root(exe, &nation.code, &file).await?;
        }
        safe.put(&nation.code, &file, 0)?;
    }
    for step in &scenario.timeline {
        if let Step::Clone { node, of, .. } = step {
            copy_home(&layout.home(of), &layout.home(node))?;
        }
    }
    Ok(safe)
}

/// Makes a nation's root key with the product's own command.
/// # Errors
/// [`TestnetError`] if it fails.
pub(super) async fn new_root(exe: &Path, code: &str, file: &Path) -> Result<(), TestnetError> {
    let args = ["root".into(), "new".into(), code.into(), "--out".into(), file.into()];
    comity(exe, args.into()).await?.succeeded().map(|_| ())
}

/// Copies a home whose node does not run, with the permissions of its files; sockets, locks and configuration stay behind.
/// # Errors
/// [`TestnetError::Folder`].
pub(in crate::exercise) fn copy_home(from: &Path, to: &Path) -> Result<(), TestnetError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TestnetError::Folder { path, source }
    };
    std::fs::create_dir(to).map_err(failed(to))?;
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (source, target, name) = (entry.path(), to.join(entry.file_name()), entry.file_name());
        let kind = entry.file_type().map_err(failed(&source))?;
        if kind.is_dir() {
            copy_home(&source, &target)?;
        } else if kind.is_file() && !["node.lock", "comity.toml"].iter().any(|left| name == *left) {
            std::fs::copy(&source, &target).map_err(failed(&source))?;
        }
    }
    let mode = std::fs::metadata(from).map_err(failed(from))?.permissions();
    std::fs::set_permissions(to, mode).map_err(failed(to))
}

/// Writes observations at one node.
pub(super) async fn write_as(stage: &mut Stage, node: &str, statements: u32, batch: &str) {
    stage.step(&format!("{node} writes \"{batch}\""));
    let client = stage.client(node);
    let mut versions = Vec::new();
    for number in 1..=statements {
        let id = format!("batch-{batch}-{number}");
        let draft = Draft::new("observation")
            .with("source", format!("{node} liaison office"))
            .with("text", format!("{batch}, report {number} of {statements}"));
        let answer: Result<WriteAnswer, _> =
            client.post("/v1/write", Some(&id), &WriteRequest { id: &id, draft: &draft }).await;
        match answer {
            Ok(answer) => {
                // What a thief's node acknowledges is no promise to anybody.
                if !stage.trust.is_of_a_clone(node) {
                    stage.ledger.note(node, &draft.kind, &answer);
                }
                versions.push(answer.version);
            }
            Err(error) => {
                stage.problems.push(format!("{node} does not write \"{batch}\": {}", said(&error)));
                break;
            }
        }
    }
    let batch_of = Batch { node: node.to_owned(), versions, standing: None, is_final: false };
    stage.trust.batches.insert(batch.to_owned(), batch_of);
}

/// Starts a second process with the keys of a node, on its home as it was founded.
pub(super) async fn clone(
    stage: &mut Stage,
    name: &str,
    of: &str,
    links: BTreeSet<String>,
) -> Result<(), ExerciseError> {
    stage.step(&format!("{name} starts with the keys of {of}"));
    let original = stage.seats.get(of).map(|seat| (seat.nation.clone(), seat.key.clone()));
    let Some((nation, key)) = original else { return Ok(()) };
    stage.trust.clones.insert(name.to_owned());
    stage.trust.outsiders.insert(name.to_owned());
    launch(stage, Member { code: name.to_owned(), node: key }, &nation, links).await
}

/// Makes the home of a new node; its nation's roster enrols it later.
pub(super) async fn init(stage: &mut Stage, name: &str, nation: &str) -> Result<(), ExerciseError> {
    stage.step(&format!("making the home of {name}"));
    let (home, file) = (stage.layout.home(name), stage.layout.alliance().join(format!("{name}.charter")));
    // Who is a member by now, from a node that knows; a genesis names the founders only.
    if let Some(member) = stage.inside().into_iter().next() {
        let export = ["charter".into(), "export".into(), "--out".into(), file.clone().into()];
        let of: [OsString; 2] = ["--home".into(), stage.layout.home(&member).into()];
        comity(&stage.exe, of.into_iter().chain(export).collect()).await?.succeeded()?;
    }
    let label = name.to_lowercase();
    let args: Vec<OsString> = vec![
        "--home".into(),
        home.clone().into(),
        "init".into(),
        "--charter".into(),
        file.into(),
        "--nation".into(),
        nation.into(),
        "--label".into(),
        label.into(),
    ];
    comity(&stage.exe, args).await?.succeeded()?;
    let request = read_text(&home.join("node.request")).map_err(TestnetError::from)?;
    let node = key_in(&request, nation)?;
    stage.made.insert(name.to_owned(), (nation.to_owned(), node));
    Ok(())
}

/// Starts a node that has a home.
pub(super) async fn start(stage: &mut Stage, name: &str, links: BTreeSet<String>) -> Result<(), ExerciseError> {
    stage.step(&format!("starting {name}"));
    let Some((nation, node)) = stage.made.get(name).cloned() else { return Ok(()) };
    launch(stage, Member { code: name.to_owned(), node }, &nation, links).await
}

/// Starts the process of a member that dials `links` through relays of its own.
async fn launch(stage: &mut Stage, member: Member, nation: &str, links: BTreeSet<String>) -> Result<(), ExerciseError> {
    let name = member.code.clone();
    let is_dialled = |link: &String| *link != name && !stage.trust.outsiders.contains(link);
    let pairs: Vec<Pair> = links.into_iter().filter(is_dialled).map(|to| Pair { from: name.clone(), to }).collect();
    stage.open_relays(&pairs).await?;
    let ports = stage.relays.ports();
    NodeConfig::new(&stage.layout, &stage.testnet, &member, &ports).write().map_err(TestnetError::from)?;
    let (node, status) = Node::start(&stage.exe, &stage.layout, &member).await?;
    stage.relays.set_target(&name, listens(&status));
    stage.testnet.members.push(member);
    stage.take_seat(&name, nation, &status.node, node);
    Ok(())
}

/// Lets a node dial others from now on, as `comity peers add` does.
pub(super) async fn link(stage: &mut Stage, name: &str, to: &BTreeSet<String>) -> Result<(), ExerciseError> {
    stage.step(&format!("{name} dials {}", to.iter().cloned().collect::<Vec<_>>().join(" ")));
    let pairs: Vec<Pair> = to.iter().map(|to| Pair { from: name.to_owned(), to: to.clone() }).collect();
    stage.open_relays(&pairs).await?;
    for other in to {
        let port = stage.relays.port(name, other);
        let node = stage.seats.get(other).map(|seat| seat.key.clone());
        let (Some(port), Some(node)) = (port, node) else { continue };
        let request = PeerRequest { address: format!("/ip4/127.0.0.1/tcp/{port}"), node };
        if let Err(error) = stage.client(name).post::<_, serde_json::Value>("/v1/peers", None, &request).await {
            stage.problems.push(format!("{name} cannot dial {other}: {}", said(&error)));
        }
    }
    Ok(())
}

/// Kills a node and deletes its home but for its keys, of which an operator has a copy elsewhere.
pub(super) async fn destroy(stage: &mut Stage, name: &str) {
    stage.step(&format!("{name} is destroyed"));
    let Some(seat) = stage.seats.get_mut(name) else { return };
    if let Some(node) = &mut seat.node {
        node.kill().await;
    }
    seat.node = None;
    seat.desk.presence.send_replace(Presence::Down);
    stage.relays.set_target(name, None);
    if let Err(error) = wipe(&stage.layout.home(name)) {
        stage.problems.push(format!("the home of {name} cannot be deleted: {error}"));
    }
}

fn wipe(home: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(home)? {
        let entry = entry?;
        match entry.file_type()? {
            _ if entry.file_name() == "keys" => {}
            kind if kind.is_dir() => std::fs::remove_dir_all(entry.path())?,
            _ => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
