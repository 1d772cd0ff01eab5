//! Real nodes in one process: real stores in temporary homes, real links over loopback, the API over real sockets.

use std::time::Duration;

use comity_node::api::model::{
    Board, ControlAnswer, ControlRequest, Draft, Explanation, Flags as FlagList, Gaps, Lag, Listing, Log, Nations,
    PeerAnswer, PeerRequest, Peers, Problem, Shown, Status, WriteAnswer, WriteRequest,
};
use comity_node::client::{Client, ClientError};
use comity_node::config::{Config, Flags};
use comity_node::driver::{Outlook, VIEWS_ASKED_MAX};
use comity_node::home::Home;
use comity_node::run::Node;
use comity_protocol::control::{
    ControlRecord, Genesis, KeyStatus, Member, Params, Roster, RosterKey, SignedGenesis, VerifiedControl, nation_id,
};
use comity_protocol::ids::{AuthorKey, ControlId, NationId, hex};
use comity_protocol::keys::SecretKey;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Nation {
    code: &'static str,
    root: SecretKey,
    id: NationId,
}

struct Alliance {
    genesis: VerifiedControl,
    nations: Vec<Nation>,
}

/// Founds an alliance of these nations.
fn found(codes: &[&'static str]) -> Alliance {
    let mut roots: Vec<(&'static str, SecretKey)> =
        (1..).zip(codes).map(|(seed, code)| (*code, SecretKey::from_seed(&[seed; 32]))).collect();
    roots.sort_by_key(|(_, root)| root.public::<comity_protocol::ids::Root>());
    let founders = roots.iter().map(|(code, root)| Member {
        root: root.public(),
        code: (*code).to_owned(),
        name: format!("Nation {code}"),
        next_root: None,
    });
    let genesis = Genesis {
        name: "test alliance".to_owned(),
        created_ms: 1_784_000_000_000,
        nonce: [7; 32],
        parent: None,
        params: Params::default(),
        founders: founders.collect(),
    };
    let alliance = genesis.alliance_id();
    let signatures = roots.iter().map(|(_, root)| genesis.sign(root)).collect();
    let nations =
        roots.into_iter().map(|(code, root)| Nation { code, id: nation_id(&alliance, &root.public()), root }).collect();
    let genesis = ControlRecord::Genesis(SignedGenesis { genesis, signatures }).verify().expect("every founder signed");
    Alliance { genesis, nations }
}

impl Alliance {
    fn nation(&self, code: &str) -> &Nation {
        self.nations.iter().find(|nation| nation.code == code).expect("a founder")
    }

    /// Signs the first roster of a nation, with these nodes.
    fn roster(&self, code: &str, nodes: &[(AuthorKey, [u8; 32])]) -> ControlRecord {
        let ControlRecord::Genesis(signed) = self.genesis.record() else { panic!("a genesis") };
        let nation = self.nation(code);
        let mut keys: Vec<RosterKey> = nodes
            .iter()
            .map(|(node, kem)| RosterKey {
                node: *node,
                kem: *kem,
                label: format!("{code} node"),
                witness: false,
                status: KeyStatus::Active,
            })
            .collect();
        keys.sort_by_key(|key| key.node);
        let roster = Roster {
            alliance: signed.genesis.alliance_id(),
            nation: nation.id,
            root: nation.root.public(),
            root_gen: 0,
            version: 1,
            prev: ControlId::ZERO,
            time_ms: 1_784_000_000_001,
            keys,
            closed: false,
            note: String::new(),
        };
        roster.sign(&nation.root)
    }
}

/// A home with everything needed to start its node.
struct Place {
    folder: TempDir,
    key: AuthorKey,
    kem: [u8; 32],
}

impl Place {
    fn new(alliance: &Alliance, code: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Home::new(folder.path().join("home"));
        let made = home.init(&alliance.genesis, alliance.nation(code).id).expect("a fresh home");
        Self { folder, key: made.identity.node, kem: made.kem }
    }

    fn home(&self) -> Home {
        Home::new(self.folder.path().join("home"))
    }

    async fn start(&self, config: &str) -> Running {
        let home = self.home();
        let text = format!("listen = [\"/ip4/127.0.0.1/tcp/0\"]\nredial_max = \"1s\"\n{config}");
        std::fs::write(home.config(), text).expect("the configuration is written");
        let config = Config::load(home.path(), |_| None, &Flags::default()).expect("it loads");
        let node = Node::start(&home, &config).await.expect("it starts");
        let listen = node.listening(&config).await.pop().expect("it listens");
        Running { client: Client::new(&node.socket), node, listen }
    }
}

struct Running {
    node: Node,
    client: Client,
    listen: String,
}

impl Running {
    async fn status(&self) -> Status {
        self.client.get("/v1/status", &[]).await.expect("it answers")
    }

    async fn import(&self, records: &[ControlRecord]) -> ControlAnswer {
        let records = records.iter().map(|record| hex(&[vec![record.kind()], record.encode()].concat())).collect();
        self.client.post("/v1/control", None, &ControlRequest { records }).await.expect("it takes control records")
    }

    async fn try_write(&self, request: &WriteRequest) -> Result<WriteAnswer, ClientError> {
        self.client.post("/v1/write", None, request).await
    }

    async fn write(&self, request: &WriteRequest) -> WriteAnswer {
        self.try_write(request).await.expect("it is written")
    }

    async fn refused(&self, request: &WriteRequest) -> Problem {
        match self.try_write(request).await {
            Err(ClientError::Refused(problem)) => problem,
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn gaps(&self) -> Gaps {
        self.client.get("/v1/gaps", &[]).await.expect("it answers")
    }
}

/// Waits until `look` gives something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn draft(kind: &str, fields: Value) -> WriteRequest {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let draft = Draft { kind: kind.to_owned(), record: None, status: None, fields };
    WriteRequest { id: None, if_version: None, wait: 0, timeout_ms: None, draft }
}

fn requirement(item: &str, quantity: u64) -> WriteRequest {
    draft(
        "requirement",
        json!({"item": item, "class": "I", "quantity": quantity, "unit": "each", "valid_until": "2099-12-31"}),
    )
}

/// One node of a nation alone, enrolled.
async fn alone(config: &str) -> (Alliance, Place, Running) {
    let alliance = found(&["POL"]);
    let place = Place::new(&alliance, "POL");
    let node = place.start(config).await;
    let answer = node.import(&[alliance.roster("POL", &[(place.key, place.kem)])]).await;
    assert_eq!((answer.accepted, answer.known), (1, 0), "{answer:?}");
    (alliance, place, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_roster_writes_nothing_and_with_one_it_does() {
    let alliance = found(&["POL", "UKR"]);
    let place = Place::new(&alliance, "POL");
    let node = place.start("").await;
    let problem = node.refused(&requirement("tents", 5)).await;
    assert!(problem.cause.is_some_and(|cause| cause.contains("not active")));
    let authoring = node.status().await.authoring;
    assert!(!authoring.allowed && authoring.reason.is_some_and(|reason| reason.contains("no roster")));
    assert!(authoring.hint.is_some_and(|hint| hint.contains("comity roster enrol")));
    match node.client.get_text("/readyz", &[]).await {
        Err(ClientError::Refused(problem)) => assert!(problem.cause.is_some_and(|cause| cause.contains("no roster"))),
        other => panic!("ready without a roster: {other:?}"),
    }
    let roster = alliance.roster("POL", &[(place.key, place.kem)]);
    assert_eq!(node.import(std::slice::from_ref(&roster)).await.accepted, 1);
    assert_eq!(node.import(&[roster]).await.known, 1);
    assert!(node.status().await.authoring.allowed);
    let written = node.write(&requirement("tents", 5)).await;
    assert!(written.durable_here && !written.replayed && written.record.starts_with("POL/requirement/"));
    let gaps = node.gaps().await;
    assert_eq!(
        (gaps.rows.len(), gaps.rows[0].gap_firm, gaps.rows[0].requirement.as_str()),
        (1, 5, written.record.as_str())
    );
    let status = node.status().await;
    assert_eq!((status.nation.as_str(), status.envelopes, status.statements), ("POL", 1, 1));
    node.node.stop().await.expect("a clean stop");

    let node = place.start("").await;
    assert_eq!(node.gaps().await.rows, gaps.rows, "what was written is there after a restart");
    let after = node.status().await;
    assert_eq!((after.held, after.state, after.control), (status.held, status.state, status.control));
    assert!(after.store_bytes > 0);
    node.node.stop().await.expect("a clean stop");
}

/// A node of each nation, enrolled in the own home only; every later one dials every earlier one.
async fn meeting(codes: &[&'static str]) -> (Alliance, Vec<Place>, Vec<Running>) {
    let alliance = found(codes);
    let mut places = Vec::new();
    let mut nodes: Vec<Running> = Vec::new();
    for code in codes {
        let place = Place::new(&alliance, code);
        let peers: Vec<String> = nodes.iter().map(|node| format!("{:?}", node.listen)).collect();
        let node = place.start(&format!("peers = [{}]", peers.join(", "))).await;
        node.import(&[alliance.roster(code, &[(place.key, place.kem)])]).await;
        places.push(place);
        nodes.push(node);
    }
    (alliance, places, nodes)
}

async fn converged(nodes: &[&Running]) {
    until("all nodes hold the same", async || {
        let mut seen = Vec::new();
        for node in nodes {
            let status = node.status().await;
            seen.push((status.held, status.control, status.state));
        }
        seen.dedup();
        (seen.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_founders_who_hold_only_their_own_roster_meet_and_replicate() {
    let (_alliance, _places, nodes) = meeting(&["POL", "UKR"]).await;
    let [pol, ukr] = nodes.as_slice() else { panic!("two nodes") };
    let need = ukr.write(&requirement("blankets", 100)).await;
    until("the requirement arrives", async || {
        pol.gaps().await.rows.first().filter(|row| row.requirement == need.record).map(|_| ())
    })
    .await;
    let pledge = pol
        .write(&draft(
            "pledge",
            json!({"requirement": need.record, "item": "blankets", "quantity": 40, "unit": "each"}),
        ))
        .await;
    until("the pledge arrives", async || {
        let board: Board = ukr.client.get("/v1/board", &[]).await.expect("it answers");
        board.rows.first().filter(|row| row.cover.offered == 40).map(|row| row.pledges[0].pledge == pledge.record)
    })
    .await;
    converged(&[pol, ukr]).await;
    let as_of = &[("as_of", "2026-12-01T00:00:00Z")];
    let export = pol.client.get_text("/v1/export", as_of).await.expect("it exports");
    assert_eq!(export, ukr.client.get_text("/v1/export", as_of).await.expect("it exports"));
    assert!(export.contains(&pledge.version) && export.contains(&need.version));
    let peers: Peers = pol.client.get("/v1/peers", &[]).await.expect("it answers");
    let row = peers.peers.iter().find(|peer| peer.nation.as_deref() == Some("UKR")).expect("known");
    assert!(row.connected && row.link.as_deref() == Some("full"), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_answered_as_before_and_other_content_is_refused() {
    let (_alliance, place, node) = alone("").await;
    let request = WriteRequest { id: Some("order-1".to_owned()), ..requirement("tents", 5) };
    let first = node.write(&request).await;
    let again = node.write(&request).await;
    assert!(again.replayed && !first.replayed);
    assert_eq!((&again.record, &again.version), (&first.record, &first.version));
    let by_header: WriteAnswer = node
        .client
        .post("/v1/write", Some("order-1"), &WriteRequest { id: None, ..request.clone() })
        .await
        .expect("the header says the same");
    assert!(by_header.replayed);
    let other = node.refused(&WriteRequest { id: Some("order-1".to_owned()), ..requirement("tents", 6) }).await;
    assert_eq!(other.exit, 1);
    assert!(other.cause.is_some_and(|cause| cause.contains("other content")));
    node.node.stop().await.expect("a clean stop");

    let node = place.start("").await;
    assert!(node.write(&request).await.replayed, "also after a restart");
    assert_eq!(node.status().await.statements, 1);
}

fn revision(of: &WriteAnswer, if_version: Option<&str>, quantity: u64) -> WriteRequest {
    let mut request = draft("requirement", json!({"quantity": quantity}));
    request.draft.record = Some(of.record.clone());
    request.if_version = if_version.map(str::to_owned);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_refused_unless_its_version_is_the_latest() {
    let (_alliance, _place, node) = alone("").await;
    let first = node.write(&requirement("tents", 5)).await;
    let mut request = revision(&first, Some(&first.version), 8);
    request.id = Some("revise-1".to_owned());
    let second = node.write(&request).await;
    assert_eq!(second.record, first.record);
    assert_ne!(second.version, first.version);
    assert!(node.write(&request).await.replayed, "a repeated revision is answered, though its version has moved on");
    let late = node.refused(&revision(&first, Some(&first.version), 9)).await;
    assert_eq!((late.exit, late.hint.is_some()), (1, true), "{late:?}");
    assert_eq!(node.gaps().await.rows[0].quantity, 8);

    let mut withdrawal = draft("requirement", json!({}));
    withdrawal.draft.record = Some(first.record.clone());
    withdrawal.draft.status = Some("withdrawn".to_owned());
    node.write(&withdrawal).await;
    let shown: Shown = node.client.get("/v1/show", &[("ref", &first.record)]).await.expect("it answers");
    assert_eq!((shown.versions.len(), shown.record.status.as_str()), (3, "withdrawn"));
    let pinned = format!("{}@{}", first.record, &first.version[..12]);
    let shown: Shown = node.client.get("/v1/show", &[("ref", &pinned)]).await.expect("it answers");
    assert_eq!(shown.pinned.expect("pinned").fields["quantity"], json!(5));
    let explained: Explanation = node.client.get("/v1/explain", &[("ref", &second.version)]).await.expect("it answers");
    assert_eq!((explained.standing.as_str(), explained.verdict.as_deref()), ("accepted", Some("valid")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_reason_and_the_node_stays_up() {
    let (_alliance, _place, node) = alone("").await;
    for (fields, part) in [
        (json!({"item": "tents", "class": "I", "quantity": 0, "unit": "each"}), "quantity"),
        (json!({"item": "tents", "class": "I", "quantity": -3, "unit": "each"}), "quantity"),
        (json!({"item": "tents", "class": "I", "quantity": "10000000000000000000", "unit": "each"}), "quantity"),
        (json!({"item": "tents", "class": "I", "quantity": 1, "unit": "furlong"}), "unit"),
        (json!({"item": "tents", "class": "I", "quantity": 1, "unit": "each", "colour": "red"}), "colour"),
        (json!({"item": "tents", "class": "I", "quantity": 1.5, "unit": "each"}), "decimal"),
    ] {
        let problem = node.refused(&draft("requirement", fields.clone())).await;
        assert_eq!(problem.exit, 2, "{fields}: {problem:?}");
        assert!(problem.cause.as_deref().is_some_and(|cause| cause.contains(part)), "{fields}: {problem:?}");
    }
    let nothing = node
        .refused(&draft(
            "pledge",
            json!({"requirement": "POL/requirement/zzzzzzzzzz", "item": "x", "quantity": 1, "unit": "each"}),
        ))
        .await;
    assert_eq!(nothing.exit, 2, "{nothing:?}");
    let kind = node.refused(&draft("wish", json!({}))).await;
    assert!(kind.hint.is_some_and(|hint| hint.contains("requirement")));
    for (path, query) in [
        ("/v1/show", vec![("ref", "POL/requirement/zzzzzzzzzz")]),
        ("/v1/show", vec![("ref", "../../etc/passwd")]),
        ("/v1/gaps", vec![("as_of", "soon")]),
        ("/v1/list", vec![("kind", "wish")]),
        ("/v1/log", vec![("nation", "XXX")]),
        ("/v1/log", vec![("colour", "red")]),
    ] {
        match node.client.get::<Value>(path, &query).await {
            Err(ClientError::Refused(problem)) => assert_eq!(problem.exit, 2, "{path} {query:?}: {problem:?}"),
            other => panic!("{path} {query:?}: {other:?}"),
        }
    }
    assert_eq!(node.status().await.statements, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_there_and_says_the_same() {
    let (_alliance, _place, node) = alone("").await;
    let need = node.write(&requirement("tents", 5)).await;
    node.write(&draft("hub", json!({"name": "Rzeszow", "hub_kind": "airport"}))).await;
    let list: Listing = node.client.get("/v1/list", &[("kind", "requirement")]).await.expect("it answers");
    assert_eq!(list.rows[0].record, need.record);
    assert_eq!(list.rows[0].fields["item"], json!("tents"));
    let hubs: Listing = node.client.get("/v1/list", &[("kind", "hub")]).await.expect("it answers");
    assert_eq!(hubs.rows.len(), 1);
    let log: Log = node.client.get("/v1/log", &[("limit", "1")]).await.expect("it answers");
    assert_eq!((log.rows.len(), log.more, log.rows[0].records.len()), (1, true, 1));
    let nations: Nations = node.client.get("/v1/nations", &[]).await.expect("it answers");
    assert_eq!((nations.nations[0].state.as_str(), nations.nations[0].nodes[0].seq), ("active", 2));
    let flags: FlagList = node.client.get("/v1/flags", &[]).await.expect("it answers");
    assert!(flags.rows.is_empty(), "{flags:?}");
    let metrics = node.client.get_text("/metrics", &[]).await.expect("it answers");
    for line in ["comity_statements 2", "comity_written_total 2", "comity_refused_not_in_roster_total 0", "# EOF"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("libp2p"), "libp2p's own figures are there");
    assert_eq!(node.client.get_text("/healthz", &[]).await.expect("it answers"), "ok\n");
    assert_eq!(node.client.get_text("/readyz", &[]).await.expect("it answers"), "ready\n");
    let document: Value = node.client.get("/openapi.json", &[]).await.expect("it answers");
    assert!(document["paths"]["/v1/write"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_until_others_hold_it_and_says_who_in_time_or_not() {
    let (_alliance, _places, nodes) = meeting(&["POL", "UKR", "DEU"]).await;
    converged(&nodes.iter().collect::<Vec<_>>()).await;
    let held = nodes[0].write(&WriteRequest { wait: 2, timeout_ms: Some(60_000), ..requirement("tents", 5) }).await;
    assert_eq!(held.wait_satisfied, Some(true));
    assert_eq!(held.held_by, ["DEU", "UKR"]);
    let more = nodes[0].write(&WriteRequest { wait: 3, timeout_ms: Some(300), ..requirement("tents", 6) }).await;
    assert_eq!((more.wait_satisfied, more.durable_here), (Some(false), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_own_and_foreign_envelopes_as_they_come() {
    let (_alliance, _places, nodes) = meeting(&["POL", "UKR"]).await;
    converged(&nodes.iter().collect::<Vec<_>>()).await;
    let mut events = nodes[0].client.watch().await.expect("it streams");
    let own = nodes[0].write(&requirement("tents", 5)).await;
    let foreign = nodes[1].write(&requirement("blankets", 7)).await;
    let mut wanted = vec![own.version, foreign.version];
    while !wanted.is_empty() {
        let next = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes");
        let change = next.expect("it is understood").expect("the stream goes on");
        wanted.retain(|version| change.envelope.as_ref() != Some(version));
    }
    let [pol, ukr] = <[Running; 2]>::try_from(nodes).unwrap_or_else(|_| panic!("two nodes"));
    pol.node.stop().await.expect("a clean stop");
    let end = tokio::time::timeout(PATIENCE, async { while let Ok(Some(_)) = events.next().await {} });
    end.await.expect("the stream ends with the node");
    ukr.node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_added_kept_and_removed() {
    let alliance = found(&["POL", "UKR"]);
    let (there, here) = (Place::new(&alliance, "UKR"), Place::new(&alliance, "POL"));
    let ukr = there.start("").await;
    ukr.import(&[alliance.roster("UKR", &[(there.key, there.kem)])]).await;
    let pol = here.start("").await;
    pol.import(&[alliance.roster("POL", &[(here.key, here.kem)])]).await;
    let request = PeerRequest { address: ukr.listen.clone(), node: Some(there.key.hex()) };
    let added: PeerAnswer = pol.client.post("/v1/peers", None, &request).await.expect("it is added");
    assert!(added.changed);
    converged(&[&pol, &ukr]).await;
    pol.node.stop().await.expect("a clean stop");

    let pol = here.start("").await;
    until("the link is up again", async || pol.status().await.peers.iter().any(|peer| peer.connected).then_some(()))
        .await;
    let query = [("address", ukr.listen.as_str())];
    let removed: PeerAnswer = pol.client.delete("/v1/peers", &query).await.expect("it is removed");
    assert!(removed.changed);
    let again: PeerAnswer = pol.client.delete("/v1/peers", &query).await.expect("it is gone");
    assert!(!again.changed);
    let wrong = PeerRequest { address: "/ip4/1.2.3.4/udp/5".to_owned(), node: None };
    assert!(pol.client.post::<_, PeerAnswer>("/v1/peers", None, &wrong).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_let_into_the_lobby_only_and_counted() {
    let alliance = found(&["POL", "UKR"]);
    let (there, here) = (Place::new(&alliance, "UKR"), Place::new(&alliance, "POL"));
    let ukr = there.start("").await;
    ukr.import(&[alliance.roster("UKR", &[(there.key, there.kem)])]).await;
    ukr.write(&requirement("tents", 5)).await;
    // POL's node is in no roster at all.
    let pol = here.start(&format!("peers = [{:?}]", ukr.listen)).await;
    until("the stranger was sent away", async || (ukr.status().await.refused_not_in_roster > 0).then_some(())).await;
    let status = pol.status().await;
    assert_eq!(status.envelopes, 0, "a stranger is given no envelope");
    assert_eq!(status.control, ukr.status().await.control, "but control records");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_writes_loses_nothing_and_goes_on_with_more_room() {
    let (_alliance, place, node) = alone("[store]\nbytes_max = 1048576").await;
    let long = "x".repeat(900);
    let mut written = 0;
    let problem = loop {
        let request = draft("observation", json!({"text": long, "item": format!("n{written}")}));
        match node.try_write(&request).await {
            Ok(_) => written += 1,
            Err(ClientError::Refused(problem)) => break problem,
            Err(other) => panic!("{other:?}"),
        }
        assert!(written < 5_000, "a mebibyte is full before");
    };
    assert!(written > 20, "{written}");
    assert!(problem.hint.as_deref().is_some_and(|hint| hint.contains("store.bytes_max")), "{problem:?}");
    let status = node.status().await;
    assert_eq!((status.store.as_str(), status.statements, status.authoring.allowed), ("full", written, false));
    let again = node.refused(&requirement("tents", 5)).await;
    assert!(again.cause.is_some_and(|cause| cause.contains("full")));
    let listed: Listing = node.client.get("/v1/list", &[("kind", "observation")]).await.expect("it still reads");
    assert_eq!(u64::try_from(listed.rows.len()).expect("small"), written);
    node.node.stop().await.expect("a clean stop");

    let node = place.start("[store]\nbytes_max = 16777216").await;
    node.write(&requirement("tents", 5)).await;
    let status = node.status().await;
    assert_eq!((status.store.as_str(), status.statements), ("ok", written + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_and_a_late_joiner_catch_up() {
    let (alliance, places, mut nodes) = meeting(&["POL", "UKR"]).await;
    converged(&nodes.iter().collect::<Vec<_>>()).await;
    let pol = nodes.remove(0);
    let ukr = nodes.remove(0);
    let address = pol.listen.clone();
    ukr.node.stop().await.expect("a clean stop");
    for n in 0..300 {
        pol.write(&draft("observation", json!({"item": format!("n{n}"), "text": "seen while the other was away"})))
            .await;
    }
    let ukr = places[1].start(&format!("peers = [{address:?}]")).await;
    converged(&[&pol, &ukr]).await;
    assert_eq!(ukr.status().await.statements, 300);

    // A second node of UKR, with a store that holds only the genesis, is enrolled elsewhere and knows only a peer.
    let late = Place::new(&alliance, "UKR");
    let first = (places[1].key, places[1].kem);
    let ControlRecord::Roster(one, _) = alliance.roster("UKR", &[first]) else { panic!("a roster") };
    let ControlRecord::Roster(mut two, _) = alliance.roster("UKR", &[first, (late.key, late.kem)]) else {
        panic!("a roster")
    };
    two.version = 2;
    two.prev = one.id();
    assert_eq!(pol.import(&[two.sign(&alliance.nation("UKR").root)]).await.accepted, 1);
    let joined = late.start(&format!("peers = [{address:?}]")).await;
    converged(&[&pol, &ukr, &joined]).await;
    joined.write(&requirement("tents", 5)).await;
    converged(&[&pol, &ukr, &joined]).await;
    until("nobody lags", async || {
        let peers = pol.status().await.peers;
        (peers.iter().filter(|peer| peer.connected && peer.lag == Lag::default()).count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_start_says_whose_move_it_is() {
    let (_alliance, place, node) = alone("").await;
    let start = async |place: &Place, listen: &str| {
        let flags = Flags { listen: vec![listen.to_owned()], ..Flags::default() };
        let config = Config::load(place.home().path(), |_| None, &flags).expect("it loads");
        Node::start(&place.home(), &config).await.err().expect("it does not start")
    };
    let second = start(&place, "/ip4/127.0.0.1/tcp/0").await;
    assert!(second.hint().is_some_and(|hint| hint.contains("running")), "{second}");
    assert_eq!(second.blame().exit_code(), 4);

    let alliance = found(&["UKR"]);
    let other = Place::new(&alliance, "UKR");
    let busy = start(&other, &node.listen).await;
    assert!(busy.to_string().contains("cannot listen on"), "{busy}");
    assert_eq!(busy.blame().exit_code(), 4);

    use std::os::unix::fs::PermissionsExt as _;
    let key = other.home().path().join("keys/node.key");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("the mode is set");
    mode(0o644);
    let open = start(&other, "/ip4/127.0.0.1/tcp/0").await;
    assert!(open.to_string().contains("0644"), "{open}");
    mode(0o600);

    std::fs::copy(&key, key.with_extension("kept")).expect("copied");
    std::fs::write(&key, format!("{}\n", "42".repeat(32))).expect("written");
    let foreign = start(&other, "/ip4/127.0.0.1/tcp/0").await;
    assert!(foreign.to_string().contains("the key in this home"), "{foreign}");
    std::fs::copy(key.with_extension("kept"), &key).expect("copied");

    std::fs::remove_dir_all(other.home().path().join("store")).expect("removed");
    let missing = start(&other, "/ip4/127.0.0.1/tcp/0").await;
    assert!(missing.hint().is_some_and(|hint| hint.contains("never run `comity init` again")), "{missing}");
    assert_eq!(node.status().await.nation, "POL", "the running node was not disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_own_envelope_stops_writing_until_a_peer_brings_it_back() {
    let (_alliance, places, mut nodes) = meeting(&["POL", "UKR"]).await;
    let (pol, ukr) = (nodes.remove(0), nodes.remove(0));
    for n in 0..3 {
        ukr.write(&requirement("tents", 5 + n)).await;
    }
    converged(&[&pol, &ukr]).await;
    let address = pol.listen.clone();
    let held = ukr.status().await.held;
    pol.node.stop().await.expect("a clean stop");
    ukr.node.stop().await.expect("a clean stop");
    let store = rusqlite::Connection::open(places[1].home().store()).expect("the store opens");
    let changed = store
        .execute(
            "UPDATE body SET bytes = zeroblob(length(bytes)) WHERE header_pos = (SELECT max(header_pos) - 1 FROM body)",
            [],
        )
        .expect("a row is spoiled");
    assert_eq!(changed, 1);
    drop(store);

    let ukr = places[1].start(&format!("peers = [{address:?}]")).await;
    let refused = ukr.refused(&requirement("tents", 9)).await;
    assert!(refused.cause.is_some_and(|cause| cause.contains("damaged") || cause.contains("missing")));
    assert!(!ukr.status().await.authoring.allowed);
    let config = format!("listen = [{address:?}]");
    std::fs::write(places[0].home().config(), format!("{config}\nredial_max = \"1s\"\n")).expect("written");
    let config = Config::load(places[0].home().path(), |_| None, &Flags::default()).expect("it loads");
    let pol = Node::start(&places[0].home(), &config).await.expect("it starts on its old port");
    until("the envelope is back", async || {
        let status = ukr.status().await;
        (status.held == held && status.authoring.allowed).then_some(())
    })
    .await;
    ukr.write(&requirement("tents", 9)).await;
    pol.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_take_long_hold_up_neither_the_loop_nor_a_link() {
    let (_alliance, _places, nodes) = meeting(&["POL", "UKR"]).await;
    let [pol, ukr] = nodes.as_slice() else { panic!("two nodes") };
    converged(&[pol, ukr]).await;
    // Every query that may be asked at a time: some are computed and do not end, the others wait for them.
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let mut queries = Vec::new();
    for _ in 0..VIEWS_ASKED_MAX {
        let (handle, begun, held) = (pol.node.handle.clone(), begun.clone(), std::sync::Arc::clone(&held));
        let look = move |outlook: &Outlook| {
            begun.send(()).expect("the test waits");
            // Ends when the test lets go of the other end.
            assert!(held.lock().expect("nobody panics").recv().is_err());
            Ok(outlook.view().requirements.len())
        };
        queries.push(tokio::spawn(async move { handle.view(None, look).await }));
    }
    begins.recv().await.expect("a view is computed");
    let problem = until("the node takes no more queries", async || {
        let answer = pol.client.get_text("/v1/export", &[]);
        match tokio::time::timeout(Duration::from_millis(500), answer).await {
            Ok(Err(ClientError::Refused(problem))) => Some(problem),
            _ => None,
        }
    })
    .await;
    assert_eq!((problem.error.as_str(), problem.exit), ("the node is busy", 4));

    let links = pol.client.get::<Peers>("/v1/peers", &[]).await.expect("it answers");
    let since: Vec<_> = links.peers.iter().map(|peer| (peer.node.clone(), peer.connected)).collect();
    for number in 1..=5 {
        pol.write(&requirement("tents", number)).await;
        ukr.write(&requirement("blankets", number)).await;
    }
    converged(&[pol, ukr]).await;
    assert_eq!(pol.status().await.envelopes, 10, "writes, links and small reads go on");
    let links = pol.client.get::<Peers>("/v1/peers", &[]).await.expect("it answers");
    assert_eq!(since, links.peers.iter().map(|peer| (peer.node.clone(), peer.connected)).collect::<Vec<_>>());

    drop(hold);
    let mut seen = Vec::new();
    for query in queries {
        seen.push(query.await.expect("it ends").expect("it is answered"));
    }
    seen.sort_unstable();
    assert_eq!((seen[0], seen[VIEWS_ASKED_MAX - 1]), (0, 10), "each shows the record when its turn came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_after_an_answered_write_shows_it_whatever_else_is_asked() {
    let (_alliance, _place, node) = alone("").await;
    let exports: Vec<_> = (0..8)
        .map(|_| {
            let client = node.client.clone();
            tokio::spawn(async move {
                let mut lines = 0;
                while lines < 20 {
                    let text = client.get_text("/v1/export", &[]).await.expect("it exports");
                    assert!(text.lines().count() >= lines, "an export never shows less than one before it");
                    lines = text.lines().count();
                }
            })
        })
        .collect();
    for number in 1..=20 {
        let written = node.write(&requirement("tents", number)).await;
        let gaps = node.gaps().await;
        assert!(gaps.rows.iter().any(|row| row.requirement == written.record && row.quantity == number));
        let shown: Shown = node.client.get("/v1/show", &[("ref", &written.record)]).await.expect("it answers");
        assert_eq!((shown.record.version, shown.versions.len()), (written.version, 1));
    }
    for export in exports {
        export.await.expect("it sees all");
    }
}
