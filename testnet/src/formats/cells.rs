//! What the cells of published tables mean: text, days, amounts of money, and nothing.

use comity_protocol::statement::check::MONEY_MAX;
use iso_currency::Currency;
use jiff::civil::Date;

/// The formats of days that leave no doubt, tried in this order.
const FORMATS: [&str; 12] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%d %B %Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%B-%Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%B %d %Y",
    "%b %d %Y",
];
/// The first day a spreadsheet counts to is 1: 1900-01-01, with one day too many in February 1900.
const SPREADSHEET_DAY_ZERO: Date = Date::constant(1899, 12, 30);
/// Spreadsheet days that are taken for days: 1954 to 2119.
const SPREADSHEET_DAYS: std::ops::Range<i64> = 20_000..80_000;

/// Returns the cell without blanks around it, unless it says that there is nothing.
pub fn some(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    let nothing = ["", "-", "--", ".", "…", "?", "n/a", "na", "n.a.", "null", "none", "nan", "#n/a"];
    (!nothing.contains(&cell.to_ascii_lowercase().as_str())).then_some(cell)
}

/// Returns foreign text without control and directional characters, cut at a character boundary within `max` bytes.
pub fn text(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if matches!(u32::from(c), 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb)
        {
            continue;
        }
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// Returns the day that a cell names without doubt: ISO 8601 with or without a time, a compact day, day.month.year, a day with
/// the month's English name, a spreadsheet's day number, or slashes where only one order makes a day.
pub fn day(cell: &str) -> Option<Date> {
    let cell = cell.trim();
    let date = cell.split_once(['T', ' ']).filter(|(day, _)| day.len() == 10).map_or(cell, |(day, _)| day);
    let found = FORMATS.iter().find_map(|format| Date::strptime(format, date).ok());
    let found = found.or_else(|| slashes(date)).or_else(|| spreadsheet(date));
    found.filter(|day| (1_900..=2_200).contains(&day.year()))
}

/// Day and month in either order, where only one of them can be.
fn slashes(cell: &str) -> Option<Date> {
    let british = Date::strptime("%d/%m/%Y", cell).ok();
    let american = Date::strptime("%m/%d/%Y", cell).ok();
    match (british, american) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

fn spreadsheet(cell: &str) -> Option<Date> {
    let days = cell.parse::<i64>().ok().filter(|days| SPREADSHEET_DAYS.contains(days))?;
    SPREADSHEET_DAY_ZERO.checked_add(jiff::Span::new().days(days)).ok()
}

/// Returns an amount in the currency's minor units, rounded down; `None` for what is no amount of it, and for a currency that
/// is none. Thousands may be set apart by commas or blanks.
pub fn minor_units(cell: &str, currency: &str) -> Option<u64> {
    scaled(cell, usize::from(Currency::from_code(currency)?.exponent()?)).filter(|amount| *amount <= MONEY_MAX)
}

/// Returns a decimal number times ten to the power of `digits`, rounded down; `None` for what is no such number.
pub fn scaled(cell: &str, digits: usize) -> Option<u64> {
    let (whole, part) = cell.trim().split_once('.').unwrap_or((cell.trim(), ""));
    let plain: String = if whole.contains([',', ' ', '\u{a0}']) { grouped(whole)? } else { whole.to_owned() };
    if plain.is_empty() || !plain.bytes().chain(part.bytes()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let below = if digits == 0 { 0 } else { format!("{part:0<digits$}").get(..digits)?.parse::<u64>().ok()? };
    let above = plain.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(u32::try_from(digits).ok()?)?)?;
    above.checked_add(below)
}

/// Joins groups of three digits.
fn grouped(whole: &str) -> Option<String> {
    let mut groups = whole.split([',', ' ', '\u{a0}']);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let rest: Vec<&str> = groups.collect();
    rest.iter().all(|group| group.len() == 3).then(|| format!("{first}{}", rest.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_many_shapes_are_one_day() {
        let day_of = |cell| day(cell).map(|day| day.to_string());
        for cell in [
            "2015-03-31",
            "2015-03-31T00:00:00Z",
            "2015-03-31 10:15",
            "20150331",
            "2015/03/31",
            "31.03.2015",
            "31 March 2015",
            "31 Mar 2015",
            "31-Mar-2015",
            "March 31, 2015",
            "31/03/2015",
            "03/31/2015",
            "42094",
        ] {
            assert_eq!(day_of(cell).as_deref(), Some("2015-03-31"), "{cell}");
        }
        for cell in ["03/04/2015", "2015-02-30", "June", "2015", "0001-01-01", "", "99999999", "31/31/2015"] {
            assert_eq!(day_of(cell), None, "{cell}");
        }
        assert_eq!(day_of("04/04/2015").as_deref(), Some("2015-04-04"), "both orders are the same day");
    }

    #[test]
    fn amounts_are_counted_in_the_minor_units_of_their_currency() {
        let cases = [
            ("606796", "USD", Some(60_679_600)),
            ("0.5", "EUR", Some(50)),
            ("12.345", "USD", Some(1_234)),
            ("1,234,567.80", "USD", Some(123_456_780)),
            ("1 234", "PLN", Some(123_400)),
            ("590", "JPY", Some(590)),
            ("1.5", "KWD", Some(1_500)),
            ("1,23", "USD", None),
            ("-1", "USD", None),
            ("1e9", "USD", None),
            ("", "USD", None),
            (".", "USD", None),
            ("5", "XYZ", None),
            ("99999999999999999999", "USD", None),
            ("18446744073709551615", "USD", None),
        ];
        for (cell, currency, minor) in cases {
            assert_eq!(minor_units(cell, currency), minor, "{cell} {currency}");
        }
    }

    #[test]
    fn a_cell_may_say_that_there_is_nothing() {
        for nothing in ["", " ", "-", "N/A", "NULL", "."] {
            assert_eq!(some(nothing), None, "{nothing:?}");
        }
        assert_eq!(some(" x "), Some("x"));
    }

    #[test]
    fn text_neither_steers_nor_grows() {
        assert_eq!(text("a\u{202e}b\u{7}c\n", 10), "ab c");
        assert_eq!(text("ééé", 5), "éé");
    }
}
