//! `comity peers`: who this node reaches, and the addresses it dials.

use comity_node::api::model::{PeerAnswer, PeerRequest};

use crate::api::Api;
use crate::args::PeersCommand;
use crate::failure::Failure;
use crate::output::Output;
use crate::query;

/// Runs a `peers` command.
///
/// # Errors
/// [`Failure`].
pub fn run(command: Option<&PeersCommand>, api: &Api, output: &Output) -> Result<(), Failure> {
    let answer: PeerAnswer = match command {
        None => return query::peers(api, output),
        Some(PeersCommand::Add { address, node }) => {
            let request = PeerRequest { address: address.clone(), node: node.clone() };
            api.run(|client| async move { client.post("/v1/peers", None, &request).await })?
        }
        Some(PeersCommand::Remove { address }) => {
            api.run(|client| async move { client.delete("/v1/peers", &[("address", address)]).await })?
        }
    };
    output.result(&answer, || {
        let done = match (command, answer.changed) {
            (Some(PeersCommand::Remove { .. }), true) => "is dialled no more",
            (Some(PeersCommand::Remove { .. }), false) => "was not dialled",
            (_, true) => "is dialled from now on",
            (_, false) => "was already dialled",
        };
        format!("{} {done}", answer.address)
    });
    Ok(())
}
