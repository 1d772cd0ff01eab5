//! What must hold of motions, votes and the charter (spec 4.5.1, 4.6, 4.8).

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_protocol::chain::Chain;
use comity_protocol::charter::{Anchor, Ballots, Charter, quorum_of};
use comity_protocol::control::{CharterChange, Vote, VoteStep};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{ControlId, NationId, Tip};
use comity_protocol::limits::VOTE_ROUNDS;
use comity_protocol::replica::RULES_MAX;

use super::Violation;
use crate::sim::officer::{holds, holds_cuts};
use crate::sim::votes::{Adoption, tolerated};
use crate::sim::world::{Event, World};

/// Rounds after the one that is open at the heal within which a wanted motion is sealed (I27).
const ROUNDS_MAX: u16 = 3;

/// Whether more officers of a version's members break the rules of signers than it bears.
pub(super) fn may_contradict(world: &World, charter: &Charter) -> bool {
    let members: BTreeSet<NationId> = charter.members.keys().copied().collect();
    world.misvoting(&members) > tolerated(members.len())
}

/// Whether more officers break the rules than any version of the run bears: then two versions may stand side by side.
pub(super) fn is_divided(world: &World) -> bool {
    world.chronicle.versions.values().any(|charter| may_contradict(world, charter))
}

/// Takes note of the versions of the charter that a node adopted, and compares them with what others did.
///
/// I6: with at most f officers among its members who break the rules, a version has one successor, whoever looks; and at one
/// node the charter goes back for nothing but a contradiction.
pub(in crate::sim) fn one_successor(world: &mut World, node: usize) -> Result<(), Violation> {
    let Some(state) = world.nodes[node].state() else { return Ok(()) };
    let versions = state.charter_versions().to_vec();
    let frozen = state.charter_conflict().is_some();
    if let Some(last) = versions.last() {
        never_goes_back(world, node, last, frozen)?;
    }
    for pair in versions.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let known = world.chronicle.successors.entry(before.id).or_default();
        if !known.insert(after.id) {
            continue;
        }
        let others = known.len() - 1;
        if others > 0 && !may_contradict(world, before) {
            let text = format!("{} adopts a second version {}", world.nodes[node].name, after.height);
            return Err(Violation::new("I6 a version has one successor", text));
        }
        world.stats.sealed += 1;
        let (name, height) = (world.nodes[node].name.clone(), after.height);
        world.tell(&name, format_args!("adopts version {height}, the first to do so: {}", after.id.short()));
        cuts_are_held_by_somebody(world, node, after)?;
        come_and_go(world, before, after);
    }
    Ok(())
}

/// What a version changes at once: who is a member. All else follows a moment later.
fn come_and_go(world: &mut World, before: &Arc<Charter>, after: &Arc<Charter>) {
    for (number, nation) in world.alliance.nations.iter().enumerate() {
        if after.members.contains_key(&nation.id) {
            world.outside.remove(&number);
        } else if before.members.contains_key(&nation.id) {
            world.outside.insert(number);
        }
    }
    world.chronicle.versions.insert(before.id, Arc::clone(before));
    world.chronicle.versions.insert(after.id, Arc::clone(after));
    if world.chronicle.highest.as_ref().is_none_or(|highest| highest.height < after.height) {
        world.chronicle.highest = Some(Arc::clone(after));
    }
    world.at(0, Event::Adopted(Box::new(Adoption { before: Arc::clone(before), after: Arc::clone(after) })));
}

fn never_goes_back(world: &mut World, node: usize, now: &Arc<Charter>, frozen: bool) -> Result<(), Violation> {
    let of = &mut world.nodes[node];
    let was = of.watch.charter.replace((now.height, now.id));
    let excused = of.harm.may_have_forgotten() || of.harm.rotten || frozen;
    match was.filter(|(height, _)| *height > now.height) {
        Some((height, _)) if !excused => {
            let text = format!("{} goes back from version {height} to {}", of.name, now.height);
            Err(Violation::new("I6 the charter never goes back", text))
        }
        Some(_) | None => Ok(()),
    }
}

/// T34: whoever sealed a removal held every chain up to its cut; so somebody does, when it is adopted.
fn cuts_are_held_by_somebody(world: &World, node: usize, after: &Charter) -> Result<(), Violation> {
    let motion = after.motion.and_then(|motion| world.nodes[node].state()?.motion(&motion).cloned());
    let Some(motion) = motion else { return Ok(()) };
    let held = world.nodes.iter().filter_map(crate::sim::node::Node::state).any(|state| holds_cuts(state, &motion));
    // Who held it may be down, or have lost it.
    let all_up = world.nodes.iter().all(|node| node.state().is_some() && !node.harm.may_have_forgotten());
    if held || !all_up {
        return Ok(());
    }
    let text = format!("version {} cuts a chain where nobody holds it", after.height);
    Err(Violation::new("I7 a signer holds what it cuts (V3)", text))
}

/// Every vote signed on the vote's version, by anybody, as if one node held all of them.
fn all_ballots(world: &World, charter: &Charter) -> Ballots {
    let mut ballots = Ballots::new(charter);
    for vote in world.chronicle.votes.get(&charter.id).into_iter().flatten() {
        ballots.take(charter, ControlId::new([0; 32]), vote);
    }
    ballots
}

/// I7: an honest officer keeps V1 to V7, written down here once more and held against every vote that anybody signed so far.
pub(in crate::sim) fn signs_by_the_rules(
    world: &World,
    nation: usize,
    node: usize,
    vote: &Vote,
) -> Result<(), Violation> {
    let Some(state) = world.nodes[node].state() else { return Ok(()) };
    let Some(charter) = state.charter() else { return Ok(()) };
    let all = all_ballots(world, charter);
    let by_me = |of: &&Vote| of.nation == vote.nation;
    let own: Vec<&Vote> = world.chronicle.votes.get(&vote.base).into_iter().flatten().filter(by_me).collect();
    let quorum = quorum_of(charter.members.len());
    let supported = |round: u16| all.count_of(round, VoteStep::Support, &vote.motion) >= quorum;
    let lock = own.iter().filter(|own| own.step == VoteStep::Seal).max_by_key(|own| own.round);
    let later = world.chronicle.votes.values().flatten().filter(by_me).any(|own| own.height > vote.height);
    let one_is_honest = charter.members.len() + 1 - quorum;
    let voters = |round: u16| -> usize {
        let of_round = all.iter().filter(|(of, ..)| *of == round);
        of_round.flat_map(|(.., nations)| nations.keys()).collect::<BTreeSet<_>>().len()
    };
    let is_open = (vote.round.saturating_sub(1)..VOTE_ROUNDS).any(|round| voters(round) >= one_is_honest);
    let same = |own: &&&Vote| own.round == vote.round;
    let turned = |lock: &Vote| lock.motion == vote.motion || (lock.round + 1..vote.round).any(supported);
    let broken = if own.iter().any(|own| own.round > vote.round) {
        "V1: it signed for a later round"
    } else if own.iter().filter(same).any(|own| own.step == vote.step || own.step == VoteStep::Seal) {
        "V2: it signed in this round"
    } else if vote.step == VoteStep::Seal && !supported(vote.round) {
        "V3: too few support it"
    } else if vote.step == VoteStep::Seal && !cuts_held(state, vote) {
        "V3: a cut is not held"
    } else if vote.step == VoteStep::Support && lock.is_some_and(|lock| lock.round < vote.round && !turned(lock)) {
        "V4: it sealed another motion"
    } else if later || charter.height != vote.height || charter.id != vote.base {
        "V5: a later version is in force"
    } else if vote.height < world.officers[nation].log.complete_from {
        "V6: its log is gone"
    } else if vote.round > 0 && !is_open {
        "V7: the round is not open"
    } else {
        return Ok(());
    };
    let code = &world.alliance.nations[nation].code;
    let text = format!("{code} signs {:?} for {} in round {}: {broken}", vote.step, vote.motion.short(), vote.round);
    Err(Violation::new("I7 honest signers keep V1-V7", text))
}

/// Looks at the chains themselves, beside what the officer asked.
fn cuts_held(state: &State, vote: &Vote) -> bool {
    let motion = state.motion(&vote.motion);
    motion.into_iter().flat_map(|motion| &motion.changes).all(|change| match change {
        CharterChange::Remove { nation, cuts, .. } => cuts.iter().all(|(key, cut)| {
            let author = comity_protocol::ids::AuthorId { nation: *nation, key: *key };
            holds(state, &author, cut)
        }),
        CharterChange::Admit(_)
        | CharterChange::ReplaceRoot { .. }
        | CharterChange::SetParams(_)
        | CharterChange::SetRules(_) => true,
    })
}

/// I7 from the published record: of every nation whose officer is honest a node holds no vote that the officer did not sign.
pub(super) fn votes_are_the_nations_own(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    let Some(charter) = state.charter() else { return Ok(()) };
    let cast = world.chronicle.votes.get(&charter.id).map_or(&[][..], Vec::as_slice);
    for (number, nation) in world.alliance.nations.iter().enumerate() {
        if world.officers[number].misvotes.is_some() {
            continue;
        }
        for (round, step, motion, _) in state.ballots().by_nation(&nation.id) {
            let signed =
                |vote: &&Vote| (vote.nation, vote.round, vote.step, vote.motion) == (nation.id, round, step, motion);
            if !cast.iter().any(|vote| signed(&vote)) {
                let at = &world.nodes[node].name;
                let text = format!("{at} holds a vote of {} that it never signed", nation.code);
                return Err(Violation::new("I7 nobody votes for anybody else", text));
            }
        }
    }
    Ok(())
}

/// I26: under a charter whose rules its software does not know a node carries and shows everything, and neither its people
/// nor its witness say a word.
pub(super) fn speaks_by_rules_it_knows(world: &World, node: usize) -> Result<(), Violation> {
    let of = &world.nodes[node];
    let rules = of.state().and_then(State::charter).map_or(0, |charter| charter.rules);
    if rules <= of.config.rules_max {
        return Ok(());
    }
    let text = format!("{} knows rules {} and speaks under rules {rules}", of.name, of.config.rules_max);
    Err(Violation::new("I26 older software says nothing under rules it does not know", text))
}

/// I18: the anchor's height never decreases, and where the rules are kept the anchors of all nodes lie on one path.
pub(super) fn anchor_stands(world: &mut World, node: usize) -> Result<(), Violation> {
    let Some(anchor) = world.nodes[node].state().map(State::anchor) else { return Ok(()) };
    let founding = Anchor::founding(world.alliance.id);
    let said = |text: String| Err(Violation::new("I18 the anchor never goes back", text));
    let of = &mut world.nodes[node];
    let was = of.watch.anchor.replace(anchor).unwrap_or(founding);
    let excused = of.harm.may_have_forgotten() || of.harm.rotten;
    if was.height > anchor.height && !excused {
        return said(format!("{} goes back from the anchor {} to {}", of.name, was.height, anchor.height));
    }
    let version = *world.chronicle.anchors.entry(anchor.height).or_insert(anchor.charter);
    let same = version == anchor.charter && (anchor.height > 0 || anchor == founding);
    if !same && !is_divided(world) {
        return said(format!("{} stands on another version {} than others", world.nodes[node].name, anchor.height));
    }
    Ok(())
}

/// I16, the other end: what a nation says counts for nothing while it is no member.
pub(super) fn nothing_counts_before_admission(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    let Some(charter) = state.charter() else { return Ok(()) };
    let early = |chain: &&Chain| charter.nation(&chain.author().nation).is_none() && chain.tip() != Tip::NONE;
    match state.chains().find(early) {
        None => Ok(()),
        Some(chain) => {
            let author = world.name_of(&chain.author().key);
            let text = format!("{} accepts {author} of a nation that is no member", world.nodes[node].name);
            Err(Violation::new("I16 nothing counts before admission", text))
        }
    }
}

/// T28 and the accountability of T2: where two motions are sealed for one version, nobody honest is named as having sealed
/// both, and where they were sealed in one round more than a third of the nations is.
pub(super) fn double_sealers_are_named(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    let said = |text: String| {
        let text = format!("{}: {text}", world.nodes[node].name);
        Err(Violation::new("I6 who sealed two motions is named (T28)", text))
    };
    for conflict in [state.charter_conflict(), state.conflict_below_anchor()].into_iter().flatten() {
        let Some(base) =
            world.chronicle.versions.get(&conflict.base).cloned().or_else(|| founding(state, conflict.height))
        else {
            continue;
        };
        if !may_contradict(world, &base) {
            return said(format!("two motions are sealed for version {}", conflict.height));
        }
        let honest = |nation: &NationId| {
            let number = world.alliance.nations.iter().position(|of| of.id == *nation);
            number.is_none_or(|number| world.officers[number].misvotes.is_none())
        };
        if let Some(nation) = conflict.double_sealers.iter().find(|nation| honest(nation)) {
            return said(format!("{} is named and sealed one motion only", nation.short()));
        }
        let (nations, quorum) = (base.members.len(), quorum_of(base.members.len()));
        let same_round = conflict.rounds[0] == conflict.rounds[1];
        if same_round && conflict.accused().len() < 2 * quorum - nations {
            return said(format!("{} nations are named", conflict.accused().len()));
        }
    }
    Ok(())
}

fn founding(state: &State, height: u32) -> Option<Arc<Charter>> {
    state.charter_versions().get(usize::try_from(height).ok()?).cloned()
}

/// Honest officers who may vote on the version in force at their own nodes.
fn able(world: &World, charter: &Charter) -> usize {
    let speakers = world.speakers();
    let able = |number: &usize| {
        let (officer, nation) = (&world.officers[*number], &world.alliance.nations[*number]);
        let member = charter.members.get(&nation.id).is_some_and(|member| officer.key(&member.root).is_some());
        let desk = world.desk_of(*number).is_some_and(|desk| speakers.contains(&desk));
        let signed = officer.log.votes.iter().map(|vote| vote.height).max().unwrap_or(0);
        let log = officer.log.complete_from <= charter.height && signed <= charter.height;
        officer.misvotes.is_none() && member && desk && log
    };
    (0..world.officers.len()).filter(able).count()
}

/// Whether a motion on the version in force, as the first honest node has it, can be sealed and somebody voted for it.
pub(in crate::sim) fn is_wanted(world: &World) -> bool {
    let first = world.speakers().first().copied();
    let Some(state) = first.and_then(|first| world.nodes[first].state()) else { return false };
    let Some(charter) = state.charter().filter(|_| state.charter_conflict().is_none()) else { return false };
    let sound = |id: &ControlId| {
        let motion = state.motion(id);
        motion.is_some_and(|motion| charter.well_formed(motion).is_ok() && holds_cuts(state, motion))
    };
    // The signer's own functions know no more.
    let known = charter.rules <= RULES_MAX;
    known && able(world, charter) >= charter.quorum() && state.ballots().motions().iter().any(sound)
}

/// The round after the last one with a vote, as the first honest node has it.
pub(in crate::sim) fn next_round(world: &World) -> Option<u16> {
    let state = world.nodes[*world.speakers().first()?].state()?;
    let voted = state.ballots().iter().map(|(round, ..)| round).max()?;
    Some((voted + 1).min(state.ballots().round_max()))
}

/// Takes note of the version in force at the heal and the highest round that is open in it.
pub(in crate::sim) fn note_open_round(world: &mut World) {
    let states = || world.speakers().into_iter().filter_map(|node| world.nodes[node].state());
    let Some(height) = states().filter_map(|state| Some(state.charter()?.height)).max() else { return };
    let at = states().filter(|state| state.charter().is_some_and(|charter| charter.height == height));
    let open = at.map(|state| (state.charter_id(), state.ballots().round_max())).max_by_key(|(_, round)| *round);
    world.chronicle.open_at_heal = open;
}

/// I27: what more than two thirds want, and can talk about, is sealed within three rounds after the one that was open at the
/// heal.
pub(in crate::sim) fn wanted_is_sealed(world: &World) -> Result<(), Violation> {
    let said = |text: String| Err(Violation::new("I27 a wanted motion is sealed within three rounds", text));
    if is_divided(world) {
        return Ok(());
    }
    if is_wanted(world) {
        let of = world.speakers().first().and_then(|first| world.nodes[*first].state());
        let (height, round) =
            of.map_or((0, 0), |state| (state.charter().map_or(0, |c| c.height), state.ballots().suggested_round()));
        return said(format!("nothing is sealed for version {height}, and it is round {round}"));
    }
    let Some((base, open)) = world.chronicle.open_at_heal else { return Ok(()) };
    let Some(charter) = world.chronicle.versions.get(&base) else { return Ok(()) };
    let all = all_ballots(world, charter);
    let first = all.sealed().iter().flat_map(|motion| all.rounds_sealed(motion)).min();
    match first.filter(|round| *round > open + ROUNDS_MAX) {
        Some(round) => said(format!("version {} was decided in round {round}, and {open} was open", charter.height)),
        None => Ok(()),
    }
}
