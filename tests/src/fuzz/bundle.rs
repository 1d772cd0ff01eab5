//! Bundles and courier files: any bytes are read within bounds, and what an audit finds sound says the same written again.

use std::convert::Infallible;

use comity_protocol::bundle::{
    Audit, Audited, Export, Framed, Kind, Manifest, Piece, Reader, ReaderError, Sealed, Wanted, Writer, export,
    split_frame,
};
use comity_protocol::message::pack::Packed;

/// Reads a first byte as what follows: an even one a whole stream, an odd one the frames of a bundle before its manifest,
/// which are counted and sealed first.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    if form % 2 == 0 {
        stream(rest);
    } else if let Some(sealed) = sealed(rest) {
        stream(&sealed);
    }
}

/// Seals the frames that decode, under the manifest that came last among them.
fn sealed(mut frames: &[u8]) -> Option<Vec<u8>> {
    let (mut writer, mut out) = Writer::new(Kind::Bundle);
    let mut last: Option<Manifest> = None;
    while let Ok(frame) = split_frame(&mut frames) {
        match Piece::decode(frame) {
            Ok(Piece::Manifest(manifest)) => last = Some(*manifest),
            Ok(Piece::Seal(_)) | Err(_) => {}
            Ok(piece) => out.extend(writer.frame(&piece)),
        }
    }
    let manifest = Manifest { counts: writer.counts(), ..last? };
    out.extend(writer.frame(&Piece::Manifest(Box::new(manifest))));
    out.extend(writer.seal(None));
    Some(out)
}

fn stream(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, 7);
    assert_eq!(whole.is_ok(), pieces.is_ok());
    match (whole, pieces) {
        (Ok((frames, sealed)), Ok(_)) => {
            assert_eq!(sealed.bytes, u64::try_from(bytes.len()).expect("small"));
            if let Some(audited) = audit(frames, &sealed) {
                again(&audited, &sealed);
            }
        }
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole, pieces, "where it breaks does not depend on how it came");
            assert!(whole.place().offset <= u64::try_from(bytes.len()).expect("small"));
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => {}
    }
}

fn read(mut bytes: &[u8], step: usize) -> Result<(Vec<Framed>, Sealed), ReaderError> {
    let mut reader = Reader::new();
    let mut frames = Vec::new();
    loop {
        while let Some(frame) = reader.poll()? {
            frames.push(frame);
        }
        if bytes.is_empty() {
            return Ok((frames, reader.finish()?));
        }
        let taken = reader.feed(&bytes[..step.min(bytes.len())]);
        assert!(taken > 0, "a reader that was polled takes more");
        bytes = &bytes[taken..];
    }
}

fn audit(frames: Vec<Framed>, sealed: &Sealed) -> Option<Audited> {
    let mut audit = Audit::new(None);
    for frame in frames {
        audit.take(frame.place, frame.piece).ok()?;
    }
    audit.finish(sealed).ok()
}

/// What was audited, written again by the same exporter, evaluates to the same.
fn again(audited: &Audited, sealed: &Sealed) {
    let request = Export {
        kind: Kind::Bundle,
        wanted: Wanted::All,
        packed: Packed::Sparse,
        exporter: sealed.manifest.exporter,
        created_ms: sealed.manifest.created_ms,
        software: sealed.manifest.software.clone(),
    };
    let mut bytes = Vec::new();
    let written = export(&audited.state, &request, None, |frame| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    });
    written.expect("memory takes everything");
    let (frames, sealed) = read(&bytes, bytes.len()).expect("it was just written");
    let again = audit(frames, &sealed).expect("it was just evaluated");
    assert!(again.differing.is_empty(), "{:?}", again.differing);
    assert_eq!(again.state.state(), audited.state.state());
}
