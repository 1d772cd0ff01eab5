//! What a node exports, read by somebody who has nothing else.

use std::convert::Infallible;

use comity_protocol::bundle::{Audit, Audited, Export, Kind, Reader, Wanted, export};
use comity_protocol::message::pack::Packed;

use super::{Violation, votes};
use crate::sim::world::World;

/// I25: a bundle that a node exports verifies offline, without a key, to what the node holds and computes; and where nobody
/// lies and one version of the charter stands nothing that a witness acknowledged is missing from it.
pub(super) fn verifies_offline(world: &World, node: usize) -> Result<(), Violation> {
    let said = |text: String| {
        let text = format!("the bundle of {}: {text}", world.nodes[node].name);
        Err(Violation::new("I25 a bundle verifies offline to the same digest", text))
    };
    let of = &world.nodes[node];
    let Some(state) = of.state() else { return Ok(()) };
    let request = Export {
        kind: Kind::Bundle,
        wanted: Wanted::All,
        packed: Packed::Sparse,
        exporter: of.author,
        created_ms: world.now,
        software: "comity".to_owned(),
    };
    let mut bytes = Vec::new();
    let written = export(state, &request, Some(&of.config.key), |frame| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    });
    if let Err(error) = written {
        return said(format!("{error:?}"));
    }
    let audited = match audit(&bytes) {
        Ok(audited) => audited,
        Err(error) => return said(error),
    };
    let same = audited.state.state() == state.state() && audited.state.held() == state.held();
    if !same || audited.state.control() != state.control() || !audited.agrees() {
        return said(format!("it gives something else: {:?}, {:?}", audited.differing, audited.published));
    }
    match audited.omissions.first() {
        Some(omission) if !world.somebody_lies() && !votes::is_divided(world) => said(format!("it lacks {omission:?}")),
        Some(_) | None => Ok(()),
    }
}

fn audit(mut bytes: &[u8]) -> Result<Audited, String> {
    let (mut reader, mut audit) = (Reader::new(), Audit::new(None));
    loop {
        while let Some(frame) = reader.poll().map_err(|error| error.to_string())? {
            audit.take(frame.place, frame.piece).map_err(|broken| broken.to_string())?;
        }
        if bytes.is_empty() {
            break;
        }
        let taken = reader.feed(bytes);
        bytes = &bytes[taken..];
    }
    let sealed = reader.finish().map_err(|error| error.to_string())?;
    audit.finish(&sealed).map_err(|broken| broken.to_string())
}
