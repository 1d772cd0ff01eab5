//! Control records as rows: what the id covers in `bytes`, what follows it in the signed form in `sig`.

use comity_protocol::control::{ControlRecord, VerifiedControl};
use comity_protocol::ids::{ControlId, NationId};
use comity_protocol::limits::SIGNATURE_BYTES;

/// The columns of a control record.
pub(super) struct ControlRow {
    pub(super) kind: u8,
    pub(super) nation: Option<NationId>,
    /// Height of a motion or vote, version of a roster, 0 for the genesis.
    pub(super) n: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) sig: Option<Vec<u8>>,
}

/// Splits a record into its columns.
pub(super) fn to_row(control: &VerifiedControl) -> ControlRow {
    let mut bytes = control.record().encode();
    let (nation, n, id_bytes) = match control.record() {
        ControlRecord::Genesis(signed) => (None, 0, signed.genesis.encode().len()),
        ControlRecord::Motion(motion) => (None, motion.height.into(), bytes.len()),
        ControlRecord::Vote(vote, _) => (Some(vote.nation), vote.height.into(), bytes.len() - SIGNATURE_BYTES),
        ControlRecord::Roster(roster, _) => (Some(roster.nation), roster.version, bytes.len() - SIGNATURE_BYTES),
    };
    let signatures = bytes.split_off(id_bytes);
    let sig = (!signatures.is_empty()).then_some(signatures);
    ControlRow { kind: control.record().kind(), nation, n, bytes, sig }
}

/// Puts a record together again and checks it against its id and its signatures; `None` if anything is damaged.
pub(super) fn from_row(id: &[u8], kind: i64, bytes: &[u8], sig: Option<&[u8]>) -> Option<VerifiedControl> {
    let signed = [bytes, sig.unwrap_or_default()].concat();
    let control = ControlRecord::decode(u8::try_from(kind).ok()?, &signed).ok()?.verify().ok()?;
    (control.id() == ControlId::new(id.try_into().ok()?)).then_some(control)
}
