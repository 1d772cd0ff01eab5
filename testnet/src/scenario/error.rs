//! What can be wrong with a scenario.

use super::built_in_names;
use crate::files::FileError;

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No built-in scenario and no file has this name.
    #[error("no scenario {name}; built in are {}", built_in_names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file says something a scenario cannot say.
    #[error("{file}, line {line}, key {key}: {problem}")]
    Content {
        /// The file, or the name of a built-in scenario.
        file: String,
        /// The line of the key or of the table it stands in, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The choice of nations does not fit the scenario.
    #[error("nations: {0}")]
    Nations(Problem),
}

/// What is wrong with a key of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not TOML, an unknown or missing key, or a value of the wrong type; in the parser's words.
    #[error("{0}")]
    Syntax(String),
    /// Not a nation code.
    #[error("{0} is no nation code; a code is three capital letters")]
    NotACode(String),
    /// A nation the scenario does not list.
    #[error("{0} is not among the nations")]
    UnknownNation(String),
    /// A nation listed twice, or on two sides.
    #[error("{0} stands there twice")]
    Twice(String),
    /// A nation on no side of a partition.
    #[error("{0} is on no side")]
    OnNoSide(String),
    /// Too few or too many.
    #[error("{count} where {least} to {most} are possible")]
    Count {
        /// How many there are.
        count: i64,
        /// The least possible.
        least: i64,
        /// The most possible.
        most: i64,
    },
    /// A reference to a record that does not stand before.
    #[error("{0} names no earlier record")]
    UnknownRecord(String),
    /// A word that is none of the possible ones.
    #[error("{word} is none of {}", possible.join(", "))]
    Word {
        /// What stands there.
        word: String,
        /// What may stand there.
        possible: Vec<&'static str>,
    },
    /// A value no statement field can hold.
    #[error("a statement's field holds text, whole numbers, lists and tables, and times only as days from the start")]
    Value,
    /// A node no step has made before, or none at all.
    #[error("{0} is no node that is there by then")]
    UnknownNode(String),
    /// A motion, batch or mark that no earlier step made.
    #[error("{0} was not made by an earlier step")]
    UnknownName(String),
    /// A name that cannot be a folder's.
    #[error("{0} is no name; a name has 1 to 32 letters, digits and hyphens")]
    Name(String),
    /// Other nations for a scenario about what certain nations do.
    #[error("this exercise is about its own nations; others cannot take their place")]
    OwnNations,
    /// A step that makes no sense where it stands.
    #[error("{0}")]
    Order(OrderProblem),
    /// A recipient was left out.
    #[error("{0} is a recipient and must take part")]
    RecipientLeftOut(String),
}

/// Why a step makes no sense where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderProblem {
    /// A second partition before the first is healed.
    #[error("a partition stands already")]
    PartitionStands,
    /// Healing without a cut.
    #[error("there is nothing to heal")]
    NothingToHeal,
    /// Writers started twice.
    #[error("writers write already")]
    WritersWrite,
    /// Waiting for or stopping writers that do not write.
    #[error("no writers write")]
    NoWriters,
    /// A step on a node that is down.
    #[error("its node is down")]
    NodeDown,
    /// Restarting a node that runs or left.
    #[error("its node was not killed")]
    NotKilled,
    /// A node started or written at that is not there yet.
    #[error("its node does not run")]
    NotRunning,
    /// A node started twice.
    #[error("its node was started already")]
    Started,
    /// A founder admitted, or a nation that takes no part yet removed.
    #[error("the nation is not one that this can be done to")]
    WrongNation,
    /// A seal before any support, or a vote that nobody casts.
    #[error("nobody votes")]
    NoVoters,
    /// A second nation leaves.
    #[error("one nation has left already")]
    SecondLeaver,
    /// The largest donor leaves where nobody donates.
    #[error("there is no donor to leave")]
    NoDonor,
    /// The end of the timeline with a node down or a link cut.
    #[error("at the end every node but the leaver's must run and every link be whole")]
    NotWholeAtEnd,
}
