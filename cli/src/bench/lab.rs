//! An alliance of two in a folder of its own, and a store with many statements.

use std::path::{Path, PathBuf};

use comity_node::home::Home;
use comity_node::store::{Settings, Store};
use comity_protocol::body::{Body, ChangeBody};
use comity_protocol::charter::Anchor;
use comity_protocol::control::{
    ControlRecord, Genesis, KeyStatus, Member, Params, Roster, RosterKey, SignedGenesis, VerifiedControl, nation_id,
};
use comity_protocol::effect::{Authoring, Effect, Input, RecordWrite, Replaces, RequestId, SaveOp, WriteRequest};
use comity_protocol::evaluate::{Element, evaluate};
use comity_protocol::ids::{AllianceId, AuthorKey, ControlId, NationId, RootKey, Tip};
use comity_protocol::keys::SecretKey;
use comity_protocol::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence};
use comity_protocol::rules::Rules;
use comity_protocol::value::{Fields, Value, record_id_from};

use crate::failure::Failure;
use crate::output::now;

/// The two nations of a bench.
pub const CODES: [&str; 2] = ["DEU", "UKR"];
/// Statements saved in one transaction while a store is filled.
const BATCH: usize = 2_000;

/// A founded alliance with one home each, which hold both rosters and nothing else.
pub struct Lab {
    folder: PathBuf,
    /// The alliance.
    pub alliance: AllianceId,
    /// Genesis and rosters.
    pub control: Vec<VerifiedControl>,
    /// The nations.
    pub nations: [NationId; 2],
}

impl Lab {
    /// Founds an alliance below the system's folder for temporary files.
    pub fn found() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("comity-bench-{}-{}", std::process::id(), entropy()?));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file("make", &folder, &error))?;
        let roots = [secret()?, secret()?];
        let mut members: Vec<(Member, &SecretKey)> = CODES
            .iter()
            .zip(&roots)
            .map(|(code, root)| {
                let (code, name) = ((*code).to_owned(), (*code).to_owned());
                (Member { root: root.public(), code, name, next_root: None }, root)
            })
            .collect();
        members.sort_by_key(|(member, _)| member.root);
        let genesis = Genesis {
            name: "bench".to_owned(),
            created_ms: now().0,
            nonce: [7; 32],
            parent: None,
            params: Params::default(),
            founders: members.iter().map(|(member, _)| member.clone()).collect(),
        };
        let signatures = members.iter().map(|(_, root)| genesis.sign(root)).collect();
        let alliance = genesis.alliance_id();
        let founding = verified(ControlRecord::Genesis(SignedGenesis { genesis, signatures }))?;
        let root = |index: usize| roots[index].public::<comity_protocol::ids::Root>();
        let nations = [nation_id(&alliance, &root(0)), nation_id(&alliance, &root(1))];
        let mut lab = Self { folder, alliance, control: vec![founding], nations };
        for index in 0..CODES.len() {
            let made = lab.home(index).init(&lab.control[0], nations[index])?;
            let roster = first_roster(alliance, nations[index], root(index), made.identity.node, made.kem);
            lab.control.push(verified(roster.sign(&roots[index]))?);
        }
        Ok(lab)
    }

    /// The folder everything stands in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One nation's home.
    pub fn home(&self, index: usize) -> Home {
        Home::new(self.folder.join(CODES[index]))
    }

    /// Opens one nation's store and puts the rosters into it.
    pub async fn open(&self, index: usize) -> Result<Store, Failure> {
        let home = self.home(index);
        // As the daemon does it: what is signed is written down beside the store.
        let settings = Settings { sentinel: Some(home.sentinel()), ..Settings::default() };
        let store = Store::open(&home.store(), settings, home.lock()?)?;
        store.save(self.control.iter().cloned().map(SaveOp::Control).collect()).await?;
        Ok(store)
    }

    /// Returns a replica of one nation that holds genesis and rosters.
    pub fn replica(&self, index: usize) -> Result<Replica, Failure> {
        let elements = self.control.iter().cloned().map(Element::Control).collect();
        let state = evaluate(Anchor::founding(self.alliance), elements);
        let key = self.home(index).node_key()?;
        let config = Config {
            alliance: self.alliance,
            nation: self.nations[index],
            key,
            seed: 1,
            witness: WitnessCadence::NEVER,
            rules_max: RULES_MAX,
        };
        Ok(Replica::new(
            config,
            Rules::default(),
            Stored { state, remembered: Vec::new(), authoring: Authoring::Free, signed: Tip::NONE },
        ))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Lets `replica` write one statement and returns what is to be saved.
pub fn write(replica: &mut Replica, number: u64) -> Result<Vec<SaveOp>, Failure> {
    let write = RecordWrite {
        kind: "observation".to_owned(),
        id: record_id_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        replaces: Replaces::Nothing,
        fields: fields(number),
    };
    let request = WriteRequest { request: RequestId(number), writes: vec![write], idempotency: None, wait: 0 };
    replica.handle(now(), Input::Write(request));
    let mut ops = Vec::new();
    while let Some(effect) = replica.poll_effect() {
        match effect {
            Effect::Save(saved) => ops.extend(saved),
            Effect::Written { outcome: Err(error), .. } => {
                return Err(Failure::refused("the bench cannot write").because(error.to_string()));
            }
            _ => {}
        }
    }
    Ok(ops)
}

/// Writes `count` statements into one nation's store; returns their raw changes in order.
pub async fn fill(lab: &Lab, index: usize, count: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let store = lab.open(index).await?;
    let mut replica = lab.replica(index)?;
    let mut raw = Vec::with_capacity(count);
    let mut batch = Vec::new();
    for number in 0..count as u64 {
        let ops = write(&mut replica, number)?;
        raw.extend(ops.iter().filter_map(raw_change));
        batch.extend(ops);
        if batch.len() >= BATCH * 2 {
            store.save_catch_up(std::mem::take(&mut batch)).await?;
        }
    }
    store.save_catch_up(batch).await?;
    store.close().await;
    Ok(raw)
}

/// The Automerge change that a saved body carries.
pub fn raw_change(op: &SaveOp) -> Option<Vec<u8>> {
    let SaveOp::Body { bytes, .. } = op else { return None };
    match Body::decode(comity_protocol::body::KIND_CHANGE, bytes) {
        Ok(Body::Change(ChangeBody::Clear { change, .. })) => Some(change),
        _ => None,
    }
}

/// Bytes that a save puts on disk at the least: headers, signatures and bodies.
pub fn payload_bytes(ops: &[SaveOp]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for op in ops {
        match op {
            SaveOp::Header(header) => {
                bytes.extend_from_slice(&header.header().encode());
                bytes.extend(header.signature().into_iter().flat_map(|signature| signature.0));
            }
            SaveOp::Body { bytes: body, .. } => bytes.extend_from_slice(body),
            _ => {}
        }
    }
    bytes
}

/// The elements that a save would bring back after a restart.
pub fn elements(ops: Vec<SaveOp>) -> Vec<Element> {
    let element = |op| match op {
        SaveOp::Header(header) => Some(Element::Header(header)),
        SaveOp::Body { id, bytes } => Some(Element::Body { id, bytes }),
        SaveOp::Control(control) => Some(Element::Control(control)),
        _ => None,
    };
    ops.into_iter().filter_map(element).collect()
}

/// Eight fields, as a pledge has them.
fn fields(number: u64) -> Fields {
    let text = |text: &str| Value::Text(text.to_owned());
    [
        ("item", text("winter tents, family size")),
        ("class", text("II")),
        ("quantity", Value::Uint(100 + number % 900)),
        ("unit", text("each")),
        ("donor", text("Federal Agency for Technical Relief")),
        ("date", text("2026-11-24")),
        ("source", Value::Text(format!("bench row {number}"))),
        ("row", Value::Uint(number)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn first_roster(alliance: AllianceId, nation: NationId, root: RootKey, node: AuthorKey, kem: [u8; 32]) -> Roster {
    Roster {
        alliance,
        nation,
        root,
        root_gen: 0,
        version: 1,
        prev: ControlId::ZERO,
        time_ms: now().0,
        keys: vec![RosterKey { node, kem, label: "bench".to_owned(), witness: true, status: KeyStatus::Active }],
        closed: false,
        note: String::new(),
    }
}

fn verified(record: ControlRecord) -> Result<VerifiedControl, Failure> {
    record.verify().map_err(|error| Failure::refused("the bench's alliance is not valid").because(error.to_string()))
}

fn entropy() -> Result<u32, Failure> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Failure::environment("no randomness").because(error.to_string()))?;
    Ok(u32::from_be_bytes(bytes))
}

fn secret() -> Result<SecretKey, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::environment("no randomness").because(error.to_string()))?;
    Ok(SecretKey::from_seed(&seed))
}
