//! The home a command works on, and making one.

use std::path::PathBuf;
use std::sync::Arc;

use comity_node::blame::Blame;
use comity_node::home::{Home, HomeError};
use comity_node::store::{OpenError, SaveError};
use comity_protocol::control::{ControlRecord, VerifiedControl};
use comity_protocol::ids::hex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::control;
use crate::failure::{Exit, Failure};
use crate::found::charter::Basis;
use crate::found::file::{self, FileKind};
use crate::output::Output;

/// Options of `comity init`.
#[derive(clap::Args, Debug)]
pub struct InitArgs {
    #[command(flatten)]
    pub basis: Basis,
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
    let file = args.basis.load()?;
    let charter = file.charter()?;
    let alliance = file.state.anchor().alliance;
    let Some(member) = charter.members.values().find(|member| member.code == args.nation) else {
        let codes: Vec<_> = charter.members.values().map(|member| member.code.as_str()).collect();
        return Err(Failure::usage(format!("{} is no nation of this alliance", args.nation))
            .because(format!("its nations are {}", codes.join(", ")))
            .hint("a nation that was admitted later is known from a charter file: --charter"));
    };
    let nation = member.id;
    let label = args.label.clone().unwrap_or_else(|| format!("{}-1", args.nation));
    if !comity_protocol::codec::control_text_permitted(&label) {
        return Err(Failure::usage(format!("{label:?} is not a label"))
            .because("a label has 1 to 64 bytes and no invisible characters"));
    }
    let records = file.state.control_records();
    let is_genesis = |control: &&&Arc<VerifiedControl>| matches!(control.record(), ControlRecord::Genesis(_));
    let genesis = records.iter().find(is_genesis).ok_or(HomeError::NoGenesis)?;
    let made = home.init(genesis, nation)?;
    control::fill(home, &records)?;
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
