//! Reads the item list of the Ukraine Support Tracker (Kiel Institute) and makes each row one statement (DOMAIN 2.10).
//!
//! What a row says about a good is reduced to its class of supply and its type: neither the name of a weapon, nor the
//! explanation, nor a sub-type leaves this module.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use comity_protocol::limits::{NATIONS_MAX, QUANTITY_MAX};
use serde::Serialize;
use utoipa::ToSchema;

use crate::countries::Countries;
use crate::draft::Draft;

mod goods;
mod row;

pub use goods::{Class, Goods};
pub use row::{KielRow, Kind, Reason, Refusal};

/// The file of a data folder that holds one item a row.
pub const ITEMS_FILE: &str = "items.csv";
/// The nation the file is about.
pub const RECIPIENT: &str = "UKR";
/// Most rows read: the largest release has some 5,000, and every row becomes a signed statement.
pub const ROWS_MAX: u64 = 50_000;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KielError {
    /// The folder or its item list is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The item list.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The item list lacks columns.
    #[error("{} has no column {}", path.display(), missing.join(", "))]
    Columns {
        /// The item list.
        path: PathBuf,
        /// The names of the missing columns.
        missing: Vec<String>,
    },
    /// The item list has more rows than [`ROWS_MAX`].
    #[error("{} has more than {ROWS_MAX} rows", path.display())]
    TooManyRows {
        /// The item list.
        path: PathBuf,
    },
    /// No row could be read.
    #[error("{} has no usable row ({refused} refused)", path.display())]
    NoRows {
        /// The item list.
        path: PathBuf,
        /// Rows refused.
        refused: u64,
    },
    /// More donors than an alliance has room for.
    #[error("{} names {donors} donors; an alliance has at most {NATIONS_MAX} nations", path.display())]
    TooManyDonors {
        /// The item list.
        path: PathBuf,
        /// Distinct donors.
        donors: usize,
    },
}

/// What became of one donor's rows: `read = pledges + observations + refused`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowCount {
    /// The donor's code; absent for refused rows whose donor is unknown.
    pub donor: Option<String>,
    /// Rows read.
    pub read: u64,
    /// Rows that are pledges.
    pub pledges: u64,
    /// Rows that are observations.
    pub observations: u64,
    /// Rows refused.
    pub refused: u64,
}

/// A row that became no statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RefusedItem)]
pub struct RefusedRow {
    /// The line of the file the row starts on.
    pub line: u64,
    /// The donor's code, where it could be read.
    pub donor: Option<String>,
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// A requirement the recipient files for one class of supply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassNeed {
    /// The class.
    pub class: Class,
    /// Units pledged by all rows of the class.
    pub pledged: u64,
    /// Units required: 120 % of what is pledged, rounded up.
    pub required: u64,
}

/// An item list, row by row.
#[derive(Clone, Debug)]
pub struct KielFile {
    /// Rows that become statements, in file order.
    pub rows: Vec<KielRow>,
    /// Rows that do not, in file order.
    pub refused: Vec<RefusedRow>,
    /// Rows read.
    pub read: u64,
}

impl KielFile {
    /// Reads the item list of the data folder `dir`.
    ///
    /// Any file with the same columns will do; their order does not matter. A malformed row is refused and counted.
    /// # Errors
    /// [`KielError`] if the folder, the list or a column is missing, or the list is too large or has no usable row.
    pub fn read(dir: &Path) -> Result<Self, KielError> {
        let path = dir.join(ITEMS_FILE);
        let file = std::fs::File::open(&path).map_err(|source| KielError::Read { path: path.clone(), source })?;
        Self::parse(&path, file)
    }

    /// Reads an item list from `source`; `path` stands in error messages.
    /// # Errors
    /// As [`KielFile::read`].
    pub fn parse(path: &Path, source: impl io::Read) -> Result<Self, KielError> {
        let countries = Countries::built_in();
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(source);
        let mut records = reader.byte_records();
        let head = match records.next() {
            Some(head) => head.map_err(|error| read_error(path, error))?,
            None => csv::ByteRecord::new(),
        };
        let columns =
            row::Columns::find(&head).map_err(|missing| KielError::Columns { path: path.to_owned(), missing })?;
        let mut file = Self { rows: Vec::new(), refused: Vec::new(), read: 0 };
        for record in records {
            let record = record.map_err(|error| read_error(path, error))?;
            file.read += 1;
            if file.read > ROWS_MAX {
                return Err(KielError::TooManyRows { path: path.to_owned() });
            }
            let line = record.position().map_or(0, csv::Position::line);
            match row::read(&columns, &record, file.read, &countries) {
                Ok(row) => file.rows.push(row),
                Err((refusal, donor)) => file.refused.push(RefusedRow { line, donor, refusal }),
            }
        }
        if file.rows.is_empty() {
            return Err(KielError::NoRows { path: path.to_owned(), refused: file.read });
        }
        let donors = file.donors().len();
        if donors >= NATIONS_MAX {
            return Err(KielError::TooManyDonors { path: path.to_owned(), donors });
        }
        Ok(file)
    }

    /// Returns the codes of all donors with at least one statement, in order.
    pub fn donors(&self) -> Vec<String> {
        let donors: BTreeSet<&String> = self.rows.iter().map(|row| &row.donor).collect();
        donors.into_iter().cloned().collect()
    }

    /// Returns what became of the rows, by donor.
    pub fn counts(&self) -> Vec<RowCount> {
        let mut counts: BTreeMap<Option<String>, RowCount> = BTreeMap::new();
        for row in &self.rows {
            let count = entry(&mut counts, Some(row.donor.clone()));
            match row.kind {
                Kind::Pledge { .. } => count.pledges += 1,
                Kind::Observation { .. } => count.observations += 1,
            }
        }
        for refused in &self.refused {
            entry(&mut counts, refused.donor.clone()).refused += 1;
        }
        counts.into_values().collect()
    }

    /// Returns what the recipient requires of each class that somebody pledged.
    pub fn needs(&self) -> Vec<ClassNeed> {
        let mut pledged: BTreeMap<Class, u64> = BTreeMap::new();
        for (row, units) in self.pledges() {
            let sum = pledged.entry(row.goods.class).or_default();
            *sum = sum.saturating_add(units);
        }
        let need = |(class, pledged): (Class, u64)| {
            let required = u64::try_from((u128::from(pledged) * 6).div_ceil(5)).unwrap_or(u64::MAX).min(QUANTITY_MAX);
            ClassNeed { class, pledged, required }
        };
        pledged.into_iter().map(need).collect()
    }

    /// Returns the donor whose removal uncovers most units, the first by code among equals; `None` if nobody pledges.
    ///
    /// Every class stays below its requirement, so each accepted unit that goes uncovers one.
    pub fn largest_donor(&self) -> Option<String> {
        let mut units: BTreeMap<&str, u128> = BTreeMap::new();
        for (row, pledged) in self.pledges() {
            *units.entry(&row.donor).or_default() += u128::from(pledged);
        }
        let largest = units.into_iter().rev().max_by_key(|(_, units)| *units)?;
        Some(largest.0.to_owned())
    }

    fn pledges(&self) -> impl Iterator<Item = (&KielRow, u64)> {
        self.rows.iter().filter_map(|row| match row.kind {
            Kind::Pledge { units } => Some((row, units)),
            Kind::Observation { .. } => None,
        })
    }
}

impl ClassNeed {
    /// Returns the requirement as the recipient files it, needed on `needed_by` (`YYYY-MM-DD`).
    pub fn draft(&self, needed_by: &str) -> Draft {
        Draft::new("requirement")
            .with("item", format!("class {}, all types", self.class.code()))
            .with("class", self.class.code())
            .with("quantity", self.required)
            .with("unit", "each")
            .with("needed_by", needed_by)
    }
}

fn entry(counts: &mut BTreeMap<Option<String>, RowCount>, donor: Option<String>) -> &mut RowCount {
    let count = counts.entry(donor.clone()).or_insert_with(|| RowCount { donor, ..RowCount::default() });
    count.read += 1;
    count
}

fn read_error(path: &Path, error: csv::Error) -> KielError {
    KielError::Read { path: path.to_owned(), source: error.into() }
}

#[cfg(test)]
mod tests;
