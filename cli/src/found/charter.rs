//! The charter file: what a node knows of the alliance, carried to where the root keys are. It is evaluated here as a node
//! evaluates it, every signature checked; only what the node says it *holds* is taken on its word, since it is one's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comity_node::api::model::{CharterExport, HeldWhole, LastHeard, moment};
use comity_protocol::charter::{Anchor, Charter};
use comity_protocol::control::ControlRecord;
use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{
    AllianceId, AuthorId, AuthorKey, CharterId, EnvelopeId, Id, NationId, Timestamp, Tip, unhex,
};

use super::file::{self, FileFields, FileKind};
use super::genesis;
use crate::failure::Failure;

/// What the evaluation starts from: a genesis as long as nothing was decided since, or a charter file.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Basis {
    /// The alliance's genesis, as long as its membership never changed.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// A charter file, as `comity charter export` writes it.
    #[arg(long, value_name = "FILE")]
    pub charter: Option<PathBuf>,
}

/// A charter file, evaluated.
#[derive(Debug)]
pub struct CharterFile {
    /// What its records say.
    pub state: State,
    /// The nation whose node wrote it; none where it is a bare genesis.
    pub nation: Option<NationId>,
    /// What that node holds whole.
    pub held: Vec<Whole>,
    /// The same, as the node said it.
    pub rows: Vec<HeldWhole>,
    /// When that node last heard of each nation, by the nations' own clocks.
    pub heard: BTreeMap<NationId, Timestamp>,
}

/// A position up to which the own node holds a chain, every body included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The chain.
    pub author: AuthorId,
    /// The position.
    pub tip: Tip,
    /// `accepted`, `final`, `branch` or `named`.
    pub what: String,
    /// Position at which the chain says two things.
    pub fork: Option<u64>,
    /// Nations whose witnesses acknowledge it, of a `final` position.
    pub seen_by: Vec<NationId>,
}

impl Basis {
    /// Reads and evaluates what was named.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4 (cannot be read), 2 (something else, or damaged) or 1 (a signature fails).
    pub fn load(&self) -> Result<CharterFile, Failure> {
        match (&self.charter, &self.genesis) {
            (Some(path), _) => load(path),
            (None, Some(path)) => founded(path),
            (None, None) => Err(Failure::usage("neither --charter nor --genesis is given")),
        }
    }
}

impl CharterFile {
    /// The charter in force.
    ///
    /// # Errors
    /// [`Failure`] with exit code 2 where the file holds no genesis.
    pub fn charter(&self) -> Result<&Charter, Failure> {
        self.state.charter().ok_or_else(|| {
            Failure::usage("the charter file holds no genesis").hint("export it again: `comity charter export`")
        })
    }

    /// Returns the last position of a chain that counts and that the own node holds whole: the accepted one, or of a forked
    /// chain the final one where that is deeper.
    pub fn best(&self, author: &AuthorId) -> Option<Tip> {
        let counts = |whole: &&Whole| whole.author == *author && (whole.what == "accepted" || whole.what == "final");
        self.held.iter().filter(counts).map(|whole| whole.tip).max()
    }

    /// Whether the own node says that it holds a chain whole up to exactly this position.
    pub fn holds(&self, author: &AuthorId, tip: &Tip) -> bool {
        self.held.iter().any(|whole| whole.author == *author && whole.tip == *tip)
    }
}

/// Reads a bare genesis as a charter file of nobody's node.
fn founded(path: &Path) -> Result<CharterFile, Failure> {
    let signed = genesis::load(path)?;
    let alliance = signed.genesis.alliance_id();
    let record = ControlRecord::Genesis(signed)
        .verify()
        .map_err(|error| Failure::refused("the genesis is not valid").because(error.to_string()))?;
    let state = evaluate(Anchor::founding(alliance), vec![Element::Control(record)]);
    Ok(CharterFile { state, nation: None, held: Vec::new(), rows: Vec::new(), heard: BTreeMap::new() })
}

/// Reads and evaluates a charter file.
///
/// # Errors
/// As [`Basis::load`].
pub fn load(path: &Path) -> Result<CharterFile, Failure> {
    let (_, fields) = file::read(path, &[FileKind::Charter])?;
    let export = read_export(path, &fields)?;
    of_export(&export).map_err(|failure| Failure {
        error: format!("{}: {}", path.display(), failure.error),
        hint: failure.hint.or_else(|| Some("export it again: `comity charter export`".to_owned())),
        ..failure
    })
}

/// Writes what a node answered as a charter file.
///
/// # Errors
/// [`Failure`] with exit code 4; an existing file is never overwritten.
pub fn save(path: &Path, export: &CharterExport) -> Result<(), Failure> {
    let numbered = |name: &str, at: usize| format!("{name}.{:06}", at + 1);
    let anchor = format!("{}:{}", export.anchor_height, export.anchor);
    let mut fields: Vec<(String, String)> = [
        ("alliance", &export.alliance),
        ("anchor", &anchor),
        ("nation", &export.nation),
        ("code", &export.code),
        ("node", &export.node),
        ("at", &export.at),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .into();
    fields.extend(export.records.iter().enumerate().map(|(at, record)| (numbered("record", at), record.clone())));
    fields.extend(export.held.iter().enumerate().map(|(at, whole)| (numbered("held", at), held_line(whole))));
    let heard = export.heard.iter().map(|last| format!("{} {}", last.nation, last.time));
    fields.extend(heard.enumerate().map(|(at, line)| (numbered("heard", at), line)));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    file::write(path, FileKind::Charter, &fields)
}

fn held_line(whole: &HeldWhole) -> String {
    let fork = whole.fork.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let seen = if whole.seen_by.is_empty() { "-".to_owned() } else { whole.seen_by.join(",") };
    format!("{} {} {} {}:{} {fork} {seen}", whole.nation, whole.node, whole.what, whole.seq, whole.envelope)
}

fn read_export(path: &Path, fields: &FileFields) -> Result<CharterExport, Failure> {
    let text = |name: &str| file::field(path, fields, name).map(str::to_owned);
    let anchor = text("anchor")?;
    let damaged = |what: &str| Failure::usage(format!("{} is damaged", path.display())).because(what.to_owned());
    let (height, anchor) = anchor.split_once(':').ok_or_else(|| damaged("the anchor is no HEIGHT:ID"))?;
    let all = |prefix: &str| {
        let prefix = prefix.to_owned();
        fields.iter().filter(move |(name, _)| name.starts_with(&prefix)).map(|(_, value)| value.as_str())
    };
    let held = all("held.").map(|line| read_held(line).ok_or_else(|| damaged("a line of what is held cannot be read")));
    let heard = all("heard.").map(|line| {
        let (nation, time) = line.split_once(' ').ok_or_else(|| damaged("a line of who was heard cannot be read"))?;
        Ok::<_, Failure>(LastHeard { nation: nation.to_owned(), time: time.to_owned() })
    });
    Ok(CharterExport {
        alliance: text("alliance")?,
        anchor_height: height.parse().map_err(|_| damaged("the anchor's height is no number"))?,
        anchor: anchor.to_owned(),
        nation: text("nation")?,
        code: text("code")?,
        node: text("node")?,
        at: text("at")?,
        records: all("record.").map(str::to_owned).collect(),
        held: held.collect::<Result<_, _>>()?,
        heard: heard.collect::<Result<_, _>>()?,
    })
}

fn read_held(line: &str) -> Option<HeldWhole> {
    let words: Vec<&str> = line.split(' ').collect();
    let [nation, node, what, position, fork, seen] = words[..] else { return None };
    let (seq, envelope) = position.split_once(':')?;
    Some(HeldWhole {
        nation: nation.to_owned(),
        node: node.to_owned(),
        what: what.to_owned(),
        seq: seq.parse().ok()?,
        envelope: envelope.to_owned(),
        fork: if fork == "-" { None } else { Some(fork.parse().ok()?) },
        seen_by: if seen == "-" { Vec::new() } else { seen.split(',').map(str::to_owned).collect() },
    })
}

/// Evaluates what a node answered.
///
/// # Errors
/// [`Failure`]: exit code 2 for what cannot be read, 1 for a record whose signatures fail.
pub fn of_export(export: &CharterExport) -> Result<CharterFile, Failure> {
    let alliance: AllianceId = id("alliance", &export.alliance)?;
    let charter: CharterId = id("anchor", &export.anchor)?;
    let mut elements = Vec::with_capacity(export.records.len());
    for (at, text) in export.records.iter().enumerate() {
        elements.push(Element::Control(decode_record(text).map_err(|failure| Failure {
            error: format!("record {} cannot be used: {}", at + 1, failure.error),
            ..failure
        })?));
    }
    let mut heard = BTreeMap::new();
    for last in &export.heard {
        let time = moment(&last.time).ok_or_else(|| Failure::usage(format!("{:?} is no moment", last.time)))?;
        heard.insert(id("nation", &last.nation)?, time);
    }
    let held = export.held.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    Ok(CharterFile {
        state: evaluate(Anchor { alliance, height: export.anchor_height, charter }, elements),
        nation: Some(id("nation", &export.nation)?),
        held,
        rows: export.held.clone(),
        heard,
    })
}

/// Reads a control record as the API gives it, and checks its signatures.
///
/// # Errors
/// [`Failure`]: exit code 2 for what cannot be read, 1 where a signature fails.
pub fn decode_record(text: &str) -> Result<comity_protocol::control::VerifiedControl, Failure> {
    let bytes = unhex(text).ok_or_else(|| Failure::usage("it is not hexadecimal"))?;
    let Some((kind, bytes)) = bytes.split_first() else { return Err(Failure::usage("it is empty")) };
    let record = ControlRecord::decode(*kind, bytes)
        .map_err(|error| Failure::usage("it is no control record").because(format!("R01: {error}")))?;
    record.verify().map_err(|error| Failure::refused("its signature fails").because(format!("R05: {error}")))
}

fn whole(row: &HeldWhole) -> Result<Whole, Failure> {
    Ok(Whole {
        author: AuthorId { nation: id("nation", &row.nation)?, key: id::<_>("node", &row.node)? },
        tip: Tip { seq: row.seq, id: id("envelope", &row.envelope)? },
        what: row.what.clone(),
        fork: row.fork,
        seen_by: row.seen_by.iter().map(|nation| id("nation", nation)).collect::<Result<_, _>>()?,
    })
}

fn id<K>(what: &str, text: &str) -> Result<Id<K>, Failure> {
    Id::from_hex(text).ok_or_else(|| Failure::usage(format!("{text:?} is no id of {what}: 64 hexadecimal digits")))
}

/// Reads SEQ:ID, or 0 for nothing.
///
/// # Errors
/// [`Failure`] with exit code 2.
pub fn parse_tip(text: &str) -> Result<Tip, Failure> {
    if text == "0" {
        return Ok(Tip::NONE);
    }
    let tip = text.split_once(':').and_then(|(seq, id)| {
        Some(Tip { seq: seq.parse().ok().filter(|seq| *seq > 0)?, id: EnvelopeId::from_hex(id)? })
    });
    tip.ok_or_else(|| {
        Failure::usage(format!("{text:?} names no envelope"))
            .hint("write SEQ:ID with the full id, as `comity explain` prints it, or 0")
    })
}

/// Finds a node of a roster by its label or its key.
///
/// # Errors
/// [`Failure`] with exit code 2 where none or several fit.
pub fn find_key(roster: &comity_protocol::control::Roster, text: &str) -> Result<AuthorKey, Failure> {
    let mut fit = roster.keys.iter().filter(|key| key.label == text || key.node.hex() == text).map(|key| key.node);
    match (fit.next(), fit.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Failure::usage(format!("no node {text:?} in the roster"))
            .hint("`comity roster show` lists labels and keys")),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several nodes are called {text:?}"))
            .hint("name it by its key, as `comity roster show` prints it")),
    }
}
