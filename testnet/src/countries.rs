//! Countries by the names data sources give them.

use std::collections::BTreeMap;

/// Codes and names, one country a line; see the head of the file for where they come from.
const COUNTRIES: &str = include_str!("../data/countries.csv");

/// The codes of nations by name.
#[derive(Clone, Debug)]
pub struct Countries {
    codes: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
}

impl Countries {
    /// Reads the built-in list: ISO 3166-1, and `EUI` for the institutions of the European Union.
    pub fn built_in() -> Self {
        let mut countries = Self { codes: BTreeMap::new(), names: BTreeMap::new() };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .from_reader(COUNTRIES.as_bytes());
        for line in reader.records().map_while(Result::ok) {
            let Some(code) = line.get(0) else { continue };
            for name in line.iter().skip(1) {
                countries.codes.insert(folded(name), code.to_owned());
                countries.names.entry(code.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
        countries
    }

    /// Returns the code of the country a source calls `name`: by any of its names, or by the code itself.
    ///
    /// Case, spaces and punctuation do not matter.
    pub fn code(&self, name: &str) -> Option<&str> {
        if let Some((code, _)) = self.names.get_key_value(name.trim()) {
            return Some(code);
        }
        self.codes.get(&folded(name)).map(String::as_str)
    }

    /// Returns the short name of a code; the code itself if it is not in the list.
    pub fn name<'a>(&'a self, code: &'a str) -> &'a str {
        self.names.get(code).map_or(code, String::as_str)
    }
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_found_by_every_name_a_source_uses() {
        let countries = Countries::built_in();
        for (name, code) in [
            ("Germany", "DEU"),
            ("Czech Republic", "CZE"),
            ("Czechia", "CZE"),
            ("EU (Commission and Council)", "EUI"),
            ("  united states ", "USA"),
            ("United Kingdom", "GBR"),
            ("South Korea", "KOR"),
            ("Türkiye", "TUR"),
            ("Slovakia", "SVK"),
            ("NOR", "NOR"),
        ] {
            assert_eq!(countries.code(name), Some(code), "{name}");
        }
        assert_eq!(countries.code("Ruritania"), None);
        assert_eq!(countries.code(""), None);
        assert_eq!(countries.name("POL"), "Poland");
        assert_eq!(countries.name("XQZ"), "XQZ");
    }
}
