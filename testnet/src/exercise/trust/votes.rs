//! Motions and votes: each nation's officer signs on what the nation's own node holds, by the rules of an honest signer.

use std::collections::BTreeSet;

use comity_protocol::charter::signer::Refuse;
use comity_protocol::control::{CharterChange, ControlRecord, Member, Motion, Params, Vote, VoteStep};
use comity_protocol::ids::{AuthorId, Root, RootKey, Tip};
use tokio::time::{Instant, sleep};

use super::known::Known;
use super::nodes::new_root;
use super::rosters::live_node;
use super::{ExerciseError, import, safe};
use crate::exercise::now;
use crate::exercise::stage::{LOOK_EVERY, SETTLE_PATIENCE, Stage};
use crate::report::SignedRecord;
use crate::scenario::{MotionChange, VoteOutcome};

/// Drafts a motion on the charter that one node shows.
pub(super) async fn propose(
    stage: &mut Stage,
    name: &str,
    change: &MotionChange,
    at: &str,
) -> Result<(), ExerciseError> {
    stage.step(&format!("drafting the motion \"{name}\""));
    if let MotionChange::ReplaceRoot { nation, .. } = change {
        let file = stage.layout.alliance().join(format!("{nation}.root.new"));
        new_root(&stage.exe, nation, &file).await?;
        stage.trust.safe.drawer(nation).next = Some(safe::load(&file)?);
    }
    match draft(stage, name, change, at).await {
        Ok(motion) => {
            stage.trust.motions.insert(name.to_owned(), motion);
        }
        Err(problem) => stage.problems.push(format!("\"{name}\" cannot be drafted at {at}: {problem}")),
    }
    Ok(())
}

async fn draft(stage: &mut Stage, name: &str, change: &MotionChange, at: &str) -> Result<Motion, String> {
    let known = Known::of(&stage.client(at)).await?;
    let charter = known.charter()?;
    let change = match change {
        MotionChange::Admit(code) => {
            let root = stage.trust.safe.drawer(code).root.public::<Root>();
            let nation = stage.scenario.nations.iter().find(|nation| nation.code == *code);
            let name = nation.map_or_else(|| code.clone(), |nation| nation.name.clone());
            CharterChange::Admit(Member { root, code: code.clone(), name, next_root: None })
        }
        MotionChange::Remove(code) => {
            let nation = known.nation(code)?;
            let evaluated = known.state.roster(&nation).ok_or("it holds no roster of the nation")?;
            let cuts = evaluated.keys.keys().map(|key| (*key, known.cut(&AuthorId { nation, key: *key })));
            let (version, roster) = evaluated.tip();
            let roster = Tip { seq: version, id: comity_protocol::ids::EnvelopeId::new(*roster.as_bytes()) };
            CharterChange::Remove { nation, cuts: cuts.collect(), roster }
        }
        MotionChange::ReplaceRoot { nation: code, floor } => {
            let nation = known.nation(code)?;
            let id = known.roster(&nation, *floor).ok_or("it does not hold the roster that is to be the floor")?;
            let next = stage.trust.safe.drawer(code).next.as_ref().ok_or("there is no new root key")?;
            CharterChange::ReplaceRoot { nation, root: next.public::<Root>(), roster: Tip { seq: *floor, id } }
        }
        MotionChange::Quota(chain_quota) => {
            CharterChange::SetParams(Params { chain_quota: *chain_quota, ..charter.params })
        }
    };
    let motion = Motion {
        alliance: charter.alliance,
        height: charter.height,
        base: charter.id,
        nonce: stage.scenario.seed,
        title: name.to_owned(),
        text: Vec::new(),
        changes: vec![change],
    };
    charter.well_formed(&motion).map_err(|error| error.to_string())?;
    Ok(motion)
}

/// Lets each of these nations vote; a nation whose rules do not permit it yet looks again until they do.
pub(super) async fn vote(
    stage: &mut Stage,
    step: VoteStep,
    name: &str,
    nations: &BTreeSet<String>,
    round: u16,
    outcome: VoteOutcome,
) {
    let verb = verb(step);
    stage
        .step(&format!("{} {verb} \"{name}\" in round {round}", nations.iter().cloned().collect::<Vec<_>>().join(" ")));
    let Some(motion) = stage.trust.motions.get(name).cloned() else { return };
    let deadline = Instant::now() + SETTLE_PATIENCE;
    for nation in nations {
        let what = format!("{verb} \"{name}\" in round {round}");
        let Some(node) = live_node(stage, nation) else {
            stage.problems.push(format!("{nation} has no node to vote at"));
            continue;
        };
        let mut answer = attempt(stage, step, &motion, nation, &node, round).await;
        while outcome == VoteOutcome::Signed && is_early(&answer) && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
            answer = attempt(stage, step, &motion, nation, &node, round).await;
        }
        let (record, refused) = match answer {
            Ok(vote) => (Some(vote.id().hex()), None),
            Err(Unsigned::Rule(refuse)) => (None, Some(refuse.to_string())),
            Err(Unsigned::Unknown(problem)) => {
                stage.problems.push(format!("{nation} cannot {what}: {problem}"));
                continue;
            }
        };
        match (outcome, &refused) {
            (VoteOutcome::Signed, Some(refused)) => {
                stage.problems.push(format!("{nation} may not {what}: {refused}"));
            }
            (VoteOutcome::Refused, None) => {
                stage.problems.push(format!("{nation} may {what}, which its rules should have refused"));
            }
            (VoteOutcome::Signed, None) | (VoteOutcome::Refused, Some(_)) => {}
        }
        let at_ms = stage.ledger.now_ms();
        stage.trust.signed.push(SignedRecord { nation: nation.clone(), what, record, refused, at_ms });
    }
}

/// Why a vote was not signed.
enum Unsigned {
    /// A rule of the signer.
    Rule(Refuse),
    /// The node does not answer, or lacks what is needed.
    Unknown(String),
}

/// Whether more votes or envelopes may change the answer.
fn is_early(answer: &Result<Vote, Unsigned>) -> bool {
    match answer {
        Err(Unsigned::Rule(Refuse::NoSupportQuorum { .. } | Refuse::CutsNotHeld | Refuse::RoundTooFar { .. })) => true,
        // A version the node has not adopted yet, or a lock that a later round may open.
        Err(Unsigned::Rule(Refuse::OtherBase { .. } | Refuse::Locked { .. } | Refuse::NotMember { .. })) => true,
        Err(Unsigned::Unknown(_)) => true,
        Err(Unsigned::Rule(_)) | Ok(_) => false,
    }
}

/// Signs one vote if the rules permit it, and imports it with its motion at the nation's node.
async fn attempt(
    stage: &mut Stage,
    step: VoteStep,
    motion: &Motion,
    nation: &str,
    node: &str,
    round: u16,
) -> Result<Vote, Unsigned> {
    let known = Known::of(&stage.client(node)).await.map_err(Unsigned::Unknown)?;
    let charter = known.charter().map_err(Unsigned::Unknown)?;
    let id = known.nation(nation).map_err(Unsigned::Unknown)?;
    let root = charter.nation(&id).map(|member| member.root).unwrap_or(RootKey::ZERO);
    let drawer = stage.trust.safe.drawer(nation);
    let vote = Vote {
        alliance: motion.alliance,
        nation: id,
        root,
        height: motion.height,
        base: motion.base,
        round,
        step,
        motion: motion.id(),
        time_ms: now().0,
    };
    let is_well_formed = charter.well_formed(motion).is_ok();
    let holds_cuts = known.holds_cuts(motion);
    drawer.log.may_sign(charter, known.state.ballots(), &vote, is_well_formed, holds_cuts).map_err(Unsigned::Rule)?;
    let Some(key) = drawer.key(&root).cloned() else {
        return Err(Unsigned::Unknown("its root key is not in the safe".to_owned()));
    };
    // The log comes before the signature: what is lost in between was never seen by anybody.
    drawer.log.record(vote.clone());
    let signed = vote.clone().sign(&key);
    import(stage, node, &[signed, ControlRecord::Motion(motion.clone())]).await;
    Ok(vote)
}

fn verb(step: VoteStep) -> &'static str {
    match step {
        VoteStep::Support => "support",
        VoteStep::Seal => "seal",
    }
}
