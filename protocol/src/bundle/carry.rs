//! The receipt checks of spec 4.4 for records that came in a file: nobody is at the other end, so nobody is struck.

use std::collections::BTreeMap;

use crate::codec::DecodeError;
use crate::control::{ControlRecord, VerifiedControl};
use crate::envelope::Header;
use crate::evaluate::{Receipt, State};
use crate::ids::{AllianceId, NationId, Tip};
use crate::message::run::{Run, RunError, VerifiedItem};

/// Why a record of a file is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRecord {
    /// It does not decode.
    #[error("it does not decode: {0}")]
    Decode(DecodeError),
    /// A signature or key of a control record is bad.
    #[error("it is not valid: {0}")]
    Control(String),
    /// It belongs to another alliance.
    #[error("it belongs to alliance {found}, not to {expected}")]
    OtherAlliance {
        /// Ours, or the one asked for.
        expected: AllianceId,
        /// The one found.
        found: AllianceId,
    },
    /// No record held makes it count.
    #[error("no record held makes it count")]
    NoEffect,
    /// No roster held lists its author.
    #[error("no roster held lists its author")]
    UnknownAuthor,
    /// A run that does not hold together.
    #[error("{0}")]
    Run(RunError),
    /// It does not link to what is held.
    #[error("what it builds on is not held; the chain links up to {}", linked_to.seq)]
    Unlinked {
        /// How far the chain links.
        linked_to: Tip,
    },
    /// It claims a time before that of the envelope it builds on.
    #[error("it claims a time before that of the envelope it builds on")]
    TimeDecreases,
    /// It exceeds its chain's quota.
    #[error("it exceeds its chain's quota")]
    OverQuota,
    /// A frame that does not belong into such a file.
    #[error("a frame that no such file holds")]
    Frame,
    /// A manifest without the digests of an evaluation.
    #[error("the manifest names no digests, so this is no bundle")]
    NoDigests,
    /// The disk is full.
    #[error("the disk is full")]
    StorageFull,
}

impl BrokenRecord {
    /// The rule of spec 4.4 that is broken, where one is.
    pub const fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Decode(_) | Self::Frame | Self::NoDigests => Some("R01"),
            Self::OtherAlliance { .. } => Some("R03"),
            Self::NoEffect | Self::UnknownAuthor => Some("R04"),
            Self::Control(_) | Self::Run(RunError::Signature { .. }) => Some("R05"),
            Self::Run(RunError::Header { .. }) => Some("R06"),
            Self::Unlinked { .. } | Self::TimeDecreases | Self::OverQuota => Some("R08"),
            Self::StorageFull => None,
        }
    }
}

/// What became of the frames of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Control records taken in.
    pub control_new: u64,
    /// Control records held before.
    pub control_known: u64,
    /// Envelopes taken in, by nation.
    pub envelopes_new: BTreeMap<NationId, u64>,
    /// Bodies taken in for envelopes that were held without.
    pub bodies_new: u64,
    /// Envelopes held before.
    pub envelopes_known: u64,
    /// Frames not taken in, by their index, ascending.
    pub refused: Vec<(usize, BrokenRecord)>,
}

/// Checks a run against what is held (R03 to R08): all of it or nothing.
///
/// # Errors
/// [`BrokenRecord`].
pub fn check_run(state: &State, run: Run) -> Result<Vec<VerifiedItem>, BrokenRecord> {
    let items = run.verify(&state.anchor().alliance).map_err(BrokenRecord::Run)?;
    let headers: Vec<Header> = items.iter().map(|item| item.header.header().clone()).collect();
    match state.receipt_run(&headers) {
        Receipt::Held | Receipt::Links { .. } | Receipt::ForkEvidence => Ok(items),
        Receipt::OtherAlliance | Receipt::UnknownAuthor => Err(BrokenRecord::UnknownAuthor),
        Receipt::ParentMissing { linked_to } => Err(BrokenRecord::Unlinked { linked_to }),
        Receipt::TimeDecreases => Err(BrokenRecord::TimeDecreases),
        Receipt::OverQuota => Err(BrokenRecord::OverQuota),
    }
}

/// Decodes and checks the signatures of a control record (R01, R05).
///
/// # Errors
/// [`BrokenRecord`].
pub fn control_record(kind: u8, bytes: &[u8]) -> Result<VerifiedControl, BrokenRecord> {
    let record = ControlRecord::decode(kind, bytes).map_err(BrokenRecord::Decode)?;
    record.verify().map_err(|error| BrokenRecord::Control(error.to_string()))
}
