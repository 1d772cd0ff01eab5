//! `comity verify`: a bundle alone, with no node, no key and no network.

use std::path::{Path, PathBuf};

use comity_protocol::bundle::{Audit, Audited, Broken, Kind, Sealed};
use comity_protocol::ids::AllianceId;

use super::file::{Read, ReadFailure, RecordFile};
use super::report::{self, BundleReport};
use super::words;
use crate::failure::Failure;
use crate::output::Output;

/// Options of `comity verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// The alliance it must be of, known from elsewhere: 64 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    pub alliance: Option<String>,
    /// Also say who claimed to hold this envelope, and by when: the first digits of its id.
    #[arg(long, value_name = "ID")]
    pub envelope: Option<String>,
    /// Succeed although something is missing that a witness acknowledged.
    #[arg(long)]
    pub allow_omissions: bool,
}

/// Checks a bundle and says all that it shows.
///
/// # Errors
/// [`Failure`] with exit code 1 where the file is damaged, a record in it breaks a rule, what was published does not agree
/// with it, or something is missing that a witness acknowledged.
pub fn run(args: &VerifyArgs, output: &Output) -> Result<(), Failure> {
    let expected = args.alliance.as_deref().map(|text| {
        AllianceId::from_hex(text).ok_or_else(|| {
            Failure::usage(format!("{text:?} is no alliance id"))
                .hint("it has 64 hexadecimal digits, see `comity status`")
        })
    });
    let (sealed, audited) = audit(&args.bundle, expected.transpose()?)?;
    let mut report = BundleReport::of(args.bundle.display().to_string(), &sealed, &audited);
    if let Some(digits) = &args.envelope {
        report.existence = report::existence(&audited.state, digits);
        if report.existence.is_none() {
            return Err(Failure::refused(format!("no envelope in the bundle has an id that begins with {digits}")));
        }
    }
    output.result(&report, || words::report(&report));
    if let Some(row) = report.differing.first() {
        return Err(Failure::refused(format!("the bundle does not evaluate to the {} that was published", row.name))
            .because(format!("published {}, evaluated {}", row.published, row.evaluated))
            .hint("the exporter left something out, or two versions of the software disagree: ask for another node's bundle"));
    }
    match report.omissions.len() {
        0 => Ok(()),
        _ if args.allow_omissions => Ok(()),
        count => Err(Failure::refused(format!("{count} acknowledged records are missing"))
            .because("nations say that they held them, and the bundle does not hold them")
            .hint("ask for the bundle of a nation that acknowledged them, or say --allow-omissions")),
    }
}

/// Reads a bundle to its end and checks every record in it; `expected` is the alliance it must be of.
///
/// # Errors
/// [`Failure`]: the file cannot be read, is damaged, is no bundle, or a record in it breaks a rule.
pub fn audit(bundle: &Path, expected: Option<AllianceId>) -> Result<(Sealed, Audited), Failure> {
    let mut file = RecordFile::open(bundle)?;
    let mut audit = Audit::new(expected);
    loop {
        match file.next() {
            Ok(Read::Frame(_)) if file.kind() == Some(Kind::Courier) => {
                return Err(Failure::usage(format!("{} is a courier file", bundle.display()))
                    .because("it holds what one node lacked, and no bundle")
                    .hint("`comity export bundle` writes one"));
            }
            Ok(Read::Frame(frame)) => {
                audit.take(frame.place, frame.piece).map_err(|broken| refused(&file, &broken))?;
            }
            Ok(Read::End(sealed)) => {
                let audited = audit.finish(&sealed).map_err(|broken| refused(&file, &broken))?;
                return Ok((*sealed, audited));
            }
            Err(ReadFailure::Io(failure)) => return Err(failure),
            Err(ReadFailure::Damaged(error)) => {
                let failure = file.damaged("is damaged", error.place(), error.rule(), &error.to_string());
                return Err(failure.hint("nothing in it is believed; ask for it again"));
            }
        }
    }
}

fn refused(file: &RecordFile, broken: &Broken) -> Failure {
    let whose = broken
        .envelope
        .map(|(author, seq)| format!("{} (node {} from envelope {seq})", broken.record, author.key.short()));
    let cause = whose.unwrap_or_else(|| broken.record.to_string());
    file.damaged("breaks a rule", broken.place, broken.record.rule(), &cause)
}
