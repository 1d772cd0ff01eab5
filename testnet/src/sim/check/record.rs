//! What must hold of the record that one honest node holds, at any time.

use comity_protocol::chain::{AuthorStatus, Chain, EnvelopeStanding};
use comity_protocol::control::KeyStatus;
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, EnvelopeId, Tip};
use comity_protocol::limits::{
    BODY_BYTES_MAX, CONTROL_UNKEPT_MAX, FRONTIER_HEADS_MAX, HEADERS_UNKEPT_MAX, NATIONS_MAX, ROSTER_KEYS_MAX,
};
use comity_protocol::section::Verdict;

use super::{Violation, votes, witness};
use crate::sim::world::World;

/// Looks at all that a node holds.
pub(super) fn is_sound(world: &World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let state = process.replica.state();
    votes::votes_are_the_nations_own(world, node, state)?;
    votes::double_sealers_are_named(world, node, state)?;
    votes::nothing_counts_before_admission(world, node, state)?;
    let basis = witness::basis(state);
    for chain in state.chains() {
        accepted_is_a_path(world, node, state, chain)?;
        witness::final_stays_accepted(world, node, chain, &basis)?;
        ends_at_its_cut(world, node, chain)?;
        is_within_bounds(world, node, state, chain)?;
        verdicts_have_reasons(world, node, state, chain)?;
    }
    witness::witnesses_keep_to_one_path(world, node, state)?;
    control_is_within_bounds(world, node, state)?;
    rows_are_the_nations_own(world, node, state)
}

/// I3, nobody speaks for anybody else: no envelope under an honest key is held anywhere that a process of that key did not
/// build. (What a liar's key signs is the liar's.)
pub(super) fn nobody_speaks_for_another(
    world: &World,
    node: usize,
    author: &AuthorId,
    id: &EnvelopeId,
) -> Result<(), Violation> {
    let mut of = world.nodes.iter().filter(|node| node.author == *author && !world.lies(node.nation)).peekable();
    if of.peek().is_none() || of.any(|node| node.watch.wrote.contains(id)) {
        return Ok(());
    }
    let text =
        format!("{} holds {} under the key of {}", world.nodes[node].name, id.short(), world.name_of(&author.key));
    Err(Violation::new("I3 nobody speaks for anybody else", text))
}

/// I3: nothing in a document of a nation was signed by a key outside its roster. Every version of every row names the
/// accepted envelope that wrote it, by a key that the nation's evaluated roster lists.
fn rows_are_the_nations_own(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    for nation in state.nations() {
        for (key, record) in state.section(&nation.id).table().records() {
            for version in record.versions.values() {
                let source = version.source;
                let author = AuthorId { nation: nation.id, key: source.author };
                let accepted = state.chain(&author).and_then(|chain| chain.accepted(source.seq));
                let listed = state.key_standing(&author).is_some();
                if listed && accepted.is_some_and(|held| held.id() == source.envelope && held.body().is_some()) {
                    continue;
                }
                let text = format!(
                    "{}/{} of {} at {} names {}, which no key of its nation has accepted",
                    key.0,
                    key.1,
                    nation.code,
                    world.nodes[node].name,
                    source.envelope.short()
                );
                return Err(Violation::new("I3 a nation's document is its own", text));
            }
        }
    }
    Ok(())
}

/// I4: what is accepted of an author is one path from its first envelope, without a gap and on one branch; with an Active
/// key it ends at the last header that links; of a forked one at what is final, or below the fork if that is deeper.
fn accepted_is_a_path(world: &World, node: usize, state: &State, chain: &Chain) -> Result<(), Violation> {
    let mut below = Tip::NONE;
    let mut path = true;
    for held in chain.accepted_from(1) {
        path &= held.linked() && held.seq() == below.seq + 1 && (held.seq() == 1 || held.prev() == below.id);
        below = held.tip();
    }
    path &= below == chain.tip();
    let ends = match (chain.status(), chain.fork()) {
        (AuthorStatus::Active, Some(fork)) if state.final_tip(&chain.author()).seq >= fork => {
            below == state.final_tip(&chain.author())
        }
        (AuthorStatus::Active, Some(fork)) => below.seq < fork && below.seq == chain.linked_to().min(fork - 1),
        (AuthorStatus::Active, None) => below.seq == chain.linked_to(),
        (AuthorStatus::Unlisted, _) => below == Tip::NONE,
        // These end at their cut, I16.
        (AuthorStatus::Retired { .. } | AuthorStatus::Removed { .. }, _) => true,
    };
    if path && ends {
        return Ok(());
    }
    let author = world.name_of(&chain.author().key);
    let text = format!("the chain of {author} at {} is accepted to {}", world.nodes[node].name, below.seq);
    Err(Violation::new("I4 what is accepted is one path", text))
}

/// I16: a retired, closed or removed author never gains an accepted envelope beyond its cut. If the cut is held and linked
/// the chain ends at it and nowhere else; before it has arrived the chain ends no higher.
pub(super) fn ends_at_its_cut(world: &World, node: usize, chain: &Chain) -> Result<(), Violation> {
    let (AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut }) = chain.status() else { return Ok(()) };
    let tip = chain.tip();
    let reached = chain.get(&cut.id).is_some_and(|held| held.linked() && held.seq() == cut.seq);
    if if cut == Tip::NONE || reached { tip == cut } else { tip.seq <= cut.seq } {
        return Ok(());
    }
    let author = world.name_of(&chain.author().key);
    let text = format!("{author}, cut at {}, is accepted to {} at {}", cut.seq, tip.seq, world.nodes[node].name);
    Err(Violation::new("I16 nothing is accepted beyond a cut", text))
}

/// I10: what is held of one author is within the bounds of 4.11, whatever is sent: its quota, its branches, its headers that
/// are not kept; and a header that does not link is held as evidence of a fork only, or on the way to a cut that is looked
/// for. A home whose rows were damaged holds such headers until the rows between are back.
fn is_within_bounds(world: &World, node: usize, state: &State, chain: &Chain) -> Result<(), Violation> {
    let of = &world.nodes[node];
    let author = world.name_of(&chain.author().key);
    let quota = state.charter().map_or(0, |charter| charter.params.chain_quota);
    let unlinked = chain.iter().find(|held| !held.linked());
    let excused = chain.fork().is_some() || chain.incomplete().is_some() || of.harm.rotten || of.harm.betrayed;
    let over = chain.iter().find(|held| {
        let body = held.body().map_or(0, |body| body.len());
        held.cum() > quota || body > BODY_BYTES_MAX
    });
    let text = match (unlinked, over) {
        (Some(held), _) if !excused => format!("header {} of {author} links to nothing", held.seq()),
        (_, Some(held)) => format!("header {} of {author} is over a bound", held.seq()),
        _ if chain.unkept() > HEADERS_UNKEPT_MAX => format!("{} headers of {author} are not kept", chain.unkept()),
        _ if chain.heads().len() > FRONTIER_HEADS_MAX => format!("{author} has {} heads", chain.heads().len()),
        _ => return Ok(()),
    };
    Err(Violation::new("I10 what is held is bounded", format!("{}: {text}", of.name)))
}

/// I10 for control records: nations, keys and rosters within 4.11, and beyond those kept no more than a fixed number.
fn control_is_within_bounds(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    let active_max = state.charter().map_or(0, |charter| usize::from(charter.params.max_active_keys));
    let mut rosters = state.nations().filter_map(|nation| state.roster(&nation.id)?.record());
    let over = rosters.find(|roster| {
        let active = roster.keys.iter().filter(|key| key.status == KeyStatus::Active);
        roster.keys.len() > ROSTER_KEYS_MAX || active.count() > active_max
    });
    let kept = state.control_ids().count();
    let text = match over {
        Some(roster) => format!("roster {} has {} keys", roster.version, roster.keys.len()),
        None if state.nations().count() > NATIONS_MAX => format!("{} nations", state.nations().count()),
        None if state.control_held() > kept + CONTROL_UNKEPT_MAX => {
            format!("{} control records held, {kept} kept", state.control_held())
        }
        None => return Ok(()),
    };
    Err(Violation::new("I10 what is held is bounded", format!("{}: {text}", world.nodes[node].name)))
}

/// I8: every verdict other than accepted and valid has a reason with a code, and nothing an honest node wrote is refused: an
/// accepted envelope of an honest key is never Void, since the node checked its change before it signed it.
fn verdicts_have_reasons(world: &World, node: usize, state: &State, chain: &Chain) -> Result<(), Violation> {
    let author = chain.author();
    let honest = world.nodes.iter().any(|node| node.author == author && !world.lies(node.nation));
    for held in chain.iter() {
        let view = state.view_of(chain, held);
        let named = match (view.standing, view.verdict) {
            (EnvelopeStanding::Accepted, Some(Verdict::Void(_))) if honest => false,
            (EnvelopeStanding::Accepted, Some(verdict @ (Verdict::Void(_) | Verdict::Waiting(_)))) => {
                verdict.reason().is_some_and(|reason| !reason.is_empty())
            }
            (EnvelopeStanding::Accepted, Some(verdict)) => !verdict.code().is_empty(),
            (EnvelopeStanding::Accepted, None) => false,
            (standing, verdict) => verdict.is_none() && !standing.code().is_empty() && !standing.explain().is_empty(),
        };
        if !named {
            let text = format!(
                "envelope {} of {} at {}: {:?}, {:?}",
                held.seq(),
                world.name_of(&author.key),
                world.nodes[node].name,
                view.standing,
                view.verdict
            );
            return Err(Violation::new("I8 every verdict has its reason", text));
        }
    }
    Ok(())
}
