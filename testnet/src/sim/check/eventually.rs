//! What must hold when all is healed and quiet, on all honest nodes together.

use super::Violation;
use crate::sim::world::World;

/// Whether all honest nodes that may speak hold and compute the same.
pub(in crate::sim) fn all_agree(world: &World) -> bool {
    let starting = world.nodes.iter().any(|node| node.restart_at.is_some());
    !starting && disagreement(world).is_none()
}

/// Checks a run's end.
pub(in crate::sim) fn at_the_end(world: &World) -> Result<(), Violation> {
    if let Some(node) = world.nodes.iter().find(|node| node.restart_at.is_some()) {
        return Err(Violation::new("every node comes up again", format!("{} does not", node.name)));
    }
    if let Some(text) = disagreement(world) {
        return Err(Violation::new("I19 all honest replicas agree", text));
    }
    acknowledged_is_accepted(world)
}

fn disagreement(world: &World) -> Option<String> {
    let speakers = world.speakers();
    let first = world.nodes[*speakers.first()?].state()?;
    speakers.iter().find_map(|number| {
        let node = &world.nodes[*number];
        let state = node.state()?;
        let differs = [
            ("held", first.held() == state.held()),
            ("control", first.control() == state.control()),
            ("state", first.state() == state.state()),
        ];
        let differs: Vec<&str> = differs.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect();
        let text = || format!("{} and {} differ in {differs:?}", world.nodes[speakers[0]].name, node.name);
        (!differs.is_empty()).then(text)
    })
}

/// I20: every envelope that an honest, unretired key acknowledged is accepted everywhere.
fn acknowledged_is_accepted(world: &World) -> Result<(), Violation> {
    for (id, at) in &world.chronicle.acknowledged {
        let author = &world.nodes[*at];
        if author.harm.chain_may_fork() || author.harm.rotten || author.retired || author.gone {
            continue;
        }
        for number in world.speakers() {
            let node = &world.nodes[number];
            let accepted = node.state().and_then(|state| state.chain(&author.author)).is_some_and(|chain| {
                chain.get(id).is_some_and(|held| {
                    chain.standing(held) == comity_protocol::chain::EnvelopeStanding::Accepted && held.body().is_some()
                })
            });
            if !accepted {
                let text = format!("{} of {} is not accepted at {}", id.short(), author.name, node.name);
                return Err(Violation::new("I20 no honest statement is lost", text));
            }
        }
    }
    Ok(())
}
