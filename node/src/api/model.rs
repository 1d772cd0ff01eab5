//! What the local API says and takes, as JSON.
//!
//! Names are snake case, quantities are integers in the base unit of their dimension, identifiers are full, times are
//! RFC 3339 in UTC, and what is absent is `null`. The command line prints the same objects with `--json`.

mod aid;
mod charter;
mod confirm;
mod decision;
mod forks;
mod node;
mod resilience;
mod write;

pub use aid::{
    Board, BoardRow, Buckets, Cover, Coverage, CoverageRow, Explanation, FlagRow, Flags, GapRow, Gaps, LackRow,
    Listing, PledgeCover, RecordRow, Shown, VersionRow,
};
pub use charter::{
    CharterConflictRow, CharterExport, CharterState, CutRow, HealthRow, HeldWhole, LastHeard, MemberRow, MotionChange,
    MotionRow, Motions, ParentRow, RemovedRow, RoundRow, VersionMade,
};
pub use confirm::{Adoption, ConfirmAnswer, ConfirmRequest};
pub use decision::{Decision, DecisionAnswer, DecisionProof, Decisions, Participant};
pub use forks::{
    DependentRow, ForkRow, ForkShown, Forks, LeftRow, PlaceRow, RestateRequest, Restated, RestatedRow, SaidRecord,
    SaidRow,
};
pub use node::{
    Authoring, Change, Charter, Fork, Lag, Log, LogRow, NationAgeRow, NationRow, Nations, NodeRow, PeerRow,
    PeerSummary, Peers, RecordAge, Status, Witnessed,
};
pub use resilience::{ConcentrationRow, LossRow, OpenedRow, PairRow, PlaceOut, Resilience, ShareRow, WaitingDecision};
pub use write::{
    ControlAnswer, ControlRefusal, ControlRequest, CourierAnswer, CourierRefusal, Draft, PeerAnswer, PeerRequest,
    Problem, WriteAnswer, WriteRequest,
};

use comity_protocol::ids::Timestamp;
use comity_protocol::limits::TIME_MS_MAX;
use jiff::{SignedDuration, civil};

/// Returns a moment as RFC 3339 in UTC with milliseconds; later than the year 9999 prints as its last moment.
pub fn rfc3339(at: Timestamp) -> String {
    let ms = i64::try_from(at.0.min(TIME_MS_MAX)).expect("the bound is below 2^63");
    // Civil time reaches to the end of 9999; the library's timestamps stop a day before it.
    let at = EPOCH.checked_add(SignedDuration::from_millis(ms)).expect("the years 1970 to 9999 are representable");
    format!("{at:.3}Z")
}

/// Reads RFC 3339, or a bare day as the end of that day in UTC (DOMAIN R3: a deadline passes at the end of its day).
///
/// `None` for anything else, and for moments outside 1970 to 9999.
pub fn moment(text: &str) -> Option<Timestamp> {
    let ms = match text.parse::<jiff::Timestamp>() {
        Ok(at) => i128::from(at.as_millisecond()),
        Err(_) if text.len() == 10 => {
            let day: civil::Date = text.parse().ok()?;
            day.at(23, 59, 59, 999_000_000).duration_since(EPOCH).as_millis()
        }
        Err(_) => return None,
    };
    u64::try_from(ms).ok().filter(|ms| *ms <= TIME_MS_MAX).map(Timestamp)
}

const EPOCH: civil::DateTime = civil::datetime(1970, 1, 1, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_and_read_as_rfc_3339() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_784_500_000_123)), "2026-07-19T22:26:40.123Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(moment("2026-07-19T22:26:40.123Z"), Some(Timestamp(1_784_500_000_123)));
        assert_eq!(moment("2026-07-20T00:26:40.123+02:00"), Some(Timestamp(1_784_500_000_123)));
        assert_eq!(moment("1970-01-01"), Some(Timestamp(86_399_999)));
        assert_eq!(moment("9999-12-31"), Some(Timestamp(TIME_MS_MAX)));
        for bad in ["", "yesterday", "1969-12-31", "1970-13-01", "2026-07-19T22:26:40"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
