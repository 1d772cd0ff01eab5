//! `comity decision`: deciding by silence, without a chair (DOMAIN 2.8).

mod words;

use std::path::PathBuf;

use comity_node::api::model::{Decision, Decisions, Draft, WriteAnswer};
use comity_protocol::ids::{Timestamp, hex};
use comity_protocol::keys::sha256;
use comity_protocol::statement::Kind;
use comity_protocol::statement::schema::PARAGRAPH_BYTES_MAX;
use comity_protocol::statement::silence::PERIOD_MS;
use serde_json::{Map, Value, json};

use crate::aid::{self, Sending, WRITING};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::{Output, now};
use crate::query::AsOf;

/// Decisions by silence: what nobody objects to in time stands.
#[derive(clap::Subcommand, Debug)]
pub enum DecisionCommand {
    /// Ask nations to decide something by silence.
    Propose(ProposeArgs),
    /// Put another version in a proposal's place; whoever answered the old one answers again.
    Amend(AmendArgs),
    /// Take a proposal back; it stays readable.
    Withdraw(AnswerArgs),
    /// Say that this nation has seen a proposal; it decides nothing.
    Seen(AnswerArgs),
    /// Say yes; it stands for good.
    Assent(WordsArgs),
    /// Object; one objection in time breaks the silence.
    Object(WordsArgs),
    /// Let a proposal pass with a reservation.
    Reserve(ReserveArgs),
    /// Ask for 24 hours more, once.
    Extend(WordsArgs),
    /// List every proposal, by state and deadline.
    List {
        #[command(flatten)]
        as_of: AsOf,
        /// Only those in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Show who assented, kept silence or objected, and what is still to be proved.
    Show {
        /// CODE/propose/id, or any unique prefix of it.
        proposal: String,
        #[command(flatten)]
        as_of: AsOf,
    },
}

/// What a proposal says.
#[derive(clap::Args, Debug)]
pub struct ProposeArgs {
    /// What is to be decided.
    #[arg(long)]
    title: String,
    /// A file with the text; its hash is stored, and the text where it fits.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Codes of the nations that decide, with a comma between them; all members if left out.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    participants: Vec<String>,
    /// When it opens; now if left out.
    #[arg(long, value_name = "TIME")]
    opens_at: Option<String>,
    /// When it closes: at least 24 hours after it opens; better 48, for a witness must have seen it 12 hours before.
    #[arg(long, value_name = "TIME")]
    closes_at: String,
    /// Of proposals with one key one stands.
    #[arg(long, value_name = "KEY")]
    subject_key: Option<String>,
    /// A shared parameter it changes; may stand several times.
    #[arg(long, value_name = "NAME=VALUE")]
    effect: Vec<String>,
    /// Allow less than 24 hours: then only the assent of all adopts it.
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    writing: Writing,
}

/// What a new version of a proposal says; what is not named stays as it is.
#[derive(clap::Args, Debug)]
pub struct AmendArgs {
    /// CODE/propose/id, or any unique prefix of it.
    proposal: String,
    /// What is to be decided.
    #[arg(long)]
    title: Option<String>,
    /// A file with the new text.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// When the new version closes: at least 24 hours from now.
    #[arg(long, value_name = "TIME")]
    closes_at: String,
    /// A shared parameter it changes, in place of those before; may stand several times.
    #[arg(long, value_name = "NAME=VALUE")]
    effect: Vec<String>,
    /// Allow less than 24 hours: then only the assent of all adopts it.
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    writing: Writing,
}

/// A proposal.
#[derive(clap::Args, Debug)]
pub struct AnswerArgs {
    /// CODE/propose/id, or any unique prefix of it; …@version for an older version.
    proposal: String,
    #[command(flatten)]
    writing: Writing,
}

/// A proposal, and words to it.
#[derive(clap::Args, Debug)]
pub struct WordsArgs {
    /// CODE/propose/id, or any unique prefix of it; …@version for an older version.
    proposal: String,
    /// Why, or how this nation understands it.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    #[command(flatten)]
    writing: Writing,
}

/// A proposal, and a reservation.
#[derive(clap::Args, Debug)]
pub struct ReserveArgs {
    /// CODE/propose/id, or any unique prefix of it; …@version for an older version.
    proposal: String,
    /// The reservation.
    #[arg(long, value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    writing: Writing,
}

/// How it is written.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = WRITING)]
pub struct Writing {
    /// Idempotency key: the same key and content give the same answer, other content is refused.
    #[arg(long = "id", value_name = "KEY")]
    request_id: Option<String>,
    /// Return when N other nations confirm holding it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    wait: u32,
    /// Give up waiting after this long; the statement stays written.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
}

impl Writing {
    fn sending(&self) -> Sending<'_> {
        Sending { id: self.request_id.as_deref(), if_version: None, wait: self.wait, timeout_s: self.timeout }
    }
}

/// Runs a command about decisions.
///
/// # Errors
/// [`Failure`]; a refused statement leaves nothing behind.
pub fn run(command: &DecisionCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        DecisionCommand::Propose(args) => propose(args, api, output),
        DecisionCommand::Amend(args) => amend(args, api, output),
        DecisionCommand::Withdraw(args) => {
            let shown = decision(&args.proposal, &AsOf { as_of: None }, api)?;
            note_deadline(&shown, "what is taken back now does not undo a decision that is adopted");
            let draft = draft(Kind::Propose, Some(shown.record), Some("withdrawn"), Map::new());
            aid::write(draft, &args.writing.sending(), api, output)
        }
        DecisionCommand::Seen(args) => answer(Kind::Seen, &args.proposal, None, &args.writing, api, output),
        DecisionCommand::Assent(args) => {
            answer(Kind::Assent, &args.proposal, args.text.as_deref(), &args.writing, api, output)
        }
        DecisionCommand::Object(args) => {
            answer(Kind::Object, &args.proposal, args.text.as_deref(), &args.writing, api, output)
        }
        DecisionCommand::Reserve(args) => {
            answer(Kind::Reserve, &args.proposal, Some(&args.text), &args.writing, api, output)
        }
        DecisionCommand::Extend(args) => {
            answer(Kind::RequestExtension, &args.proposal, args.text.as_deref(), &args.writing, api, output)
        }
        DecisionCommand::List { as_of, state } => {
            let mut all: Decisions =
                api.run(|client| async move { client.get("/v1/decisions", &as_of.query()).await })?;
            all.rows.retain(|row| state.as_ref().is_none_or(|state| row.state == *state));
            output.result(&all, || words::list(&all));
            Ok(())
        }
        DecisionCommand::Show { proposal, as_of } => {
            let shown = decision(proposal, as_of, api)?;
            output.result(&shown, || words::show(&shown));
            Ok(())
        }
    }
}

fn decision(proposal: &str, as_of: &AsOf, api: &Api) -> Result<Decision, Failure> {
    let mut query = as_of.query();
    query.push(("ref", proposal));
    api.run(|client| async move { client.get("/v1/decision", &query).await })
}

fn draft(kind: Kind, record: Option<String>, status: Option<&str>, fields: Map<String, Value>) -> Draft {
    Draft { kind: kind.name().to_owned(), record, status: status.map(str::to_owned), fields }
}

fn propose(args: &ProposeArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let opens_at = match &args.opens_at {
        Some(text) => moment("--opens-at", text)?,
        None => Timestamp(now().0 / 1_000 * 1_000),
    };
    let mut fields = Map::new();
    fields.insert("title".to_owned(), json!(args.title));
    fields.insert("opens_at".to_owned(), json!(opens_at.rfc3339()));
    fields.insert("closes_at".to_owned(), json!(closing(opens_at, &args.closes_at, args.short)?.rfc3339()));
    fields.insert("participants".to_owned(), json!(participants(&args.participants, api)?));
    if let Some(key) = &args.subject_key {
        fields.insert("subject_key".to_owned(), json!(key));
    }
    text(&args.text, &mut fields)?;
    effect(&args.effect, &mut fields)?;
    aid::write(draft(Kind::Propose, None, None, fields), &args.writing.sending(), api, output)
}

fn amend(args: &AmendArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let shown = decision(&args.proposal, &AsOf { as_of: None }, api)?;
    note_deadline(&shown, "the version before stands as it was decided; the new one is decided by itself");
    let opens_at = Timestamp(now().0 / 1_000 * 1_000);
    let mut fields = Map::new();
    fields.insert("opens_at".to_owned(), json!(opens_at.rfc3339()));
    fields.insert("closes_at".to_owned(), json!(closing(opens_at, &args.closes_at, args.short)?.rfc3339()));
    if let Some(title) = &args.title {
        fields.insert("title".to_owned(), json!(title));
    }
    if let Some(path) = &args.text {
        text(path, &mut fields)?;
    }
    effect(&args.effect, &mut fields)?;
    aid::write(draft(Kind::Propose, Some(shown.record), None, fields), &args.writing.sending(), api, output)
}

fn answer(
    kind: Kind,
    proposal: &str,
    text: Option<&str>,
    writing: &Writing,
    api: &Api,
    output: &Output,
) -> Result<(), Failure> {
    let shown = decision(proposal, &AsOf { as_of: None }, api)?;
    let mut fields = Map::new();
    // What this nation answers is the version that was looked at here, whatever arrives meanwhile.
    fields.insert("proposal".to_owned(), json!(format!("{}@{}", shown.record, shown.version)));
    if let Some(text) = text {
        let name = if matches!(kind, Kind::Object | Kind::RequestExtension) { "reason" } else { "text" };
        fields.insert(name.to_owned(), json!(text));
    }
    let written: WriteAnswer = aid::send(draft(kind, None, None, fields), &writing.sending(), api)?;
    output.result(&written, || aid::in_words(&written));
    let after = decision(&format!("{}@{}", shown.record, shown.version), &AsOf { as_of: None }, api)?;
    if let Some(note) = words::consequence(&written.record, &after) {
        eprintln!("{note}");
    }
    aid::held(&written, writing.wait)
}

/// Says on standard error that a proposal has closed already, and what that means.
fn note_deadline(shown: &Decision, what: &str) {
    if shown.deadline.parse::<jiff::Timestamp>().is_ok_and(|deadline| deadline.as_millisecond() <= ms(now())) {
        eprintln!("note: the proposal closed at {}: {what}", shown.deadline);
    }
}

fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// Returns the moment a proposal closes, or says why it may not.
fn closing(opens_at: Timestamp, text: &str, short: bool) -> Result<Timestamp, Failure> {
    let closes_at = moment("--closes-at", text)?;
    if closes_at <= now() {
        return Err(Failure::usage("the deadline has passed already")
            .because(format!("--closes-at is {}", closes_at.rfc3339()))
            .hint("nobody could object in time; choose a later one"));
    }
    if closes_at <= opens_at {
        return Err(Failure::usage("it would close before it opens")
            .because(format!("it opens at {} and closes at {}", opens_at.rfc3339(), closes_at.rfc3339()))
            .hint("choose a later --closes-at"));
    }
    if closes_at.since(opens_at.max(now())) >= PERIOD_MS {
        return Ok(closes_at);
    }
    if !short {
        return Err(Failure::usage("it would be open for less than 24 hours")
            .because(format!("it opens at {} and closes at {}", opens_at.rfc3339(), closes_at.rfc3339()))
            .hint("choose a later --closes-at, or --short where every participant, the proposer too, will assent"));
    }
    eprintln!(
        "note: it is open for less than 24 hours: no silence counts, every participant must assent, the proposer too"
    );
    Ok(closes_at)
}

fn moment(name: &str, text: &str) -> Result<Timestamp, Failure> {
    comity_node::api::model::moment(text).ok_or_else(|| {
        Failure::usage(format!("{text:?} in {name} is no moment"))
            .hint("write 2026-12-01T12:00:00Z, or a day such as 2026-12-01 for its end in UTC")
    })
}

/// Returns the codes that were named; all members of the charter where none was.
fn participants(named: &[String], api: &Api) -> Result<Vec<String>, Failure> {
    if !named.is_empty() {
        return Ok(named.iter().map(|code| code.trim().to_owned()).collect());
    }
    let nations: comity_node::api::model::Nations =
        api.run(|client| async move { client.get("/v1/nations", &[]).await })?;
    Ok(nations.nations.into_iter().map(|nation| nation.code).collect())
}

/// Reads the text: its hash, and the text itself where a statement holds it and shows it.
fn text(path: &std::path::Path, fields: &mut Map<String, Value>) -> Result<(), Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    if bytes.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())).hint("a proposal needs a text"));
    }
    fields.insert("text_hash".to_owned(), json!(hex(&sha256(&bytes))));
    let shown = |text: &str| comity_protocol::statement::visible(text).len() == text.len();
    match String::from_utf8(bytes) {
        Ok(text) if text.len() <= PARAGRAPH_BYTES_MAX && text.lines().all(shown) && !text.contains('\r') => {
            fields.insert("text".to_owned(), json!(text));
        }
        Ok(_) | Err(_) => {
            // A text that was there before is not the text of this hash.
            fields.insert("text".to_owned(), Value::Null);
            eprintln!("note: only the hash of the text is stored; give {} to every participant", path.display());
        }
    }
    Ok(())
}

fn effect(pairs: &[String], fields: &mut Map<String, Value>) -> Result<(), Failure> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut effect = Map::new();
    for pair in pairs {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{pair:?} in --effect has no value")).hint("write NAME=VALUE"))?;
        effect.insert(name.trim().to_owned(), json!(value));
    }
    fields.insert("effect".to_owned(), Value::Object(effect));
    Ok(())
}
