//! Every record kind and every body: it decodes or is refused, and what decodes encodes to the same bytes (spec 4.2).

use comity_protocol::body::Body;
use comity_protocol::control::ControlRecord;
use comity_protocol::envelope::{Header, SignedHeader, body_hash};
use comity_protocol::keys::Signature;

/// Reads a first byte as what follows: 0 to 3 a control record, 4 a header and its signature, else a body.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    match form % 8 {
        kind @ 0..=3 => control(kind + 1, rest),
        4 => header(rest),
        kind => body(u16::from(kind) - 4, rest),
    }
}

fn control(kind: u8, bytes: &[u8]) {
    let Ok(record) = ControlRecord::decode(kind, bytes) else { return };
    assert_eq!(record.kind(), kind);
    assert_eq!(record.encode(), bytes, "one record, one encoding");
    let id = record.id();
    if let Ok(verified) = record.verify() {
        assert_eq!(verified.id(), id);
    }
}

fn header(bytes: &[u8]) {
    let (head, signature) = bytes.split_at(bytes.len().saturating_sub(64).min(comity_protocol::limits::HEADER_BYTES));
    let Ok(header) = Header::decode(head) else { return };
    assert_eq!(header.encode(), head, "one header, one encoding");
    let id = header.id();
    if let Ok(signature) = signature.try_into()
        && let Ok(attested) = (SignedHeader { header, signature: Signature(signature) }).verify()
    {
        assert_eq!(attested.id(), id);
        assert_eq!(attested.header().encode(), head);
    }
}

fn body(kind: u16, bytes: &[u8]) {
    let Ok(body) = Body::decode(kind, bytes) else { return };
    assert_eq!(body.kind(), kind);
    assert_eq!(body.encode(), bytes, "one body, one encoding");
    assert_eq!(body_hash(&body.encode()), body_hash(bytes));
}
