//! The later releases of the Kiel Institute's Ukraine Support Tracker: monthly sums of each donor.

use crate::draft::Draft;
use crate::kiel::RECIPIENT;

use super::source::{Source, SourceError};
use super::table::Table;
use super::{Found, Row, Rows, cells};

/// The file of monthly sums.
pub const SUMS_FILE: &str = "data_explorer.csv";
const SOURCE: &str = "Kiel Institute, Ukraine Support Tracker, monthly sums";
/// What the publisher says about reuse.
const LICENCE: &str = "cite; no explicit licence";
/// The sums are in thousand millions of euros, and money is counted in cents.
const DIGITS: usize = 9 + 2;
const COLUMNS: [&str; 8] =
    ["country", "year", "month", "total", "financial", "humanitarian", "military", "to_be_allocated"];

/// Reads a table of monthly sums.
///
/// # Errors
/// [`SourceError`]; of a table without its columns nothing is read.
pub fn read(source: &Source) -> Result<Rows, SourceError> {
    let mut table = Table::open(source)?;
    let heads = table.heads()?;
    let at: Vec<Option<usize>> = COLUMNS.iter().map(|name| heads.iter().position(|head| head == name)).collect();
    let missing: Vec<_> = COLUMNS.iter().zip(&at).filter(|(_, at)| at.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let why = format!("it has no column {}", missing.join(", "));
        return Err(source.is_no("table of monthly sums", why, "the columns are those of the tracker, in any order"));
    }
    let at: Vec<usize> = at.into_iter().flatten().collect();
    let width = heads.len();
    Ok(Box::new(table.map(move |row| {
        let (line, row) = row?;
        let cells: Vec<&str> = at.iter().map(|at| row.get(*at).unwrap_or_default().trim()).collect();
        let found = if row.len() == width {
            sum(line, &cells)
        } else {
            Err(format!("{} cells where {width} are expected", row.len()))
        };
        Ok(Found::of(line, found))
    })))
}

fn sum(line: u64, cells: &[&str]) -> Result<Row, String> {
    let &[donor, year, month, total, financial, humanitarian, military, open] = cells else {
        return Err("a row without its columns".to_owned());
    };
    let donor = cells::some(donor).ok_or("no donor")?;
    let number = |cell: &str| cell.parse::<i8>().map_err(|_| format!("{:?} is no month", cells::text(cell, 40)));
    let year: i16 = year.parse().map_err(|_| format!("{:?} is no year", cells::text(year, 40)))?;
    let first = jiff::civil::Date::new(year, number(month)?, 1).map_err(|error| error.to_string())?;
    let amount = cells::scaled(total, DIGITS).ok_or_else(|| format!("{:?} is no sum", cells::text(total, 40)))?;
    let parts =
        [("financial", financial), ("humanitarian", humanitarian), ("military", military), ("not yet specific", open)];
    let parts = parts.map(|(name, part)| format!("{name} {}", cells::some(part).map_or("0", |part| part)));
    let draft = Draft::new("observation")
        .with("source", SOURCE)
        .with("licence", LICENCE)
        .with("row", line)
        .with("reason", "monthly_sum")
        .with("donor", cells::text(donor, 128))
        .with("recipient", RECIPIENT)
        .with("date", first.last_of_month().to_string())
        .with("amount", amount)
        .with("currency", "EUR")
        .with("text", cells::text(&format!("EUR bn of the month: {}", parts.join(", ")), 1_000));
    Ok(Row::new("kiel-sums", line, &line.to_string(), draft, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{published, read_all, written};

    #[test]
    fn a_month_of_a_donor_is_one_observation_in_cents() {
        let head = "month,country,year,total,financial,humanitarian,military,to_be_allocated\n";
        let file =
            written(&format!("{head}2,Australia,2022,0.002645,0,0,0.002645,\n13,X,2022,1,,,,\n1,X,2022,-1,,,,\n1,X\n"));
        let (rows, refused) = read_all(read(&file).expect("sums"));
        assert_eq!(rows.len(), 1);
        let fields = &rows[0].draft.fields;
        assert_eq!((&fields["amount"], &fields["date"]), (&264_500_000.into(), &"2022-02-28".into()));
        assert_eq!(refused.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4, 5]);
    }

    /// The figures of DOMAIN 2.7, from the published sums: military aid by donor.
    #[test]
    fn the_concentration_of_published_sums_is_the_known_one() {
        let Some(folder) = published("kiel-ust-r29") else { return };
        let source = Source::open(&folder.join(SUMS_FILE)).expect("text");
        let of = |year: &str| {
            let mut sums: std::collections::BTreeMap<String, u128> = std::collections::BTreeMap::new();
            for row in Table::open(&source).expect("a table").skip(1) {
                let (_, row) = row.expect("a row");
                if &row[2] == year {
                    let sum = cells::scaled(&row[7], DIGITS).map_or(0, u128::from);
                    *sums.entry(row[1].to_owned()).or_insert(0) += sum;
                }
            }
            comity_protocol::resilience::concentration::concentration(&sums, 2).expect("a sum")
        };
        let year = of("2024");
        assert_eq!((year.hhi, year.effective_hundredths), (2_619, 382));
        assert_eq!((year.top[0].0.as_str(), year.top[1].0.as_str()), ("USA", "DEU"));
        let left = |year: &comity_protocol::resilience::concentration::Concentration<String>| {
            [1, 2].map(|gone| (year.left_without(gone) + 5) / 10)
        };
        assert_eq!(left(&year), [516, 421]);
        let year = of("2025");
        assert_eq!((year.hhi, year.effective_hundredths), (1_189, 841));
        assert_eq!((year.top[0].0.as_str(), year.top[1].0.as_str()), ("DEU", "GBR"));
        assert_eq!(left(&year), [758, 612]);
    }

    #[test]
    fn the_published_sums_are_read() {
        let Some(folder) = published("kiel-ust-r29") else { return };
        let (rows, refused) = read_all(read(&Source::open(&folder.join(SUMS_FILE)).expect("text")).expect("sums"));
        assert!(rows.len() + refused.len() > 1_000 && refused.len() < rows.len() / 50, "{refused:?}");
    }
}
