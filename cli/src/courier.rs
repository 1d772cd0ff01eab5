//! `comity courier`: records on a stick between two nodes that no network links.
//!
//! What a file brings passes the checks of a peer's answer, one chunk after the other, so that the node goes on meanwhile. A
//! file is signed by nobody: nothing in it is believed because of who carried it.

mod dry;

use std::path::{Path, PathBuf};

use comity_node::api::model::{CourierAnswer, Status, rfc3339};
use comity_protocol::bundle::{Framed, Piece, Place, Sealed, framed};
use comity_protocol::control::ControlRecord;
use comity_protocol::frontier::FrontierEntry;
use comity_protocol::ids::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::bundle::Streamed;
use crate::bundle::file::{NewFile, Read, ReadFailure, RecordFile};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{counted, short};
use dry::Dry;

/// Bytes of frames sent to the node at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Control records that are offered again, in bytes; a file whose votes lead over several charter versions needs that.
const AGAIN_BYTES_MAX: usize = 4 << 20;
/// Refused frames named one by one; the rest is counted.
const REFUSALS_SHOWN: usize = 20;

/// Records on a stick.
#[derive(clap::Subcommand, Debug)]
pub enum CourierCommand {
    /// Write what another node lacks into a file.
    Export {
        /// Only what this nation's last witness does not name, by code.
        #[arg(long = "for", value_name = "NATION", conflicts_with = "since")]
        nation: Option<String>,
        /// Only what the writer of this courier file did not hold.
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take in a file from another node.
    Import {
        /// The file.
        file: PathBuf,
        /// Check it, say what would come, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Write what this node holds of every chain, to be handed to the other side: its next export is the smaller for it.
    Frontier {
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What an import of a courier file did, or would do.
#[derive(Serialize, ToSchema)]
pub struct CourierImported {
    /// The file.
    file: String,
    /// Whether nothing was changed.
    dry_run: bool,
    /// Whether the file is whole.
    whole: bool,
    /// Key of the node that wrote it, as the file says; `null` if it is not whole.
    written_by: Option<String>,
    /// When, as the file says.
    created: Option<String>,
    /// What came, and what did not.
    taken: CourierAnswer,
    /// Frames that were refused, with their place.
    refused: Vec<RefusedFrame>,
    /// Whether the file holds an envelope of this node's own key that this node does not hold; it stops writing then.
    own_key: bool,
}

/// A frame of a file that was refused.
#[derive(Serialize, ToSchema)]
pub struct RefusedFrame {
    /// Its number, from 1.
    frame: u64,
    /// Bytes of the file before it.
    offset: u64,
    /// The rule of the protocol that it breaks.
    rule: Option<String>,
    /// Why.
    reason: String,
}

/// Runs a courier command.
///
/// # Errors
/// [`Failure`]; of a file that is damaged everything before the damage is taken in.
pub fn run(command: &CourierCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        CourierCommand::Export { nation, since, out } => export(nation.as_deref(), since.as_deref(), out, api, output),
        CourierCommand::Import { file, dry_run } => import(file, Mode::of(*dry_run), api, output),
        CourierCommand::Frontier { out } => {
            let query = [("frontier_only", "true")];
            let sealed = download(api, out, None, &query)?;
            let written = Streamed::of(out, &sealed);
            output.result(&written, || {
                let chains = counted(sealed.manifest.counts.frontier, "chain");
                format!(
                    "{chains} in {}\nhand it to the other side: comity courier export --since {}",
                    written.file, written.file
                )
            });
            Ok(())
        }
    }
}

fn export(nation: Option<&str>, since: Option<&Path>, out: &Path, api: &Api, output: &Output) -> Result<(), Failure> {
    let query: Vec<(&str, &str)> = nation.map(|code| ("nation", code)).into_iter().collect();
    let since = since.map(|path| frontier(path, &status(api)?)).transpose()?;
    let sealed = download(api, out, since, &query)?;
    let written = Streamed::of(out, &sealed);
    output.result(&written, || {
        format!("{}\nsigned by nobody: whoever takes it in checks every record in it", written.text())
    });
    Ok(())
}

fn download(
    api: &Api,
    out: &Path,
    since: Option<Vec<FrontierEntry>>,
    query: &[(&str, &str)],
) -> Result<Sealed, Failure> {
    const PATH: &str = "/v1/courier";
    let mut file = NewFile::create(out)?;
    match since {
        None => file.take(api, |client| async move { client.download(PATH, query).await })?,
        Some(entries) => {
            let parts = entries.chunks(comity_protocol::limits::FRONTIER_FRAME_ENTRIES);
            let body = parts.flat_map(|part| framed(&Piece::Frontier(part.to_vec()).encode())).collect();
            file.take(api, |client| async move { client.post_download(PATH, &[], body).await })?;
        }
    }
    file.finish()
}

fn status(api: &Api) -> Result<Status, Failure> {
    api.run(|client| async move { client.get("/v1/status", &[]).await })
}

/// Reads the frontier of a courier file's writer.
fn frontier(path: &Path, status: &Status) -> Result<Vec<FrontierEntry>, Failure> {
    let mut file = RecordFile::open(path)?;
    let mut entries = Vec::new();
    loop {
        match file.next() {
            Ok(Read::Frame(frame)) => {
                if let Piece::Frontier(part) = frame.piece {
                    entries.extend(part);
                }
            }
            Ok(Read::End(sealed)) if sealed.manifest.alliance.hex() != status.alliance => {
                return Err(other_alliance(path, &sealed.manifest.alliance.hex(), status));
            }
            Ok(Read::End(_)) => return Ok(entries),
            Err(ReadFailure::Io(failure)) => return Err(failure),
            Err(ReadFailure::Damaged(error)) => {
                return Err(file.damaged("is damaged", error.place(), error.rule(), &error.to_string()));
            }
        }
    }
}

fn other_alliance(path: &Path, found: &str, status: &Status) -> Failure {
    Failure::refused(format!("{} is of another alliance", path.display())).because(format!(
        "it names {}, this node is of {}",
        short(found),
        short(&status.alliance)
    ))
}

/// Whether an import changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Import,
    DryRun,
}

impl Mode {
    const fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Import }
    }
}

/// Where frames go.
enum Sink<'a> {
    /// To the node.
    Node(&'a Api),
    /// Into a copy of what the node holds.
    Dry(Box<Dry>),
}

/// An import on its way.
struct Import<'a> {
    sink: Sink<'a>,
    chunk: Vec<(Place, Vec<u8>)>,
    chunk_bytes: usize,
    /// Control records that counted for nothing so far.
    again: Vec<(Place, Vec<u8>)>,
    taken: CourierAnswer,
    refused: Vec<RefusedFrame>,
}

fn import(path: &Path, mode: Mode, api: &Api, output: &Output) -> Result<(), Failure> {
    let status = status(api)?;
    let mut file = RecordFile::open(path)?;
    let sink = match mode {
        Mode::Import => Sink::Node(api),
        Mode::DryRun => Sink::Dry(Box::new(Dry::of(api, &status)?)),
    };
    let mut import = Import {
        sink,
        chunk: Vec::new(),
        chunk_bytes: 0,
        again: Vec::new(),
        taken: CourierAnswer::default(),
        refused: Vec::new(),
    };
    let (sealed, failure) = loop {
        match file.next() {
            Ok(Read::Frame(frame)) => {
                if let Some(found) = alliance_of(&frame.piece).filter(|found| *found != status.alliance) {
                    return Err(other_alliance(path, &found, &status));
                }
                import.take(*frame)?;
            }
            Ok(Read::End(sealed)) => break (Some(sealed), None),
            Err(ReadFailure::Io(failure)) => break (None, Some(failure)),
            Err(ReadFailure::Damaged(error)) => {
                let failure = file.damaged("is damaged", error.place(), error.rule(), &error.to_string());
                break (None, Some(failure.hint("everything before the damage was taken in; ask for the file again")));
            }
        }
    };
    import.flush()?;
    import.settle();
    let own_key = match &import.sink {
        Sink::Dry(dry) => dry.own_key(),
        // What stops a node whose key is still active is an envelope of that key: a roster may have come along as well.
        Sink::Node(api) => {
            let after = self::status(api)?;
            !after.authoring.allowed && status.authoring.allowed && after.standing == "active"
        }
    };
    let report = CourierImported {
        file: path.display().to_string(),
        dry_run: mode == Mode::DryRun,
        whole: sealed.is_some(),
        written_by: sealed.as_ref().map(|sealed| sealed.manifest.exporter.key.hex()),
        created: sealed.as_ref().map(|sealed| rfc3339(Timestamp(sealed.manifest.created_ms))),
        taken: import.taken,
        refused: import.refused,
        own_key,
    };
    output.result(&report, || in_words(&report));
    match (failure, report.refused.len()) {
        (Some(failure), _) => Err(failure),
        (None, 0) => Ok(()),
        (None, count) => Err(Failure::refused(format!("{} of the file were refused", counted(count as u64, "frame")))
            .because(report.refused[0].reason.clone())
            .hint(hint(&report.refused[0]))),
    }
}

fn hint(refused: &RefusedFrame) -> &'static str {
    match refused.rule.as_deref() {
        Some("R08") => "the file starts above what this node holds: have it written again without --since and --for",
        Some("R04") => "a roster or vote it rests on is not here: have the file written again, it carries all of them",
        Some(_) => "whoever wrote these records made them wrong; everything else was taken in",
        None => "free space, then import the file again",
    }
}

fn alliance_of(piece: &Piece) -> Option<String> {
    match piece {
        Piece::Control { kind: 1, bytes } => match ControlRecord::decode(1, bytes) {
            Ok(ControlRecord::Genesis(signed)) => Some(signed.genesis.alliance_id().hex()),
            Ok(_) | Err(_) => None,
        },
        Piece::Manifest(manifest) => Some(manifest.alliance.hex()),
        Piece::Control { .. } | Piece::Frontier(_) | Piece::Run(_) | Piece::Seal(_) => None,
    }
}

impl Import<'_> {
    fn take(&mut self, frame: Framed) -> Result<(), Failure> {
        match frame.piece {
            Piece::Control { .. } | Piece::Run(_) => {
                if self.chunk_bytes + frame.bytes.len() > CHUNK_BYTES {
                    self.flush()?;
                }
                self.chunk_bytes += frame.bytes.len();
                self.chunk.push((frame.place, frame.bytes));
                Ok(())
            }
            Piece::Frontier(_) | Piece::Manifest(_) | Piece::Seal(_) => Ok(()),
        }
    }

    /// Offers what was read, and once more the control records that a new one may have made count.
    fn flush(&mut self) -> Result<(), Failure> {
        self.chunk_bytes = 0;
        let mut chunk = std::mem::take(&mut self.chunk);
        while !chunk.is_empty() {
            let new = self.offer(chunk)?;
            chunk = if new { std::mem::take(&mut self.again) } else { Vec::new() };
        }
        Ok(())
    }

    /// Whether a control record was new.
    fn offer(&mut self, chunk: Vec<(Place, Vec<u8>)>) -> Result<bool, Failure> {
        let answer = match &mut self.sink {
            Sink::Node(api) => {
                let body = chunk.iter().flat_map(|(_, bytes)| framed(bytes)).collect();
                api.run(|client| async move { client.post_bytes("/v1/courier/import", body).await })?
            }
            Sink::Dry(dry) => dry.carry(&chunk),
        };
        let CourierAnswer { control_new, control_known, envelopes_new, bodies_new, envelopes_known, refused } = answer;
        self.taken.control_new += control_new;
        self.taken.control_known += control_known;
        self.taken.bodies_new += bodies_new;
        self.taken.envelopes_known += envelopes_known;
        for (nation, count) in envelopes_new {
            *self.taken.envelopes_new.entry(nation).or_default() += count;
        }
        let mut again = self.again.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        for refusal in refused {
            let Some((place, bytes)) = chunk.get(refusal.frame as usize) else { continue };
            let control = matches!(Piece::decode(bytes), Ok(Piece::Control { .. }));
            if control && refusal.rule.as_deref() == Some("R04") && again + bytes.len() <= AGAIN_BYTES_MAX {
                again += bytes.len();
                self.again.push((*place, bytes.clone()));
                continue;
            }
            self.refused.push(RefusedFrame {
                frame: place.frame,
                offset: place.offset,
                rule: refusal.rule,
                reason: refusal.reason,
            });
        }
        Ok(control_new > 0)
    }

    /// What still counts for nothing was refused.
    fn settle(&mut self) {
        let left = std::mem::take(&mut self.again).into_iter().map(|(place, _)| RefusedFrame {
            frame: place.frame,
            offset: place.offset,
            rule: Some("R04".to_owned()),
            reason: "no record held makes it count".to_owned(),
        });
        self.refused.extend(left);
        self.refused.sort_by_key(|refused| refused.frame);
    }
}

fn in_words(report: &CourierImported) -> String {
    let new: u64 = report.taken.envelopes_new.values().sum();
    let verb = if report.dry_run { "would come" } else { "taken in" };
    let mut text = format!(
        "{} and {} {verb}, {} already held",
        counted(new, "envelope"),
        counted(report.taken.control_new, "control record"),
        counted(report.taken.envelopes_known + report.taken.control_known, "record"),
    );
    for (nation, count) in &report.taken.envelopes_new {
        text.push_str(&format!("\n  {nation} {}", counted(*count, "envelope")));
    }
    if report.taken.bodies_new > 0 {
        let bodies = report.taken.bodies_new;
        text.push_str(&format!(
            "\n  {bodies} {} of envelopes held before",
            if bodies == 1 { "body" } else { "bodies" }
        ));
    }
    for refused in report.refused.iter().take(REFUSALS_SHOWN) {
        let rule = refused.rule.as_deref().unwrap_or("-");
        text.push_str(&format!(
            "\n  refused: frame {} at byte {}: {rule} {}",
            refused.frame, refused.offset, refused.reason
        ));
    }
    if report.refused.len() > REFUSALS_SHOWN {
        text.push_str(&format!("\n  … and {} more refused", report.refused.len() - REFUSALS_SHOWN));
    }
    if report.own_key {
        text.push_str("\nTHE FILE HOLDS ENVELOPES OF THIS NODE'S OWN KEY THAT IT DID NOT WRITE: see `comity status`");
    }
    let by = report.written_by.as_deref().map_or_else(|| "nobody knows whom".to_owned(), short);
    text.push_str(&format!("\nwritten by {by}, as it says; signed by nobody"));
    text
}
