//! Moments and days as people write them: RFC 3339 in UTC and whole UTC days (DOMAIN R3).

use std::fmt;
use std::str::FromStr;

use crate::ids::Timestamp;
use crate::limits::TIME_MS_MAX;

/// A whole UTC day, counted from 1970-01-01; years 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// Why a text is neither a day nor a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeParseError {
    /// Not of the form of a day.
    #[error("{0:?} is not a day of the form YYYY-MM-DD, 1970 to 9999")]
    Day(String),
    /// Not of the form of a moment.
    #[error("{0:?} is not a moment of the form YYYY-MM-DDThh:mm:ssZ, 1970 to 9999")]
    Moment(String),
}

impl Day {
    /// 9999-12-31.
    pub const MAX: Self = Self(2_932_896);

    /// Returns the day `number` days after 1970-01-01; `None` after [`Day::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Returns the UTC day of a moment.
    pub fn of(moment: Timestamp) -> Self {
        u32::try_from(moment.0 / Timestamp::DAY_MS).ok().and_then(Self::new).unwrap_or(Self::MAX)
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Returns the day `days` later, at most [`Day::MAX`].
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self::new(self.0.saturating_add(days)).unwrap_or(Self::MAX)
    }

    /// Returns the first moment of the day.
    pub fn start(self) -> Timestamp {
        Timestamp(u64::from(self.0) * Timestamp::DAY_MS)
    }

    /// Whether a deadline on this day has passed at `as_of`: it passes when the day ends (DOMAIN R3).
    pub fn passed(self, as_of: Timestamp) -> bool {
        Self::of(as_of) > self
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = TimeParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_day(text.as_bytes()).ok_or_else(|| TimeParseError::Day(text.to_owned()))
    }
}

impl Timestamp {
    /// Returns the moment as RFC 3339 in UTC; milliseconds are shown only where there are any.
    pub fn rfc3339(self) -> String {
        let ms = self.0.min(TIME_MS_MAX);
        let (seconds, fraction) = (ms / 1_000, ms % 1_000);
        let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let day = Day::of(Self(ms));
        if fraction == 0 {
            format!("{day}T{hours:02}:{minutes:02}:{seconds:02}Z")
        } else {
            format!("{day}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:03}Z")
        }
    }

    /// Reads an RFC 3339 moment with `Z` or a numeric offset; digits below the millisecond are dropped.
    ///
    /// # Errors
    /// [`TimeParseError::Moment`] for any other text, and for moments before 1970 or after 9999.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimeParseError> {
        parse_moment(text.as_bytes()).ok_or_else(|| TimeParseError::Moment(text.to_owned()))
    }
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |value, byte| {
        byte.is_ascii_digit().then(|| value.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
    })
}

fn parse_day(text: &[u8]) -> Option<Day> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let (year, month, day) = (digits(&[y1, y2, y3, y4])?, digits(&[m1, m2])?, digits(&[d1, d2])?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Day::new(days_from_civil(year, month, day))
}

fn parse_moment(text: &[u8]) -> Option<Timestamp> {
    let (day, rest) = text.split_at_checked(10)?;
    let day = parse_day(day)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *clock else { return None };
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (ms, rest) = parse_fraction(rest)?;
    let offset_minutes = parse_offset(rest)?;
    let seconds = hour * 3_600 + minute * 60 + second.min(59);
    let local = day.start().0 + u64::from(seconds) * 1_000 + u64::from(ms);
    let moment = i64::try_from(local).ok()?.checked_sub(offset_minutes * 60_000)?;
    u64::try_from(moment).ok().filter(|ms| *ms <= TIME_MS_MAX).map(Timestamp)
}

fn parse_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let mut padded = [b'0'; 3];
    let kept = count.min(3);
    padded[..kept].copy_from_slice(&rest[..kept]);
    Some((digits(&padded)?, &rest[count..]))
}

fn parse_offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
            let span = i64::from(hours * 60 + minutes);
            (hours < 24 && minutes < 60).then_some(if sign == b'+' { span } else { -span })
        }
        _ => None,
    }
}

const fn leap(year: u32) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

const fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years are counted from March so that a leap day comes last.
const fn days_from_civil(year: u32, month: u32, day: u32) -> u32 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const fn civil(number: u32) -> (u32, u32, u32) {
    let shifted = number + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_round_trips() {
        let mut before = None;
        for number in 0..=Day::MAX.number() {
            let day = Day::new(number).expect("in range");
            let (year, month, date) = civil(number);
            assert_eq!(days_from_civil(year, month, date), number);
            assert!(before < Some((year, month, date)));
            before = Some((year, month, date));
            if number % 997 == 0 {
                assert_eq!(day.to_string().parse(), Ok(day));
            }
        }
        assert_eq!(Day::MAX.to_string(), "9999-12-31");
        assert_eq!(Day::of(Timestamp(TIME_MS_MAX)), Day::MAX);
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for bad in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-10", "1969-12-31", "20260110", "", "2026-01-1é"]
        {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
        assert_eq!("2024-02-29".parse::<Day>().map(Day::number), Ok(19_782));
    }

    #[test]
    fn moments_round_trip_and_take_offsets() {
        let moment = Timestamp::from_rfc3339("2026-11-24T05:56:31Z").expect("well formed");
        assert_eq!(moment.rfc3339(), "2026-11-24T05:56:31Z");
        assert_eq!(Timestamp::from_rfc3339("2026-11-24T07:56:31.000+02:00"), Ok(moment));
        assert_eq!(
            Timestamp::from_rfc3339("2026-11-24T05:56:31.25Z").map(Timestamp::rfc3339).as_deref(),
            Ok("2026-11-24T05:56:31.250Z")
        );
        assert_eq!(Timestamp(TIME_MS_MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
        for bad in [
            "2026-11-24",
            "2026-11-24T05:56:31",
            "2026-11-24T24:00:00Z",
            "1970-01-01T00:30:00+01:00",
            "2026-11-24T05:56:31.Z",
        ] {
            assert!(Timestamp::from_rfc3339(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_deadline_passes_when_its_day_ends() {
        let day: Day = "2026-11-24".parse().expect("well formed");
        assert!(!day.passed(Timestamp(day.plus(1).start().0 - 1)));
        assert!(day.passed(day.plus(1).start()));
    }
}
