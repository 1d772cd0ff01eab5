//! Goods as the record names them: a class of supply and a type from a closed list.

use std::fmt;

/// The NATO classes of supply an item list is mapped to (DOMAIN 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Items on establishment scales.
    Ii,
    /// Stores beyond scales, relief goods among them.
    Iv,
    /// Ammunition.
    V,
    /// Medical stores.
    Medical,
}

impl Class {
    /// Returns the class as statements write it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ii => "II",
            Self::Iv => "IV",
            Self::V => "V",
            Self::Medical => "medical",
        }
    }
}

/// Types by the first words of the source's column, folded to lower case; nothing outside this list is ever written.
const TYPES: [(&str, Class, &str); 9] = [
    ("ammunition for heavy weapon", Class::V, "ammunition for heavy weapon"),
    ("ammunition for light infantry", Class::V, "ammunition for light infantry"),
    ("ammunition for portable defence system", Class::V, "ammunition for portable defence system"),
    ("ammunition", Class::V, "ammunition"),
    ("aviation and drones", Class::Ii, "aviation and drones"),
    ("heavy weapon", Class::Ii, "heavy weapon"),
    ("light armaments", Class::Ii, "light armaments and infantry"),
    ("military equipment", Class::Ii, "military equipment"),
    ("portable defence system", Class::Ii, "portable defence system"),
];

/// A class of supply and a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goods {
    /// The class of supply.
    pub class: Class,
    /// The type, from a closed list.
    pub kind: &'static str,
}

impl Goods {
    /// Maps the source's columns "Type of Aid General", "Type of Aid Specific" and "Type of item".
    ///
    /// A type the list does not know is "unspecified": an unforeseen name is not carried over.
    pub fn of(general: &str, specific: &str, kind: &str) -> Self {
        let kind = kind.trim().to_lowercase();
        if let Some((_, class, kind)) = TYPES.iter().find(|(start, _, _)| kind.starts_with(start)) {
            return Self { class: *class, kind };
        }
        let is_humanitarian = kind == "humanitarian" || general.trim().eq_ignore_ascii_case("humanitarian");
        if !is_humanitarian {
            return Self { class: Class::Ii, kind: "unspecified" };
        }
        let is_medical = specific.to_lowercase().contains("medic");
        if is_medical {
            Self { class: Class::Medical, kind: "medical stores" }
        } else {
            Self { class: Class::Iv, kind: "relief goods" }
        }
    }
}

impl fmt::Display for Goods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class {}, {}", self.class.code(), self.kind)
    }
}
