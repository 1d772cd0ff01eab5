//! All orders in which a small pool of records may come, by its subsets.
//!
//! For every subset S of the pool there is one state, and for every record r of S the step from S without r to S is made
//! with the real [`State::admit`]. If each of those steps arrives at what [`evaluate`] makes of S, then by induction every
//! order of the whole pool arrives there: n·2^(n−1) steps stand for n! orders, 1,024 for 40,320.
//!
//! The induction has one gap: two states that look the same might hold something invisible that depends on how they were
//! reached. Three things close it. What is compared is all that can be seen ([`crate::seen::compare`]), answers to
//! questions about the future included. The state kept for a subset comes from a drawn predecessor, and was read or not
//! read before the next step, so that what is inside comes from many histories. And [`exactly`] goes without the
//! induction: it merges two histories only where the states are the same value field by field, which the derived `Debug`
//! shows, so that what follows must be the same too; and [`permute`] merges nothing at all.

use std::collections::BTreeMap;

use comity_protocol::charter::Anchor;
use comity_protocol::evaluate::{Changes, Element, State, evaluate};
use comity_protocol::ids::AuthorId;
use comity_protocol::keys::sha256;

use crate::dice::Dice;
use crate::seen::{Facts, Probe, compare, read};

/// A subset of a pool's items, one bit each.
pub(crate) type Set = u32;

/// What arrives at once.
#[derive(Clone)]
pub(crate) struct Item {
    /// What it is, for the message of a failure.
    pub(crate) what: String,
    /// Its elements, admitted in one batch.
    pub(crate) elements: Vec<Element>,
}

/// What arrives in any order, on top of what is held from the start.
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) anchor: Anchor,
    pub(crate) base: Vec<Element>,
    pub(crate) items: Vec<Item>,
    /// Items of which no two are looked at together, the last ones; 0 for none.
    pub(crate) alternatives: Set,
    /// Whose chain alone is looked at, beside the digests; `None` for everything.
    pub(crate) author: Option<AuthorId>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) pools: u64,
    /// Subsets evaluated as a whole.
    pub(crate) sets: u64,
    /// Steps of one item.
    pub(crate) steps: u64,
    /// Items admitted again.
    pub(crate) repeats: u64,
    /// Batches of several items.
    pub(crate) batches: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.pools += other.pools;
        self.sets += other.sets;
        self.steps += other.steps;
        self.repeats += other.repeats;
        self.batches += other.batches;
    }
}

/// One step of the lattice, for checks of its own.
pub(crate) struct Step<'a> {
    /// The item.
    pub(crate) item: usize,
    /// What was held before.
    pub(crate) from: Set,
    /// The state before.
    pub(crate) before: &'a State,
    /// The state after.
    pub(crate) after: &'a State,
}

/// How elements are admitted; the real way, or a broken one that the checks must notice.
pub(crate) type Admit = fn(&mut State, Vec<Element>) -> Changes;

/// The real way.
pub(crate) fn admit(state: &mut State, elements: Vec<Element>) -> Changes {
    state.admit(elements)
}

impl Pool {
    pub(crate) fn new(name: impl Into<String>, anchor: Anchor, base: Vec<Element>) -> Self {
        Self { name: name.into(), anchor, base, items: Vec::new(), alternatives: 0, author: None }
    }

    pub(crate) fn item(&mut self, what: impl Into<String>, elements: impl IntoIterator<Item = Element>) -> usize {
        self.items.push(Item { what: what.into(), elements: elements.into_iter().collect() });
        self.items.len() - 1
    }

    pub(crate) fn probe(&self) -> Probe {
        match self.author {
            Some(author) => Probe::of_chain(author),
            None => Probe::of(self.base.iter().chain(self.items.iter().flat_map(|item| &item.elements))),
        }
    }

    /// The subsets that are looked at, each after those it contains.
    pub(crate) fn sets(&self) -> impl Iterator<Item = Set> + use<> {
        let alternatives: Vec<Set> = self.members(self.alternatives).map(bit).collect();
        let free = self.items.len() - alternatives.len();
        assert_eq!(self.alternatives & ((1 << free) - 1), 0, "the alternatives are the last items");
        (0..1 << free).flat_map(move |set: Set| {
            let with: Vec<Set> = alternatives.iter().map(|alternative| set | alternative).collect();
            std::iter::once(set).chain(with)
        })
    }

    pub(crate) fn members(&self, set: Set) -> impl Iterator<Item = usize> + use<> {
        (0..self.items.len()).filter(move |item| set & bit(*item) != 0)
    }

    fn elements(&self, items: impl Iterator<Item = usize>) -> Vec<Element> {
        items.flat_map(|item| self.items[item].elements.iter().cloned()).collect()
    }

    /// The state of a subset, evaluated at once.
    pub(crate) fn whole(&self, set: Set) -> State {
        let mut all = self.base.clone();
        all.extend(self.elements(self.members(set)));
        evaluate(self.anchor, all)
    }

    fn fault(&self, set: Set, what: &str, why: &str) -> String {
        let held: Vec<&str> = self.members(set).map(|item| self.items[item].what.as_str()).collect();
        format!("pool {}: holding {held:?}, {what}: {why}", self.name)
    }
}

/// The bit of an item.
pub(crate) const fn bit(item: usize) -> Set {
    1 << item
}

/// The lattice of a pool, with the state of every subset.
pub(crate) struct Lattice<'p> {
    pub(crate) pool: &'p Pool,
    pub(crate) counts: Counts,
    admit: Admit,
    probe: Probe,
    states: BTreeMap<Set, State>,
}

impl<'p> Lattice<'p> {
    /// Makes every step of the pool's lattice, and every repetition; `check` looks at each step too.
    ///
    /// # Errors
    /// The first step that does not arrive where it should.
    pub(crate) fn explore(
        pool: &'p Pool,
        dice: &mut Dice,
        admit: Admit,
        check: &mut dyn FnMut(&Step<'_>) -> Result<(), String>,
    ) -> Result<Self, String> {
        let counts = Counts { pools: 1, ..Counts::default() };
        let mut lattice = Self { pool, counts, admit, probe: pool.probe(), states: BTreeMap::new() };
        let mut facts: BTreeMap<Set, Facts> = BTreeMap::new();
        for set in pool.sets() {
            let whole = pool.whole(set);
            facts.insert(set, Facts::of(&whole));
            lattice.counts.sets += 1;
            let members: Vec<usize> = pool.members(set).collect();
            let chosen = members.get(dice.below(members.len())).copied();
            if chosen.is_none() {
                lattice.states.insert(set, whole);
                continue;
            }
            for item in members {
                let from = set & !bit(item);
                let (next, unread) = lattice.step(from, item, &whole, (&facts[&from], &facts[&set]), dice)?;
                let step = Step { item, from, before: &lattice.states[&from], after: &next };
                check(&step).map_err(|why| pool.fault(from, &pool.items[item].what, &why))?;
                if chosen == Some(item) {
                    lattice.states.insert(set, unread.unwrap_or(next));
                }
            }
            lattice.repeat(set)?;
        }
        Ok(lattice)
    }

    fn step(
        &mut self,
        from: Set,
        item: usize,
        whole: &State,
        facts: (&Facts, &Facts),
        dice: &mut Dice,
    ) -> Result<(State, Option<State>), String> {
        let mut next = self.states[&from].clone();
        let changes = (self.admit)(&mut next, self.pool.items[item].elements.clone());
        let unread = dice.chance(50).then(|| next.clone());
        self.counts.steps += 1;
        let arrived = compare(&next, whole, &self.probe)
            .and_then(|()| facts.0.told(facts.1, &changes))
            .and_then(|()| facts.0.grow(facts.1));
        arrived.map_err(|why| self.pool.fault(from, &self.pool.items[item].what, &why))?;
        Ok((next, unread))
    }

    /// Every item held, once more, and one after the other: nothing changes.
    fn repeat(&mut self, set: Set) -> Result<(), String> {
        let state = &self.states[&set];
        let mut again = state.clone();
        for item in self.pool.members(set) {
            let changes = (self.admit)(&mut again, self.pool.items[item].elements.clone());
            self.counts.repeats += 1;
            if !changes.is_empty() {
                return Err(self.pool.fault(
                    set,
                    &self.pool.items[item].what,
                    &format!("once more changes {changes:?}"),
                ));
            }
        }
        compare(&again, state, &self.probe).map_err(|why| self.pool.fault(set, "all of it once more", &why))
    }

    /// Every batch of two or more items in every order of its items, from every subset.
    ///
    /// # Errors
    /// The first batch that does not arrive where its items arrive one after the other.
    pub(crate) fn every_batch(&mut self) -> Result<(), String> {
        for set in self.pool.sets() {
            let mut batch = Vec::new();
            self.longer_batches(set, set, &mut batch)?;
        }
        Ok(())
    }

    fn longer_batches(&mut self, from: Set, held: Set, batch: &mut Vec<usize>) -> Result<(), String> {
        if batch.len() > 1 {
            self.batch(from, batch)?;
        }
        for item in 0..self.pool.items.len() {
            let to = held | bit(item);
            if to != held && self.states.contains_key(&to) {
                batch.push(item);
                self.longer_batches(from, to, batch)?;
                batch.pop();
            }
        }
        Ok(())
    }

    /// From every subset to every larger one in one batch: what two replicas do that exchange all.
    ///
    /// # Errors
    /// The first batch that does not arrive at the union.
    pub(crate) fn every_union(&mut self, dice: &mut Dice) -> Result<(), String> {
        let sets: Vec<Set> = self.pool.sets().collect();
        for &from in &sets {
            for &to in sets.iter().filter(|&&to| to & from == from && (to & !from).count_ones() > 1) {
                let mut batch: Vec<usize> = self.pool.members(to & !from).collect();
                dice.shuffle(&mut batch);
                self.batch(from, &batch)?;
            }
        }
        Ok(())
    }

    fn batch(&mut self, from: Set, batch: &[usize]) -> Result<(), String> {
        let to = batch.iter().fold(from, |set, item| set | bit(*item));
        let mut next = self.states[&from].clone();
        (self.admit)(&mut next, self.pool.elements(batch.iter().copied()));
        self.counts.batches += 1;
        compare(&next, &self.states[&to], &self.probe)
            .map_err(|why| self.pool.fault(from, &format!("{batch:?} in one batch"), &why))
    }
}

/// Follows every order of the pool's items, and every choice of reading the state or not after each; two histories are
/// one only where they left the same value behind. Returns how many states were looked at.
///
/// # Errors
/// The first state that is not that of its set.
pub(crate) fn exactly(pool: &Pool) -> Result<u64, String> {
    let probe = pool.probe();
    let mut reached: BTreeMap<Set, BTreeMap<[u8; 32], State>> = BTreeMap::new();
    let start = evaluate(pool.anchor, pool.base.clone());
    reached.entry(0).or_default().insert(value(&start), start);
    let mut looked_at = 0;
    for set in pool.sets() {
        let whole = pool.whole(set);
        let mut states = reached.remove(&set).unwrap_or_default();
        let was_read: Vec<State> = states.values().cloned().inspect(read).collect();
        states.extend(was_read.into_iter().map(|state| (value(&state), state)));
        for state in states.into_values() {
            looked_at += 1;
            for item in (0..pool.items.len()).filter(|item| set & bit(*item) == 0) {
                let mut next = state.clone();
                next.admit(pool.items[item].elements.clone());
                reached.entry(set | bit(item)).or_default().insert(value(&next), next);
            }
            compare(&state, &whole, &probe).map_err(|why| pool.fault(set, "by some order", &why))?;
        }
    }
    Ok(looked_at)
}

/// A name for the whole value of a state, what nobody can see included.
fn value(state: &State) -> [u8; 32] {
    sha256(format!("{state:?}").as_bytes())
}

/// Follows every order of the pool's items and merges none. Returns how many steps were made.
///
/// # Errors
/// The first state that is not that of its set.
pub(crate) fn permute(pool: &Pool) -> Result<u64, String> {
    let probe = pool.probe();
    let wholes: Vec<State> = pool.sets().map(|set| pool.whole(set)).collect();
    let mut steps = 0;
    let mut open = vec![(0, evaluate(pool.anchor, pool.base.clone()))];
    while let Some((set, state)) = open.pop() {
        for item in (0..pool.items.len()).filter(|item| set & bit(*item) == 0) {
            let mut next = state.clone();
            next.admit(pool.items[item].elements.clone());
            steps += 1;
            let to = set | bit(item);
            open.push((to, next.clone()));
            let whole = &wholes[usize::try_from(to).expect("small")];
            compare(&next, whole, &probe).map_err(|why| pool.fault(set, &pool.items[item].what, &why))?;
        }
    }
    Ok(steps)
}
