//! What operators type: commands of the product on a node's home.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::ExerciseError;
use crate::exercise::stage::Stage;
use crate::processes::{Ran, comity};
use crate::report::Command;

/// Lines of a command's output that a report keeps.
const SHOWN_LINES_MAX: usize = 12;
/// Pause before a command is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How a command must end.
pub(super) struct Expected<'a> {
    /// Its exit code.
    pub(super) exit: u8,
    /// Words it must print.
    pub(super) says: Option<&'a str>,
    /// How long it is repeated until it does.
    pub(super) within: Duration,
}

/// Runs a command on a node's home; how it ends and what it prints are expectations of the scenario.
pub(super) async fn run(
    stage: &mut Stage,
    name: &str,
    args: &[String],
    expected: &Expected<'_>,
) -> Result<(), ExerciseError> {
    stage.step(&format!("{name}: comity {}", args.join(" ")));
    let began = Instant::now();
    let (typed, ran, unmet) = loop {
        let typed = meant(stage, name, args).await?;
        let of: [OsString; 2] = ["--home".into(), stage.layout.home(name).into()];
        let ran = comity(&stage.exe, of.into_iter().chain(typed.iter().map(OsString::from)).collect()).await?;
        let unmet = unmet(&ran, expected);
        if unmet.is_none() || began.elapsed() >= expected.within {
            break (typed.join(" "), ran, unmet);
        }
        sleep(AGAIN_AFTER).await;
    };
    if let Some(unmet) = unmet {
        stage.problems.push(format!("{name}: comity {typed} {unmet}"));
    }
    stage.trust.commands.push(Command {
        on: name.to_owned(),
        command: typed,
        exit: ran.code,
        printed: printed(&ran).lines().take(SHOWN_LINES_MAX).map(str::to_owned).collect(),
        at_ms: stage.ledger.now_ms(),
    });
    Ok(())
}

fn printed(ran: &Ran) -> String {
    [ran.stdout.trim(), ran.stderr.trim()].join("\n").trim().to_owned()
}

fn unmet(ran: &Ran, expected: &Expected<'_>) -> Option<String> {
    let printed = printed(ran);
    if ran.code != i32::from(expected.exit) {
        return Some(format!("ended with {} and not {}: {printed}", ran.code, expected.exit));
    }
    let says = expected.says.filter(|says| !printed.contains(says))?;
    Some(format!("does not say {says:?} but: {printed}"))
}

/// The end of a stopped node's own chain, as `comity node confirm` shows it.
#[derive(Deserialize)]
struct Adoption {
    seq: u64,
    envelope: String,
}

/// Returns a command with what its placeholders stand for.
async fn meant(stage: &Stage, name: &str, args: &[String]) -> Result<Vec<String>, ExerciseError> {
    let dir = stage.layout.dir().display().to_string();
    let mut meant: Vec<String> = args.iter().map(|arg| arg.replace("{dir}", &dir)).collect();
    for (batch, written) in &stage.trust.batches {
        for (place, version) in written.versions.iter().enumerate() {
            let holder = format!("{{{batch}.{}}}", place + 1);
            meant.iter_mut().for_each(|arg| *arg = arg.replace(&holder, version));
        }
    }
    if meant.iter().any(|arg| arg.contains("{adopt}")) {
        let look: Vec<OsString> =
            vec!["--home".into(), stage.layout.home(name).into(), "--json".into(), "node".into(), "confirm".into()];
        let shown = comity(&stage.exe, look).await?.stdout;
        let adopt = serde_json::from_str::<Adoption>(&shown).map(|end| format!("{}:{}", end.seq, end.envelope));
        let adopt = adopt.unwrap_or_else(|_| "0".to_owned());
        meant.iter_mut().for_each(|arg| *arg = arg.replace("{adopt}", &adopt));
    }
    Ok(meant)
}
