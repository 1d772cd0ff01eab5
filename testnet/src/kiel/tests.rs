use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

const HEAD: &str = "ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Explanation,\
    Type of item,Sub-type of item,No. of Units,Original Currency,Monetary Value as Given by Source\n";

fn parse(rows: &str) -> Result<KielFile, KielError> {
    KielFile::parse(Path::new("items.csv"), format!("{HEAD}{rows}").as_bytes())
}

fn only(row: &str) -> KielRow {
    let file = parse(row).unwrap();
    assert_eq!(file.read, 1);
    file.rows.into_iter().next().unwrap()
}

#[test]
fn a_positive_count_in_kind_is_a_pledge_without_names() {
    let row = only("DEM1,Germany,2022-03-01,Military,Weapons,Panther howitzers,Heavy weapon,155mm howitzer,14,EUR,.\n");
    assert_eq!(row.kind, Kind::Pledge { units: 14 });
    let draft = row.statement(Some("UKR/requirement/7k3m9q2x4d"));
    assert_eq!(draft.kind, "pledge");
    assert_eq!(draft.fields["item"], "class II, heavy weapon");
    assert_eq!(draft.fields["quantity"], 14);
    assert_eq!(draft.fields["unit"], "each");
    let text = serde_json::to_string(&draft).unwrap() + &serde_json::to_string(&row.observation()).unwrap();
    assert!(!text.to_lowercase().contains("howitzer") && !text.contains("Panther"), "{text}");
}

#[test]
fn whatever_is_no_pledge_is_an_observation_with_row_and_reason() {
    for (rest, reason) in [
        ("Military,Weapons,x,Heavy weapon,.,undisclosed,EUR,.", "undisclosed"),
        ("Military,Weapons,x,Heavy weapon,.,.,EUR,.", "no_unit_count"),
        ("Military,Weapons,x,Heavy weapon,.,,EUR,.", "no_unit_count"),
        ("Military,Weapons,x,Heavy weapon,.,0,EUR,.", "not_a_positive_integer"),
        ("Military,Weapons,x,Heavy weapon,.,-5,EUR,.", "not_a_positive_integer"),
        ("Military,Weapons,x,Heavy weapon,.,2.5,EUR,.", "not_a_positive_integer"),
        ("Military,Weapons,x,Heavy weapon,.,some,EUR,.", "not_a_positive_integer"),
        ("Financial,Loan,x,.,.,5,EUR,100", "not_in_kind"),
        ("Humanitarian,Grant,x,.,.,5,EUR,100", "not_in_kind"),
        ("Martian,Gift,x,.,.,5,EUR,100", "not_in_kind"),
    ] {
        let row = only(&format!("X1,Poland,until 7/27/2022,{rest}\n"));
        let draft = row.statement(None);
        assert_eq!(draft.kind, "observation", "{rest}");
        assert_eq!(draft.fields["reason"], reason, "{rest}");
        assert_eq!(draft.fields["row"], 1);
        assert!(!draft.fields.contains_key("date"));
    }
}

#[test]
fn a_malformed_row_is_refused_and_counted_with_its_line() {
    let file = parse(
        "A1,Poland,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n\
         A2,Poland,too,short\n\
         A3,Ruritania,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n\
         A4,.,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n\
         A5,Ukraine,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n\
         A6,Poland,2022-03-01,Military,Weapons,x,Military equipment,.,10000000000000000000,EUR,.\n",
    )
    .unwrap();
    let lines: Vec<u64> = file.refused.iter().map(|refused| refused.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    assert_eq!(file.refused[4].refusal, Refusal::TooManyUnits);
    let counts = file.counts();
    assert!(counts.iter().all(|count| count.read == count.pledges + count.observations + count.refused));
    assert_eq!(counts.iter().map(|count| count.read).sum::<u64>(), file.read);
    let poland = counts.iter().find(|count| count.donor.as_deref() == Some("POL")).unwrap();
    assert_eq!((poland.read, poland.pledges, poland.refused), (2, 1, 1));
}

#[test]
fn bytes_that_are_no_text_are_refused_and_do_not_stop_the_rest() {
    let mut bytes = HEAD.as_bytes().to_vec();
    bytes.extend_from_slice(b"A1,Pol\xffand,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n");
    bytes.extend_from_slice(b"A2,Poland,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,.\n");
    let file = KielFile::parse(Path::new("items.csv"), bytes.as_slice()).unwrap();
    assert_eq!((file.rows.len(), file.refused.len()), (1, 1));
    assert_eq!(file.refused[0].refusal, Refusal::NotUtf8);
}

#[test]
fn missing_columns_and_files_are_named() {
    let error = KielFile::parse(Path::new("items.csv"), "ID,countries\n".as_bytes()).unwrap_err().to_string();
    assert!(error.contains("\"No. of Units\"") && error.contains("\"Type of item\""), "{error}");
    assert!(matches!(KielFile::parse(Path::new("items.csv"), b"".as_slice()), Err(KielError::Columns { .. })));
    assert!(matches!(KielFile::read(Path::new("/nonexistent-folder")), Err(KielError::Read { .. })));
    assert!(matches!(parse(""), Err(KielError::NoRows { refused: 0, .. })));
}

#[test]
fn needs_are_120_percent_of_each_class_rounded_up_and_the_largest_donor_leaves() {
    let file = parse(
        "A1,Poland,2022-03-01,Military,Weapons,x,Military equipment,.,6,EUR,.\n\
         A2,Norway,2022-03-01,Military,Weapons,x,Ammunition for heavy weapon,.,7,EUR,.\n\
         A3,Norway,2022-03-01,Humanitarian,Medicines,x,Humanitarian,.,10,EUR,.\n\
         A4,Norway,2022-03-01,Humanitarian,Equipment,x,Humanitarian,.,5,EUR,.\n",
    )
    .unwrap();
    let needs: Vec<(&str, u64, u64)> =
        file.needs().iter().map(|need| (need.class.code(), need.pledged, need.required)).collect();
    assert_eq!(needs, [("II", 6, 8), ("IV", 5, 6), ("V", 7, 9), ("medical", 10, 12)]);
    assert_eq!(file.largest_donor().as_deref(), Some("NOR"));
    assert_eq!(file.donors(), ["NOR", "POL"]);
}

#[test]
fn the_published_list_is_read_whole() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/kiel-ust-r7-items");
    if !dir.exists() {
        println!("skipped: {} is not there", dir.display());
        return;
    }
    let file = KielFile::read(&dir).unwrap();
    assert_eq!(file.read, 507);
    assert_eq!(file.donors().len(), 19);
    assert!(file.donors().contains(&"EUI".to_owned()));
    assert!(file.refused.is_empty());
    let counts = file.counts();
    assert!(counts.iter().all(|count| count.read == count.pledges + count.observations + count.refused));
    let germany = counts.iter().find(|count| count.donor.as_deref() == Some("DEU")).unwrap();
    assert_eq!(germany.read, 99);
    let statements: String = file
        .rows
        .iter()
        .map(|row| {
            serde_json::to_string(&row.statement(None)).unwrap() + &serde_json::to_string(&row.observation()).unwrap()
        })
        .collect::<String>()
        .to_lowercase();
    for name in ["howitzer", "gepard", "stinger", "mm ", "manpads", "tank", "mig-29"] {
        assert!(!statements.contains(name), "{name}");
    }
}

/// Returns a field as sources have them: sensible, missing, or anything.
fn field(rng: &mut ChaCha8Rng, sensible: &[&str]) -> Vec<u8> {
    match rng.random_range(0..10) {
        0 => b".".to_vec(),
        1 => Vec::new(),
        2 => (0..rng.random_range(0..12)).map(|_| rng.random_range(0..=255)).collect(),
        _ => sensible.choose(rng).map_or_else(Vec::new, |text| text.as_bytes().to_vec()),
    }
}

fn random_list(seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = HEAD.as_bytes().to_vec();
    for _ in 0..rng.random_range(0..60) {
        let mut fields = vec![
            field(&mut rng, &["A1"]),
            field(&mut rng, &["Poland", "Norway", "EU (Commission and Council)", "Ukraine", "Ruritania"]),
            field(&mut rng, &["2022-03-01", "until 7/27/2022"]),
            field(&mut rng, &["Military", "Humanitarian", "Financial"]),
            field(&mut rng, &["Weapons", "Loan", "Medicines"]),
            field(&mut rng, &["Panther"]),
            field(&mut rng, &["Heavy weapon", "Ammunition", "Panther", "Humanitarian"]),
            field(&mut rng, &["Panther"]),
            field(&mut rng, &["1", "0", "-1", "007", "undisclosed", "1000000000000001", "99999999999999999999"]),
            field(&mut rng, &["EUR", "JPY"]),
            field(&mut rng, &["12", "x"]),
        ];
        if rng.random_range(0..10) == 0 {
            fields.truncate(rng.random_range(0..fields.len()));
        }
        bytes.extend_from_slice(&fields.join(&b','));
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn every_row_read_is_a_pledge_an_observation_or_refused_whatever_it_holds() {
    let seed = std::env::var("COMITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("COMITY_SEED={seed}");
    for round in 0..300 {
        let bytes = random_list(seed + round);
        let Ok(file) = KielFile::parse(Path::new("items.csv"), bytes.as_slice()) else { continue };
        let counts = file.counts();
        assert!(counts.iter().all(|count| count.read == count.pledges + count.observations + count.refused));
        assert_eq!(counts.iter().map(|count| count.read).sum::<u64>(), file.read);
        for row in &file.rows {
            let text = serde_json::to_string(&[row.statement(None), row.observation()]).unwrap();
            assert!(!text.contains("Panther"), "{text}");
            assert!(row.donor != RECIPIENT && !matches!(row.kind, Kind::Pledge { units: 0 }));
        }
    }
}
