//! Kinds of runs: how large, how much is written, and what goes wrong.

use std::ops::{Range, RangeInclusive};

use super::plan::Hazard;

/// A kind of run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// A little of everything, small enough for every test run.
    #[default]
    Everyday,
    /// Partitions, one-way and flapping links; disks and people are sound.
    Network,
    /// Crashes, torn writes, full and rotting disks.
    Disk,
    /// Old backups, cloned homes, lying disks, retirements: chains that fork.
    Forks,
    /// Lying nations, up to all but two.
    Liars,
    /// Twelve nations with up to three nodes each, and everything that goes wrong.
    Large,
    /// Motions and votes, some of them by officers who break the rules of signers.
    Votes,
}

/// How large a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// How many nations.
    pub nations: RangeInclusive<usize>,
    /// Most nodes of one nation.
    pub nodes_max: usize,
    /// Most nodes in all.
    pub nodes_in_all_max: usize,
    /// How many writes.
    pub writes: Range<usize>,
    /// How many faults.
    pub faults: Range<usize>,
    /// How long things go wrong, in milliseconds.
    pub hostile_ms: u64,
}

/// How many nations lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lying {
    /// None.
    Nobody,
    /// Mostly up to a third, now and then one more.
    Some,
    /// Up to all but two.
    Many,
}

/// How many plans have motions and votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voting {
    /// None.
    Never,
    /// About one in eight.
    Seldom,
    /// All of them.
    Always,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Everyday, Self::Network, Self::Disk, Self::Forks, Self::Liars, Self::Large, Self::Votes];

    /// Returns its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everyday => "everyday",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Forks => "forks",
            Self::Liars => "liars",
            Self::Large => "large",
            Self::Votes => "votes",
        }
    }

    /// Returns the profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// How large a run is.
    pub const fn sizes(self) -> Sizes {
        let everyday = Sizes {
            nations: 4..=8,
            nodes_max: 3,
            nodes_in_all_max: 10,
            writes: 20..70,
            faults: 4..16,
            hostile_ms: 30_000,
        };
        match self {
            Self::Everyday => everyday,
            Self::Network | Self::Disk | Self::Forks | Self::Liars => {
                Sizes { nations: 4..=10, nodes_in_all_max: 12, faults: 8..30, hostile_ms: 60_000, ..everyday }
            }
            Self::Votes => Sizes {
                nations: 4..=7,
                nodes_max: 2,
                nodes_in_all_max: 10,
                writes: 10..40,
                faults: 3..12,
                hostile_ms: 60_000,
            },
            Self::Large => Sizes {
                nations: 12..=12,
                nodes_in_all_max: 30,
                writes: 100..300,
                faults: 20..80,
                hostile_ms: 120_000,
                ..everyday
            },
        }
    }

    /// Whether and how many nations lie.
    pub const fn lying(self) -> Lying {
        match self {
            Self::Network | Self::Disk => Lying::Nobody,
            Self::Everyday | Self::Forks | Self::Large | Self::Votes => Lying::Some,
            Self::Liars => Lying::Many,
        }
    }

    /// How many plans have motions and votes.
    pub const fn voting(self) -> Voting {
        match self {
            Self::Network | Self::Disk | Self::Forks | Self::Liars => Voting::Never,
            Self::Everyday | Self::Large => Voting::Seldom,
            Self::Votes => Voting::Always,
        }
    }

    /// What goes wrong; what stands there twice is twice as likely.
    pub const fn hazards(self) -> &'static [Hazard] {
        use Hazard::{
            Backup, BitRot, Clock, Clone, DiskFull, Enrol, Flap, Kill, LyingDisk, OneWay, Part, PowerCut, PowerCutAt,
            Restore, Retire,
        };
        match self {
            Self::Everyday | Self::Large => &[
                Part, Part, OneWay, Flap, Kill, Kill, PowerCut, PowerCutAt, PowerCutAt, DiskFull, BitRot, Backup,
                Restore, Clone, Clock, Enrol, Retire, LyingDisk,
            ],
            Self::Network => &[Part, Part, Part, OneWay, Flap, Kill, Clock, Enrol],
            Self::Disk => &[Kill, PowerCut, PowerCutAt, PowerCutAt, DiskFull, BitRot, LyingDisk, Part],
            Self::Forks => &[Backup, Backup, Restore, Restore, Clone, Retire, LyingDisk, PowerCut, Part, Enrol],
            Self::Liars => &[Part, Kill, PowerCutAt, Retire, Enrol, Clock],
            Self::Votes => &[Part, Part, OneWay, Flap, Kill, Kill, PowerCutAt, Clock, Enrol, Retire, Restore],
        }
    }
}
