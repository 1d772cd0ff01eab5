//! Every state that can be reached, and what must hold in each.

use std::collections::{HashMap, VecDeque};

use super::model::{HONEST_MAX, Model, State};

/// What a search found.
pub(crate) enum Outcome {
    /// At most one motion is sealed in every state.
    Safe {
        /// States looked at.
        states: usize,
        /// States from which no motion can be sealed any more, with no fresh round left.
        stuck: usize,
        /// The same, although a fresh round is left.
        stuck_early: usize,
    },
    /// Two motions are sealed.
    Violation {
        /// States looked at.
        states: usize,
        /// The way there.
        trail: Vec<String>,
    },
}

/// All states found, each with the one it was found from.
struct Found {
    index: HashMap<State, u32>,
    states: Vec<State>,
    from: Vec<u32>,
    /// By state, the states one step on.
    edges: Vec<Vec<u32>>,
    sealed: Vec<u32>,
}

impl Found {
    fn add(&mut self, state: State, from: u32) -> (u32, bool) {
        let fresh = u32::try_from(self.states.len()).expect("a few million states");
        let number = *self.index.entry(state).or_insert(fresh);
        if number == fresh {
            self.states.push(state);
            self.from.push(from);
        }
        (number, number == fresh)
    }

    fn trail(&self, model: &Model, last: u32) -> Vec<String> {
        let mut trail = Vec::new();
        let mut at = last;
        loop {
            let place = usize::try_from(at).expect("an index");
            trail.push(model.words(&self.states[place]));
            if self.from[place] == at {
                break;
            }
            at = self.from[place];
        }
        trail.reverse();
        trail
    }
}

/// Looks at every state in breadth, so a violation comes with a shortest way to it.
pub(crate) fn search(model: &Model) -> Outcome {
    let start = model.start();
    let mut found =
        Found { index: HashMap::new(), states: Vec::new(), from: Vec::new(), edges: Vec::new(), sealed: Vec::new() };
    found.add([0; HONEST_MAX], 0);
    let mut queue = VecDeque::from([0_u32]);
    while let Some(number) = queue.pop_front() {
        let state = found.states[usize::try_from(number).expect("an index")];
        let held = model.held(&start, &state);
        match model.sealed(&held) {
            0 => {}
            1 => found.sealed.push(number),
            _ => return Outcome::Violation { states: found.states.len(), trail: found.trail(model, number) },
        }
        let mut edges = Vec::new();
        for next in model.next(&state, &held) {
            let (to, fresh) = found.add(next, number);
            edges.push(to);
            if fresh {
                queue.push_back(to);
            }
        }
        found.edges.push(edges);
    }
    let (stuck, stuck_early) = stuck(model, &found);
    Outcome::Safe { states: found.states.len(), stuck, stuck_early }
}

/// How many states lead to no sealed motion: with no fresh round left, and with one.
fn stuck(model: &Model, found: &Found) -> (usize, usize) {
    let mut back: Vec<Vec<u32>> = vec![Vec::new(); found.states.len()];
    for (from, edges) in (0_u32..).zip(&found.edges) {
        edges.iter().for_each(|to| back[usize::try_from(*to).expect("an index")].push(from));
    }
    let mut live = vec![false; found.states.len()];
    let mut queue: VecDeque<u32> = found.sealed.iter().copied().collect();
    while let Some(number) = queue.pop_front() {
        let place = usize::try_from(number).expect("an index");
        if !std::mem::replace(&mut live[place], true) {
            queue.extend(&back[place]);
        }
    }
    let dead = found.states.iter().zip(&live).filter(|(_, live)| !**live).map(|(state, _)| state);
    let (early, late): (Vec<&State>, Vec<&State>) = dead.partition(|state| model.fresh_round(state));
    if let Some(state) = early.first() {
        println!("{model}: stuck early: {}", model.words(state));
    }
    (late.len(), early.len())
}
