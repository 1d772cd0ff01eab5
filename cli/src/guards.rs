//! `comity node backup`, `restore` and `confirm`: what keeps one key from saying two things.

use std::path::{Path, PathBuf};

use comity_node::api::model::{Adoption, ConfirmAnswer, ConfirmRequest};
use comity_node::home::Home;
use comity_node::store::{self, BackupError, Checked, Occupied, Place};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::Failure;
use crate::found::charter::parse_tip;
use crate::home::failure;
use crate::output::Output;
use crate::table::{counted, short};

/// Options of `comity node restore`.
#[derive(clap::Args, Debug)]
pub struct RestoreArgs {
    /// What `comity node backup` wrote.
    pub file: PathBuf,
    /// Move the store that is there aside.
    #[arg(long)]
    pub replace: bool,
}

/// Options of `comity node confirm`.
#[derive(clap::Args, Debug)]
pub struct ConfirmArgs {
    /// Take the chain that ends here for whole, as printed without this option.
    #[arg(long, value_name = "SEQ:ID")]
    pub adopt: Option<String>,
    /// Ask no peer: if this key has said more than is here, it will say it twice, and its nation must retire it.
    #[arg(long)]
    pub without_peers: bool,
}

/// A backup that was written.
#[derive(Serialize, ToSchema)]
pub struct NodeBackup {
    /// The file.
    file: String,
    /// The node's key.
    node: String,
    /// Envelopes in it.
    envelopes: u64,
    /// Bodies in it.
    bodies: u64,
    /// Control records in it.
    control: u64,
}

/// A backup that was put in the place of a store.
#[derive(Serialize, ToSchema)]
pub struct NodeRestored {
    /// The backup.
    file: String,
    /// The node's key.
    node: String,
    /// Envelopes in it.
    envelopes: u64,
    /// Bodies in it.
    bodies: u64,
    /// Control records in it.
    control: u64,
    /// Where the store is that was there.
    aside: Option<String>,
}

/// Copies the store of `home`, which may be running, into a new file.
///
/// # Errors
/// [`Failure`]; nothing is left at `to` then.
pub fn backup(home: &Home, to: &Path, output: &Output) -> Result<(), Failure> {
    let Checked { identity, headers, bodies, control, .. } = store::back_up(&home.store(), to)?;
    let made =
        NodeBackup { file: to.display().to_string(), node: identity.node.hex(), envelopes: headers, bodies, control };
    output.result(&made, || {
        format!(
            "{} in {}\nthe keys are not in it: keep a copy of them elsewhere, never beside it",
            held(made.envelopes, made.control),
            made.file
        )
    });
    Ok(())
}

/// Puts a backup in the place of the store of `home`, which is not running.
///
/// # Errors
/// [`Failure`]; the store is then as it was.
pub fn restore(home: &Home, args: &RestoreArgs, output: &Output) -> Result<(), Failure> {
    let lock = home.lock()?;
    let key = home.node_key()?.public();
    let (store, sentinel) = (home.store(), home.sentinel());
    let place = Place { store: &store, sentinel: &sentinel, key };
    let occupied = if args.replace { Occupied::MoveAside } else { Occupied::Refuse };
    let (checked, aside) = store::restore(&args.file, &place, occupied, &lock)?;
    let restored = NodeRestored {
        file: args.file.display().to_string(),
        node: key.hex(),
        envelopes: checked.headers,
        bodies: checked.bodies,
        control: checked.control,
        aside: aside.map(|aside| aside.display().to_string()),
    };
    output.result(&restored, || {
        let aside = restored.aside.as_ref().map(|aside| format!("\nwhat was there is now {aside}")).unwrap_or_default();
        format!(
            "{} put back from {}{aside}\nnext: start the node; it writes nothing until `comity node confirm` has seen what \
             its peers hold",
            held(restored.envelopes, restored.control),
            restored.file
        )
    });
    Ok(())
}

fn held(envelopes: u64, control: u64) -> String {
    format!("{} and {}", counted(envelopes, "envelope"), counted(control, "control record"))
}

/// Shows what a stopped node would adopt, or adopts it.
///
/// # Errors
/// [`Failure`] with exit code 1 where something stands against it; the node goes on as it was.
pub fn confirm(args: &ConfirmArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let Some(adopt) = &args.adopt else { return look(args, api, output) };
    let tip = parse_tip(adopt)?;
    let request = ConfirmRequest { seq: tip.seq, envelope: tip.id.hex(), without_peers: args.without_peers };
    let answer: ConfirmAnswer = api.run(|client| async move { client.post("/v1/authoring", None, &request).await })?;
    output.result(&answer, || {
        format!("this node writes again, after envelope {} ({})", answer.seq, short(&answer.envelope))
    });
    Ok(())
}

fn look(args: &ConfirmArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let adoption: Adoption = api.run(|client| async move { client.get("/v1/authoring", &[]).await })?;
    let alone = args.without_peers && adoption.without_peers_possible;
    output.result(&adoption, || in_words(&adoption, alone));
    match &adoption.against {
        Some(against) if !alone => {
            let failure = Failure::refused("this node goes on writing nothing").because(against.clone());
            Err(match &adoption.hint {
                Some(hint) => failure.hint(hint.clone()),
                None => failure,
            })
        }
        Some(_) | None => Ok(()),
    }
}

fn in_words(adoption: &Adoption, alone: bool) -> String {
    let Some(stopped) = &adoption.stopped else {
        return "this node is not stopped, there is nothing to confirm".to_owned();
    };
    let asked = match adoption.nodes_compared {
        0 => "no node has compared its record with this one's since the start".to_owned(),
        nodes => format!(
            "{} of {} compared, the highest number any of them shows is {}",
            counted(u64::from(nodes), "node"),
            adoption.nations_compared.join(", "),
            adoption.shown
        ),
    };
    let mut text = format!(
        "stopped    {stopped}\nown chain  {}, the last is {}\npeers      {asked}",
        counted(adoption.seq, "envelope"),
        adoption.envelope
    );
    let adopt = if adoption.seq == 0 { "0".to_owned() } else { format!("{}:{}", adoption.seq, adoption.envelope) };
    if alone {
        text.push_str(&format!(
            "\nno peer vouches for it: if this key has said more than is here, it will say it twice, and its nation must \
             retire it; else:\n  comity node confirm --without-peers --adopt {adopt}"
        ));
    } else if adoption.against.is_none() {
        text.push_str(&format!(
            "\nif you know why, and this key is used nowhere else:\n  comity node confirm --adopt {adopt}"
        ));
    }
    text
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        failure(&error, error.hint().map(str::to_owned), error.blame())
    }
}
