//! `comity peers`: who this node reaches, and the addresses it dials.

use std::net::IpAddr;

use comity_node::api::model::{PeerAnswer, PeerRequest};

use crate::api::Api;
use crate::args::PeersCommand;
use crate::failure::Failure;
use crate::output::Output;
use crate::query;

/// Returns an address as the node takes it: HOST:PORT becomes a multiaddress, all else stays as it is.
fn multiaddress(text: &str) -> String {
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.contains('/')) else { return text.to_owned() };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let kind = match bare.parse() {
        Ok(IpAddr::V4(_)) => "ip4",
        Ok(IpAddr::V6(_)) => "ip6",
        Err(_) => "dns",
    };
    format!("/{kind}/{bare}/tcp/{port}")
}

/// Runs a `peers` command.
///
/// # Errors
/// [`Failure`].
pub fn run(command: Option<&PeersCommand>, api: &Api, output: &Output) -> Result<(), Failure> {
    let answer: PeerAnswer = match command {
        None => return query::peers(api, output),
        Some(PeersCommand::Add { address, node }) => {
            let request = PeerRequest { address: multiaddress(address), node: node.clone() };
            api.run(|client| async move { client.post("/v1/peers", None, &request).await })?
        }
        Some(PeersCommand::Remove { address }) => {
            let address = multiaddress(address);
            api.run(|client| async move { client.delete("/v1/peers", &[("address", &address)]).await })?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_an_address() {
        let cases = [
            ("192.0.2.7:7400", "/ip4/192.0.2.7/tcp/7400"),
            ("[2001:db8::7]:7400", "/ip6/2001:db8::7/tcp/7400"),
            ("kyiv.example.org:7400", "/dns/kyiv.example.org/tcp/7400"),
            ("/ip6/2001:db8::7/tcp/7400", "/ip6/2001:db8::7/tcp/7400"),
            ("garbage", "garbage"),
        ];
        for (text, address) in cases {
            assert_eq!(multiaddress(text), address);
        }
    }
}
