//! References from one statement to another: their bytes (DOMAIN R1, spec 4.19) and their text.

use std::fmt;
use std::str::FromStr;

use super::Kind;
use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{EnvelopeId, NationId};
use crate::value::{record_id_permitted, record_kind_permitted};

/// A reference to a record (*floating*: its latest version) or to one version of it (*pinned*, R4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref {
    /// Whose record.
    pub nation: NationId,
    /// In which compartment; 0 is open to all members.
    pub compartment: u32,
    /// The record's kind; one this software does not know is kept.
    pub kind: String,
    /// The record's id.
    pub id: String,
    /// The version pinned.
    pub version: Option<EnvelopeId>,
}

impl Ref {
    /// Returns a floating reference to a record of the open compartment.
    pub fn floating(nation: NationId, kind: Kind, id: &str) -> Self {
        Self { nation, compartment: 0, kind: kind.name().to_owned(), id: id.to_owned(), version: None }
    }

    /// Returns this reference pinned to `version`.
    #[must_use]
    pub fn pinned(mut self, version: EnvelopeId) -> Self {
        self.version = Some(version);
        self
    }

    /// Returns the canonical encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.id(&self.nation).u32(self.compartment).str(&self.kind).str(&self.id);
        writer.opt(self.version, |writer, version| {
            writer.id(&version);
        });
        writer.into_bytes()
    }

    /// Whether `bytes` are a reference to the same record, floating or pinned.
    pub(super) fn same_record(&self, bytes: &[u8]) -> bool {
        RefParts::decode(bytes).is_ok_and(|other| {
            (other.nation, other.compartment, other.kind, other.id)
                == (self.nation, self.compartment, self.kind.as_str(), self.id.as_str())
        })
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`DecodeError`] for any other bytes, or if kind or id could not name a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let parts = RefParts::decode(bytes)?;
        Ok(Self {
            nation: parts.nation,
            compartment: parts.compartment,
            kind: parts.kind.to_owned(),
            id: parts.id.to_owned(),
            version: parts.version,
        })
    }
}

/// A reference as it lies in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefParts<'a> {
    pub(super) nation: NationId,
    pub(super) compartment: u32,
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) version: Option<EnvelopeId>,
}

impl<'a> RefParts<'a> {
    /// Reads the canonical encoding; see [`Ref::decode`].
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let nation = reader.id()?;
        let compartment = reader.u32()?;
        let kind = reader.str("kind", 64)?;
        let id = reader.str("id", 10)?;
        let version = reader.opt("version", Reader::id)?;
        reader.finish()?;
        if !record_kind_permitted(kind) {
            return Err(DecodeError::Text("kind"));
        }
        if !record_id_permitted(id) {
            return Err(DecodeError::Text("id"));
        }
        Ok(Self { nation, compartment, kind, id, version })
    }
}

/// A reference as an operator writes it: `CODE/kind/id`, `CODE/kind/id@version`, or an id alone; id and version may be cut
/// to any unique prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefText {
    /// The nation's code and the record's kind; without them the id is looked for everywhere.
    pub place: Option<(String, String)>,
    /// The id, or its first characters.
    pub id: String,
    /// The version's hexadecimal digits, or the first of them.
    pub version: Option<String>,
}

/// A text that is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reference of the form CODE/kind/id or CODE/kind/id@version")]
pub struct RefParseError(pub String);

impl FromStr for RefText {
    type Err = RefParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || RefParseError(text.to_owned());
        let (record, version) = match text.split_once('@') {
            Some((record, version)) => (record, Some(version)),
            None => (text, None),
        };
        let parts: Vec<&str> = record.split('/').collect();
        let (place, id) = match *parts.as_slice() {
            [id] => (None, id),
            [code, kind, id] if !code.is_empty() => (Some((code.to_owned(), kind.replace('-', "_"))), id),
            _ => return Err(refuse()),
        };
        let id = id.to_ascii_lowercase();
        let id_prefix = (1..=10).contains(&id.len()) && record_id_permitted(&format!("{id:0<10}"));
        let hex = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !id_prefix
            || place.as_ref().is_some_and(|(_, kind)| !record_kind_permitted(kind))
            || version.is_some_and(|version| !hex(version))
        {
            return Err(refuse());
        }
        Ok(Self { place, id, version: version.map(str::to_ascii_lowercase) })
    }
}

impl fmt::Display for RefText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((code, kind)) = &self.place {
            write!(f, "{code}/{kind}/")?;
        }
        f.write_str(&self.id)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn references_round_trip_floating_and_pinned() {
        let floating = Ref::floating(NationId::new([7; 32]), Kind::LossReport, "0123456789");
        let pinned = floating.clone().pinned(EnvelopeId::new([9; 32]));
        for reference in [floating, pinned] {
            assert_eq!(Ref::decode(&reference.encode()), Ok(reference));
        }
    }

    #[test]
    fn references_that_name_no_record_are_refused() {
        let mut reference = Ref::floating(NationId::ZERO, Kind::Hub, "0123456789");
        reference.id = "012345678I".to_owned();
        assert_eq!(Ref::decode(&reference.encode()), Err(DecodeError::Text("id")));
        reference.kind = "Hub".to_owned();
        assert_eq!(Ref::decode(&reference.encode()), Err(DecodeError::Text("kind")));
    }

    #[test]
    fn text_takes_prefixes_and_refuses_the_rest() {
        let text: RefText = "POL/loss-report/7K3@AB".parse().expect("well formed");
        assert_eq!(text.to_string(), "POL/loss_report/7k3@ab");
        assert_eq!("7k3".parse::<RefText>().expect("an id alone").place, None);
        for bad in [
            "",
            "POL/pledge",
            "POL/pledge/",
            "/pledge/7k3",
            "POL/Pledge/7k3",
            "POL/pledge/7k3@",
            "POL/pledge/7k3@xyz",
            "POL/pledge/ilou",
            "a/b/c/d",
        ] {
            assert!(bad.parse::<RefText>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_canonical(bytes in any::<Vec<u8>>()) {
            if let Ok(reference) = Ref::decode(&bytes) {
                prop_assert_eq!(reference.encode(), bytes);
            }
        }
    }
}
