//! What an operator asks to be written, before it is checked: the JSON of the local API.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use super::check::Problem;
use super::ledger::ResolveError;
use super::reference::RefParseError;
use super::schema::Role;
use super::units::{QuantityError, symbols};
use crate::time::TimeParseError;

/// A statement to be written, or a revision of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The kind's name.
    pub kind: String,
    /// The record to revise, as a reference in text; absent for a new record.
    #[serde(default)]
    pub record: Option<String>,
    /// `withdrawn` or `closed`; absent or `live`: it stands.
    #[serde(default)]
    pub status: Option<String>,
    /// Fields by name; in a revision those left out keep their value and `null` removes one.
    #[serde(default)]
    pub fields: BTreeMap<String, DraftValue>,
}

/// A value of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DraftValue {
    /// Absent.
    Null,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A whole number beyond [`i64::MAX`].
    Large(u64),
    /// Text; also decimal numbers, days, moments and references.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

impl From<&str> for DraftValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for DraftValue {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Large(number), Self::Number)
    }
}

struct DraftValueVisitor;

impl<'de> Visitor<'de> for DraftValueVisitor {
    type Value = DraftValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number (write decimal numbers as text), true, false, null, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<DraftValue, E> {
        Ok(DraftValue::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<DraftValue, E> {
        Ok(DraftValue::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<DraftValue, E> {
        Ok(DraftValue::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<DraftValue, E> {
        Ok(DraftValue::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<DraftValue, E> {
        Ok(DraftValue::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<DraftValue, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(DraftValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<DraftValue, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(DraftValue::Map(map))
    }
}

impl<'de> Deserialize<'de> for DraftValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DraftValueVisitor)
    }
}

/// Why a draft is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct DraftError {
    /// The field at fault, with `.` before what lies inside it.
    pub field: Option<String>,
    /// What is wrong.
    pub problem: DraftProblem,
}

/// What is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftProblem {
    /// No such kind.
    #[error("there is no kind of statement called {0:?}")]
    Kind(String),
    /// No such field.
    #[error("{kind} has no such field")]
    Field {
        /// The kind.
        kind: &'static str,
    },
    /// A value of the wrong shape.
    #[error("wants {0}")]
    Wants(&'static str),
    /// A text that steers the terminal.
    #[error("holds an invisible or directional character")]
    Hidden,
    /// A unit we do not know.
    #[error("unit {0:?} is unknown")]
    Unit(String),
    /// A quantity without a unit.
    #[error("a unit is needed")]
    UnitMissing,
    /// A unit of another dimension than what the statement refers to.
    #[error("is in {unit}, which cannot be compared with {other}")]
    Dimension {
        /// The unit given.
        unit: String,
        /// The unit of what it refers to.
        other: String,
    },
    /// Not a quantity.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Not a day or moment.
    #[error(transparent)]
    Time(#[from] TimeParseError),
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] RefParseError),
    /// A reference to nothing, or to more than one thing.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The fields break the table of kinds.
    #[error(transparent)]
    Table(#[from] Problem),
    /// The shipment has no such line.
    #[error("the shipment has no line {0}")]
    Line(u32),
    /// The shipment has no such leg.
    #[error("the shipment has no leg {0}")]
    Leg(usize),
    /// The record belongs to another nation.
    #[error("{record} is a record of another nation")]
    NotOurs {
        /// The record.
        record: String,
    },
    /// Another nation's role.
    #[error("only the {} may write this: {nation}", role.name())]
    Role {
        /// The role.
        role: Role,
        /// The nation that has it.
        nation: String,
    },
    /// What it refers to does not stand.
    #[error("{record} is {status}")]
    Ended {
        /// What it refers to.
        record: String,
        /// Its status, or `invalid`.
        status: &'static str,
    },
    /// The record has moved on.
    #[error("the record is at version {current}, not {expected}")]
    Moved {
        /// The version expected.
        expected: String,
        /// The version that counts.
        current: String,
    },
    /// A version expected of a record that is yet to be written.
    #[error("a new record has no version to expect")]
    NoVersion,
    /// The id is taken.
    #[error("{0} exists already")]
    Taken(String),
    /// Said already, and said once only.
    #[error("this nation has said so already: {record}")]
    Twice {
        /// The record that says it.
        record: String,
    },
    /// More than one change holds.
    #[error(
        "the statement takes {bytes} bytes and {operations} operations, at most {bytes_max} and {operations_max} fit"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
        /// Its operations.
        operations: usize,
        /// The bound.
        operations_max: usize,
    },
}

/// Whose move it is after a [`DraftError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftFault {
    /// The input is wrong in itself (exit 2).
    Input,
    /// The input is sound, but the record or the roles do not allow it (exit 1).
    Refused,
}

impl DraftError {
    /// Returns whose move it is.
    pub const fn fault(&self) -> DraftFault {
        match self.problem {
            DraftProblem::NotOurs { .. }
            | DraftProblem::Role { .. }
            | DraftProblem::Ended { .. }
            | DraftProblem::Moved { .. }
            | DraftProblem::Twice { .. }
            | DraftProblem::Taken(_) => DraftFault::Refused,
            DraftProblem::Kind(_)
            | DraftProblem::Field { .. }
            | DraftProblem::Wants(_)
            | DraftProblem::Hidden
            | DraftProblem::Unit(_)
            | DraftProblem::UnitMissing
            | DraftProblem::Dimension { .. }
            | DraftProblem::Quantity(_)
            | DraftProblem::Time(_)
            | DraftProblem::Reference(_)
            | DraftProblem::Resolve(_)
            | DraftProblem::Table(_)
            | DraftProblem::Line(_)
            | DraftProblem::Leg(_)
            | DraftProblem::NoVersion
            | DraftProblem::TooLarge { .. } => DraftFault::Input,
        }
    }

    /// Returns what the operator may do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.problem {
            DraftProblem::Kind(_) => {
                format!("known kinds: {}", super::Kind::ALL.map(super::Kind::name).join(", "))
            }
            DraftProblem::Field { kind } => {
                let spec = super::Kind::from_name(kind)?.spec();
                let names: Vec<&str> = spec.all_fields().map(|field| field.name).collect();
                format!("fields of {kind}: {}", names.join(", "))
            }
            DraftProblem::Unit(_) | DraftProblem::UnitMissing => {
                format!("known units: {}", symbols().collect::<Vec<_>>().join(", "))
            }
            DraftProblem::Quantity(error) => {
                format!("quantities are 1 to 10^15 whole {}", error.unit.dimension.base())
            }
            DraftProblem::Resolve(ResolveError::Ambiguous { .. }) => "write more characters".to_owned(),
            DraftProblem::Resolve(_) => {
                "references are CODE/kind/id; what was not yet received from its nation cannot be referred to"
                    .to_owned()
            }
            DraftProblem::Reference(_) => {
                "for example POL/pledge/7k3m9q2x4d, or the first characters of its id".to_owned()
            }
            DraftProblem::Moved { .. } => "look at the record again, then revise its latest version".to_owned(),
            DraftProblem::NotOurs { .. } => "what another nation said can only be answered, not revised".to_owned(),
            DraftProblem::Table(Problem::Missing) => "give the field a value".to_owned(),
            DraftProblem::TooLarge { .. } => "split it into several statements".to_owned(),
            DraftProblem::Twice { .. } => {
                "each participant has one extension and one assent for each version of a proposal".to_owned()
            }
            DraftProblem::Dimension { .. }
            | DraftProblem::Wants(_)
            | DraftProblem::Hidden
            | DraftProblem::Time(_)
            | DraftProblem::Table(_)
            | DraftProblem::Line(_)
            | DraftProblem::Leg(_)
            | DraftProblem::Role { .. }
            | DraftProblem::Ended { .. }
            | DraftProblem::NoVersion
            | DraftProblem::Taken(_) => return None,
        };
        Some(hint)
    }

    pub(crate) fn of(problem: impl Into<DraftProblem>) -> Self {
        Self { field: None, problem: problem.into() }
    }

    pub(crate) fn at(field: &str, problem: impl Into<DraftProblem>) -> Self {
        Self { field: Some(field.to_owned()), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_json_without_fractions() {
        let draft: Draft = serde_json::from_str(
            r#"{"kind":"pledge","fields":{"quantity":"2.5","n":-3,"l":[true,null],"m":{"a":18446744073709551615}}}"#,
        )
        .expect("well formed");
        assert_eq!(draft.fields["n"], DraftValue::Number(-3));
        let again = serde_json::to_string(&draft).expect("plain data");
        assert_eq!(serde_json::from_str::<Draft>(&again).expect("our own"), draft);
        let error =
            serde_json::from_str::<Draft>(r#"{"kind":"pledge","fields":{"quantity":2.5}}"#).expect_err("a fraction");
        assert!(error.to_string().contains("write decimal numbers as text"), "{error}");
        assert!(serde_json::from_str::<Draft>(r#"{"kind":"pledge","feilds":{}}"#).is_err());
    }
}
