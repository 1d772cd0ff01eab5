//! An item list as a scenario: every donor its own node, every row one statement of its donor.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::countries::Countries;
use crate::kiel::{Class, KielFile, RECIPIENT};
use crate::relay::CutKind;
use crate::scenario::{Entry, Leaver, Record, Role, Scenario, ScenarioNation, Step};

/// Decides the order of writes; any number would do.
const SEED: u64 = 7;
/// Days until the recipient's requirements are needed.
const NEEDED_BY: i64 = 60;

/// Returns the scenario of an item list: requirements, half of the rows, a cut, the other half on both sides of it, a heal,
/// acceptances, and the donor whose removal uncovers most leaves.
pub(super) fn scenario(file: &KielFile) -> Scenario {
    let countries = Countries::built_in();
    let mut nations = vec![ScenarioNation {
        code: RECIPIENT.to_owned(),
        name: countries.name(RECIPIENT).to_owned(),
        role: Role::Recipient,
        entry: Entry::Founder,
    }];
    let donors = file.donors();
    nations.extend(donors.iter().map(|code| ScenarioNation {
        code: code.clone(),
        name: countries.name(code).to_owned(),
        role: Role::Donor,
        entry: Entry::Founder,
    }));
    let records = records(file);
    let sets: BTreeSet<&str> = records.iter().map(|record| record.set.as_str()).collect();
    let has = |set: &str| sets.contains(set);
    let write = |set: &str| has(set).then(|| Step::Write { records: set.to_owned() });
    let leaver = file.largest_donor();
    let mut timeline: Vec<Step> = [write("needs"), write("rows")].into_iter().flatten().collect();
    if let Some(during) = write("rows-cut") {
        let sides = sides(&donors, leaver.as_deref());
        timeline.extend([Step::Partition { sides, cut: CutKind::Silent }, during, Step::Heal]);
    }
    timeline.extend(write("accepts"));
    timeline.extend(leaver.map(|code| Step::Leave { nation: Leaver::Nation(code), acknowledged: 0 }));
    Scenario {
        name: "item-list".to_owned(),
        about: "Every donor of an item list is its own node; the one whose removal uncovers most leaves.".to_owned(),
        seed: SEED,
        as_of: 1,
        nations,
        apart: Vec::new(),
        records,
        timeline,
    }
}

/// The recipient on one side, the leaver on the other, the rest in turn.
fn sides(donors: &[String], leaver: Option<&str>) -> Vec<BTreeSet<String>> {
    let mut sides = vec![BTreeSet::from([RECIPIENT.to_owned()]), BTreeSet::new()];
    for (index, donor) in donors.iter().enumerate() {
        let side = if Some(donor.as_str()) == leaver { 1 } else { index % 2 };
        sides[side].insert(donor.clone());
    }
    sides
}

fn records(file: &KielFile) -> Vec<Record> {
    let mut records = Vec::new();
    let mut keys: BTreeMap<Class, String> = BTreeMap::new();
    for need in file.needs() {
        let key = format!("need-{}", need.class.code());
        keys.insert(need.class, key.clone());
        let mut draft = need.draft("");
        draft.fields.insert("needed_by".to_owned(), json!({ "days": NEEDED_BY }));
        let (kind, fields) = (draft.kind, draft.fields);
        let by = RECIPIENT.to_owned();
        let (revises, status, needs) = (None, None, BTreeSet::new());
        records.push(Record { set: "needs".to_owned(), key, by, kind, revises, status, fields, needs });
    }
    let mut accepts = Vec::new();
    for row in &file.rows {
        let need = row.pledged_class().and_then(|class| keys.get(&class));
        let draft = row.statement(need.map(|key| format!("@{key}")).as_deref());
        let key = format!("row-{}", row.row);
        if row.pledged_class().is_some() {
            accepts.push(accept(&key, row.row, draft.fields.get("quantity").cloned().unwrap_or_default()));
        }
        // Every other row is written while the links are cut.
        let set = if row.row % 2 == 0 { "rows-cut" } else { "rows" }.to_owned();
        let (kind, fields, needs) = (draft.kind, draft.fields, need.cloned().into_iter().collect());
        records.push(Record { set, key, by: row.donor.clone(), kind, revises: None, status: None, fields, needs });
    }
    records.extend(accepts);
    records
}

fn accept(pledge: &str, row: u64, quantity: serde_json::Value) -> Record {
    let fields = json!({ "pledge": format!("@{pledge}"), "quantity": quantity, "unit": "each" });
    Record {
        set: "accepts".to_owned(),
        key: format!("accept-{row}"),
        by: RECIPIENT.to_owned(),
        kind: "accept".to_owned(),
        revises: None,
        status: None,
        fields: fields.as_object().cloned().unwrap_or_default(),
        needs: BTreeSet::from([pledge.to_owned()]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const LIST: &str = "ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Type of item,\
        No. of Units,Original Currency,Monetary Value as Given by Source\n\
        A1,Poland,2022-03-01,Military,Weapons,Military equipment,6,EUR,.\n\
        A2,Norway,2022-03-01,Military,Weapons,Ammunition for heavy weapon,70,EUR,.\n\
        A3,Norway,2022-03-01,Financial,Loan,.,.,EUR,100\n\
        A4,Ruritania,2022-03-01,Financial,Loan,.,.,EUR,100\n";

    #[test]
    fn every_row_is_one_record_of_its_donor_and_every_pledge_is_accepted() {
        let file = KielFile::parse(Path::new("items.csv"), LIST.as_bytes()).unwrap();
        let scenario = scenario(&file);
        assert_eq!(scenario.codes(), ["UKR", "NOR", "POL"]);
        let by_donors = scenario.records.iter().filter(|record| record.by != "UKR").count();
        assert_eq!(by_donors, file.rows.len());
        let kinds: Vec<&str> = scenario.records.iter().map(|record| record.kind.as_str()).collect();
        assert_eq!(kinds, ["requirement", "requirement", "pledge", "pledge", "observation", "accept", "accept"]);
        assert_eq!(scenario.leaver().as_deref(), Some("NOR"));
        let sides = scenario.timeline.iter().find_map(|step| match step {
            Step::Partition { sides, .. } => Some(sides.clone()),
            _ => None,
        });
        let sides = sides.unwrap();
        assert!(sides[0].contains("UKR") && sides[1].contains("NOR"));
    }
}
