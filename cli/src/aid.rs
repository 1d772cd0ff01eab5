//! A verb for every kind of statement, made from the one table of kinds: add, list, show, revise, withdraw, close.

mod fields;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use comity_node::api::model::{Draft, WriteAnswer, WriteRequest};
use comity_protocol::statement::Kind;
use comity_protocol::statement::schema::{FieldType, KindSpec, Need};
use serde_json::Map;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;
use crate::query::{self, AsOf, RecordQuery, Source};
use crate::table::short;

/// The heading over the options of every command that writes.
pub const WRITING: &str = "Writing";

/// Returns one command for each kind of statement but those of decisions.
pub fn commands() -> impl Iterator<Item = Command> {
    Kind::ALL.into_iter().filter(|kind| !decides(*kind)).map(|kind| command(kind.spec()))
}

/// Returns the kind that a command of this name is about.
pub fn kind_of(name: &str) -> Option<Kind> {
    Kind::from_name(&name.replace('-', "_")).filter(|kind| !decides(*kind))
}

/// Whether a kind has its verbs under `comity decision` instead.
fn decides(kind: Kind) -> bool {
    kind == Kind::Propose || Kind::ANSWERS.contains(&kind)
}

/// Runs the command of one kind.
///
/// # Errors
/// [`Failure`]; a refused statement leaves nothing behind.
pub fn run(kind: Kind, matches: &ArgMatches, api: &Api, output: &Output) -> Result<(), Failure> {
    let (verb, matches) = matches.subcommand().expect("a verb is required");
    match verb {
        "list" => query::list(kind.name(), &as_of(matches), &Source::Node(api), output),
        "show" => {
            let reference = record(matches);
            query::read(&RecordQuery::Show { reference, as_of: as_of(matches) }, &Source::Node(api), output)
        }
        "add" => {
            let fields = fields::draft(kind.spec(), matches)?;
            let draft = Draft { kind: kind.name().to_owned(), record: None, status: None, fields };
            write(draft, &sending(matches), api, output)
        }
        revision => {
            let record = Some(record(matches));
            let status = match revision {
                "withdraw" => Some("withdrawn".to_owned()),
                "close" => Some("closed".to_owned()),
                _ => None,
            };
            let fields = if revision == "revise" { fields::draft(kind.spec(), matches)? } else { Map::new() };
            write(Draft { kind: kind.name().to_owned(), record, status, fields }, &sending(matches), api, output)
        }
    }
}

fn command(spec: &'static KindSpec) -> Command {
    let name = spec.kind.name();
    let verb = name.replace('_', "-");
    let record = Arg::new("record")
        .required(true)
        .value_name("RECORD")
        .help(format!("CODE/{name}/id, or any unique prefix of it"));
    let mut command = Command::new(verb)
        .about(format!("{} (written by: {})", sentence(spec.doc), spec.writer.name()))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            with_fields(Command::new("add").about(format!("File a new {}", name.replace('_', " "))), spec, Entry::New)
                .after_help(example(spec)),
        )
        .subcommand(Command::new("list").about("List all of this kind").arg(as_of_arg()))
        .subcommand(Command::new("show").about("Show one with its history").arg(record.clone()).arg(as_of_arg()))
        .subcommand(with_fields(
            Command::new("revise")
                .about("Write a new version; fields that are not named stay as they are")
                .arg(record.clone()),
            spec,
            Entry::Revision,
        ));
    if spec.statuses.contains(&"withdrawn") {
        let about = "Take it back; it stays readable";
        command = command.subcommand(with_write(Command::new("withdraw").about(about).arg(record.clone())));
    }
    if spec.statuses.contains(&"closed") {
        command = command.subcommand(with_write(Command::new("close").about("Close it").arg(record)));
    }
    command
}

/// Returns a doc line as help says it: without the full stop.
fn sentence(doc: &'static str) -> &'static str {
    doc.strip_suffix('.').unwrap_or(doc)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    New,
    Revision,
}

fn with_fields(mut command: Command, spec: &'static KindSpec, entry: Entry) -> Command {
    for field in spec.all_fields().filter(|field| field.name != "status") {
        let flag = field.name.replace('_', "-");
        let mut arg =
            Arg::new(field.name).long(flag).help(sentence(field.doc)).value_name(fields::value_name(&field.holds));
        arg = match field.holds {
            FieldType::List(..) | FieldType::Map(..) | FieldType::Lines(_) => arg.action(ArgAction::Append),
            FieldType::Flag => arg
                .num_args(0..=1)
                .default_missing_value("true")
                .value_parser(["true", "false"])
                .hide_possible_values(true),
            FieldType::Choice(words) => arg.value_parser(words.to_vec()),
            FieldType::Degrees(_) => arg.allow_negative_numbers(true),
            _ => arg,
        };
        command = command.arg(arg.required(entry == Entry::New && field.need == Need::Required));
    }
    with_write(command)
}

fn with_write(command: Command) -> Command {
    command
        .next_help_heading(WRITING)
        .arg(
            Arg::new("request-id")
                .long("id")
                .value_name("KEY")
                .help("Idempotency key: the same key and content give the same answer, other content is refused"),
        )
        .arg(
            Arg::new("if-version")
                .long("if-version")
                .value_name("ID")
                .help("Write only if this version (its envelope id) is still the latest"),
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .default_value("0")
                .help("Return when N other nations confirm holding it"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .value_parser(value_parser!(u32))
                .default_value("30")
                .help("Give up waiting after this long; the statement stays written"),
        )
}

fn as_of_arg() -> Arg {
    Arg::new("as_of")
        .long("as-of")
        .value_name("TIME")
        .help("Compute for this moment (RFC 3339, or a day: its end) instead of now")
}

fn example(spec: &KindSpec) -> String {
    let example = match spec.kind {
        Kind::Profile => "profile add --name Poland --contact 'duty officer, +48 …'",
        Kind::Hub => "hub add --name Rzeszów --hub-kind airport --code EPRZ --modes road --capacity road=400",
        Kind::Requirement => {
            "requirement add --item 'winter tents' --class II --quantity 1000 --unit each --priority 1"
        }
        Kind::Pledge => "pledge add --requirement UKR/requirement/7k3m --quantity 400 --deliver-by 2026-12-10",
        Kind::Accept => "accept add --pledge POL/pledge/9x2d --quantity 300",
        Kind::Decline => "decline add --pledge POL/pledge/9x2d --reason 'already covered'",
        Kind::Shipment => {
            "shipment add --lines 'pledge=POL/pledge/9x2d,quantity=300' --legs 'from=Warsaw,to=Lviv,mode=road'"
        }
        Kind::Dispatch => "dispatch add --shipment POL/shipment/4c8w",
        Kind::LossReport => "loss-report add --shipment POL/shipment/4c8w --line 0 --quantity 20 --reason fire",
        Kind::Receipt => "receipt add --shipment POL/shipment/4c8w --line 0 --counted 280 --damaged torn=5 --final",
        Kind::Observation => "observation add --source 'OCHA FTS' --row 12 --item shelter --donor DEU",
        Kind::ItemType => "item-type add --name 'winter tent, 10 persons' --class II --nsn 8340-12-345-6789",
        Kind::UnitConversion => "unit-conversion add --item flour --from-unit pallet --from 1 --quantity 800 --unit kg",
        Kind::Valuation => {
            "valuation add --item flour --quantity 1 --unit t --value 45000 --currency EUR --day 2026-11-01"
        }
        Kind::FxTable => "fx-table add --base EUR --day 2026-11-24 --rates USD=0.9221 --rates JPY=0.00612",
        Kind::Topic => "topic add --code water-quality --sources",
        Kind::Allotment => {
            "allotment add --hub POL/hub/3d7k --nation DEU --mode road --tonnes 120 --from 2026-12-01 --to 2026-12-31"
        }
        Kind::TransitPermit => {
            "transit-permit add --from Dresden --to POL/hub/3d7k --mode road --valid-from 2026-12-01 --valid-to 2026-12-31"
        }
        Kind::Endorse => "endorse add --requirement UKR/requirement/7k3m --text 'seen on the spot'",
        Kind::StockLot => "stock-lot add --item 'winter tents' --quantity 600 --unit each --place Augsburg",
        Kind::StandbyPledge => {
            "standby-pledge add --on-nation DEU --requirement UKR/requirement/7k3m --quantity 200 --deliver-by 2026-12-20"
        }
        Kind::Fund => "fund add --pledge POL/pledge/9x2d --amount 2500000 --currency EUR",
        Kind::AcceptSubstitute => {
            "accept-substitute add --pledge POL/pledge/9x2d --item 'tarpaulins' --per 4 --counts 1"
        }
        Kind::ConsentRequest => "consent-request add --pledge POL/pledge/9x2d --origin USA --end-user UKR",
        Kind::Consent => "consent add --request POL/consent_request/5m1q --quantity 300 --valid-to 2027-03-31",
        Kind::SlotRequest => {
            "slot-request add --hub POL/hub/3d7k --mode road --tonnes 40 --from 2026-12-08 --priority 1"
        }
        Kind::SlotGrant => "slot-grant add --request DEU/slot_request/8w0t",
        Kind::SlotRefuse => "slot-refuse add --request DEU/slot_request/8w0t --reason 'gate under repair'",
        Kind::SlotUse => "slot-use add --request DEU/slot_request/8w0t --day 2026-12-08 --tonnes 38",
        Kind::HandOver => "hand-over add --shipment DEU/shipment/4c8w --leg 0 --to POL",
        Kind::TakeOver => "take-over add --shipment DEU/shipment/4c8w --leg 0 --from DEU",
        Kind::Return => "return add --shipment POL/shipment/4c8w --line 0 --quantity 7 --reason 'mouldy'",
        Kind::Inventory => {
            "inventory add --item generator --counted 12 --unit each --serials G-114 --method 'counted on site'"
        }
        Kind::Settle => {
            "settle add --shipment POL/shipment/4c8w --line 0 --dispatched 1000 --received 975 --reason 'torn in transit'"
        }
        Kind::SuspendNotice => "suspend-notice add --from 2026-12-01 --scope pledges --reason 'elections'",
        Kind::Propose | Kind::Seen | Kind::Assent | Kind::Object | Kind::Reserve | Kind::RequestExtension => {
            "decision --help"
        }
    };
    format!("Example: comity {example}")
}

/// How a draft is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The idempotency key.
    pub id: Option<&'a str>,
    /// The version that must still be the latest.
    pub if_version: Option<&'a str>,
    /// How many other nations are to confirm holding it.
    pub wait: u32,
    /// For how long that is waited for.
    pub timeout_s: u32,
}

fn sending(matches: &ArgMatches) -> Sending<'_> {
    Sending {
        id: text(matches, "request-id"),
        if_version: text(matches, "if-version"),
        wait: *matches.get_one::<u32>("wait").expect("has a default"),
        timeout_s: *matches.get_one::<u32>("timeout").expect("has a default"),
    }
}

/// Writes a draft and prints what became of it.
///
/// # Errors
/// [`Failure`]; a refused statement leaves nothing behind.
pub fn write(draft: Draft, sending: &Sending<'_>, api: &Api, output: &Output) -> Result<(), Failure> {
    let answer = send(draft, sending, api)?;
    output.result(&answer, || in_words(&answer));
    held(&answer, sending.wait)
}

/// Writes a draft.
///
/// # Errors
/// [`Failure`]; a refused statement leaves nothing behind.
pub fn send(draft: Draft, sending: &Sending<'_>, api: &Api) -> Result<WriteAnswer, Failure> {
    let timeout_ms = u64::from(sending.timeout_s) * 1_000;
    let request = WriteRequest {
        id: sending.id.map(str::to_owned),
        if_version: sending.if_version.map(str::to_owned),
        wait: sending.wait,
        timeout_ms: Some(timeout_ms),
        draft,
    };
    api.run(|client| async move {
        let client = client.with_timeout(std::time::Duration::from_millis(timeout_ms + 30_000));
        client.post("/v1/write", request.id.as_deref(), &request).await
    })
}

/// Fails where fewer nations hold what was written than were asked for.
///
/// # Errors
/// [`Failure`]; the statement stays written.
pub fn held(answer: &WriteAnswer, wait: u32) -> Result<(), Failure> {
    if answer.wait_satisfied == Some(false) {
        return Err(Failure::refused(format!("{} of {wait} other nations confirmed in time", answer.held_by.len()))
            .because(format!("held by {} so far; it is durable here", list(&answer.held_by)))
            .hint("nothing is lost: it spreads as soon as they can be reached"));
    }
    Ok(())
}

/// Returns what was written in words.
pub fn in_words(answer: &WriteAnswer) -> String {
    let again = if answer.replayed { " (already written under this key)" } else { "" };
    format!(
        "{} version {}{again}\ndurable here, held by {}",
        answer.record,
        short(&answer.version),
        list(&answer.held_by)
    )
}

fn list(nations: &[String]) -> String {
    if nations.is_empty() { "no other nation yet".to_owned() } else { nations.join(" ") }
}

fn record(matches: &ArgMatches) -> String {
    text(matches, "record").expect("the record is required").to_owned()
}

fn as_of(matches: &ArgMatches) -> AsOf {
    AsOf { as_of: text(matches, "as_of").map(str::to_owned) }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}
