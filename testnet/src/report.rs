//! What an exercise found out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

use crate::kiel::{RefusedRow, RowCount};
use crate::relay::CutKind;
use crate::scenario::Scenario;

mod coverage;
mod text;

pub use coverage::{Coverage, CoverageRow};

/// What an exercise found out; one JSON object with `--json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExerciseReport)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The seed that decided order, content and kill moments.
    pub seed: u64,
    /// Codes of all nations that took part.
    pub nations: Vec<String>,
    /// The moment of every view, RFC 3339.
    pub as_of: String,
    /// Writes the nodes acknowledged; an acknowledged write is one statement version.
    pub statements_acknowledged: u64,
    /// Acknowledged versions neither in every survivor's export nor in a dead node's home.
    pub statements_lost: u64,
    /// The lost versions, as `CODE/kind/id@version`.
    pub lost: Vec<String>,
    /// Acknowledged versions that only a dead node's home holds, as `CODE/kind/id@version`.
    pub unreplicated_at_kill: Vec<String>,
    /// Whether all live nodes have equal `held`, `control` and `state`, and byte-equal exports.
    pub converged: bool,
    /// From the start of the first node until every node showed every other as connected.
    pub links_up_ms: u64,
    /// From the last heal until all live nodes were first seen to hold the same, writers that still write included; absent
    /// without a heal or a convergence.
    pub heal_to_converged_ms: Option<u64>,
    /// From the last acknowledged write until convergence; absent without one.
    pub last_write_to_converged_ms: Option<u64>,
    /// The state digest of each live node.
    pub state_digests: BTreeMap<String, String>,
    /// Cover of every requirement, with the leaver.
    pub coverage_before: Vec<CoverageRow>,
    /// The same without the leaver: its deliveries stay, everything else of it is gone.
    pub coverage_after: Vec<CoverageRow>,
    /// The rows of `coverage_after` that are not covered; `gap_firm` is the amount.
    pub uncovered: Vec<CoverageRow>,
    /// Who left for good.
    pub leaver: Option<Leave>,
    /// Who was killed and came back.
    pub kills: Vec<Kill>,
    /// The cuts, in order.
    pub cuts: Vec<Cut>,
    /// What each nation wrote.
    pub written: Vec<Written>,
    /// What was expected, and what came of it; empty for scenarios that expect nothing.
    pub findings: Vec<Finding>,
    /// What root keys signed, and what the rules of an honest signer refused.
    pub signed: Vec<SignedRecord>,
    /// Commands of the product that were run on nodes' homes.
    pub commands: Vec<Command>,
    /// Statements written together, and how they were found to stand.
    pub said: Vec<Said>,
    /// Acknowledged versions that do not count, as the scenario expected: held as evidence, or cut off with their author.
    pub set_aside: Vec<SetAside>,
    /// Nodes that nobody waits for at the end: clones, and those whose key is not active any more.
    pub outsiders: Vec<String>,
    /// What became of the rows of a data folder; absent without one.
    pub rows: Option<Rows>,
    /// What went wrong, in words.
    pub problems: Vec<String>,
    /// The whole run, in milliseconds.
    pub took_ms: u64,
    /// The folder of the run; absent if it was deleted.
    #[schema(value_type = Option<String>)]
    pub dir: Option<PathBuf>,
}

/// The scenarios that come with the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExerciseList)]
pub struct ScenarioList {
    /// One row each, the default first.
    pub scenarios: Vec<ScenarioRow>,
}

/// A scenario that comes with the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExerciseRow)]
pub struct ScenarioRow {
    /// What `comity testnet exercise` takes.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// Codes of the nations that take part.
    pub nations: Vec<String>,
}

/// Something that had to become true, and whether it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// What was expected.
    pub expectation: String,
    /// The nodes that were asked.
    pub asked: Vec<String>,
    /// Whether all of them came to show it in time.
    pub held: bool,
    /// From the first question to the last answer; nothing depends on it.
    pub after_ms: u64,
    /// What they showed instead at the end, one line for each that did.
    pub instead: Vec<String>,
}

/// A roster or a vote that a root key signed, or was not to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignedRecord {
    /// Whose root.
    pub nation: String,
    /// What it says.
    pub what: String,
    /// The record's id; absent if nothing was signed.
    pub record: Option<String>,
    /// The rule of an honest signer that refused it; absent if it was signed.
    pub refused: Option<String>,
    /// From the start of the run.
    pub at_ms: u64,
}

/// A command of the product that was run on a node's home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Command {
    /// The node it was run on, by its name in the scenario.
    pub on: String,
    /// What its operator typed, without the home.
    pub command: String,
    /// How it ended.
    pub exit: i32,
    /// The first lines it printed.
    pub printed: Vec<String>,
    /// From the start of the run.
    pub at_ms: u64,
}

/// Statements that were written together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Said {
    /// What they are called.
    pub batch: String,
    /// The node that wrote them, by its name in the scenario.
    pub by: String,
    /// How many.
    pub statements: u64,
    /// How they were last found to stand; absent if nothing was expected of them.
    pub standing: Option<String>,
    /// Whether they were found final.
    #[serde(rename = "final")]
    pub finality: bool,
}

/// An acknowledged version that does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SetAside {
    /// The version, as `CODE/kind/id@version`.
    pub version: String,
    /// How it stands.
    pub standing: String,
}

/// A nation that left for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Leave {
    /// Its code.
    pub nation: String,
    /// Its acknowledged writes.
    pub statements_acknowledged: u64,
    /// From its last acknowledged write to the kill; absent if it wrote nothing.
    pub last_acknowledged_before_kill_ms: Option<u64>,
    /// What `node check` said about its home: `true` if nothing is damaged.
    pub home_intact: bool,
}

/// A node that was killed with a write unanswered, and came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kill {
    /// Its nation.
    pub nation: String,
    /// Whether a write was unanswered at the kill.
    pub write_in_flight: bool,
    /// Whether the unanswered write turned out to be on disk when it was repeated; absent if there was none.
    pub write_was_durable: Option<bool>,
    /// From the restart until the node answered.
    pub restart_ms: Option<u64>,
}

/// A cut of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cut {
    /// The sides.
    pub sides: Vec<Vec<String>>,
    /// How it showed itself.
    pub kind: CutKind,
    /// From the cut until both sides showed each other as not connected; absent if they never did.
    pub noticed_ms: Option<u64>,
    /// Bytes that crossed between cut and heal; anything but 0 is a fault of the laboratory.
    pub bytes_crossed: u64,
    /// Statements acknowledged while it stood.
    pub statements_during: u64,
}

/// What one nation wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Written {
    /// Its code.
    pub nation: String,
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Acknowledged writes by kind of statement.
    pub kinds: BTreeMap<String, u64>,
    /// From the start of the run to its first acknowledged write.
    pub first_ms: Option<u64>,
    /// From the start of the run to its last acknowledged write.
    pub last_ms: Option<u64>,
    /// From the start of the run until all live nodes were seen to hold all of it; absent if they never were.
    pub everybody_had_it_ms: Option<u64>,
}

/// What became of the rows of a data folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rows {
    /// Rows read.
    pub read: u64,
    /// Rows that are pledges.
    pub pledges: u64,
    /// Rows that are observations.
    pub observations: u64,
    /// Rows refused.
    pub refused: u64,
    /// The same by donor.
    pub by_donor: Vec<RowCount>,
    /// Every refused row.
    pub refusals: Vec<RefusedRow>,
}

impl Report {
    /// Returns the exit code: 0 if the nodes converged, nothing was lost and every expectation held, else 1.
    pub fn exit(&self) -> u8 {
        let is_clean_cut = self.cuts.iter().all(|cut| cut.bytes_crossed == 0);
        let is_as_expected = self.findings.iter().all(|finding| finding.held);
        let is_sound = self.converged && self.statements_lost == 0 && is_clean_cut && self.problems.is_empty();
        u8::from(!(is_sound && is_as_expected))
    }

    /// Returns the report for people, in lines of text.
    pub fn text(&self) -> String {
        text::render(self)
    }
}

impl ScenarioList {
    /// Returns the list of these scenarios.
    pub fn of(scenarios: &[Scenario]) -> Self {
        let row = |scenario: &Scenario| ScenarioRow {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            nations: scenario.codes(),
        };
        Self { scenarios: scenarios.iter().map(row).collect() }
    }

    /// Returns the list for people, in lines of text.
    pub fn text(&self) -> String {
        let width = self.scenarios.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let line = |row: &ScenarioRow| format!("{:<width$}  {} nations  {}", row.name, row.nations.len(), row.about);
        self.scenarios.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Rows {
    /// Sums the counts of all donors.
    pub fn new(by_donor: Vec<RowCount>, refusals: Vec<RefusedRow>) -> Self {
        let sum = |count: fn(&RowCount) -> u64| by_donor.iter().map(count).fold(0, u64::saturating_add);
        Self {
            read: sum(|count| count.read),
            pledges: sum(|count| count.pledges),
            observations: sum(|count| count.observations),
            refused: sum(|count| count.refused),
            by_donor,
            refusals,
        }
    }
}

#[cfg(test)]
mod tests;
