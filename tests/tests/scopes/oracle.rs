//! The rules of author chains once more, straight from spec 4.5.4, by set comprehension over the headers of one tree.

use crate::lattice::{Set, bit};
use crate::trees::Tree;

/// Members of the scope's alliance, and how many of them make a quorum.
pub(crate) const NATIONS: usize = 4;
pub(crate) const QUORUM: usize = 3;

/// What the author's nation has said of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    /// Retired at a cut.
    Retired(Cut),
}

/// Where a roster cuts a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before everything.
    Nothing,
    /// At a header of the tree.
    At(usize),
    /// At a position, with an id that no header has.
    Elsewhere(u64),
    /// At a header of the tree, with a position that is not its own.
    Misplaced(usize, u64),
}

/// What the oracle is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) tree: &'a Tree,
    /// Headers held.
    pub(crate) headers: Set,
    /// For each nation the headers that its witness acknowledges, as far as its envelopes are held.
    pub(crate) acks: &'a [Set; NATIONS],
    pub(crate) status: Status,
}

/// A reading of the rules: the right one, or one that the checks must tell from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Without witnessed finality: right where nothing is acknowledged.
    Right,
    /// As spec 4.5.4 has it, with witnessed finality.
    Final,
    /// A fork does not freeze its chain: the highest header stands, of several that with the smallest id.
    NoFreeze,
    /// A fork freezes its chain one too high, at the first of the headers that contradict each other.
    FreezeAtFork,
    /// Only linked headers fork a chain.
    UnlinkedForkNot,
    /// The rules of time and quota are not checked.
    LinksAll,
    /// A cut limits the position and does not choose the branch.
    CutBySeq,
    /// A cut that is not held makes the chain stand as if it were Active.
    CutIgnoredUntilHeld,
    /// A cut that is not held makes the chain stand for nothing.
    NothingUntilCutHeld,
}

impl Reading {
    /// The wrong ones.
    pub(crate) const WRONG: [Self; 7] = [
        Self::NoFreeze,
        Self::FreezeAtFork,
        Self::UnlinkedForkNot,
        Self::LinksAll,
        Self::CutBySeq,
        Self::CutIgnoredUntilHeld,
        Self::NothingUntilCutHeld,
    ];
}

impl Held<'_> {
    fn any(&self, of: Set) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let len = self.tree.len();
        (0..len).filter(move |header| of & bit(*header) != 0)
    }

    /// Whether `x` is `y` or an ancestor of it.
    fn leads_to(&self, x: usize, y: usize) -> bool {
        self.tree.path(y) & bit(x) != 0
    }

    /// Headers whose whole path is held and keeps the chain's rules.
    pub(crate) fn linked(&self, reading: Reading) -> Set {
        let sound = if reading == Reading::LinksAll { Set::MAX } else { self.tree.sound() };
        let links = |header: &usize| self.tree.path(*header) & !self.headers == 0 && sound & bit(*header) != 0;
        self.any(self.headers).filter(links).fold(0, |set, header| set | bit(header))
    }

    /// The lowest position of which two headers are held.
    pub(crate) fn fork(&self, reading: Reading) -> Option<u64> {
        let of = if reading == Reading::UnlinkedForkNot { self.linked(reading) } else { self.headers };
        let twice =
            |header: &usize| self.any(of).filter(|other| self.tree.seqs[*other] == self.tree.seqs[*header]).count() > 1;
        self.any(of).filter(twice).map(|header| self.tree.seqs[header]).min()
    }

    /// Whether a nation acknowledges a linked header, or something linked above it.
    pub(crate) fn acknowledges(&self, nation: usize, x: usize) -> bool {
        let linked = self.linked(Reading::Final);
        linked & bit(x) != 0 && self.any(self.acks[nation] & linked).any(|y| self.leads_to(x, y))
    }

    /// The linked headers that a quorum acknowledges, themselves or something linked above them.
    pub(crate) fn fin(&self) -> Set {
        let linked = self.linked(Reading::Final);
        let fin = |x: &usize| (0..NATIONS).filter(|nation| self.acknowledges(*nation, *x)).count() >= QUORUM;
        self.any(linked).filter(fin).fold(0, |set, header| set | bit(header))
    }

    /// Whether the final headers lie on one path.
    pub(crate) fn agreed(&self) -> bool {
        let fin = self.fin();
        self.any(fin).all(|x| self.any(fin).all(|y| self.leads_to(x, y) || self.leads_to(y, x)))
    }

    /// The deepest final header; where they do not lie on one path, the deepest that leads to all of them.
    fn final_tip(&self) -> Option<usize> {
        let fin = self.fin();
        if self.agreed() {
            return self.any(fin).max_by_key(|header| self.tree.seqs[*header]);
        }
        let highest = |x: &usize| !self.any(fin).any(|y| y != *x && self.leads_to(*x, y));
        let common = self.any(fin).filter(|x| self.any(fin).filter(highest).all(|y| self.leads_to(*x, y)));
        common.max_by_key(|header| self.tree.seqs[*header])
    }

    /// The deepest linked header below the fork.
    fn pre(&self, reading: Reading) -> Option<usize> {
        let fork = self.fork(reading).unwrap_or(u64::MAX);
        let first_not = match reading {
            Reading::NoFreeze => u64::MAX,
            Reading::FreezeAtFork => fork.saturating_add(1),
            Reading::Right
            | Reading::Final
            | Reading::UnlinkedForkNot
            | Reading::LinksAll
            | Reading::CutBySeq
            | Reading::CutIgnoredUntilHeld
            | Reading::NothingUntilCutHeld => fork,
        };
        let below = self.any(self.linked(reading)).filter(|header| self.tree.seqs[*header] < first_not);
        // Of several the last one is taken: reversed, that is the one with the smallest id.
        below.rev().max_by_key(|header| self.tree.seqs[*header])
    }

    /// The tip of an Active key's chain.
    fn active(&self, reading: Reading) -> Option<usize> {
        let witnessed = reading == Reading::Final && self.fork(reading).is_some();
        let tips = self.pre(reading).into_iter().chain(witnessed.then(|| self.final_tip()).flatten());
        tips.max_by_key(|header| self.tree.seqs[*header])
    }

    /// The part of an Active key's chain up to a position.
    fn active_to(&self, highest: u64, reading: Reading) -> Option<usize> {
        let path = self.active(reading).map_or(0, |tip| self.tree.path(tip));
        self.any(path).filter(|header| self.tree.seqs[*header] <= highest).max_by_key(|header| self.tree.seqs[*header])
    }

    /// Whether the cut is held and linked, so that nothing is looked for.
    pub(crate) fn cut_held(&self) -> bool {
        match self.status {
            Status::Active | Status::Retired(Cut::Nothing) => true,
            Status::Retired(Cut::At(header)) => self.linked(Reading::Right) & bit(header) != 0,
            Status::Retired(Cut::Elsewhere(_) | Cut::Misplaced(..)) => false,
        }
    }

    /// The accepted tip.
    pub(crate) fn tip(&self, reading: Reading) -> Option<usize> {
        let cut = match self.status {
            Status::Active => return self.active(reading),
            Status::Retired(cut) => cut,
        };
        let (held, highest) = match cut {
            Cut::Nothing => return None,
            Cut::At(header) => (self.linked(reading) & bit(header) != 0, self.tree.seqs[header]),
            Cut::Elsewhere(seq) | Cut::Misplaced(_, seq) => (false, seq),
        };
        match (cut, reading) {
            (_, Reading::CutBySeq) => self.active_to(highest, reading),
            (Cut::At(header), _) if held => Some(header),
            (_, Reading::CutIgnoredUntilHeld) => self.active(reading),
            (_, Reading::NothingUntilCutHeld) => None,
            (_, _) => self.active_to(highest, reading),
        }
    }

    /// The accepted headers.
    pub(crate) fn accepted(&self, reading: Reading) -> Set {
        self.tip(reading).map_or(0, |tip| self.tree.path(tip))
    }
}
