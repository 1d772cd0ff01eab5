//! Published places as templates of hubs: airports, sea ports and border crossings.
//!
//! A template is nothing until the host nation adopts it as its own Hub (DOMAIN 2.10); the list knows neither what a place can
//! take nor whether it is open.

use crate::countries::Countries;
use crate::draft::Draft;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::source::{Source, SourceError};
use super::table::Table;
use super::{RefusedRow, Row, cells};

/// Largest list of ports that is read; the published one is below 30 KB for some countries and 1 MB for the world.
const LIST_BYTES_MAX: u64 = 32 << 20;
/// Most places of one list.
const PLACES_MAX: usize = 100_000;
const EXPECTED: &str = "expected airports (icao, iata, name, country, lat, lon), ports (an object by UN/LOCODE) or border crossings \
                        (name_en, neighbour, lat, lon)";

/// A published place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Template {
    /// The line or entry of the source.
    pub line: u64,
    /// ICAO code or UN/LOCODE, or a name without blanks.
    pub code: String,
    /// What it is called.
    pub name: String,
    /// What sort of place: airport, port or crossing.
    pub hub_kind: &'static str,
    /// Codes of the countries on whose ground it is.
    pub countries: Vec<String>,
    /// Latitude in degrees, north positive, at most 6 decimals.
    pub lat: String,
    /// Longitude in degrees, east positive, at most 6 decimals.
    pub lon: String,
}

impl Template {
    /// Returns the Hub that adopts it.
    pub fn adopted(&self) -> Row {
        let mode = match self.hub_kind {
            "airport" => "air",
            "port" => "sea",
            _ => "road",
        };
        let draft = Draft::new("hub")
            .with("name", self.name.clone())
            .with("hub_kind", self.hub_kind)
            .with("code", self.code.clone())
            .with("lat", self.lat.clone())
            .with("lon", self.lon.clone())
            .with("modes", json!([mode]));
        Row::new("hub", self.line, &self.code, draft, Vec::new())
    }
}

/// What a list holds.
#[derive(Debug, Default)]
pub struct Templates {
    /// The places, in the order of the list.
    pub places: Vec<Template>,
    /// Entries that are none.
    pub refused: Vec<RefusedRow>,
}

impl Templates {
    fn keep(&mut self, line: u64, found: Result<Template, String>) {
        match found {
            Ok(place) => self.places.push(place),
            Err(reason) => self.refused.push(RefusedRow { line, reason }),
        }
    }
}

/// Reads a list of places, of any of its three forms.
///
/// # Errors
/// [`SourceError`]; of a file of no form nothing is read.
pub fn read(source: &Source) -> Result<Templates, SourceError> {
    if source.is_object()? { ports(source) } else { table(source) }
}

fn ports(source: &Source) -> Result<Templates, SourceError> {
    let Some(bytes) = source.whole(LIST_BYTES_MAX)? else {
        return Err(source.is_no("list of places", format!("it is larger than {LIST_BYTES_MAX} bytes"), EXPECTED));
    };
    let list: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| source.is_no("list of places", error.to_string(), EXPECTED))?;
    let countries = Countries::built_in();
    let mut templates = Templates::default();
    for ((code, port), line) in list.iter().take(PLACES_MAX).zip(1..) {
        let country = port["country"].as_str().and_then(|name| countries.code(name)).map(str::to_owned);
        let degrees = |at: usize| port["coordinates"].get(at).map(Value::to_string).unwrap_or_default();
        let place = (port["name"].as_str().unwrap_or_default(), code.as_str());
        templates.keep(line, template(line, place, "port", country.into_iter().collect(), (&degrees(1), &degrees(0))));
    }
    Ok(templates)
}

fn table(source: &Source) -> Result<Templates, SourceError> {
    let mut table = Table::open(source)?;
    let heads = table.heads()?;
    let has = |names: &[&str]| names.iter().all(|name| heads.iter().any(|head| head == name));
    let airports = has(&["icao", "name", "country", "lat", "lon"]);
    if !airports && !has(&["name_en", "neighbour", "lat", "lon"]) {
        return Err(source.is_no("list of places", "its columns are others", EXPECTED));
    }
    let countries = Countries::built_in();
    let mut templates = Templates::default();
    for row in table.take(PLACES_MAX) {
        let (line, row) = row?;
        let cell = |name: &str| {
            let at = heads.iter().position(|head| head == name);
            at.and_then(|at| row.get(at)).map(str::trim).unwrap_or_default()
        };
        let degrees = (cell("lat"), cell("lon"));
        let found = if row.len() != heads.len() {
            Err(format!("{} cells where {} are expected", row.len(), heads.len()))
        } else if airports {
            let country = rust_iso3166::from_alpha2(cell("country")).map(|country| country.alpha3.to_owned());
            template(line, (cell("name"), cell("icao")), "airport", country.into_iter().collect(), degrees)
        } else {
            let neighbour = countries.code(cell("neighbour")).map(str::to_owned);
            let both = neighbour.into_iter().chain(["UKR".to_owned()]).collect();
            let code: String =
                cell("name_en").split_whitespace().filter(|word| *word != "-").collect::<Vec<_>>().join("-");
            template(line, (cell("name_en"), &code), "crossing", both, degrees)
        };
        templates.keep(line, found);
    }
    Ok(templates)
}

fn template(
    line: u64,
    (name, code): (&str, &str),
    hub_kind: &'static str,
    countries: Vec<String>,
    (lat, lon): (&str, &str),
) -> Result<Template, String> {
    let (name, code) = (cells::text(name, 128), cells::text(code, 60));
    if name.is_empty() || code.is_empty() {
        return Err("no name or no code".to_owned());
    }
    if countries.is_empty() {
        return Err("its country is unknown".to_owned());
    }
    let degrees =
        |cell: &str, max| degrees(cell, max).ok_or_else(|| format!("{:?} are no degrees", cells::text(cell, 40)));
    Ok(Template { line, code, name, hub_kind, countries, lat: degrees(lat, 90)?, lon: degrees(lon, 180)? })
}

/// Returns degrees with six decimals, about a tenth of a metre: the rest is no measurement.
fn degrees(cell: &str, max: u64) -> Option<String> {
    let cell = cell.trim();
    let (sign, digits) = cell.strip_prefix('-').map_or(("", cell), |digits| ("-", digits));
    let micro = cells::scaled(digits, 6).filter(|micro| *micro <= max * 1_000_000)?;
    Some(format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{published, written};

    #[test]
    fn degrees_have_six_decimals() {
        for (cell, wanted) in [
            ("51.1852213611046", Some("51.185221")),
            ("-0.5", Some("-0.500000")),
            ("91", None),
            ("x", None),
            ("1e1", None),
        ] {
            assert_eq!(degrees(cell, 90).as_deref(), wanted, "{cell}");
        }
    }

    #[test]
    fn a_crossing_is_on_the_ground_of_two() {
        let file = written("name_en,name_uk,neighbour,lat,lon\nA - B,Я,Poland,51.2,23.8\nC,Я,Atlantis,1,2x\nD\n");
        let read = read(&file).expect("places");
        let place = &read.places[0];
        assert_eq!(
            (place.code.as_str(), place.countries.as_slice()),
            ("A-B", ["POL".to_owned(), "UKR".to_owned()].as_slice())
        );
        assert_eq!(read.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(place.adopted().draft.fields["modes"], json!(["road"]));
    }

    #[test]
    fn published_lists_of_places_are_read() {
        for (folder, name, least) in [
            ("hubs", "airports.csv", 100),
            ("hubs", "sea_ports.json", 50),
            ("ukr-border-crossings", "border_crossings_west.csv", 10),
        ] {
            let Some(folder) = published(folder) else { return };
            let read = read(&Source::open(&folder.join(name)).expect("text")).expect("places");
            assert!(
                read.places.len() >= least && read.refused.len() * 10 < read.places.len(),
                "{name}: {} {:?}",
                read.places.len(),
                read.refused
            );
        }
    }
}
