//! The node, its peers, the nations and the log.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use comity_protocol::body::{KIND_CHANGE, KIND_KEY_GRANT, KIND_WITNESS};
use comity_protocol::chain::{AuthorStatus, Chain, EnvelopeStanding, Held};
use comity_protocol::dossier;
use comity_protocol::effect::Storage;
use comity_protocol::evaluate::{Standing, State};
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId, NationId, Timestamp};
use comity_protocol::replica::{PeerStanding, PeerStatus};
use comity_protocol::roster::KeyStanding;
use comity_protocol::section::Verdict;
use comity_protocol::statement::Kind;
use comity_protocol::statement::ledger::Ledger;

use super::code;
use crate::api::Refusal;
use crate::api::model::{
    Authoring, Charter, Fork, Lag, Log, LogRow, NationRow, Nations, NodeRow, PeerRow, PeerSummary, Peers, SaidRecord,
    Status, rfc3339,
};
use crate::driver::Reading;
use crate::transport::NetStatus;

/// A nation not heard of for this long is quiet (T1 of DOMAIN 2.4).
const QUIET_MS: u64 = 3_600_000;
/// A nation not heard of for this long is unreachable (T2 of DOMAIN 2.4).
const UNREACHABLE_MS: u64 = 86_400_000;
/// The clock is shown as ahead from here (spec 4.10).
const CLOCK_AHEAD_MS: i64 = 600_000;
/// `status` warns when this share of the quota is used (spec 4.11).
const QUOTA_WARN_PERCENT: u64 = 80;

/// Sums over everything held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Envelopes held.
    pub envelopes: u64,
    /// Records in all documents.
    pub statements: u64,
    /// Envelopes that wait for others.
    pub waiting: u64,
    /// Envelopes without effect.
    pub void: u64,
    /// Chains that said two things.
    pub forks: u64,
}

/// Returns sums over everything held.
pub fn totals(state: &State) -> Totals {
    let mut totals = Totals::default();
    for chain in state.chains() {
        totals.envelopes += number(chain.len());
        totals.forks += u64::from(chain.fork().is_some());
    }
    for nation in state.nations() {
        let section = state.section(&nation.id);
        totals.statements += number(section.table().len());
        totals.waiting += section.counts().waiting;
        totals.void += section.counts().void;
    }
    totals
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Returns the answer of `/v1/status`.
pub fn status(reading: &Reading<'_>, network: &NetStatus) -> Status {
    let state = reading.state();
    let me = AuthorId { nation: reading.facts.nation, key: reading.facts.key };
    let totals = totals(state);
    let quota_used = state.chain(&me).map_or(0, Chain::quota_used);
    let quota = state.charter().map_or(0, |charter| charter.params.chain_quota);
    let stopped = reading.not_authoring();
    let authoring = Authoring {
        allowed: stopped.is_none(),
        hint: stopped.as_ref().map(|stopped| stopped.hint.to_owned()),
        reason: stopped.map(|stopped| stopped.reason),
    };
    let status = Status {
        alliance: state.anchor().alliance.hex(),
        alliance_name: state.charter().map(|charter| charter.name.clone()).unwrap_or_default(),
        nation: code(state, &me.nation),
        nation_id: me.nation.hex(),
        node: me.key.hex(),
        label: state.roster(&me.nation).and_then(|roster| Some(roster.key(&me.key)?.label.clone())),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        standing: standing(state, &me.key).to_owned(),
        authoring,
        now: rfc3339(reading.now),
        started: rfc3339(reading.facts.started),
        clock_ahead_ms: clock_ahead(&reading.replica.peers()),
        listen: network.listen.iter().map(ToString::to_string).collect(),
        peers: summaries(reading),
        charter: Charter {
            height: state.charter().map_or(0, |charter| charter.height),
            nations: u32::try_from(state.charter().map_or(0, |charter| charter.members.len())).unwrap_or(u32::MAX),
            quorum: u32::try_from(state.charter().map_or(0, |charter| charter.quorum())).unwrap_or(u32::MAX),
        },
        envelopes: totals.envelopes,
        statements: totals.statements,
        held: state.held().hex(),
        control: state.control().hex(),
        state: state.state().hex(),
        forks: forks(state, &me.nation),
        waiting: totals.waiting,
        void: totals.void,
        quota_used,
        quota,
        store_bytes: reading.store_bytes,
        store_bytes_max: reading.facts.store_bytes_max,
        store: match reading.storage {
            Storage::Room => "ok".to_owned(),
            Storage::Full => "full".to_owned(),
        },
        refused_not_in_roster: reading.replica.counters().refused_not_in_roster,
        age: super::age::rows_of(state, &super::age::look(reading)),
        warnings: Vec::new(),
    };
    let mut warnings = warnings(&status);
    warnings.extend(status.age.words.clone());
    warnings.extend(charter_warnings(state, &me.nation));
    warnings.extend(seen_over_time(reading));
    Status { warnings, ..status }
}

fn warnings(status: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(reason) = &status.authoring.reason {
        warnings.push(format!("this node does not write: {reason}"));
    }
    if status.clock_ahead_ms.is_some_and(|ahead| ahead > CLOCK_AHEAD_MS) {
        warnings.push("this node's clock is more than 10 minutes ahead of its peers'".to_owned());
    }
    if status.quota > 0 && status.quota_used.saturating_mul(100) / status.quota >= QUOTA_WARN_PERCENT {
        warnings.push(
            "this node's chain is nearly full: enrol a new key for it and retire this one (`comity roster`)".to_owned(),
        );
    }
    for fork in status.forks.iter().filter(|fork| fork.open) {
        let Fork { nation, node, seq, label, stands_to, .. } = fork;
        let name = label.as_deref().unwrap_or(node);
        let todo = if *nation == status.nation {
            format!("retire the key, see `comity forks show {nation}/{name}`")
        } else {
            format!("{nation} must retire the key")
        };
        warnings.push(format!("node {name} of {nation} forked at {seq}; it stands up to {stands_to}; {todo}"));
    }
    // What the own nation must do comes first.
    warnings.sort_by_key(|warning| !warning.contains("`comity forks show"));
    warnings
}

/// What is wrong with the membership, and with the own nation's place in it.
fn charter_warnings(state: &State, own: &NationId) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(charter) = state.charter() else { return warnings };
    if charter.removed.contains_key(own) {
        warnings.push("this nation was removed from the alliance: what it writes counts nowhere".to_owned());
    }
    if state.charter_conflict().is_some() {
        warnings.push("two motions are sealed for the charter version in force: see `comity charter show`".to_owned());
    }
    if state.conflict_below_anchor().is_some() {
        warnings.push("two motions were sealed for an earlier charter version: see `comity charter show`".to_owned());
    }
    for (nation, roster) in charter.members.keys().filter_map(|nation| Some((nation, state.roster(nation)?))) {
        if let Some(version) = roster.fork {
            let code = code(state, nation);
            warnings
                .push(format!("two rosters of {code} are signed for version {version}: its root is to be replaced"));
        }
    }
    warnings
}

/// What is withheld from this node, and who evaluates the same record differently.
fn seen_over_time(reading: &Reading<'_>) -> Vec<String> {
    let state = reading.state();
    let withheld = reading.replica.withheld().into_iter().map(|withheld| {
        let by: Vec<String> = withheld.witnesses.iter().map(|nation| code(state, nation)).collect();
        let (nation, node, seq) = (code(state, &withheld.author.nation), withheld.author.key.hex(), withheld.seq);
        format!(
            "envelope {seq} of node {node} of {nation} is withheld: {} acknowledged it, nobody delivers it",
            by.join(", ")
        )
    });
    let diverging = reading.replica.diverging().into_iter().map(|peer| {
        format!(
            "node {} holds the same record and evaluates it differently: one of the two nodes is broken",
            peer.hex()
        )
    });
    withheld.chain(diverging).collect()
}

/// The median, so that one wrong clock among the peers raises no alarm.
fn clock_ahead(peers: &[PeerStatus]) -> Option<i64> {
    let linked = peers.iter().filter(|peer| peer.standing != PeerStanding::Away);
    let mut ahead: Vec<i64> = linked.map(|peer| peer.clock_ahead_ms.saturating_neg()).collect();
    ahead.sort_unstable();
    ahead.get(ahead.len() / 2).copied()
}

/// Returns every forked chain, those of `own` first.
fn forks(state: &State, own: &NationId) -> Vec<Fork> {
    let forked = state.chains().filter_map(|chain| Some((chain, chain.fork()?)));
    let row = |(chain, seq): (&Chain, u64)| {
        let author = chain.author();
        Fork {
            nation: code(state, &author.nation),
            node: author.key.hex(),
            seq,
            label: dossier::label(state, &author),
            stands_to: chain.tip().seq,
            open: chain.status() == AuthorStatus::Active,
        }
    };
    let mut forks: Vec<_> = forked.map(row).collect();
    let own = code(state, own);
    forks.sort_by(|a, b| (a.nation != own, &a.nation, &a.node).cmp(&(b.nation != own, &b.nation, &b.node)));
    forks
}

fn standing(state: &State, key: &AuthorKey) -> &'static str {
    match state.standing(key) {
        Standing::Active { .. } => "active",
        Standing::Retired { .. } => "retired",
        Standing::Unknown => "unknown",
    }
}

/// Every other node of a roster, and every stranger that is or was linked, by nation and key.
fn known_peers(reading: &Reading<'_>) -> Vec<(Option<String>, AuthorKey, Option<PeerStatus>)> {
    let state = reading.state();
    let mut met: BTreeMap<AuthorKey, PeerStatus> =
        reading.replica.peers().into_iter().map(|peer| (peer.key, peer)).collect();
    let keys: BTreeSet<AuthorKey> =
        state.active_authors().map(|author| author.key).chain(met.keys().copied()).collect();
    let nation = |key: &AuthorKey| match state.standing(key) {
        Standing::Active { nation } | Standing::Retired { nation } => Some(code(state, &nation)),
        Standing::Unknown => None,
    };
    let mut peers: Vec<_> = keys
        .into_iter()
        .filter(|key| *key != reading.facts.key)
        .map(|key| (nation(&key), key, met.remove(&key)))
        .collect();
    // A stranger has no nation and comes last.
    peers.sort_by(|a, b| (a.0.is_none(), &a.0, &a.1).cmp(&(b.0.is_none(), &b.0, &b.1)));
    peers
}

fn connected(peer: Option<&PeerStatus>) -> bool {
    peer.is_some_and(|peer| peer.standing != PeerStanding::Away)
}

fn lag(reading: &Reading<'_>, peer: Option<&PeerStatus>) -> Lag {
    match peer {
        Some(peer) => Lag { behind: peer.lag.behind, ahead: peer.lag.ahead },
        // Nothing is known of a node that was never met: all that is held is unconfirmed.
        None => Lag { behind: 0, ahead: totals(reading.state()).envelopes },
    }
}

fn summaries(reading: &Reading<'_>) -> Vec<PeerSummary> {
    let peers = known_peers(reading).into_iter().map(|(nation, key, peer)| PeerSummary {
        nation,
        node: key.hex(),
        connected: connected(peer.as_ref()),
        lag: lag(reading, peer.as_ref()),
    });
    peers.collect()
}

/// Returns the answer of `/v1/peers`.
pub fn peers(reading: &Reading<'_>, network: &NetStatus) -> Peers {
    let state = reading.state();
    let mut rows: Vec<PeerRow> = known_peers(reading)
        .into_iter()
        .map(|(nation, key, peer)| {
            let link = network.links.iter().find(|link| link.peer == key).filter(|_| connected(peer.as_ref()));
            let dials = network.dials.iter().filter(|dial| dial.node == Some(key)).flat_map(|dial| &dial.addresses);
            let mut addresses: Vec<String> =
                link.map(|link| link.remote.to_string()).into_iter().chain(dials.map(ToString::to_string)).collect();
            addresses.dedup();
            PeerRow {
                nation,
                node: Some(key.hex()),
                label: label(state, &key),
                standing: standing(state, &key).to_owned(),
                connected: connected(peer.as_ref()),
                link: peer.as_ref().and_then(|peer| match peer.standing {
                    PeerStanding::Full => Some("full".to_owned()),
                    PeerStanding::Lobby => Some("lobby".to_owned()),
                    PeerStanding::Away => None,
                }),
                direction: link.map(|link| if link.dialer { "dialed" } else { "accepted" }.to_owned()),
                since: link.map(|link| {
                    let age = u64::try_from(link.age.as_millis()).unwrap_or(u64::MAX);
                    rfc3339(Timestamp(reading.now.0.saturating_sub(age)))
                }),
                heard: peer.as_ref().map(|peer| rfc3339(peer.heard_at)),
                addresses,
                lag: lag(reading, peer.as_ref()),
                strikes: peer.as_ref().map_or(0, |peer| u32::try_from(peer.strikes).unwrap_or(u32::MAX)),
                last_error: network
                    .dials
                    .iter()
                    .find(|dial| dial.node == Some(key))
                    .and_then(|dial| dial.last_error.as_ref())
                    .map(ToString::to_string),
            }
        })
        .collect();
    let unanswered = network.dials.iter().filter(|dial| dial.node.is_none());
    rows.extend(unanswered.map(|dial| PeerRow {
        nation: None,
        node: None,
        label: None,
        standing: "unknown".to_owned(),
        connected: false,
        link: None,
        direction: None,
        since: None,
        heard: None,
        addresses: dial.addresses.iter().map(ToString::to_string).collect(),
        lag: Lag::default(),
        strikes: 0,
        last_error: dial.last_error.as_ref().map(ToString::to_string),
    }));
    Peers { peers: rows }
}

fn label(state: &State, key: &AuthorKey) -> Option<String> {
    let (Standing::Active { nation } | Standing::Retired { nation }) = state.standing(key) else { return None };
    Some(state.roster(&nation)?.key(key)?.label.clone())
}

/// Returns the answer of `/v1/nations`.
pub fn nations(state: &State, now: Timestamp) -> Nations {
    let mut nations: Vec<NationRow> = state
        .nations()
        .map(|member| {
            let roster = state.roster(&member.id);
            let counts = state.section(&member.id).counts();
            let nodes = node_rows(state, &member.id);
            let last = state
                .chains()
                .filter(|chain| chain.author().nation == member.id)
                .filter_map(|chain| chain.accepted(chain.tip().seq).map(Held::time_ms))
                .max()
                .map(Timestamp);
            let forked = nodes.iter().any(|node| node.fork.is_some());
            let closed = roster.and_then(|roster| roster.record()).is_some_and(|roster| roster.closed);
            let removed = state.charter().is_some_and(|charter| charter.removed.contains_key(&member.id));
            let word = match (removed, closed) {
                (true, _) => "removed",
                (false, true) => "closed",
                (false, false) => nation_state(forked, last, now),
            };
            NationRow {
                code: member.code.clone(),
                name: member.name.clone(),
                nation: member.id.hex(),
                root: member.root.hex(),
                roster_version: roster.map(|roster| roster.tip().0).filter(|version| *version > 0),
                closed,
                removed,
                last_heard: last.map(rfc3339),
                state: word.to_owned(),
                statements: number(state.section(&member.id).table().len()),
                valid: counts.valid,
                waiting: counts.waiting,
                void: counts.void,
                nodes,
            }
        })
        .collect();
    nations.sort_by(|a, b| a.code.cmp(&b.code));
    Nations { nations }
}

fn nation_state(forked: bool, last: Option<Timestamp>, now: Timestamp) -> &'static str {
    match last.map(|last| now.since(last)) {
        _ if forked => "forked",
        None => "silent",
        Some(age) if age > UNREACHABLE_MS => "unreachable",
        Some(age) if age > QUIET_MS => "quiet",
        Some(_) => "active",
    }
}

fn node_rows(state: &State, nation: &NationId) -> Vec<NodeRow> {
    let Some(roster) = state.roster(nation) else { return Vec::new() };
    let rows = roster.keys.iter().map(|(key, standing)| {
        let chain = state.chain(&AuthorId { nation: *nation, key: *key });
        let tip = chain.map(Chain::tip).filter(|tip| tip.seq > 0);
        let (standing, witness) = match standing {
            KeyStanding::Active { witness } => ("active", *witness),
            KeyStanding::Retired { witness, .. } => ("retired", *witness),
        };
        NodeRow {
            node: key.hex(),
            label: roster.key(key).map(|key| key.label.clone()).unwrap_or_default(),
            standing: standing.to_owned(),
            witness,
            seq: tip.map_or(0, |tip| tip.seq),
            envelope: tip.map(|tip| tip.id.hex()),
            fork: chain.and_then(Chain::fork),
        }
    });
    rows.collect()
}

/// Returns the answer of `/v1/log`: the newest envelopes by claimed time, then nation, node and position.
///
/// # Errors
/// A refusal if there is no such nation.
pub fn log(state: &State, nation: Option<&str>, standing: Option<&str>, limit: usize) -> Result<Log, Refusal> {
    let standing = standing.map(Asked::from_text).transpose()?;
    let only = match nation {
        None => None,
        Some(text) => Some(nation_named(state, text)?),
    };
    let chains = state.chains().filter(|chain| only.is_none_or(|nation| chain.author().nation == nation));
    let mut newest: BTreeSet<(u64, AuthorId, u64, EnvelopeId)> = BTreeSet::new();
    let mut more = false;
    for chain in chains {
        for held in chain.iter().filter(|held| standing.is_none_or(|asked| asked.includes(state, chain, held))) {
            newest.insert((held.time_ms(), chain.author(), held.seq(), held.id()));
            if newest.len() > limit {
                newest.pop_first();
                more = true;
            }
        }
    }
    let rows = newest.into_iter().rev().filter_map(|(_, author, _, id)| {
        let chain = state.chain(&author)?;
        let held = chain.get(&id)?;
        let mut row = log_row(state, chain, held);
        if standing.is_some() {
            row.says = says(state, &author, held);
        }
        Some(row)
    });
    Ok(Log { rows: rows.collect(), more })
}

/// Which envelopes are asked for.
#[derive(Clone, Copy)]
enum Asked {
    Standing(EnvelopeStanding),
    Waiting,
    Void,
}

impl Asked {
    fn from_text(text: &str) -> Result<Self, Refusal> {
        Ok(match text.replace('-', "_").as_str() {
            "accepted" => Self::Standing(EnvelopeStanding::Accepted),
            "suspended" => Self::Standing(EnvelopeStanding::Suspended),
            "disavowed" => Self::Standing(EnvelopeStanding::Disavowed),
            "post_removal" => Self::Standing(EnvelopeStanding::PostRemoval),
            "unlinked" => Self::Standing(EnvelopeStanding::Unlinked),
            "waiting" => Self::Waiting,
            "void" => Self::Void,
            _ => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("there is no standing called {text:?}"))
                    .hint("accepted, suspended, disavowed, post-removal, unlinked, waiting or void"));
            }
        })
    }

    fn includes(self, state: &State, chain: &Chain, held: &Held) -> bool {
        match self {
            Self::Standing(standing) => chain.standing(held) == standing,
            Self::Waiting => matches!(state.view_of(chain, held).verdict, Some(Verdict::Waiting(_))),
            Self::Void => matches!(state.view_of(chain, held).verdict, Some(Verdict::Void(_))),
        }
    }
}

/// Returns the nation with this code.
pub(super) fn nation_named(state: &State, text: &str) -> Result<NationId, Refusal> {
    let member = state.nation_by_code(text).or_else(|| state.nation_by_code(&text.to_ascii_uppercase()));
    member.map(|member| member.id).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("no member has the code {text:?}"))
            .hint("see `comity nations` for the codes")
    })
}

/// Returns one envelope as a row of the log.
pub(super) fn log_row(state: &State, chain: &Chain, held: &Held) -> LogRow {
    let view = state.view_of(chain, held);
    let author = chain.author();
    LogRow {
        envelope: held.id().hex(),
        nation: code(state, &author.nation),
        node: author.key.hex(),
        seq: held.seq(),
        time: rfc3339(Timestamp(held.time_ms())),
        kind: kind_name(held.kind()),
        bytes: held.body_len(),
        standing: view.standing.code().to_owned(),
        verdict: view.verdict.map(|verdict| verdict.code().to_owned()),
        reason: view.verdict.and_then(|verdict| verdict.reason()).map(str::to_owned),
        records: written(state, &author, held),
        witnessed: super::witnessed(state, chain, held),
        excluded: excluded(state, chain, held),
        says: Vec::new(),
    }
}

/// Returns what takes an envelope out of its chain, in words; nothing for an accepted one.
pub(super) fn excluded(state: &State, chain: &Chain, held: &Held) -> Option<String> {
    let author = chain.author();
    let nation = code(state, &author.nation);
    Some(match (chain.standing(held), chain.status()) {
        (EnvelopeStanding::Accepted, _) => return None,
        (EnvelopeStanding::Unlinked, _) => EnvelopeStanding::Unlinked.explain().to_owned(),
        (_, AuthorStatus::Active) => {
            let seq = chain.fork().unwrap_or(0);
            format!("suspended: its key signed two statements numbered {seq}; {nation} must retire the key")
        }
        (_, AuthorStatus::Unlisted) => match state.roster(&author.nation).and_then(|roster| roster.fork) {
            Some(version) => {
                format!("suspended: the rosters of {nation} fork at version {version}, and list its key above")
            }
            None => "suspended: its key stands in no roster in force".to_owned(),
        },
        (_, AuthorStatus::Retired { cut }) => {
            let version = dossier::retired_in(state, &author).map_or(0, |(version, _)| version);
            format!("disavowed: roster {version} of {nation} retires the key at {}", cut.seq)
        }
        (_, AuthorStatus::Removed { cut }) => {
            let version = super::charter::removed_by(state, &author.nation);
            format!("after a removal: charter version {version} removes {nation}, whose chain counts up to {}", cut.seq)
        }
    })
}

/// Returns what an envelope says, record by record, whatever it counts for.
pub(super) fn says(state: &State, author: &AuthorId, held: &Held) -> Vec<SaidRecord> {
    let ledger = Ledger::of(state);
    let code = code(state, &author.nation);
    let said = dossier::said_by(&author.key, held).into_iter().map(|write| SaidRecord {
        record: format!("{code}/{}/{}", write.kind, write.id),
        fields: super::rows::fields(&ledger, Kind::from_name(&write.kind), &write.fields),
    });
    said.collect()
}

fn kind_name(kind: u16) -> String {
    match kind {
        KIND_CHANGE => "change".to_owned(),
        KIND_WITNESS => "witness".to_owned(),
        KIND_KEY_GRANT => "key_grant".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the records an envelope writes, as `CODE/kind/id`; none if its body is missing or no readable change.
pub fn written(state: &State, author: &AuthorId, held: &Held) -> Vec<String> {
    let code = code(state, &author.nation);
    let writes = dossier::said_by(&author.key, held);
    writes.into_iter().map(|write| format!("{code}/{}/{}", write.kind, write.id)).collect()
}
