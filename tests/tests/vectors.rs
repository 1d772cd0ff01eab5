//! Golden vectors: bytes that must never change their meaning.
//!
//! `vectors/independent.json` comes from `vectors/build.py`, which knows the specification and none of our code.
//! `vectors/golden.json` is written by the product once and then held against it: one of each record kind, body kind and
//! frame. `VECTORS=overwrite` writes it again, which a review must then explain.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use comity_protocol::body::{Ack, Body, ChangeBody, KeyGrantBody, RosterAck, SealedKey, WitnessBody};
use comity_protocol::bundle::{Audit, Export, Kind, Reader, ReaderError, Wanted, export};
use comity_protocol::chain::Head;
use comity_protocol::charter::Anchor;
use comity_protocol::control::{
    CharterChange, ControlRecord, KeyStatus, Member, Motion, Params, Roster, RosterKey, Vote, VoteStep, nation_id,
};
use comity_protocol::envelope::{Header, HeaderDecodeError, SignedHeader, body_hash};
use comity_protocol::evaluate::{Element, State};
use comity_protocol::frontier::FrontierEntry;
use comity_protocol::guard::{Guard, prescan};
use comity_protocol::ids::{
    AllianceId, AuthorId, AuthorKey, CharterId, ControlId, Digest, EnvelopeId, NationId, RootKey, Tip, hex, unhex,
};
use comity_protocol::keys::{SecretKey, Signature};
use comity_protocol::message::pack::Packed;
use comity_protocol::message::run::{Run, RunBody, RunError, RunItem};
use comity_protocol::message::{
    ByIdItem, ByIdRequest, ControlReply, ControlRequest, Frame, Heartbeat, Hello, Outcome, Page, PushedEnvelope,
    RangeRequest, RefusedCode,
};
use comity_protocol::table::{Source, Table};
use comity_protocol::testing::{TestAlliance, draft};
use comity_tests::workspace;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Independent {
    alliance: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    what: String,
    hex: String,
    verdict: String,
    id: Option<String>,
    ids: Option<Vec<String>>,
    author: Option<String>,
    hash: Option<String>,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    beside: Vec<String>,
}

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        unhex(&self.hex).expect("vectors are hexadecimal")
    }

    fn author(&self) -> AuthorKey {
        AuthorKey::from_hex(self.author.as_deref().expect("a change names its author")).expect("a key")
    }
}

fn independent() -> Independent {
    let path = workspace().join("tests/vectors/independent.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the vectors are committed")).expect("they are JSON")
}

fn control_verdict(kind: u8, bytes: &[u8]) -> (String, Option<String>) {
    let Ok(record) = ControlRecord::decode(kind, bytes) else { return ("R01".to_owned(), None) };
    assert_eq!(record.encode(), bytes, "what decodes encodes back");
    match record.verify() {
        Ok(verified) => ("ok".to_owned(), Some(verified.id().hex())),
        Err(_) => ("R05".to_owned(), None),
    }
}

fn envelope_verdict(bytes: &[u8]) -> (String, Option<String>) {
    let (header, rest) = bytes.split_at(183);
    let (signature, body) = rest.split_at(64);
    let header = match Header::decode(header) {
        Ok(header) => header,
        Err(HeaderDecodeError::Wire(_)) => return ("R02".to_owned(), None),
        Err(HeaderDecodeError::Decode(_)) => return ("R01".to_owned(), None),
        Err(HeaderDecodeError::Field(_)) => return ("R06".to_owned(), None),
    };
    assert_eq!(header.encode(), bytes[..183], "what decodes encodes back");
    let signed = SignedHeader { header, signature: Signature(signature.try_into().expect("64 bytes")) };
    let Ok(attested) = signed.verify() else { return ("R05".to_owned(), None) };
    if !attested.header().body_matches(body) {
        return ("R07".to_owned(), None);
    }
    let decoded = Body::decode(attested.header().kind, body).expect("a known body");
    assert_eq!(decoded.encode(), body, "what decodes encodes back");
    ("ok".to_owned(), Some(attested.id().hex()))
}

#[test]
fn independent_records_and_envelopes_mean_what_their_script_says() {
    for vector in independent().vectors {
        let (verdict, id) = match vector.what.as_str() {
            "control:1" => control_verdict(1, &vector.bytes()),
            "control:4" => control_verdict(4, &vector.bytes()),
            "envelope" => envelope_verdict(&vector.bytes()),
            _ => continue,
        };
        assert_eq!(verdict, vector.verdict, "{}", vector.name);
        if verdict == "ok" {
            assert_eq!(id, vector.id, "{}", vector.name);
        }
    }
}

#[test]
fn a_second_valid_signature_is_the_same_envelope_and_no_fork() {
    let file = independent();
    let [first, again] = ["envelope-first", "envelope-signed-again"].map(|name| {
        let vector = file.vectors.iter().find(|vector| vector.name == name).expect("a vector");
        let bytes = vector.bytes();
        let header = Header::decode(&bytes[..183]).expect("a header");
        let signature = Signature(bytes[183..247].try_into().expect("64 bytes"));
        SignedHeader { header, signature }.verify().expect("a valid signature")
    });
    assert_ne!(first.signature(), again.signature());
    assert_eq!(first.id(), again.id());
    let mut state = State::new(Anchor::founding(AllianceId::from_hex(&file.alliance).expect("an id")));
    state.admit(vec![Element::Header(first.clone()), Element::Header(again)]);
    let chain = state.chain(&first.header().author_id()).expect("held");
    assert_eq!((chain.len(), chain.fork()), (1, None));
    assert_eq!(chain.get(&first.id()).and_then(|held| held.signature()), first.signature(), "the first one is kept");
}

#[test]
fn independent_runs_yield_the_ids_their_script_computed() {
    let file = independent();
    let alliance = AllianceId::from_hex(&file.alliance).expect("an id");
    let mut seen = 0;
    for vector in file.vectors.iter().filter(|vector| vector.what == "run") {
        let run = Run::decode(&vector.bytes()).expect("a run");
        assert_eq!(run.encode(), vector.bytes(), "{}", vector.name);
        match run.verify(&alliance) {
            Ok(items) => {
                let ids: Vec<_> = items.iter().map(|item| item.header.id().hex()).collect();
                assert_eq!((vector.verdict.as_str(), Some(ids)), ("ok", vector.ids.clone()), "{}", vector.name);
            }
            Err(RunError::Signature { .. }) => assert_eq!(vector.verdict, "R05", "{}", vector.name),
            Err(RunError::Header { .. }) => assert_eq!(vector.verdict, "R06", "{}", vector.name),
        }
        seen += 1;
    }
    assert!(seen >= 2, "the script writes runs");
}

/// Admits `vector` after, and beside, those it names; returns how many versions of its record survive.
fn admit(file: &Independent, vector: &Vector) -> usize {
    let mut guard = Guard::new();
    let mut table = Table::default();
    let named = |name: &String| file.vectors.iter().find(|other| other.name == *name).expect("a named vector");
    for change in vector.after.iter().chain(&vector.beside).map(named).chain([vector]) {
        let bytes = change.bytes();
        let scanned = prescan(&change.author(), &bytes).expect("a change");
        assert_eq!(Some(scanned.hash.hex()), change.hash, "{}", change.name);
        for write in guard.admit(&scanned, &bytes).unwrap_or_else(|reason| panic!("{}: {reason:?}", change.name)) {
            let source = Source { envelope: EnvelopeId::ZERO, author: change.author(), seq: 1, time_ms: 0 };
            table.apply(write, source);
        }
    }
    let (_, record) = table.records().next().expect("one record");
    record.surviving().count()
}

#[test]
fn independent_changes_pass_the_guard_and_concurrent_versions_survive() {
    let file = independent();
    let surviving: Vec<_> = file
        .vectors
        .iter()
        .filter(|vector| vector.what == "change" && vector.verdict == "ok")
        .map(|vector| (vector.name.as_str(), admit(&file, vector)))
        .collect();
    assert_eq!(
        surviving,
        [
            ("change-statement", 1),
            ("change-revision", 1),
            ("change-two-first-writes", 2),
            ("change-concurrent-revision", 2),
            ("change-pinned", 1),
        ]
    );
    for vector in file.vectors.iter().filter(|vector| vector.what == "change" && vector.verdict != "ok") {
        let reason = prescan(&vector.author(), &vector.bytes()).expect_err("not a change");
        assert!(reason.code().contains(&vector.verdict), "{}: {}", vector.name, reason.code());
    }
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
struct Golden {
    name: String,
    meaning: String,
    verdict: String,
    id: Option<String>,
    hex: String,
}

fn id<K>(byte: u8) -> comity_protocol::ids::Id<K> {
    comity_protocol::ids::Id::new([byte; 32])
}

fn tip(byte: u8) -> Tip {
    Tip { seq: byte.into(), id: id(byte) }
}

fn root_key() -> SecretKey {
    SecretKey::from_seed(&[0x41; 32])
}

fn member(byte: u8) -> Member {
    let root: RootKey = SecretKey::from_seed(&[byte; 32]).public();
    Member { root, code: "SWE".to_owned(), name: "Sweden".to_owned(), next_root: None }
}

fn motion(changes: Vec<CharterChange>) -> ControlRecord {
    let (title, text) = ("A change".to_owned(), b"because".to_vec());
    ControlRecord::Motion(Motion { alliance: id(1), height: 0, base: id(2), nonce: 3, title, text, changes })
}

fn controls() -> Vec<(&'static str, &'static str, ControlRecord)> {
    let root: RootKey = root_key().public();
    let alliance: AllianceId = id(1);
    let nation: NationId = nation_id(&alliance, &root);
    let vote = |step| Vote {
        alliance,
        nation,
        root,
        height: 0,
        base: id::<comity_protocol::ids::Charter>(2),
        round: 0,
        step,
        motion: id(4),
        time_ms: 5,
    };
    let roster = Roster {
        alliance,
        nation,
        root,
        root_gen: 0,
        version: 1,
        prev: ControlId::ZERO,
        time_ms: 6,
        keys: vec![RosterKey {
            node: SecretKey::from_seed(&[0x42; 32]).public(),
            kem: [7; 32],
            label: "SWE-1".to_owned(),
            witness: true,
            status: KeyStatus::Active,
        }],
        closed: false,
        note: String::new(),
    };
    vec![
        ("motion-admit", "a nation joins", motion(vec![CharterChange::Admit(member(0x43))])),
        (
            "motion-remove",
            "a nation is removed at named cuts",
            motion(vec![CharterChange::Remove { nation, cuts: vec![(id(8), tip(9))], roster: tip(1) }]),
        ),
        (
            "motion-replace-root",
            "a root key is replaced",
            motion(vec![CharterChange::ReplaceRoot {
                nation,
                root: SecretKey::from_seed(&[0x44; 32]).public(),
                roster: tip(1),
            }]),
        ),
        (
            "motion-parameters",
            "parameters and rules are raised",
            motion(vec![CharterChange::SetParams(Params::default()), CharterChange::SetRules(2)]),
        ),
        ("vote-support", "a nation supports a motion", vote(VoteStep::Support).sign(&root_key())),
        ("vote-seal", "a nation seals a motion", vote(VoteStep::Seal).sign(&root_key())),
        ("roster", "a first roster", roster.sign(&root_key())),
    ]
}

fn bodies() -> Vec<(&'static str, &'static str, Body)> {
    let author = AuthorId { nation: id(3), key: id::<comity_protocol::ids::Author>(4) };
    vec![
        (
            "change-clear",
            "a change everybody reads",
            Body::Change(ChangeBody::Clear { compartment: 0, change: vec![1, 2] }),
        ),
        (
            "change-encrypted",
            "a change of a compartment",
            Body::Change(ChangeBody::Encrypted { compartment: 5, kid: id(6), nonce: [7; 24], ciphertext: vec![8; 32] }),
        ),
        (
            "witness",
            "what a nation holds",
            Body::Witness(WitnessBody {
                height: 0,
                charter: id::<comity_protocol::ids::Charter>(1),
                rosters: vec![RosterAck { nation: id(3), version: 1, id: id(2) }],
                acks: vec![Ack { author, tip: tip(9) }],
                frontier: id(5),
                state: id(6),
            }),
        ),
        (
            "key-grant",
            "a compartment's key for its audience",
            Body::KeyGrant(KeyGrantBody {
                compartment: 5,
                kid: id(1),
                wraps: (0..16).map(|i| [i; 80]).collect(),
                prev: vec![SealedKey { kid: id(2), nonce: [3; 24], ciphertext: [4; 48] }],
            }),
        ),
    ]
}

fn envelope() -> (SignedHeader, Vec<u8>) {
    let body = Body::Change(ChangeBody::Clear { compartment: 0, change: vec![1, 2, 3] }).encode();
    let key = SecretKey::from_seed(&[0x42; 32]);
    let header = Header {
        alliance: id(1),
        nation: id(3),
        author: key.public(),
        seq: 1,
        prev: EnvelopeId::ZERO,
        time_ms: 1_700_000_000_000,
        kind: 1,
        body_len: u32::try_from(body.len()).expect("short"),
        body_hash: body_hash(&body),
    };
    (SignedHeader::sign(header, &key), body)
}

fn frames() -> Vec<(&'static str, &'static str, Frame)> {
    let author = AuthorId { nation: id(3), key: id::<comity_protocol::ids::Author>(4) };
    let (signed, body) = envelope();
    let body: Arc<[u8]> = body.into();
    let digest: Digest = id(5);
    let charter: CharterId = id(2);
    let hello = Hello {
        wire_min: 1,
        wire_max: 1,
        rules_max: 1,
        alliance: id(1),
        nation: id(3),
        charter_height: 0,
        charter,
        control: digest,
        held: digest,
        state: digest,
        time_ms: 7,
    };
    let run = Run {
        author: signed.header.author_id(),
        first_seq: 1,
        first_prev: EnvelopeId::ZERO,
        items: vec![RunItem {
            time_ms: signed.header.time_ms,
            kind: 1,
            body: RunBody::Held(body.clone()),
            signature: None,
        }],
        signature: signed.signature,
    };
    let control = controls().pop().expect("a roster").2;
    vec![
        ("frame-1-hello", "who speaks, and digests", Frame::Hello(hello)),
        (
            "frame-2-control",
            "ids of control records the asker keeps",
            Frame::Control(ControlRequest { after: ControlId::ZERO, have: vec![id(1), id(2)], page: Page::Last }),
        ),
        (
            "frame-3-control-reply",
            "control records the asker lacks",
            Frame::ControlReply(ControlReply { records: vec![(control.kind(), control.encode())], more: false }),
        ),
        ("frame-4-frontier", "what do you hold", Frame::Frontier),
        (
            "frame-5-frontier-reply",
            "heads by author",
            Frame::FrontierReply(vec![FrontierEntry {
                author,
                heads: vec![Head { tip: tip(9), bodies_to: 8 }],
                fork: Some(3),
                closed: false,
            }]),
        ),
        ("frame-6-range", "a stretch of a chain", Frame::Range(RangeRequest { author, from: 1, to: 9 })),
        ("frame-7-run", "a packed run in plain form", Frame::Run(run)),
        ("frame-8-by-id", "envelopes by id", Frame::ById(ByIdRequest { ids: vec![id(1)], bodies: true })),
        (
            "frame-9-by-id-reply",
            "the envelopes held",
            Frame::ByIdReply(vec![ByIdItem {
                header: signed.header.encode(),
                signature: Some(signed.signature),
                body: Some(body.clone()),
            }]),
        ),
        (
            "frame-10-push",
            "new envelopes",
            Frame::Push(vec![PushedEnvelope { header: signed.header.encode(), signature: signed.signature, body }]),
        ),
        ("frame-11-heartbeat", "still here", Frame::Heartbeat(Heartbeat { time_ms: 7, held: digest })),
        ("frame-12-end", "a complete reply", Frame::End(Outcome::Complete)),
        ("frame-13-refused", "not in a roster", Frame::Refused(RefusedCode::NotInRoster)),
    ]
}

/// A small stream and the digest of the state that it was written from. Its runs are too short to be compressed, so the bytes
/// do not depend on a compressor.
fn stream(kind: Kind) -> (Vec<u8>, Digest) {
    let mut alliance = TestAlliance::new(1, &[("AAA", 1), ("BBB", 1)]);
    let mut state = alliance.state();
    for nation in 0..2 {
        let writes = vec![draft("note", 1, "x")];
        let envelope = alliance.node(nation, 0).write(&state, writes).expect("it writes");
        state.admit(envelope.elements().into());
    }
    let node = &alliance.nations[0].nodes[0];
    let request = Export {
        kind,
        wanted: Wanted::All,
        packed: Packed::Sparse,
        exporter: node.author,
        created_ms: 1,
        software: "comity vector".to_owned(),
    };
    let mut bytes = Vec::new();
    let written = export(&state, &request, Some(&node.key), |frame| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    });
    written.expect("memory takes everything");
    (bytes, state.state())
}

/// Reads a stream to its end; audits it if it is a bundle.
fn stream_verdict(bytes: &[u8]) -> (String, Option<Digest>) {
    let mut reader = Reader::new();
    let mut audit = Audit::new(None);
    let mut left = bytes;
    let verdict = |error: &ReaderError| match error {
        ReaderError::Truncated { .. } | ReaderError::Unsealed { .. } => "cut".to_owned(),
        ReaderError::Trailing { .. } => "trailing".to_owned(),
        other => other.rule().unwrap_or("damaged").to_owned(),
    };
    while !left.is_empty() {
        left = &left[reader.feed(left)..];
        loop {
            match reader.poll() {
                Ok(Some(frame)) if reader.kind() == Some(Kind::Bundle) => {
                    audit.take(frame.place, frame.piece).expect("every record holds");
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (verdict(&error), None),
            }
        }
    }
    match reader.finish() {
        Ok(sealed) if sealed.kind == Kind::Bundle => {
            let audited = audit.finish(&sealed).expect("every record counts");
            assert!(audited.agrees() && audited.omissions.is_empty());
            ("ok".to_owned(), Some(audited.state.state()))
        }
        Ok(_) => ("ok".to_owned(), None),
        Err(error) => (verdict(&error), None),
    }
}

fn golden() -> Vec<Golden> {
    let row = |name: &str, meaning: &str, verdict: &str, id: Option<String>, bytes: &[u8]| Golden {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        verdict: verdict.to_owned(),
        id,
        hex: hex(bytes),
    };
    let mut rows = Vec::new();
    for (name, meaning, record) in controls() {
        rows.push(row(name, meaning, "ok", Some(record.id().hex()), &record.encode()));
    }
    for (name, meaning, body) in bodies() {
        rows.push(row(&format!("body-{name}"), meaning, "ok", Some(body_hash(&body.encode()).hex()), &body.encode()));
    }
    for (name, meaning, frame) in frames() {
        let bytes = frame.encode();
        rows.push(row(name, meaning, "ok", None, &bytes));
        let trailing = [bytes.as_slice(), &[0]].concat();
        rows.push(row(&format!("{name}-trailing"), "one byte follows", "R01", None, &trailing));
        rows.push(row(&format!("{name}-cut"), "the last byte is missing", "R01", None, &bytes[..bytes.len() - 1]));
    }
    rows.push(row("frame-14", "an unknown tag", "R01", None, &[0, 14]));
    for (name, meaning, kind) in [
        ("bundle-small", "an audit bundle of two nations that wrote one envelope each, signed", Kind::Bundle),
        ("courier-small", "a courier file of the same", Kind::Courier),
    ] {
        let (bytes, state) = stream(kind);
        rows.push(row(name, meaning, "ok", Some(state.hex()), &bytes));
        rows.push(row(&format!("{name}-cut"), "the last byte is missing", "cut", None, &bytes[..bytes.len() - 1]));
        let trailing = [bytes.as_slice(), &[0]].concat();
        rows.push(row(&format!("{name}-trailing"), "one byte follows", "trailing", None, &trailing));
    }
    rows
}

#[test]
fn golden_vectors_still_mean_what_they_meant() {
    let path: PathBuf = workspace().join("tests/vectors/golden.json");
    let rows = golden();
    if std::env::var("VECTORS").as_deref() == Ok("overwrite") {
        fs::write(&path, serde_json::to_string_pretty(&rows).expect("plain data") + "\n").expect("the file is ours");
    }
    let committed: Vec<Golden> =
        serde_json::from_str(&fs::read_to_string(&path).expect("the vectors are committed")).expect("they are JSON");
    assert_eq!(committed, rows);
    for row in &committed {
        let bytes = unhex(&row.hex).expect("hexadecimal");
        if row.name.starts_with("bundle-") || row.name.starts_with("courier-") {
            let (verdict, state) = stream_verdict(&bytes);
            assert_eq!(verdict, row.verdict, "{}", row.name);
            assert!(state.is_none_or(|state| Some(state.hex()) == row.id), "{}", row.name);
        }
        if row.name.starts_with("frame-") {
            let decoded = Frame::decode(&bytes);
            assert_eq!(decoded.is_ok(), row.verdict == "ok", "{}: {decoded:?}", row.name);
            if let Ok(frame) = decoded {
                assert_eq!(frame.encode(), bytes, "{}", row.name);
            }
        }
    }
    for (name, _, record) in controls() {
        let decoded = ControlRecord::decode(record.kind(), &record.encode());
        assert_eq!(decoded.as_ref(), Ok(&record), "{name}");
        assert!(decoded.is_ok_and(|record| record.verify().is_ok()), "{name}");
    }
    for (name, _, body) in bodies() {
        assert_eq!(Body::decode(body.kind(), &body.encode()), Ok(body), "{name}");
    }
}

#[test]
fn the_independent_script_still_writes_the_committed_file() {
    let folder = workspace().join("tests/vectors");
    let Ok(output) = std::process::Command::new("python3").arg(folder.join("build.py")).output() else {
        println!("skipped: no python3 on this machine");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let committed = fs::read_to_string(folder.join("independent.json")).expect("the vectors are committed");
    assert_eq!(String::from_utf8(output.stdout).expect("JSON is UTF-8"), committed);
}
