//! Whom to dial: the configuration, the peers added since, and what members say in their own profiles.

use std::collections::BTreeSet;

use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId, NationId};
use comity_protocol::statement::Kind;
use comity_protocol::value::Value;

use crate::config::{AddedPeers, PeerAddress, Switch};
use crate::transport::{DialOrigin, DialTarget};

/// Most addresses taken from one nation's profiles: eight nodes with a few addresses each.
const LEARNED_PER_NATION_MAX: usize = 32;

/// Sources of addresses.
#[derive(Debug)]
pub(super) struct Dialing {
    pub(super) configured: Vec<PeerAddress>,
    pub(super) added: AddedPeers,
    pub(super) learn: Switch,
    /// The profile versions looked at last.
    pub(super) profiles: Vec<EnvelopeId>,
}

impl Dialing {
    /// Whether a profile has another version than when last asked.
    pub(super) fn profiles_changed(&mut self, state: &State) -> bool {
        if !self.learn.is_on() {
            return false;
        }
        let versions = state.nations().flat_map(|nation| {
            let records = state.section(&nation.id).table().records_of(Kind::Profile.name());
            records.take(LEARNED_PER_NATION_MAX).filter_map(|(_, record)| Some(record.winner()?.source.envelope))
        });
        let versions: Vec<_> = versions.collect();
        let changed = versions != self.profiles;
        self.profiles = versions;
        changed
    }

    /// Returns everything to dial; addresses of the own node are left out.
    pub(super) fn targets(&self, state: &State, me: AuthorId) -> Vec<DialTarget> {
        let told = self.configured.iter().chain(self.added.list());
        let mut targets: Vec<DialTarget> = told
            .map(|peer| DialTarget { address: peer.address.clone(), node: peer.node, origin: DialOrigin::Static })
            .collect();
        if self.learn.is_on() {
            let known: BTreeSet<_> = targets.iter().map(|target| target.address.to_string()).collect();
            let learned = learned(state, me).into_iter().filter(|peer| !known.contains(&peer.address.to_string()));
            targets.extend(learned.map(|peer| DialTarget {
                address: peer.address,
                node: peer.node,
                origin: DialOrigin::Learned,
            }));
        }
        targets.retain(|target| target.node != Some(me.key));
        targets
    }
}

/// Returns the addresses in the members' own profiles; one whose node is neither named nor the nation's only one is of no use.
fn learned(state: &State, me: AuthorId) -> Vec<PeerAddress> {
    let mut found = Vec::new();
    for nation in state.nations() {
        let only = only_active(state, &nation.id, me.key);
        let texts = state.section(&nation.id).table().records_of(Kind::Profile.name()).flat_map(|(_, record)| {
            let fields = record.winner().map(|version| &version.fields);
            match fields.and_then(|fields| fields.get("addresses")) {
                Some(Value::Map(list)) => list.values().filter_map(text).collect(),
                Some(_) | None => Vec::new(),
            }
        });
        let peers = texts.take(LEARNED_PER_NATION_MAX).filter_map(|text| text.parse::<PeerAddress>().ok());
        found.extend(peers.filter_map(|peer| {
            let node = peer.node.or(only)?;
            let listed = state.key_standing(&AuthorId { nation: nation.id, key: node }).is_some();
            listed.then_some(PeerAddress { address: peer.address, node: Some(node) })
        }));
    }
    found
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bytes(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null | Value::Map(_) => None,
    }
}

fn only_active(state: &State, nation: &NationId, me: AuthorKey) -> Option<AuthorKey> {
    let mut active = state.active_authors().filter(|author| author.nation == *nation && author.key != me);
    let first = active.next()?;
    active.next().is_none().then_some(first.key)
}
