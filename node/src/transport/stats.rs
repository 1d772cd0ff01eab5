//! The transport's own counters, beside those of libp2p.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters shared by the swarm's task and the tasks of links.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    /// Links up.
    pub(super) links: Gauge,
    /// Failed dials.
    pub(super) dials_failed: Counter,
    /// Inbound connections refused at the handshake: the key is Retired or of a removed nation.
    pub(super) refused_keys: Counter,
    /// Inbound connections refused: too many of unknown keys, or from one source address.
    pub(super) refused_limits: Counter,
    /// Connections closed by the tie-break.
    pub(super) duplicates: Counter,
    /// Times a push queue was emptied because it was full.
    pub(super) push_overflows: Counter,
    /// Inbound streams reset because their link has too many.
    pub(super) streams_reset: Counter,
    /// Times a reader paused to keep to its rate.
    pub(super) throttled: Counter,
    /// Links closed for a malformed frame.
    pub(super) malformed: Counter,
    /// Our requests that failed.
    pub(super) exchanges_failed: Counter,
    /// Bytes of frames received.
    pub(super) frame_bytes_in: Counter,
    /// Bytes of frames sent.
    pub(super) frame_bytes_out: Counter,
}

impl Stats {
    /// Makes the counters and registers them below `net_`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let stats = Self::default();
        let net = registry.sub_registry_with_prefix("net");
        net.register("links", "Links up", stats.links.clone());
        let counters: [(&str, &str, &Counter); 11] = [
            ("dials_failed", "Failed dials", &stats.dials_failed),
            ("refused_keys", "Connections refused: key retired or removed", &stats.refused_keys),
            ("refused_limits", "Connections refused: over a limit", &stats.refused_limits),
            ("duplicates", "Connections closed by the tie-break", &stats.duplicates),
            ("push_overflows", "Push queues emptied because full", &stats.push_overflows),
            ("streams_reset", "Inbound streams reset because too many", &stats.streams_reset),
            ("throttled", "Pauses of readers to keep to their rate", &stats.throttled),
            ("malformed", "Links closed for a malformed frame", &stats.malformed),
            ("exchanges_failed", "Requests of ours that failed", &stats.exchanges_failed),
            ("frame_bytes_in", "Bytes of frames received", &stats.frame_bytes_in),
            ("frame_bytes_out", "Bytes of frames sent", &stats.frame_bytes_out),
        ];
        for (name, help, counter) in counters {
            net.register(name, help, counter.clone());
        }
        stats
    }
}
