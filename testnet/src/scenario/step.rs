//! What can happen in a scenario: small steps that a timeline puts together.

use std::collections::BTreeSet;
use std::time::Duration;

use comity_protocol::control::VoteStep;

use crate::relay::CutKind;

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaver {
    /// The donor whose removal uncovers most of the scenario's own record.
    LargestDonor,
    /// This nation.
    Nation(String),
}

/// One step of the timeline; a step begins when the one before is done.
///
/// A node is named after its nation where it is the first one, and by the name a step gave it where it came later.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Writes a set of records and waits until all are acknowledged and every node that can be reached holds them.
    Write {
        /// The set.
        records: String,
    },
    /// Lets nations write statements of their own, one each `every`, until [`Step::Stop`].
    Burst {
        /// Who writes.
        nations: BTreeSet<String>,
        /// The pause between the statements of one nation.
        every: Duration,
    },
    /// Waits until every writer has so many more statements acknowledged.
    Wait {
        /// How many.
        statements: u32,
    },
    /// Waits like [`Step::Wait`], then stops the writers.
    Stop {
        /// How many.
        statements: u32,
    },
    /// Cuts all links between sides and waits until both sides show each other as not connected.
    Partition {
        /// The sides; every nation stands on one.
        sides: Vec<BTreeSet<String>>,
        /// How the cut shows itself.
        cut: CutKind,
    },
    /// Silently stops what `from` sends to `to`.
    CutOneWay {
        /// Who is no longer heard.
        from: String,
        /// Who no longer hears.
        to: String,
    },
    /// Delays everything between two nations.
    Delay {
        /// The nations.
        between: (String, String),
        /// How long, each way.
        by: Duration,
    },
    /// Ends every cut.
    Heal,
    /// Kills a node while one of its writes is unanswered.
    Kill {
        /// The nation whose node it is.
        nation: String,
    },
    /// Starts a killed node again, and repeats the unanswered write.
    Restart {
        /// The nation whose node it is.
        nation: String,
    },
    /// Kills a node for good, in the middle of its writing.
    Leave {
        /// The nation whose node it is.
        nation: Leaver,
        /// Statements of it that are acknowledged before.
        acknowledged: u32,
    },
    /// Writes observations at one node; expectations refer to them by `batch`.
    WriteAs {
        /// Where they are written.
        node: String,
        /// How many.
        statements: u32,
        /// What they are called.
        batch: String,
    },
    /// Starts a second process with the keys of a node, on a copy of its home as it was founded.
    Clone {
        /// What the second process is called.
        node: String,
        /// Whose keys it has.
        of: String,
        /// The nodes it dials; nobody dials it.
        links: BTreeSet<String>,
    },
    /// Makes the home of a new node, whose nation a later [`Step::Roster`] lets enrol it.
    Init {
        /// What it is called.
        node: String,
        /// The nation it is to speak for.
        nation: String,
    },
    /// Signs a nation's next roster with its root key and imports it.
    Roster {
        /// The nation.
        nation: String,
        /// Nodes retired at the cut that the node at `at` recommends.
        retire: BTreeSet<String>,
        /// Nodes enrolled.
        enrol: BTreeSet<String>,
        /// The node that takes it in.
        at: String,
    },
    /// Starts a node that has a home and was never started.
    Start {
        /// The node.
        node: String,
        /// The nodes it dials; nobody dials it.
        links: BTreeSet<String>,
    },
    /// Lets a node dial others from now on.
    Link {
        /// The node.
        node: String,
        /// Whom it dials.
        to: BTreeSet<String>,
    },
    /// Drafts a motion on the charter that the node at `at` shows.
    Propose {
        /// What it is called.
        motion: String,
        /// What it changes.
        change: MotionChange,
        /// The node whose charter and cuts it takes.
        at: String,
    },
    /// Signs votes with root keys, each as far as its nation's own log and what its node holds permit, and imports each at its
    /// nation's node.
    Vote {
        /// Support or seal.
        step: VoteStep,
        /// The motion.
        motion: String,
        /// Who votes.
        nations: BTreeSet<String>,
        /// The round.
        round: u16,
        /// Whether the signer's rules permit it.
        outcome: VoteOutcome,
    },
    /// Runs a command of the product on a node's home, as its operator would.
    Run {
        /// The node.
        node: String,
        /// The command; `{dir}` stands for the folder of the run, `{batch.N}` for a version of a batch, and `{adopt}` for the
        /// end of the node's own chain as `comity node confirm` shows it.
        args: Vec<String>,
        /// How it must end.
        exit: u8,
        /// Words it must print, if any.
        says: Option<String>,
        /// How long it is repeated until it ends and speaks like that; zero for once.
        within: Duration,
    },
    /// Kills a node and deletes its home.
    Destroy {
        /// The node.
        node: String,
    },
    /// Remembers what every node holds of every nation, for [`Condition::Unchanged`].
    Mark {
        /// What the moment is called.
        mark: String,
    },
    /// Waits until a condition holds; the exercise fails if it does not in time.
    Expect {
        /// What must become true.
        condition: Condition,
        /// Where; empty for every node that is no outsider.
        at: BTreeSet<String>,
        /// How long it may take.
        within: Duration,
    },
}

/// What a motion changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MotionChange {
    /// Admits a nation that did not found the alliance.
    Admit(String),
    /// Removes a nation, each of its chains cut where the proposing node sees its end.
    Remove(String),
    /// Replaces a nation's root key by a new one; its rosters count up to this version.
    ReplaceRoot {
        /// The nation.
        nation: String,
        /// The last roster that counts.
        floor: u64,
    },
    /// Raises the bytes of a chain.
    Quota(u64),
}

/// What the signer's rules say to a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteOutcome {
    /// They permit it, and it is signed.
    Signed,
    /// They refuse it, and nothing is signed.
    Refused,
}

/// What an exercise can wait for; each but [`Condition::Halted`] and [`Condition::Writes`] at every node it is asked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The fork of a node's key is known, its lowest number at `seq` if given.
    Fork {
        /// The node.
        of: String,
        /// The number that two envelopes have.
        seq: Option<u64>,
    },
    /// No fork is known of anybody.
    NoFork,
    /// Every statement of a batch stands like this.
    Standing {
        /// The batch.
        batch: String,
        /// How.
        standing: BatchStanding,
    },
    /// Every statement of a batch is final.
    Final {
        /// The batch.
        batch: String,
    },
    /// The witnesses of so many nations have seen every statement of a batch.
    Seen {
        /// The batch.
        batch: String,
        /// How many nations.
        by: usize,
    },
    /// The charter has this height.
    Charter {
        /// The height.
        height: u32,
    },
    /// A nation is a member.
    Member {
        /// The nation.
        nation: String,
    },
    /// A nation was a member and is none.
    Removed {
        /// The nation.
        nation: String,
    },
    /// A node does not write, and says why with these words.
    Halted {
        /// The node.
        node: String,
        /// Words of its reason.
        because: Option<String>,
    },
    /// A node may write.
    Writes {
        /// The node.
        node: String,
    },
    /// A full link with this node is up.
    Linked {
        /// The node.
        node: String,
    },
    /// No link with this node is up, and the node itself shows none with those asked.
    Unlinked {
        /// The node.
        node: String,
    },
    /// All hold and computed the same.
    Converged,
    /// What is held of these nations is what was held at a mark.
    Unchanged {
        /// The nations.
        nations: BTreeSet<String>,
        /// The mark.
        since: String,
    },
}

/// How a batch of statements stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStanding {
    /// They count.
    Accepted,
    /// They wait for the nation's root.
    Suspended,
    /// The nation's root cut them off.
    Disavowed,
    /// They came after the nation's removal.
    PostRemoval,
    /// They are not held.
    Absent,
}

impl BatchStanding {
    /// Returns the word for it, as nodes say it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Suspended => "suspended",
            Self::Disavowed => "disavowed",
            Self::PostRemoval => "post_removal",
            Self::Absent => "absent",
        }
    }
}
