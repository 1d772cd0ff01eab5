//! Real nodes in one process: real stores in temporary homes, real links over loopback, the API over real sockets.

use std::time::Duration;

use comity_node::api::model::{
    Board, ControlAnswer, ControlRequest, Draft, Gaps, Peers, Problem, Status, WriteAnswer, WriteRequest,
};
use comity_node::client::{Client, ClientError};
use comity_node::config::{Config, Flags};
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
    let roster = alliance.roster("POL", &[(place.key, place.kem)]);
    assert_eq!(node.import(std::slice::from_ref(&roster)).await.accepted, 1);
    assert_eq!(node.import(&[roster]).await.known, 1);
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
