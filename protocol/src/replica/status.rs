//! What a node can say about its peers and its work.

use super::Replica;
use super::peers::{Admitted, Fault};
use crate::chain::Head;
use crate::effect::LinkId;
use crate::ids::{AuthorKey, EnvelopeId, NationId, Timestamp};

/// How often what happened since the replica was built; for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Envelopes that arrived by push.
    pub pushed_in: u64,
    /// Of these, held already.
    pub pushed_known: u64,
    /// Of these, taken in.
    pub pushed_taken: u64,
    /// Of these, without their predecessor: the range was asked for.
    pub pushed_unlinked: u64,
    /// Envelopes sent by push, own and passed on.
    pub pushed_out: u64,
    /// Of these, passed on for others.
    pub relayed: u64,
    /// How often a link got too far behind for pushes.
    pub push_overflows: u64,
    /// Runs taken in.
    pub runs_taken: u64,
    /// Items of these that were new.
    pub run_items_taken: u64,
    /// Runs that do not link yet and prove nothing: a fork is searched below them.
    pub fork_hints: u64,
    /// Ranges asked for.
    pub ranges_asked: u64,
    /// Frontiers asked for.
    pub frontiers_asked: u64,
    /// Control pages asked for.
    pub controls_asked: u64,
    /// Requests answered.
    pub requests_served: u64,
    /// Own envelopes written.
    pub written: u64,
    /// Own witness envelopes written, beside these.
    pub witnessed: u64,
    /// Envelopes asked for by their id.
    pub ids_asked: u64,
    /// Own writes refused.
    pub writes_refused: u64,
    /// Links promoted from the lobby.
    pub promoted: u64,
    /// R01: frames that do not decode.
    pub refused_frame: u64,
    /// R02: another wire version.
    pub refused_wire: u64,
    /// R03: another alliance.
    pub refused_alliance: u64,
    /// R04: an author or root that no record held names.
    pub refused_unknown: u64,
    /// R05: signatures.
    pub refused_signature: u64,
    /// R06: fields out of range.
    pub refused_field: u64,
    /// R07: bodies that are not the ones named.
    pub refused_body: u64,
    /// R08: envelopes that can never link: their time goes back, or the chain is full.
    pub refused_unlinkable: u64,
    /// Replies that do not answer the question.
    pub refused_reply: u64,
    /// Foreign records not taken in because the disk is full.
    pub refused_storage: u64,
    /// Requests over the rate.
    pub refused_rate: u64,
    /// Links closed in the lobby because no roster lists the peer's key.
    pub refused_not_in_roster: u64,
    /// Links refused because the lobby had no room.
    pub refused_lobby_full: u64,
    /// Lobby links closed because too much came.
    pub refused_lobby_bytes: u64,
    /// Links refused because the key is retired.
    pub refused_retired: u64,
    /// Peers closed for three strikes.
    pub struck_out: u64,
}

impl Counters {
    pub(super) fn count_fault(&mut self, fault: Fault) {
        *match fault {
            Fault::Frame => &mut self.refused_frame,
            Fault::Alliance => &mut self.refused_alliance,
            Fault::Signature => &mut self.refused_signature,
            Fault::Field => &mut self.refused_field,
            Fault::Body => &mut self.refused_body,
            Fault::Reply => &mut self.refused_reply,
        } += 1;
    }
}

/// How two nodes' sets differ, as far as they told each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Envelopes the peer is known to hold and we do not.
    pub behind: u64,
    /// Envelopes we hold and the peer has not confirmed.
    pub ahead: u64,
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerStanding {
    /// A full link is up.
    Full,
    /// A lobby link is up.
    Lobby,
    /// No link is up.
    Away,
}

/// A peer that has been at the end of a link since the replica was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its key.
    pub key: AuthorKey,
    /// The nation whose roster lists it.
    pub nation: Option<NationId>,
    /// How it is connected.
    pub standing: PeerStanding,
    /// The link, if one is up.
    pub link: Option<LinkId>,
    /// How its set differs from ours.
    pub lag: Lag,
    /// It speaks a newer wire version.
    pub newer: bool,
    /// Strikes of the last ten minutes.
    pub strikes: usize,
    /// How far its clock was ahead of ours when it last told, in milliseconds; negative if behind.
    pub clock_ahead_ms: i64,
    /// When it was last heard, or linked.
    pub heard_at: Timestamp,
    /// It is not sent pushes until a comparison has repaired it.
    pub too_far_behind: bool,
}

impl Replica {
    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns every peer known, ascending by key.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let status = self.peers.iter().map(|(key, peer)| {
            let link = self.links.iter().find(|(_, link)| link.peer == *key);
            let standing = link.map_or(PeerStanding::Away, |(_, link)| match link.admitted {
                Admitted::Full => PeerStanding::Full,
                Admitted::Lobby { .. } => PeerStanding::Lobby,
            });
            PeerStatus {
                key: *key,
                nation: peer.nation,
                standing,
                link: link.map(|(id, _)| *id),
                lag: self.lag(peer),
                newer: peer.newer,
                strikes: peer.strikes.len(),
                clock_ahead_ms: peer.clock_ahead_ms,
                heard_at: link.map_or(peer.seen_at, |(_, link)| link.heard_at),
                too_far_behind: link.is_some_and(|(_, link)| link.outbox.behind()),
            }
        });
        status.collect()
    }

    fn lag(&self, peer: &super::peers::Peer) -> Lag {
        let mut lag = Lag::default();
        let top = |heads: &[Head], of: fn(&Head) -> u64| heads.iter().map(of).max().unwrap_or(0);
        let none = Vec::new();
        for chain in self.state.chains() {
            let shown = peer.shown.get(&chain.author()).unwrap_or(&none);
            let ours = chain.heads();
            lag.ahead += top(ours, |head| head.tip.seq).saturating_sub(top(shown, |head| head.bodies_to));
            lag.behind += top(shown, |head| head.tip.seq).saturating_sub(top(ours, |head| head.bodies_to));
        }
        for (author, shown) in &peer.shown {
            if self.state.chain(author).is_none() {
                lag.behind += top(shown, |head| head.tip.seq);
            }
        }
        lag
    }

    /// Returns the other nations of which some node confirmed holding an envelope with its body, ascending.
    pub fn held_by(&self, id: &EnvelopeId) -> Vec<NationId> {
        let Some(view) = self.state.envelope(id) else { return Vec::new() };
        let (author, tip) = (view.chain.author(), view.held.tip());
        let peers = self.peers.values().filter(|peer| self.covers(peer, &author, &tip));
        let mut nations: Vec<NationId> =
            peers.filter_map(|peer| peer.nation).filter(|nation| *nation != self.me.nation).collect();
        nations.sort_unstable();
        nations.dedup();
        nations
    }
}
