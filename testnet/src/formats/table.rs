//! Tables of comma-separated values as people publish them: read row by row, with any of four separators.

use std::io::{self, BufRead, BufReader, Read};

use super::source::{Meter, Source, SourceError, Text};

/// Separators that are looked for in the first line.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The rows of a table from its first line on, heads and all.
pub struct Table {
    source: Source,
    records: csv::StringRecordsIntoIter<PlainLines<BufReader<Text>>>,
    meter: Meter,
    line: u64,
}

/// One row and the line on which it begins.
pub type TableRow = (u64, csv::StringRecord);

impl Table {
    /// Begins to read a table.
    ///
    /// # Errors
    /// [`SourceError::Read`], and [`SourceError::Record`] for a first line without end.
    pub fn open(source: &Source) -> Result<Self, SourceError> {
        let mut first = String::new();
        let (text, _) = source.text()?;
        BufReader::new(text).read_line(&mut first).map_err(|error| source.failed(1, error))?;
        let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
        // Of equals the first: a table of one column is separated by commas.
        let separator = SEPARATORS.iter().rev().max_by_key(|separator| count(separator)).copied().unwrap_or(b',');
        let (text, meter) = source.text()?;
        let mut reader = csv::ReaderBuilder::new();
        let reader =
            reader.flexible(true).has_headers(false).delimiter(separator).from_reader(PlainLines(BufReader::new(text)));
        Ok(Self { source: source.clone(), records: reader.into_records(), meter, line: 0 })
    }

    /// Reads the next row as the heads of the columns; none at the end of the table.
    ///
    /// # Errors
    /// [`SourceError`], as of any row.
    pub fn heads(&mut self) -> Result<Vec<String>, SourceError> {
        let row = self.next().transpose()?;
        Ok(row.map_or_else(Vec::new, |(_, row)| row.iter().map(|head| head.trim().to_owned()).collect()))
    }
}

impl Iterator for Table {
    type Item = Result<TableRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.records.next()? {
            Ok(record) => record,
            Err(error) => {
                return Some(Err(match error.into_kind() {
                    csv::ErrorKind::Io(error) => self.source.failed(self.line, error),
                    other => self.source.broken(self.line, format!("{other:?}")),
                }));
            }
        };
        self.meter.reset();
        self.line = record.position().map_or(self.line, csv::Position::line);
        Some(Ok((self.line, record)))
    }
}

/// Text whose lines end with a line feed alone: the reader of tables counts the line of a row before a carriage return and line
/// feed as the one above.
struct PlainLines<R>(R);

impl<R: BufRead> Read for PlainLines<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let held = self.0.fill_buf()?;
        let plain = held.iter().position(|byte| *byte == b'\r').unwrap_or(held.len()).min(buf.len());
        if plain > 0 || held.is_empty() {
            buf[..plain].copy_from_slice(&held[..plain]);
            self.0.consume(plain);
            return Ok(plain);
        }
        self.0.consume(1);
        // A carriage return alone ends a line too, as on old machines.
        if self.0.fill_buf()?.first() == Some(&b'\n') {
            self.0.consume(1);
        }
        buf[0] = b'\n';
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rows(bytes: &[u8]) -> Vec<(u64, Vec<String>)> {
        let source = Source::of_bytes(Path::new("x"), bytes).expect("text");
        let table = Table::open(&source).expect("a table");
        let rows = table.map(|row| row.expect("a row"));
        rows.map(|(line, row)| (line, row.iter().map(str::to_owned).collect())).collect()
    }

    #[test]
    fn four_separators_and_quoted_lines_are_one_table() {
        let row = |line, cells: [&str; 2]| (line, cells.map(str::to_owned).to_vec());
        for separator in [",", ";", "\t", "|"] {
            let text = format!("a{separator}b\r\n\"x{separator}\ny\"{separator}2\n3{separator}4");
            let quoted = format!("x{separator}\ny");
            assert_eq!(rows(text.as_bytes()), [row(1, ["a", "b"]), row(2, [&quoted, "2"]), row(4, ["3", "4"])]);
        }
        assert_eq!(rows(b"alone\n1\n").len(), 2);
        assert_eq!(rows(b""), []);
    }

    #[test]
    fn a_line_without_end_is_refused_in_bounded_memory() {
        let text = format!("a,b\n1,2\n{}", "x".repeat(4 << 20));
        let source = Source::of_bytes(Path::new("x"), text.as_bytes()).expect("text");
        let found: Vec<_> = Table::open(&source).expect("a table").collect();
        assert_eq!(found.len(), 3);
        assert!(matches!(found[2], Err(SourceError::Record { line: 2, .. })), "{:?}", found[2]);
    }
}
