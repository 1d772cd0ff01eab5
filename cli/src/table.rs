//! Aligned tables and shortened identifiers for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use comity_protocol::statement::visible;

/// A column: its heading, and how its cells stand.
pub enum Column {
    /// Text, to the left.
    Left(&'static str),
    /// Numbers, to the right.
    Right(&'static str),
}

/// Returns rows as an aligned table without borders; one line saying so where there are none.
pub fn table(columns: &[Column], rows: Vec<Vec<String>>, nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| match column {
        Column::Left(name) => Cell::new(name),
        Column::Right(name) => Cell::new(name).set_alignment(CellAlignment::Right),
    }));
    for row in rows {
        let cells = row.into_iter().zip(columns).map(|(text, column)| match column {
            Column::Left(_) => Cell::new(visible(&text)),
            Column::Right(_) => Cell::new(visible(&text)).set_alignment(CellAlignment::Right),
        });
        table.add_row(cells);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Returns the first ten characters of an identifier.
pub fn short(id: &str) -> String {
    id.chars().take(10).collect()
}

/// Returns an absent text as a dash.
pub fn dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// Returns how long ago `then` was, both RFC 3339, in words; the text itself where it cannot be read.
pub fn ago(then: &str, now: jiff::Timestamp) -> String {
    let Ok(moment) = then.parse::<jiff::Timestamp>() else { return then.to_owned() };
    let seconds = now.as_second() - moment.as_second();
    match seconds {
        ..0 => format!("in {}", span(seconds.unsigned_abs())),
        0 => "now".to_owned(),
        _ => format!("{} ago", span(seconds.unsigned_abs())),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns `count` with thin groups of three digits.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a count with what is counted, in the plural where there is not one of it.
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", number(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|count| counted(count, "row")), ["1 row", "2 rows"]);
    }

    #[test]
    fn spans_are_in_words() {
        let now: jiff::Timestamp = "2026-11-24T12:00:00Z".parse().expect("a moment");
        assert_eq!(ago("2026-11-24T11:59:30Z", now), "30 s ago");
        assert_eq!(ago("2026-11-24T09:00:00Z", now), "3 h ago");
        assert_eq!(ago("2026-11-24T12:05:00Z", now), "in 5 min");
    }
}
