//! The home a command works on: making one, and taking signed rosters into it.

use std::path::{Path, PathBuf};

use comity_node::api::model::{ControlAnswer, ControlRequest};
use comity_node::blame::Blame;
use comity_node::home::{Home, HomeError};
use comity_node::store::{OpenError, SaveError, Settings, Store};
use comity_protocol::control::{ControlRecord, nation_id};
use comity_protocol::effect::SaveOp;
use comity_protocol::ids::hex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::{Exit, Failure};
use crate::found::file::{self, FileKind};
use crate::found::{genesis, roster};
use crate::output::Output;

/// Options of `comity init`.
#[derive(clap::Args, Debug)]
pub struct InitArgs {
    /// The alliance's genesis.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// The nation this node speaks for, by code.
    #[arg(long, value_name = "CODE")]
    pub nation: String,
    /// A name for this node [default: CODE-1].
    #[arg(long)]
    pub label: Option<String>,
}

/// The home of a new node.
#[derive(Serialize, ToSchema)]
pub struct NewHome {
    /// Its folder.
    home: String,
    /// Id of the alliance.
    alliance: String,
    /// Code of the nation.
    nation: String,
    /// The node's key.
    node: String,
    /// The file by which the nation's root enrols the node.
    request: String,
}

/// Returns the home named on the command line or in `COMITY_HOME`, else the default one.
///
/// # Errors
/// [`Failure`] with exit code 2 where the environment names no folder for data.
pub fn of(given: Option<&PathBuf>) -> Result<Home, Failure> {
    match given {
        Some(home) => Ok(Home::new(home)),
        None => Ok(Home::default_place(|name| std::env::var_os(name))?),
    }
}

/// Makes the home of a new node and the request by which its nation's root enrols it.
///
/// # Errors
/// [`Failure`]; what was made until then is removed again.
pub fn init(home: &Home, args: &InitArgs, output: &Output) -> Result<(), Failure> {
    let signed = genesis::load(&args.genesis)?;
    let alliance = signed.genesis.alliance_id();
    let Some(founder) = signed.genesis.founders.iter().find(|founder| founder.code == args.nation) else {
        let codes: Vec<_> = signed.genesis.founders.iter().map(|founder| founder.code.as_str()).collect();
        return Err(Failure::usage(format!("{} is no nation of this alliance", args.nation))
            .because(format!("its nations are {}", codes.join(", "))));
    };
    let nation = nation_id(&alliance, &founder.root);
    let label = args.label.clone().unwrap_or_else(|| format!("{}-1", args.nation));
    if !comity_protocol::codec::control_text_permitted(&label) {
        return Err(Failure::usage(format!("{label:?} is not a label"))
            .because("a label has 1 to 64 bytes and no invisible characters"));
    }
    let record = ControlRecord::Genesis(signed)
        .verify()
        .map_err(|error| Failure::refused("the genesis is not valid").because(error.to_string()))?;
    let made = home.init(&record, nation)?;
    let node = made.identity.node.hex();
    let request = home.request();
    file::write(&request, FileKind::NodeRequest, &[("node", &node), ("kem", &hex(&made.kem)), ("label", &label)])?;
    let made = NewHome {
        home: home.path().display().to_string(),
        alliance: alliance.hex(),
        nation: args.nation.clone(),
        node,
        request: request.display().to_string(),
    };
    output.result(&made, || {
        format!(
            "home of a {} node in {}\nnode key {}\nnext: have the nation's root enrol {} (comity roster enrol)",
            made.nation, made.home, made.node, made.request
        )
    });
    Ok(())
}

/// Takes signed rosters into the node: over its socket while it runs, else into its store.
///
/// # Errors
/// [`Failure`]; rosters before the one that fails are taken.
pub fn import_rosters(home: &Home, files: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let records = files.iter().map(|path| roster::load_record(path)).collect::<Result<Vec<_>, _>>()?;
    let answer = match home.lock() {
        Ok(lock) => {
            let store = Store::open(&home.store(), Settings::default(), lock)?;
            save(store, records, files)?
        }
        Err(HomeError::Store(OpenError::Locked { .. })) => post(home, &records)?,
        Err(error) => return Err(error.into()),
    };
    if let Some(refusal) = answer.refused.first() {
        let path = files.get(refusal.index as usize).map(|path| path.display().to_string()).unwrap_or_default();
        return Err(Failure::refused(format!("{path} is refused")).because(refusal.reason.clone()));
    }
    output.result(&answer, || format!("{} taken, {} already known", answer.accepted, answer.known));
    Ok(())
}

fn post(home: &Home, records: &[ControlRecord]) -> Result<ControlAnswer, Failure> {
    let records = records.iter().map(|record| hex(&[&[record.kind()], record.encode().as_slice()].concat())).collect();
    let request = ControlRequest { records };
    Api::of(home)?.run(|client| async move { client.post("/v1/control", None, &request).await })
}

fn save(store: Store, records: Vec<ControlRecord>, files: &[PathBuf]) -> Result<ControlAnswer, Failure> {
    let loaded = store.load()?;
    let mut answer = ControlAnswer { accepted: 0, known: 0, refused: Vec::new() };
    let mut ops = Vec::new();
    for (record, path) in records.into_iter().zip(files) {
        check_alliance(&record, loaded.identity.alliance, path)?;
        let record = record
            .verify()
            .map_err(|error| Failure::refused(format!("{} is not valid", path.display())).because(error.to_string()))?;
        if loaded.control.iter().any(|held| held.id() == record.id()) {
            answer.known += 1;
        } else {
            answer.accepted += 1;
            ops.push(SaveOp::Control(record));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::environment("cannot start").because(error.to_string()))?;
    runtime.block_on(async {
        let saved = store.save(ops).await;
        store.close().await;
        saved
    })?;
    Ok(answer)
}

fn check_alliance(
    record: &ControlRecord,
    alliance: comity_protocol::ids::AllianceId,
    path: &Path,
) -> Result<(), Failure> {
    match record {
        ControlRecord::Roster(roster, _) if roster.alliance != alliance => {
            Err(Failure::refused(format!("{} belongs to another alliance", path.display()))
                .because(format!("it names {}, this home is of {alliance}", roster.alliance)))
        }
        _ => Ok(()),
    }
}

/// Returns the exit code for whose move it is.
fn exit(blame: Blame) -> Exit {
    match blame {
        Blame::Peer => Exit::Refused,
        Blame::Operator => Exit::Usage,
        Blame::Environment => Exit::Environment,
    }
}

/// Returns an error of the node with its cause, hint and exit code.
pub fn failure(error: &dyn std::error::Error, hint: Option<String>, blame: Blame) -> Failure {
    let cause = error.source().map(ToString::to_string);
    Failure { error: error.to_string(), cause, hint, exit: exit(blame) }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        failure(&error, error.hint(), error.blame())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        failure(&error, error.hint().map(str::to_owned), error.blame())
    }
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        failure(&error, error.hint().map(str::to_owned), error.blame())
    }
}
