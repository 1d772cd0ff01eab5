//! From a seed to a plan: who takes part, how they are linked, and what goes wrong when.
//!
//! A plan is data. Running it draws further numbers for the network's delays and the disks' torn writes, but what happens to
//! whom is fixed here, so that shrinking can leave steps out and look whether the failure stays.

use std::collections::BTreeSet;
use std::fmt;

use comity_protocol::replica::RULES_MAX;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::liar::Strategy;
use super::officer::Misvote;
use super::profile::Profile;

mod ballot;
mod hazard;

pub use hazard::Hazard;
use hazard::skew;

/// Codes of simulated nations; the first is the recipient.
pub const CODES: [&str; 12] = ["UKR", "POL", "DEU", "FRA", "NLD", "USA", "GBR", "CAN", "NOR", "DNK", "JPN", "CZE"];

/// What a run does: everything but the numbers that it draws on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all of it comes from.
    pub seed: u64,
    /// The kind of run.
    pub profile: Profile,
    /// Who takes part, recipient first.
    pub nations: Vec<PlannedNation>,
    /// Which nodes dial each other, by number: nation after nation, node after node; the lower number first.
    pub links: BTreeSet<(usize, usize)>,
    /// How far each node's wall clock is off at first, in milliseconds.
    pub skews_ms: Vec<i64>,
    /// What the network is like while things go wrong.
    pub weather: Weather,
    /// What happens, by time.
    pub steps: Vec<Step>,
    /// How long things go wrong, in milliseconds.
    pub hostile_ms: u64,
    /// Whether lying nodes stay linked in the quiet phase.
    pub liars_stay: bool,
    /// Where software of two versions is mixed: the nodes with the older one. All other nodes, and those that come later,
    /// know one version of the rules more.
    pub old_software: Option<BTreeSet<usize>>,
}

/// A nation of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNation {
    /// Its code.
    pub code: &'static str,
    /// How many nodes it runs at first.
    pub nodes: usize,
    /// How its nodes lie, if they do.
    pub lies: Option<Strategy>,
    /// How its officer breaks the rules of signers, if it does.
    pub misvotes: Option<Misvote>,
}

/// What the network does to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Shortest way of a frame, in milliseconds.
    pub delay_min_ms: u64,
    /// Longest way; frames on push streams may overtake each other.
    pub delay_max_ms: u64,
    /// Of a thousand pushes, how many are lost; of a thousand questions, how many fail.
    pub lost: u32,
    /// Of a thousand pushes, how many come twice.
    pub twice: u32,
    /// Of a thousand pushes, how many find the link's queue full.
    pub stalled: u32,
}

impl Weather {
    /// A cable between two rooms.
    pub const CALM: Self = Self { delay_min_ms: 1, delay_max_ms: 3, lost: 0, twice: 0, stalled: 0 };
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number in the whole plan, which it keeps when others are left out.
    pub number: usize,
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// What happens. Nodes and nations are numbers; what cannot be done when its time comes is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody writes at a node.
    Write(usize),
    /// Somebody writes at the copy of a node's home that was started beside it.
    WriteAtCopy(usize),
    /// Somebody repeats an earlier write under the same idempotency key.
    Repeat(usize),
    /// Somebody imports control records that are broken, foreign, or known.
    ImportOdd(usize),
    /// Nobody on one side hears anybody on the other.
    Part {
        /// One side.
        side: BTreeSet<usize>,
        /// For how long.
        ms: u64,
    },
    /// Nothing goes from one node to another; the way back stays open.
    OneWay {
        /// Who is not heard.
        from: usize,
        /// By whom.
        to: usize,
        /// For how long.
        ms: u64,
    },
    /// A link comes and goes.
    Flap {
        /// One end.
        a: usize,
        /// The other.
        b: usize,
        /// How often.
        times: u32,
    },
    /// A process is killed; what it wrote stays.
    Kill {
        /// Which node.
        node: usize,
        /// How long it stays down.
        down_ms: u64,
    },
    /// The power goes; what was not synced may be torn or gone.
    PowerCut {
        /// Which node.
        node: usize,
        /// How long it stays down.
        down_ms: u64,
    },
    /// The power goes in the middle of the disk's work.
    PowerCutAt {
        /// Which node.
        node: usize,
        /// After how many further operations of its disk.
        operations: u64,
        /// How long it stays down.
        down_ms: u64,
    },
    /// A disk has no more room than this.
    DiskFull {
        /// Which node.
        node: usize,
        /// How many further bytes fit.
        room: u64,
        /// For how long.
        ms: u64,
    },
    /// A disk says it synced and did not, until its next power cut.
    LyingDisk(usize),
    /// A bit of a stopped node's store flips; it is started again at once.
    BitRot {
        /// Which node.
        node: usize,
        /// Which bit.
        choice: u64,
    },
    /// Somebody copies a stopped node's home.
    Backup(usize),
    /// Somebody puts the copy back in place of what the node has become.
    Restore(usize),
    /// Somebody takes the chain of a stopped node for whole.
    Confirm(usize),
    /// Somebody starts the copy beside the node.
    Clone(usize),
    /// A wall clock is set.
    Clock {
        /// Which node's.
        node: usize,
        /// How far off it is from now on, in milliseconds.
        skew_ms: i64,
    },
    /// A nation enrols another node.
    Enrol(usize),
    /// A nation retires a node of its own for good.
    Retire {
        /// Which node.
        node: usize,
        /// Whether the cut is below what it has said.
        early: bool,
    },
    /// A nation's officer drafts a motion on the charter that the nation's node shows, and supports it.
    Propose {
        /// Whose officer.
        nation: usize,
        /// What it is to change.
        change: Change,
    },
    /// A nation's officer looks at what the nation's node holds and signs what the rules allow.
    Officer(usize),
    /// A nation's officer loses the log of what its root signed.
    LoseLog(usize),
    /// A node's software is replaced, by a newer or an older one.
    Software {
        /// Which node.
        node: usize,
        /// The highest version of the rules that it knows from now on.
        rules_max: u16,
    },
}

/// What a motion changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new nation comes in.
    Admit {
        /// Whether its node is started, and tries to speak, before anybody votes.
        eager: bool,
    },
    /// A nation is removed.
    Remove {
        /// Which.
        nation: usize,
        /// Where its chains are cut.
        cut: Cut,
    },
    /// A nation gets another root key.
    ReplaceRoot(usize),
    /// A parameter is raised.
    Params,
    /// The next version of the rules is to hold.
    Rules,
}

/// Where a motion cuts the chains of the nation that it removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At the last envelope that counts where the motion is drafted.
    Tip,
    /// Below that.
    Early,
    /// At an envelope that nobody ever saw.
    Invented,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit { eager: false } => f.write_str("a new nation"),
            Self::Admit { eager: true } => f.write_str("a new nation, whose node is there already"),
            Self::Remove { nation, cut: Cut::Tip } => write!(f, "nation {nation} to go"),
            Self::Remove { nation, cut: Cut::Early } => write!(f, "nation {nation} to go, cut early"),
            Self::Remove { nation, cut: Cut::Invented } => write!(f, "nation {nation} to go, cut where nothing is"),
            Self::ReplaceRoot(nation) => write!(f, "another root for nation {nation}"),
            Self::Params => f.write_str("a larger quota"),
            Self::Rules => f.write_str("the next rules"),
        }
    }
}

impl What {
    /// Returns a word for the kind of step, for lists of what was tried.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::WriteAtCopy(_) => "write-at-copy",
            Self::Repeat(_) => "repeat",
            Self::ImportOdd(_) => "import-odd",
            Self::Part { .. } => "part",
            Self::OneWay { .. } => "one-way",
            Self::Flap { .. } => "flap",
            Self::Kill { .. } => "kill",
            Self::PowerCut { .. } => "power-cut",
            Self::PowerCutAt { .. } => "power-cut-at",
            Self::DiskFull { .. } => "disk-full",
            Self::LyingDisk(_) => "lying-disk",
            Self::BitRot { .. } => "bit-rot",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Confirm(_) => "confirm",
            Self::Clone(_) => "clone",
            Self::Clock { .. } => "clock",
            Self::Enrol(_) => "enrol",
            Self::Retire { .. } => "retire",
            Self::Propose { .. } => "propose",
            Self::Officer(_) => "officer",
            Self::LoseLog(_) => "lose-log",
            Self::Software { .. } => "software",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(node)
            | Self::WriteAtCopy(node)
            | Self::Repeat(node)
            | Self::ImportOdd(node)
            | Self::LyingDisk(node)
            | Self::Backup(node)
            | Self::Restore(node)
            | Self::Confirm(node)
            | Self::Clone(node) => write!(f, "{} {node}", self.name()),
            Self::Enrol(nation) | Self::Officer(nation) | Self::LoseLog(nation) => {
                write!(f, "{} nation {nation}", self.name())
            }
            Self::Software { node, rules_max } => write!(f, "software of {node} for rules up to {rules_max}"),
            Self::Propose { nation, change } => write!(f, "propose by nation {nation}: {change}"),
            Self::Part { side, ms } => write!(f, "part {side:?} from the rest for {ms} ms"),
            Self::OneWay { from, to, ms } => write!(f, "one-way {from} to {to} silent for {ms} ms"),
            Self::Flap { a, b, times } => write!(f, "flap {a} and {b} {times} times"),
            Self::Kill { node, down_ms } => write!(f, "kill {node} for {down_ms} ms"),
            Self::PowerCut { node, down_ms } => write!(f, "power-cut {node} for {down_ms} ms"),
            Self::PowerCutAt { node, operations, down_ms } => {
                write!(f, "power-cut-at {node} after {operations} operations for {down_ms} ms")
            }
            Self::DiskFull { node, room, ms } => write!(f, "disk-full {node} after {room} bytes for {ms} ms"),
            Self::BitRot { node, choice } => write!(f, "bit-rot {node} at {choice}"),
            Self::Clock { node, skew_ms } => write!(f, "clock {node} off by {skew_ms} ms"),
            Self::Retire { node, early } => write!(f, "retire {node}{}", if *early { " early" } else { "" }),
        }
    }
}

impl Plan {
    /// Makes the plan of a seed.
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sizes = profile.sizes();
        let count = rng.random_range(sizes.nations);
        let mut nations: Vec<PlannedNation> = CODES[..count]
            .iter()
            .map(|code| PlannedNation {
                code,
                nodes: rng.random_range(1..=sizes.nodes_max),
                lies: None,
                misvotes: None,
            })
            .collect();
        while nations.iter().map(|nation| nation.nodes).sum::<usize>() > sizes.nodes_in_all_max {
            let most = (0..count).max_by_key(|nation| nations[*nation].nodes).expect("nations");
            nations[most].nodes -= 1;
        }
        choose_liars(&mut nations, profile, &mut rng);
        let mut plan = Self {
            seed,
            profile,
            links: BTreeSet::new(),
            skews_ms: Vec::new(),
            weather: weather(&mut rng),
            steps: Vec::new(),
            hostile_ms: sizes.hostile_ms,
            liars_stay: rng.random_bool(0.5),
            old_software: None,
            nations,
        };
        plan.links = links(&plan, &mut rng);
        plan.skews_ms = (0..plan.nodes()).map(|_| skew(&mut rng)).collect();
        plan.steps = steps(&plan, &mut rng);
        ballot::add(&mut plan);
        plan
    }

    /// How many nodes there are at first.
    pub fn nodes(&self) -> usize {
        self.nations.iter().map(|nation| nation.nodes).sum()
    }

    /// Returns the nation of a node that is there from the first.
    pub fn nation_of(&self, node: usize) -> usize {
        let mut below = 0;
        let found = self.nations.iter().position(|nation| {
            below += nation.nodes;
            node < below
        });
        found.expect("a node of the plan")
    }

    /// Returns the nodes that do not lie.
    pub fn honest(&self) -> Vec<usize> {
        (0..self.nodes()).filter(|node| self.nations[self.nation_of(*node)].lies.is_none()).collect()
    }

    /// How many nations may lie without harm to finality: `ceil(n / 3) - 1` (spec 4).
    pub fn liars_tolerated(&self) -> usize {
        self.nations.len().div_ceil(3) - 1
    }

    /// The highest version of the rules that a node's software knows at first.
    pub fn rules_max(&self, node: usize) -> u16 {
        let newer = self.old_software.as_ref().is_some_and(|old| !old.contains(&node));
        RULES_MAX + u16::from(newer)
    }

    /// Leaves out all steps but those with these numbers.
    #[must_use]
    pub fn only(&self, numbers: &BTreeSet<usize>) -> Self {
        let kept = self.steps.iter().filter(|step| numbers.contains(&step.number));
        Self { steps: kept.cloned().collect(), ..self.clone() }
    }
}

fn choose_liars(nations: &mut [PlannedNation], profile: Profile, rng: &mut ChaCha8Rng) {
    let tolerated = nations.len().div_ceil(3) - 1;
    let most = match profile.lying() {
        super::profile::Lying::Nobody => 0,
        super::profile::Lying::Some if rng.random_bool(0.6) => tolerated,
        super::profile::Lying::Some if rng.random_bool(0.3) => tolerated + 1,
        super::profile::Lying::Some => 0,
        super::profile::Lying::Many => nations.len() - 2,
    };
    let count = rng.random_range(0..=most);
    let mut who: Vec<usize> = (1..nations.len()).collect();
    who.shuffle(rng);
    for nation in who.into_iter().take(count) {
        nations[nation].lies = Strategy::ALL.choose(rng).copied();
    }
}

fn weather(rng: &mut ChaCha8Rng) -> Weather {
    if rng.random_bool(0.25) {
        return Weather::CALM;
    }
    let delay_min_ms = rng.random_range(1..40);
    Weather {
        delay_min_ms,
        delay_max_ms: delay_min_ms + rng.random_range(0..300),
        lost: rng.random_range(0..80),
        twice: rng.random_range(0..60),
        stalled: rng.random_range(0..10),
    }
}

/// A full mesh of a few nodes; of many, a ring of the honest ones with chords, and each lying one tied to some of them.
fn links(plan: &Plan, rng: &mut ChaCha8Rng) -> BTreeSet<(usize, usize)> {
    let pair = |a: usize, b: usize| (a.min(b), a.max(b));
    let nodes = plan.nodes();
    if nodes <= 6 {
        return (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect();
    }
    let mut links = BTreeSet::new();
    let mut honest = plan.honest();
    honest.shuffle(rng);
    for (at, a) in honest.iter().enumerate() {
        links.insert(pair(*a, honest[(at + 1) % honest.len()]));
        links.insert(pair(*a, *honest.choose(rng).expect("some")));
    }
    for node in (0..nodes).filter(|node| !honest.contains(node)) {
        for peer in honest.sample(rng, 3) {
            links.insert(pair(node, *peer));
        }
        links.insert(pair(node, rng.random_range(0..nodes)));
    }
    links.retain(|(a, b)| a != b);
    links
}

fn steps(plan: &Plan, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let sizes = plan.profile.sizes();
    let nodes = plan.nodes();
    let mut steps = Vec::new();
    for _ in 0..rng.random_range(sizes.writes.clone()) {
        let node = rng.random_range(0..nodes);
        let what = match rng.random_range(0..20) {
            0 => What::Repeat(node),
            1 => What::ImportOdd(node),
            _ => What::Write(node),
        };
        steps.push(Step { number: 0, at_ms: rng.random_range(500..plan.hostile_ms), what });
    }
    for _ in 0..rng.random_range(sizes.faults.clone()) {
        let kind = *plan.profile.hazards().choose(rng).expect("every profile has hazards");
        let at_ms = rng.random_range(500..plan.hostile_ms);
        let happen =
            kind.steps(plan, rng).into_iter().map(|(after_ms, what)| Step { number: 0, at_ms: at_ms + after_ms, what });
        steps.extend(happen.filter(|step| step.at_ms < plan.hostile_ms));
    }
    in_order(&mut steps);
    steps
}

/// Puts steps in the order of time and numbers them.
fn in_order(steps: &mut [Step]) {
    steps.sort_by_key(|step| step.at_ms);
    steps.iter_mut().enumerate().for_each(|(number, step)| step.number = number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_and_its_honest_nodes_are_connected() {
        for profile in Profile::ALL {
            for seed in 0..50 {
                let plan = Plan::new(seed, profile);
                assert_eq!(plan, Plan::new(seed, profile));
                assert!((4..=12).contains(&plan.nations.len()), "{profile:?} {seed}");
                assert!(plan.nations.iter().all(|nation| (1..=3).contains(&nation.nodes)));
                let honest = plan.honest();
                assert!(honest.len() >= 2, "{profile:?} {seed}: somebody is left to agree");
                let mut reached = BTreeSet::from([honest[0]]);
                for _ in 0..honest.len() {
                    for (a, b) in &plan.links {
                        if honest.contains(a) && honest.contains(b) && (reached.contains(a) || reached.contains(b)) {
                            reached.extend([*a, *b]);
                        }
                    }
                }
                assert_eq!(reached.len(), honest.len(), "{profile:?} {seed}");
            }
        }
    }
}
