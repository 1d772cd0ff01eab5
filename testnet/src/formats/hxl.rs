//! Tables with a row of hashtags (Humanitarian Exchange Language): each row becomes an observation.
//!
//! What a column holds is what its hashtag says, whatever its place and its head. Blanks in hashtags, language marks of the
//! 2014 draft and empty cells are taken as libhxl takes them.

use std::collections::BTreeSet;

use serde_json::json;

use super::source::{Source, SourceError};
use super::table::Table;
use super::{Found, RefusedRow, Row, Rows, cells};
use crate::draft::Draft;

/// Rows among which the row of hashtags stands.
const TAG_ROW_MAX: usize = 25;
/// Bytes of a row's words that are kept.
const TEXT_BYTES_MAX: usize = 2_000;
/// A table does not say under which licence it is.
const LICENCE: &str = "not stated";
/// What a person can do about a table without hashtags.
const UNTAGGED: &str =
    "add a row of hashtags under the heads (#org, #sector, #country, #date …), see https://hxlstandard.org";

/// A column's hashtag with its attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tag {
    name: String,
    attributes: BTreeSet<String>,
}

impl Tag {
    /// Reads `#tag +attribute +attribute`, with or without blanks, and `#tag/language`.
    fn parse(cell: &str) -> Option<Self> {
        let lower = cell.trim().strip_prefix('#')?.to_lowercase();
        let parts = lower.replace('/', "+");
        let mut words = parts.split('+').map(str::trim);
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let name = words.next().filter(|name| is_word(name))?.to_owned();
        let attributes: Option<BTreeSet<String>> = words.map(|word| is_word(word).then(|| word.to_owned())).collect();
        Some(Self { name, attributes: attributes? })
    }

    fn has(&self, attribute: &str) -> bool {
        self.attributes.contains(attribute)
    }

    /// Codes, kinds and counts are no names of things.
    fn is_name(&self) -> bool {
        !["code", "type", "id", "pcode", "acronym"].iter().any(|other| self.has(other))
    }
}

/// What each column holds.
struct Columns {
    tags: Vec<Option<Tag>>,
    heads: Vec<String>,
}

/// A row with its columns.
struct Cells<'a> {
    columns: &'a Columns,
    row: &'a csv::StringRecord,
}

impl<'a> Cells<'a> {
    fn all(&self) -> impl Iterator<Item = (&'a Tag, &'a str)> {
        let tags = self.columns.tags.iter();
        tags.zip(self.row.iter()).filter_map(|(tag, cell)| Some((tag.as_ref()?, cells::some(cell)?)))
    }

    fn first(&self, wanted: impl Fn(&Tag) -> bool) -> Option<&'a str> {
        self.all().find(|(tag, _)| wanted(tag)).map(|(_, cell)| cell)
    }

    /// The distinct cells of the columns named, in their order.
    fn joined(&self, names: &[&str], between: &str) -> Option<String> {
        let mut found: Vec<&str> = Vec::new();
        for (tag, cell) in self.all() {
            if names.contains(&tag.name.as_str()) && tag.is_name() && !found.contains(&cell) {
                found.push(cell);
            }
        }
        (!found.is_empty()).then(|| found.join(between))
    }
}

/// Reads a table with hashtags.
///
/// # Errors
/// [`SourceError`]; of a table without a row of hashtags within its first 25 rows nothing is read.
pub fn read(source: &Source) -> Result<Rows, SourceError> {
    let mut table = Table::open(source)?;
    let mut heads = csv::StringRecord::new();
    for _ in 0..TAG_ROW_MAX {
        let Some(row) = table.next() else { break };
        let (_, row) = row?;
        if let Some(tags) = tags_of(&row) {
            let columns = Columns { tags, heads: heads.iter().map(str::to_owned).collect() };
            return Ok(Box::new(table.filter_map(move |row| match row {
                Ok((_, row)) if row.iter().all(|cell| cell.trim().is_empty()) => None,
                Ok((line, row)) => Some(Ok(found(line, &columns, &row))),
                Err(error) => Some(Err(error)),
            })));
        }
        heads = row;
    }
    Err(source.is_no("table with hashtags", "its first 25 rows hold no row of hashtags", UNTAGGED))
}

/// Returns the hashtags of a row, if it is a row of hashtags: at least half of its cells that are not empty.
fn tags_of(row: &csv::StringRecord) -> Option<Vec<Option<Tag>>> {
    let tags: Vec<Option<Tag>> = row.iter().map(Tag::parse).collect();
    let filled = row.iter().filter(|cell| !cell.trim().is_empty()).count();
    let tagged = tags.iter().flatten().count();
    (tagged > 0 && tagged * 2 >= filled).then_some(tags)
}

fn found(line: u64, columns: &Columns, row: &csv::StringRecord) -> Found {
    if row.len() != columns.tags.len() {
        let reason = format!("{} cells where the row of hashtags has {}", row.len(), columns.tags.len());
        return Found::Refused(RefusedRow { line, reason });
    }
    let cells = Cells { columns, row };
    let mut flags = Vec::new();
    let draft = Draft::new("observation")
        .with("source", "HXL table")
        .with("licence", LICENCE)
        .with("row", line)
        .with("reason", "reported_by_a_third_party")
        .with_some("donor", cells.donor().map(|donor| cells::text(donor, 128)))
        .with_some("recipient", cells.recipient().map(|recipient| cells::text(&recipient, 128)))
        .with_some(
            "item",
            cells
                .joined(&["sector", "subsector", "activity", "item", "output"], " / ")
                .map(|item| cells::text(&item, 512)),
        )
        .with_some(
            "place",
            cells
                .joined(&["country", "region", "adm1", "adm2", "adm3", "adm4", "adm5", "loc", "geo"], ", ")
                .map(|place| cells::text(&place, 512)),
        )
        .with_some("date", cells.date(&mut flags))
        .with_some(
            "ext_refs",
            cells.reference().map(|reference| json!([format!("hxl:{}", cells::text(reference, 100))])),
        )
        .with_some("text", cells.rest(&mut flags));
    let draft = match cells.money(&mut flags) {
        Some((amount, currency)) => draft.with("amount", amount).with("currency", currency),
        None => draft,
    };
    if ["donor", "recipient", "item", "place", "text", "amount"].iter().all(|field| !draft.fields.contains_key(*field))
    {
        return Found::Refused(RefusedRow { line, reason: "no column that is understood holds anything".to_owned() });
    }
    Found::Row(Row::new("hxl", line, &line.to_string(), draft, flags))
}

impl<'a> Cells<'a> {
    /// Who gave or did: a funder before anybody else, a name before an acronym.
    fn donor(&self) -> Option<&'a str> {
        let funder = |tag: &Tag| tag.name == "org" && (tag.has("funder") || tag.has("donor") || tag.has("funding"));
        self.first(|tag| funder(tag) && tag.is_name())
            .or_else(|| self.first(|tag| tag.name == "org" && tag.is_name() && !tag.has("impl")))
            .or_else(|| self.first(|tag| tag.name == "org" && tag.is_name()))
            .or_else(|| self.first(|tag| tag.name == "org"))
    }

    fn recipient(&self) -> Option<String> {
        self.joined(&["beneficiary"], ", ")
            .or_else(|| self.first(|tag| tag.name == "org" && tag.has("impl") && tag.is_name()).map(str::to_owned))
            .or_else(|| self.first(|tag| tag.name == "country" && !tag.has("funder")).map(str::to_owned))
    }

    fn date(&self, flags: &mut Vec<String>) -> Option<String> {
        let dates = self.all().filter(|(tag, _)| ["date", "period_date"].contains(&tag.name.as_str()));
        let days: Vec<&str> = dates.filter(|(tag, _)| !tag.has("year")).map(|(_, cell)| cell).collect();
        let day = days.iter().find_map(|cell| cells::day(cell));
        if day.is_none() && !days.is_empty() {
            flags.push(format!("{:?} names no day", cells::text(days[0], 40)));
        }
        day.map(|day| day.to_string())
    }

    fn reference(&self) -> Option<&'a str> {
        let is_id = |tag: &Tag| tag.has("id") || tag.has("code");
        self.first(|tag| {
            tag.name == "activity_id" || (["activity", "meta", "item"].contains(&tag.name.as_str()) && is_id(tag))
        })
    }

    fn money(&self, flags: &mut Vec<String>) -> Option<(u64, String)> {
        let is_money = |tag: &Tag| tag.name == "value" && !tag.has("pct") && !tag.has("currency");
        let (tag, cell) = self.all().find(|(tag, _)| is_money(tag))?;
        let named = |tag: &Tag| tag.name == "currency" || (tag.name == "value" && tag.has("currency"));
        let coded = tag.attributes.iter().map(|attribute| attribute.to_uppercase());
        let mut codes = coded.filter(|code| iso_currency::Currency::from_code(code).is_some());
        let currency = codes.next().or_else(|| self.first(named).map(str::to_uppercase));
        let amount = currency.as_ref().and_then(|currency| cells::minor_units(cell, currency));
        if amount.is_none() {
            let of = currency.as_deref().unwrap_or("a currency that is named");
            flags.push(format!("{:?} is no amount of {}", cells::text(cell, 40), cells::text(of, 40)));
        }
        Some((amount?, currency?))
    }

    /// Every other cell, with its head: nothing a publisher says is left out without a flag.
    fn rest(&self, flags: &mut Vec<String>) -> Option<String> {
        const ELSEWHERE: [&str; 17] = [
            "org",
            "sector",
            "subsector",
            "item",
            "output",
            "beneficiary",
            "country",
            "region",
            "adm1",
            "adm2",
            "adm3",
            "adm4",
            "adm5",
            "loc",
            "geo",
            "value",
            "currency",
        ];
        let mut words = Vec::new();
        for (at, tag) in self.columns.tags.iter().enumerate() {
            let Some(tag) = tag else { continue };
            let Some(cell) = self.row.get(at).and_then(cells::some) else { continue };
            let is_item = tag.name == "activity" && tag.is_name();
            if !is_item && !ELSEWHERE.contains(&tag.name.as_str()) {
                let head = self.columns.heads.get(at).map(|head| head.trim()).filter(|head| !head.is_empty());
                words.push(format!("{}: {cell}", head.unwrap_or(&tag.name)));
            }
        }
        let words = words.join("; ");
        let kept = cells::text(&words, TEXT_BYTES_MAX);
        if words.len() > TEXT_BYTES_MAX {
            flags.push(format!("its words are cut at {TEXT_BYTES_MAX} bytes"));
        }
        (!kept.is_empty()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{published, read_all, written};

    #[test]
    fn hashtags_are_read_with_blanks_and_language_marks() {
        let tag =
            |cell| Tag::parse(cell).map(|tag| (tag.name, tag.attributes.into_iter().collect::<Vec<_>>().join(" ")));
        assert_eq!(tag("#date +reported"), Some(("date".into(), "reported".into())));
        assert_eq!(tag(" #Org+name +Funder "), Some(("org".into(), "funder name".into())));
        assert_eq!(tag("#country/en"), Some(("country".into(), "en".into())));
        assert_eq!(tag("# org"), Some(("org".into(), String::new())));
        for none in ["sector+es", "#", "#1", "#org+", "#org name", ""] {
            assert_eq!(tag(none), None, "{none}");
        }
    }

    #[test]
    fn a_row_says_who_does_what_where_and_when() {
        let file = written(
            "Org,Sector,Land,Day,Value,Cur,Note\n#org,#sector,#country,#date+reported,#value,#value+currency,#description\n\
             ACNUR,WASH,Panamá,1 March 2015,\"1,500\",EUR,Higiene\nOMS,Salud,,maybe,12x,EUR,\n,,,,,,\nshort\n,,,,,EUR,\n",
        );
        let (rows, refused) = read_all(read(&file).expect("hashtags"));
        let fields = &rows[0].draft.fields;
        for (field, value) in [
            ("donor", json!("ACNUR")),
            ("item", json!("WASH")),
            ("recipient", json!("Panamá")),
            ("date", json!("2015-03-01")),
            ("amount", json!(150_000)),
            ("text", json!("Day: 1 March 2015; Note: Higiene")),
        ] {
            assert_eq!(fields[field], value, "{field}");
        }
        assert_eq!(rows[1].flags, ["\"maybe\" names no day", "\"12x\" is no amount of EUR"]);
        assert_eq!(rows.len(), 2);
        assert_eq!(refused.iter().map(|row| row.line).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn published_tables_are_read_whole_or_refused_with_the_way_out() {
        let Some(folder) = published("hxl") else { return };
        let read = |name: &str| Source::open(&folder.join(name)).and_then(|source| read(&source));
        let (rows, refused) = read_all(read("rowca-3w-hxl.csv").expect("hashtags"));
        assert_eq!(refused.len(), 0);
        assert_eq!(rows.len(), 244);
        assert!(rows.iter().all(|row| row.draft.fields.contains_key("place")));
        let (spaced, _) = read_all(read("whowhatwhere_3w_spaced_tags.csv").expect("hashtags"));
        assert_eq!(spaced[0].flags, ["\"2021-01\" names no day"], "a month is none");
        assert_eq!(spaced[0].draft.fields["donor"], json!("Danish Refugee Council"));
        let (valid, _) = read_all(read("libhxl_input-valid.csv").expect("hashtags"));
        assert_eq!(valid.len(), 4);
        assert_eq!(valid[0].draft.fields["date"], json!("2015-03-01"));
        let (lines, _) = read_all(read("libhxl_input-multiline.csv").expect("hashtags"));
        assert_eq!(lines[0].draft.fields["text"], json!("description: Line 1 Line 2 Line 3"));
        for untagged in ["libhxl_input-untagged.csv", "libhxl_input-invalid.csv"] {
            let error = read(untagged).err().expect("no hashtags").to_string();
            assert!(error.contains("no row of hashtags"), "{error}");
        }
    }
}
