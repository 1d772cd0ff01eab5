//! Golden stories of the charter: control records, and what everybody makes of them for ever.
//!
//! `VECTORS=overwrite` writes `vectors/charter.json` again, which a review must then explain.

use std::fs;

use comity_protocol::charter::Charter;
use comity_protocol::control::{CharterChange, ControlRecord, Params, VerifiedControl, VoteStep};
use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{EnvelopeId, Tip, hex, unhex};
use comity_protocol::testing::TestAlliance;
use comity_tests::workspace;
use serde::{Deserialize, Serialize};

/// A story: records in any order, and what they come to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Story {
    name: String,
    meaning: String,
    alliance: String,
    height: u32,
    charter: String,
    members: Vec<String>,
    removed: Vec<String>,
    /// Height and motions of a conflict, and who sealed both.
    conflict: Option<(u32, [String; 2], Vec<String>)>,
    control: String,
    state: String,
    /// Kind and signed form of each.
    records: Vec<(u8, String)>,
}

struct Teller {
    alliance: TestAlliance,
    records: Vec<VerifiedControl>,
}

impl Teller {
    fn new() -> Self {
        let alliance = TestAlliance::new(1, &[("UKR", 1), ("POL", 1), ("LTU", 1), ("DEU", 1)]);
        Self { records: alliance.control(), alliance }
    }

    fn state(&self) -> State {
        evaluate(self.alliance.anchor(), self.records.iter().cloned().map(Element::Control).collect())
    }

    fn charter(&self) -> Charter {
        self.state().charter().expect("founded").clone()
    }

    fn motion(&mut self, nonce: u64, changes: Vec<CharterChange>) -> VerifiedControl {
        let motion = self.alliance.motion(&self.charter(), nonce, changes);
        self.records.push(motion.clone());
        motion
    }

    fn raise(&mut self, by: u64) -> VerifiedControl {
        let params = self.charter().params;
        self.motion(by, vec![CharterChange::SetParams(Params { chain_quota: params.chain_quota + by, ..params })])
    }

    fn pass(&mut self, nations: &[usize], round: u16, motion: &VerifiedControl) {
        let votes = self.alliance.pass(nations, &self.charter(), round, &motion.id());
        self.records.extend(votes);
    }

    fn told(self, name: &str, meaning: &str) -> Story {
        let state = self.state();
        let charter = self.charter();
        let conflict = state.charter_conflict().map(|conflict| {
            let sealers = conflict.double_sealers.iter().map(|nation| nation.hex()).collect();
            (conflict.height, conflict.motions.map(|motion| motion.hex()), sealers)
        });
        Story {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            alliance: self.alliance.id.hex(),
            height: charter.height,
            charter: charter.id.hex(),
            members: charter.members.values().map(|member| member.code.clone()).collect(),
            removed: charter.removed.values().map(|removal| removal.member.code.clone()).collect(),
            conflict,
            control: state.control().hex(),
            state: state.state().hex(),
            records: self.records.iter().map(|c| (c.record().kind(), hex(&c.record().encode()))).collect(),
        }
    }
}

fn remove_last(teller: &mut Teller) {
    let nation = teller.alliance.nations[3].clone();
    let cut = teller.alliance.node(3, 0).envelope(99, vec![1]).header.tip();
    let roster = Tip { seq: 1, id: EnvelopeId::new(*nation.rosters[0].id().as_bytes()) };
    let cuts = vec![(nation.nodes[0].author.key, cut)];
    let motion = teller.motion(0, vec![CharterChange::Remove { nation: nation.id, cuts, roster }]);
    teller.pass(&[0, 1, 2], 0, &motion);
}

fn stories() -> Vec<Story> {
    let mut stories = Vec::new();
    let mut teller = Teller::new();
    let motion = teller.raise(1);
    teller.pass(&[0, 1, 2], 0, &motion);
    stories.push(teller.told("round-0", "three of four support and seal a motion in round 0"));

    let mut teller = Teller::new();
    let [one, other] = [1, 2].map(|by| teller.raise(by));
    let charter = teller.charter();
    for (nation, motion) in [(0, &one), (1, &one), (2, &other), (3, &other)] {
        teller.records.push(teller.alliance.vote(nation, &charter, (0, VoteStep::Support), &motion.id()));
    }
    teller.pass(&[1, 2, 3], 1, &other);
    stories.push(teller.told("round-1", "two and two in round 0, then three agree in round 1"));

    let mut teller = Teller::new();
    let [one, other] = [1, 2].map(|by| teller.raise(by));
    let votes = [(&[0, 1, 2], &one), (&[1, 2, 3], &other)]
        .map(|(nations, motion)| teller.alliance.pass(nations, &teller.charter(), 0, &motion.id()));
    teller.records.extend(votes.into_iter().flatten());
    stories.push(teller.told("double-seal", "two nations of four seal both motions: the charter stays where it is"));

    let mut teller = Teller::new();
    remove_last(&mut teller);
    stories.push(teller.told("removal", "a nation is removed, its chain cut at its first envelope"));

    let mut teller = Teller::new();
    remove_last(&mut teller);
    let again = teller.alliance.candidate(2, "DEU2", 1);
    let motion = teller.motion(0, vec![CharterChange::Admit(again)]);
    teller.pass(&[0, 1, 2], 0, &motion);
    let roster = teller.alliance.first_roster(4);
    teller.records.push(roster);
    stories.push(teller.told("re-admission", "the nation removed comes back with a new key, a new code and a new id"));
    stories
}

#[test]
fn the_golden_stories_still_end_as_they_did() {
    let path = workspace().join("tests/vectors/charter.json");
    let stories = stories();
    if std::env::var("VECTORS").as_deref() == Ok("overwrite") {
        fs::write(&path, serde_json::to_string_pretty(&stories).expect("plain data") + "\n").expect("the file is ours");
    }
    let committed: Vec<Story> =
        serde_json::from_str(&fs::read_to_string(&path).expect("the stories are committed")).expect("they are JSON");
    assert_eq!(committed, stories);
    for story in &committed {
        let mut state = State::new(Teller::new().alliance.anchor());
        for (kind, bytes) in story.records.iter().rev() {
            let record = ControlRecord::decode(*kind, &unhex(bytes).expect("hexadecimal")).expect("a record");
            state.admit(vec![Element::Control(record.verify().expect("sound"))]);
        }
        let charter = state.charter().expect("founded");
        assert_eq!((charter.height, charter.id.hex()), (story.height, story.charter.clone()), "{}", story.name);
        assert_eq!((state.control().hex(), state.state().hex()), (story.control.clone(), story.state.clone()));
    }
}
