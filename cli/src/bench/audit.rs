//! Auditing a bundle: every hash, link and signature that attests, and the evaluation of it all.

use std::convert::Infallible;
use std::time::Instant;

use comity_protocol::bundle::{Audit, Export, Kind, Reader, Wanted, export};
use comity_protocol::charter::Anchor;
use comity_protocol::evaluate::{Element, evaluate};
use comity_protocol::keys::sha256;
use comity_protocol::message::pack::Packed;

use super::{Figure, lab, median};
use crate::failure::Failure;

/// Bytes fed at a time, as the command reads a file.
const READ_BYTES: usize = 65_536;

/// Measures an audit of a bundle of `statements` envelopes against the evaluation alone, and against one hash of the file.
///
/// # Errors
/// [`Failure`].
pub fn run(statements: usize, rounds: usize) -> Result<Vec<Figure>, Failure> {
    let lab = lab::Lab::found()?;
    let mut replica = lab.replica(0)?;
    let mut elements: Vec<Element> = lab.control.iter().cloned().map(Element::Control).collect();
    for number in 0..statements as u64 {
        elements.extend(lab::elements(lab::write(&mut replica, number)?));
    }
    let bundle = written(&replica);
    let expected = replica.state().state();
    let (mut audits, mut evaluations, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.clamp(1, 3) {
        let start = Instant::now();
        let state = audited(&bundle)?;
        audits.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let plain = evaluate(Anchor::founding(lab.alliance), elements.clone());
        let digest = plain.state();
        evaluations.push(start.elapsed().as_secs_f64());
        if (state, digest) != (expected, expected) {
            return Err(Failure::refused("the audit and the evaluation give different states"));
        }
        let start = Instant::now();
        std::hint::black_box(sha256(&bundle));
        hashes.push(start.elapsed().as_secs_f64());
    }
    let what = format!("audit of {statements} envelopes");
    let (ours, bytes) = (median(audits), bundle.len());
    let against = format!("one hash of its {bytes} bytes");
    Ok(vec![
        Figure::ratio(&what, "s", ours, "evaluation of the same set", median(evaluations), 1.5),
        Figure::ratio(&what, "s", ours, &against, median(hashes), 200.0),
    ])
}

fn written(replica: &comity_protocol::replica::Replica) -> Vec<u8> {
    let request = Export {
        kind: Kind::Bundle,
        wanted: Wanted::All,
        packed: Packed::Sparse,
        exporter: replica.me(),
        created_ms: 1,
        software: "comity bench".to_owned(),
    };
    let mut bytes = Vec::new();
    let written = export(replica.state(), &request, None, |frame| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    });
    written.map(|_| bytes).unwrap_or_else(|never| match never {})
}

fn audited(bundle: &[u8]) -> Result<comity_protocol::ids::Digest, Failure> {
    let broken = |error: String| Failure::refused("the bench's bundle does not hold").because(error);
    let mut reader = Reader::new();
    let mut audit = Audit::new(None);
    for mut chunk in bundle.chunks(READ_BYTES) {
        while !chunk.is_empty() {
            chunk = &chunk[reader.feed(chunk)..];
            while let Some(frame) = reader.poll().map_err(|error| broken(error.to_string()))? {
                audit.take(frame.place, frame.piece).map_err(|error| broken(error.to_string()))?;
            }
        }
    }
    let sealed = reader.finish().map_err(|error| broken(error.to_string()))?;
    let audited = audit.finish(&sealed).map_err(|error| broken(error.to_string()))?;
    Ok(audited.state.state())
}
