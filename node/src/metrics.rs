//! Counters in the text that Prometheus reads.
//!
//! The replica and the loop count for themselves; a scrape puts their figures beside those of libp2p.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use comity_protocol::effect::Storage;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::answers;
use crate::driver::{Counts, Reading};
use crate::transport::NetStatus;

/// What a scrape reads beside the replica.
#[derive(Debug)]
pub struct Metrics {
    /// What libp2p and the transport registered.
    network: Registry,
    counts: Arc<Counts>,
}

type Level = Gauge<u64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

impl Metrics {
    /// Takes the registry in which the transport registered its metrics.
    pub const fn new(network: Registry, counts: Arc<Counts>) -> Self {
        Self { network, counts }
    }

    /// Returns everything in OpenMetrics text.
    pub fn encode(&self, reading: &Reading<'_>, network: &NetStatus) -> String {
        let mut own = Registry::with_prefix("comity");
        self.loop_figures(&mut own);
        replica_figures(&mut own, reading);
        record_figures(&mut own, reading);
        peer_figures(&mut own, reading, network);
        let mut out = String::new();
        let encoded = text::encode_registry(&mut out, &own)
            .and_then(|()| text::encode_registry(&mut out, &self.network))
            .and_then(|()| text::encode_eof(&mut out));
        encoded.expect("writing to a string cannot fail");
        out
    }

    fn loop_figures(&self, own: &mut Registry) {
        let counts = &self.counts;
        count(own, "batches", "Turns of the loop", counts.batches.load(Relaxed));
        count(own, "inputs", "Inputs handled", counts.inputs.load(Relaxed));
        count(own, "saves", "Transactions committed", counts.saves.load(Relaxed));
        count(own, "saves_failed", "Transactions that failed", counts.saves_failed.load(Relaxed));
        count(own, "busy_microseconds", "Time spent computing in the loop", counts.busy_micros.load(Relaxed));
    }
}

fn count(own: &mut Registry, name: &str, help: &str, value: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    own.register(name, help, counter);
}

fn level(own: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Level::default();
    gauge.set(value);
    own.register(name, help, gauge);
}

fn replica_figures(own: &mut Registry, reading: &Reading<'_>) {
    let counters = reading.replica.counters();
    for (name, help, value) in [
        ("pushed_in", "Envelopes that arrived by push", counters.pushed_in),
        ("pushed_known", "Pushed envelopes that were held already", counters.pushed_known),
        ("pushed_taken", "Pushed envelopes taken in", counters.pushed_taken),
        ("pushed_unlinked", "Pushed envelopes without their predecessor", counters.pushed_unlinked),
        ("pushed_out", "Envelopes sent by push", counters.pushed_out),
        ("relayed", "Envelopes passed on for others", counters.relayed),
        ("push_overflows", "Links that got too far behind for pushes", counters.push_overflows),
        ("runs_taken", "Runs taken in", counters.runs_taken),
        ("run_items_taken", "Items of runs that were new", counters.run_items_taken),
        ("fork_hints", "Runs below which a fork was searched", counters.fork_hints),
        ("ranges_asked", "Ranges asked for", counters.ranges_asked),
        ("frontiers_asked", "Frontiers asked for", counters.frontiers_asked),
        ("controls_asked", "Control pages asked for", counters.controls_asked),
        ("requests_served", "Requests of peers answered", counters.requests_served),
        ("written", "Own envelopes written", counters.written),
        ("witnessed", "Own witness envelopes written", counters.witnessed),
        ("ids_asked", "Cuts asked for by their id", counters.ids_asked),
        ("writes_refused", "Own writes refused", counters.writes_refused),
        ("promoted", "Links promoted from the lobby", counters.promoted),
        ("refused_not_in_roster", "Links of keys that no roster lists", counters.refused_not_in_roster),
        ("refused_lobby_full", "Links for which the lobby had no room", counters.refused_lobby_full),
        ("refused_lobby_bytes", "Lobby links that sent too much", counters.refused_lobby_bytes),
        ("refused_retired", "Links of retired keys", counters.refused_retired),
        ("struck_out", "Peers closed for three strikes", counters.struck_out),
    ] {
        count(own, name, help, value);
    }
    let refused = Family::<Labels, Counter>::default();
    for (code, value) in [
        ("R01", counters.refused_frame),
        ("R02", counters.refused_wire),
        ("R03", counters.refused_alliance),
        ("R04", counters.refused_unknown),
        ("R05", counters.refused_signature),
        ("R06", counters.refused_field),
        ("R07", counters.refused_body),
        ("R08", counters.refused_unlinkable),
        ("reply", counters.refused_reply),
        ("storage", counters.refused_storage),
        ("rate", counters.refused_rate),
    ] {
        refused.get_or_create(&vec![("code", code.to_owned())]).inc_by(value);
    }
    own.register("refused", "What peers sent and was refused, by receipt check", refused);
}

fn record_figures(own: &mut Registry, reading: &Reading<'_>) {
    let totals = answers::node::totals(reading.state());
    level(own, "envelopes", "Envelopes held", totals.envelopes);
    level(own, "statements", "Records in all documents", totals.statements);
    level(own, "waiting", "Envelopes that wait for others", totals.waiting);
    level(own, "void", "Envelopes without effect", totals.void);
    level(own, "forked_chains", "Chains that said two things", totals.forks);
    level(own, "store_bytes", "Bytes of the store's files", reading.store_bytes);
    level(own, "store_full", "1 while the store takes no records", u64::from(reading.storage == Storage::Full));
    level(own, "authoring", "1 while the node takes writes", u64::from(reading.not_authoring().is_none()));
}

fn peer_figures(own: &mut Registry, reading: &Reading<'_>, network: &NetStatus) {
    level(own, "links", "Links that are up", u64::try_from(network.links.len()).unwrap_or(u64::MAX));
    let behind = Family::<Labels, Level>::default();
    let ahead = Family::<Labels, Level>::default();
    let strikes = Family::<Labels, Level>::default();
    for peer in reading.replica.peers() {
        let nation = peer.nation.map(|nation| answers::code(reading.state(), &nation)).unwrap_or_default();
        let labels = vec![("nation", nation), ("node", peer.key.short())];
        behind.get_or_create(&labels).set(peer.lag.behind);
        ahead.get_or_create(&labels).set(peer.lag.ahead);
        strikes.get_or_create(&labels).set(u64::try_from(peer.strikes).unwrap_or(u64::MAX));
    }
    own.register("peer_behind", "Envelopes a peer holds and we do not", behind);
    own.register("peer_ahead", "Envelopes we hold and a peer has not confirmed", ahead);
    own.register("peer_strikes", "Broken messages of a peer in ten minutes", strikes);
    let queue = Family::<Labels, Level>::default();
    let round_trip = Family::<Labels, Level>::default();
    for link in &network.links {
        let labels = vec![("node", link.peer.short())];
        queue.get_or_create(&labels).set(u64::try_from(link.push_queue_bytes).unwrap_or(u64::MAX));
        if let Some(time) = link.round_trip {
            round_trip.get_or_create(&labels).set(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }
    own.register("push_queue_bytes", "Bytes waiting for a link's push stream", queue);
    own.register("round_trip_microseconds", "Round trip of a link as last measured", round_trip);
}
