//! The frontier cache: per author, what the rows should add up to.
//!
//! SQLite has no page checksums, so a row can vanish without an error. Each transaction therefore also writes counts and
//! sums over the ids of all rows of the authors it touched; loading and checking compare them with the rows.

use comity_protocol::codec::{DecodeError, Reader, Writer};
use comity_protocol::effect::Remembered;
use comity_protocol::ids::{Digest, EnvelopeId, Id, Tip};
use comity_protocol::keys::{Signature, tagged_hash};
use comity_protocol::limits::SIGNATURE_BYTES;

/// What one author's rows add up to; the sums do not depend on the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Headers held.
    pub(super) headers: u64,
    /// Bodies held.
    pub(super) bodies: u64,
    /// Exclusive or of the ids of the headers held.
    pub(super) header_sum: [u8; 32],
    /// Exclusive or of the ids of the envelopes whose bodies are held.
    pub(super) body_sum: [u8; 32],
}

impl Held {
    /// Counts a header in.
    pub(super) fn add_header(&mut self, id: &EnvelopeId) {
        self.headers += 1;
        toggle(&mut self.header_sum, id);
    }

    /// Counts a body in.
    pub(super) fn add_body(&mut self, id: &EnvelopeId) {
        self.bodies += 1;
        toggle(&mut self.body_sum, id);
    }

    /// Returns the cached form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(self.headers).u64(self.bodies).raw(&self.header_sum).raw(&self.body_sum);
        out.into_bytes()
    }

    /// Reads the cached form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let held =
            Self { headers: input.u64()?, bodies: input.u64()?, header_sum: input.array()?, body_sum: input.array()? };
        input.finish()?;
        Ok(held)
    }
}

fn toggle(sum: &mut [u8; 32], id: &EnvelopeId) {
    for (byte, add) in sum.iter_mut().zip(id.as_bytes()) {
        *byte ^= add;
    }
}

/// Returns the hash that rows without an id of their own carry in `check32`.
pub(super) fn check32(table: &str, columns: &[&[u8]]) -> Digest {
    let mut out = Writer::new();
    out.str(table);
    for column in columns {
        out.bytes(column);
    }
    tagged_hash("row", &out.into_bytes())
}

/// Bytes of a check behind a signature.
const SIGNATURE_CHECK_BYTES: usize = 8;

/// Returns the column of a signature: what the id does not cover carries a check of its own, so that a flipped bit is found
/// at the next start and not by the peers it is served to.
pub(super) fn signature_column(id: &EnvelopeId, signature: &Signature) -> Vec<u8> {
    let check = check32("signature", &[id.as_bytes(), &signature.0]);
    [&signature.0[..], &check.as_bytes()[..SIGNATURE_CHECK_BYTES]].concat()
}

/// Reads the column of a signature; `None` if it is damaged.
pub(super) fn read_signature(id: &EnvelopeId, column: &[u8]) -> Option<Signature> {
    let (bytes, _) = column.split_first_chunk::<SIGNATURE_BYTES>()?;
    let signature = Signature(*bytes);
    (signature_column(id, &signature) == column).then_some(signature)
}

/// Returns the hash that the row of a remembered answer carries.
pub(super) fn remembered_check32(answer: &Remembered) -> Digest {
    let (kind, id) = &answer.record;
    check32(
        "idempotency",
        &[answer.key.as_bytes(), answer.content.as_bytes(), kind.as_bytes(), id.as_bytes(), answer.version.as_bytes()],
    )
}

/// Key of the row that says that the node met an envelope under its own key and stopped.
pub(super) const HALT: &str = "halt";
/// Key of the row that says what was last confirmed.
pub(super) const RELEASE: &str = "release";

/// Returns the value of a row of `meta` that names an envelope; it carries its own check.
pub(super) fn tip_column(key: &str, tip: &Tip) -> Vec<u8> {
    let mut out = Writer::new();
    out.u64(tip.seq).raw(tip.id.as_bytes());
    let mut bytes = out.into_bytes();
    bytes.extend(check32("meta", &[key.as_bytes(), &bytes]).as_bytes());
    bytes
}

/// Reads such a value; `None` if it is damaged.
pub(super) fn read_tip(key: &str, column: &[u8]) -> Option<Tip> {
    let mut input = Reader::new(column);
    let tip = Tip { seq: input.u64().ok()?, id: Id::new(input.array().ok()?) };
    (tip_column(key, &tip) == column).then_some(tip)
}
