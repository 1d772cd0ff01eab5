//! Late joiners, long absences, and a nation whose only node is replaced.

use crate::harness::{Alliance, converge, need, until};

#[test]
fn a_late_joiner_with_only_peers_gets_the_whole_record() {
    let alliance = Alliance::draft(&["UKR", "POL", "DEU"]);
    alliance.enrol("UKR", "UKR", None);
    alliance.enrol("POL", "POL", None);
    // Each of the two holds only its own roster: they meet in each other's lobby.
    let ukr = alliance.start("UKR", &[]);
    let pol = alliance.start("POL", &["--peer", &ukr.address]);
    until("two founders meet", || (ukr.connected() == 1 && pol.connected() == 1).then_some(()));
    let requirement = need(&ukr, "10");
    // Germany founds its node much later, knows nothing but its own roster, and reaches only Poland.
    alliance.enrol("DEU", "DEU", None);
    let deu = alliance.start("DEU", &["--peer", &pol.address]);
    until("it arrives", || (deu.run(&["show", &requirement]).code == 0).then_some(()));
    deu.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "3"]);
    converge(&[&ukr, &pol, &deu]);
}

#[test]
fn a_nations_only_node_is_replaced_by_a_new_one_that_comes_in_through_the_lobby() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "10");
    until("Poland holds it", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    let mut nodes = nodes.into_iter();
    let (ukr, pol) = (nodes.next().expect("two"), nodes.next().expect("two"));
    pol.kill();
    // The machine is gone. The root enrols a new node; nobody else has heard of that roster.
    alliance.enrol("POL", "POL-2", Some("POL.roster"));
    let pol = alliance.start("POL-2", &["--peer", &ukr.address]);
    until("it is let in", || (ukr.connected() == 1).then_some(()));
    until("it has the record", || (pol.run(&["show", &requirement]).code == 0).then_some(()));
    pol.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "2"]);
    converge(&[&ukr, &pol]);
}

#[test]
fn a_node_away_for_five_thousand_statements_catches_up() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    // As many as the tracker's list has rows, several times over: written through the importer, which keeps many in flight.
    let folder = alliance.path("items");
    std::fs::create_dir(&folder).expect("our own folder");
    std::fs::write(format!("{folder}/flows.json"), flows(5_000)).expect("our own file");
    let imported = ukr.json(&["import", "fts", &format!("{folder}/flows.json")]);
    assert_eq!(imported["imported"], 5_000);
    let again = ukr.json(&["import", "fts", &format!("{folder}/flows.json")]);
    assert_eq!((&again["imported"], &again["known"]), (&0.into(), &5_000.into()), "twice changes nothing");
    let pol = alliance.start("POL", &["--peer", &ukr.address]);
    converge(&[&ukr, &pol]);
    assert_eq!(pol.status()["statements"], 5_000);
}

#[test]
fn published_tables_become_observations_once_and_places_become_hubs_of_their_host_only() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let written = |name: &str, text: &str| {
        let path = alliance.path(name);
        std::fs::write(&path, text).expect("our own file");
        path
    };
    let tags = "Org,Sector,Where,Day\r\n#org,#sector,#country,#date +reported\r\n";
    let table =
        written("3w.csv", &format!("{tags}OMS,WASH,Ukraine,1 March 2022\r\nOMS,WASH,Ukraine,soon\r\nshort\r\n"));
    let dry = ukr.json(&["import", "hxl", &table, "--dry-run"]);
    assert_eq!(
        ["read", "imported", "flagged", "refused"].map(|key| dry[key].as_u64()),
        [Some(3), Some(2), Some(1), Some(1)]
    );
    assert_eq!(ukr.status()["statements"], 0, "a dry run writes nothing");
    let first = ukr.json(&["import", "hxl", &table]);
    assert_eq!((&first["imported"], &first["refusals"][0]["line"]), (&2.into(), &5.into()));
    let again = ukr.json(&["import", "hxl", &table]);
    assert_eq!((&again["imported"], &again["known"]), (&0.into(), &2.into()), "twice changes nothing");
    let activities = written(
        "activities.xml",
        "<iati-activities version=\"2.03\"><iati-activity default-currency=\"EUR\"><iati-identifier>X-1</iati-identifier>\
         <transaction><transaction-type code=\"3\"/><transaction-date iso-date=\"2022-03-01\"/><value>5</value></transaction>\
         </iati-activity></iati-activities>",
    );
    assert_eq!(ukr.json(&["import", "iati", &activities])["imported"], 1);
    let places = written("crossings.csv", "name_en,neighbour,lat,lon\nA - B,Poland,51.2,23.8\nC - D,Hungary,48,22\n");
    let listed = ukr.json(&["import", "hubs", &places]);
    assert_eq!(listed["places"].as_array().map(Vec::len), Some(2));
    assert_eq!(ukr.status()["statements"], 3, "a list is not adopted by being read");
    let adopted = ukr.json(&["import", "hubs", &places, "--adopt", "A-B"]);
    assert_eq!(adopted["adopted"], serde_json::json!(["A-B"]));
    let again = ukr.json(&["import", "hubs", &places, "--adopt-all"]);
    assert_eq!((&again["adopted"], &again["known"]), (&serde_json::json!(["C-D"]), &serde_json::json!(["A-B"])));
    assert!(ukr.run(&["hub", "list"]).stdout.contains("A - B"));
}

fn flows(count: usize) -> String {
    let flow = |id: usize| {
        serde_json::json!({
            "id": id.to_string(), "date": "2020-01-01T00:00:00Z", "amountUSD": 100 + id, "status": "paid",
            "originalAmount": null, "originalCurrency": null, "description": "made for a test", "childFlowIds": null,
            "sourceObjects": [{"type": "Organization", "name": "Donor"}], "destinationObjects": []
        })
    };
    serde_json::json!({"data": {"flows": (0..count).map(flow).collect::<Vec<_>>()}}).to_string()
}
