//! The sessions of the manual are real: every `$ comity …` in it is run, and what it prints is what stands below it.

mod session;
mod words;

use crate::transcripts::session::Session;

#[test]
fn the_session_of_the_readme_is_real() {
    let mut session = Session::new("/tmp");
    session.play("README.md", "A five-minute session");
}

#[test]
fn the_sessions_of_the_operating_manual_are_real() {
    let mut session = Session::new("/home");
    session.play("docs/operating.md", "Founding an alliance by mail");
    // Kyiv does what the manual shows for Warsaw.
    for command in [
        "kyiv$ comity init --genesis bridge.genesis --nation UKR --label kyiv-1",
        "kyiv$ cp ~/.local/share/comity/node.request kyiv.request",
        "kyiv$ comity roster enrol --genesis bridge.genesis --nation UKR --request kyiv.request --out UKR.draft",
        "kyiv$ comity roster sign UKR.draft --root UKR.root --out UKR.roster",
        "kyiv$ comity roster import UKR.roster",
        "kyiv$ comity node run --listen /ip4/0.0.0.0/tcp/7400 &",
    ] {
        session.run(command);
    }
    session.play("docs/operating.md", "Setting up a node");
    session.play("docs/operating.md", "From need to receipt");
    session.play("docs/operating.md", "Looking at it");
    session.lose("warsaw");
    session.play("docs/operating.md", "Replacing a node");
    session.play("docs/operating.md", "Backing up a node");
    session.lose("gdansk");
    session.play("docs/operating.md", "Restoring a backup");
    for chapter in ["Admitting a member", "Losing a root key", "Leaving", "Removing a member", "Founding anew"] {
        session.play("docs/operating.md", chapter);
    }
}

#[test]
fn the_sessions_about_sticks_and_auditors_are_real() {
    let mut session = Session::new("/home");
    session.play("docs/operating.md", "Founding an alliance by mail");
    for (place, code) in [("kyiv", "UKR"), ("warsaw", "POL")] {
        for command in [
            format!("{place}$ comity init --genesis bridge.genesis --nation {code} --label {place}-1"),
            format!("{place}$ cp ~/.local/share/comity/node.request {place}.request"),
            format!(
                "{place}$ comity roster enrol --genesis bridge.genesis --nation {code} --request {place}.request \
                 --out {code}.draft"
            ),
            format!("{place}$ comity roster sign {code}.draft --root {code}.root --out {code}.roster"),
            format!("{place}$ comity roster import {code}.roster"),
            format!("{place}$ comity node run --listen /ip4/0.0.0.0/tcp/7400 &"),
        ] {
            session.run(&command);
        }
    }
    session.play("docs/operating.md", "A stick between two ministries");
    session.play("docs/operating.md", "Auditing offline");
}

/// Kyiv and Warsaw enrolled, each running; neither reaches the other.
fn two_nations(session: &mut Session) {
    session.play("docs/operating.md", "Founding an alliance by mail");
    for (place, code) in [("kyiv", "UKR"), ("warsaw", "POL")] {
        for command in [
            format!("{place}$ comity init --genesis bridge.genesis --nation {code} --label {place}-1"),
            format!("{place}$ cp ~/.local/share/comity/node.request {place}.request"),
            format!(
                "{place}$ comity roster enrol --genesis bridge.genesis --nation {code} --request {place}.request \
                 --out {code}.draft"
            ),
            format!("{place}$ comity roster sign {code}.draft --root {code}.root --out {code}.roster"),
            format!("{place}$ comity roster import {code}.roster"),
        ] {
            session.run(&command);
        }
        silence(session, place);
    }
}

/// Has a machine's witness say nothing by itself, so that numbers in its chain are the page's however long the session takes.
fn silence(session: &Session, place: &str) {
    let config = "[witness]\non_change_ms = 86400000\nheartbeat_ms = 86400000\n";
    session.file(&format!("{place}/.local/share/comity/comity.toml"), config);
}

#[test]
fn the_session_about_deciding_by_silence_is_real() {
    let mut session = Session::new("/home");
    two_nations(&mut session);
    session.run("kyiv$ comity node run --listen /ip4/0.0.0.0/tcp/7400 &");
    session.run("warsaw$ comity node run --listen /ip4/0.0.0.0/tcp/7400 --peer /dns4/kyiv.example.org/tcp/7400 &");
    session.file("lead.txt", "POL leads on shelter until the end of March.\n");
    session.play("docs/operating.md", "Deciding by silence");
}

#[test]
fn the_session_about_a_stolen_key_is_real() {
    let mut session = Session::new("/home");
    two_nations(&mut session);
    let run = "node run --listen /ip4/0.0.0.0/tcp/7400";
    // Poland's second node in Gdansk; everybody has both rosters.
    for command in [
        "gdansk$ comity init --genesis bridge.genesis --nation POL --label gdansk-1",
        "gdansk$ cp ~/.local/share/comity/node.request gdansk.request",
        "safe$ comity roster enrol --genesis bridge.genesis --prev POL.roster --nation POL --request gdansk.request \
         --out POL-2.draft",
        "safe$ comity roster sign POL-2.draft --root POL.root --out POL-2.roster",
        "gdansk$ comity roster import UKR.roster POL.roster POL-2.roster",
        "warsaw$ comity roster import UKR.roster POL-2.roster",
        "kyiv$ comity roster import POL.roster POL-2.roster",
    ] {
        session.run(command);
    }
    silence(&session, "gdansk");
    let need = "requirement add --item \"winter tents\" --class II --unit each";
    session.run(&format!("warsaw$ comity {run} &"));
    session.write(&format!("warsaw$ comity {need} --quantity 100"), "POL/requirement/3vq8w6d1kc");
    session.lose("warsaw");
    session.copy_home("warsaw", "thief");
    // Warsaw goes on, seen by Gdansk alone, which builds on it.
    session.run(&format!("gdansk$ comity {run} &"));
    session.run(&format!("warsaw$ comity {run} --peer /dns4/gdansk.example.org/tcp/7400 &"));
    session.write(&format!("warsaw$ comity {need} --quantity 200"), "POL/requirement/81mzc5x0ja");
    session.run("gdansk$ comity show POL/requirement/81mzc5x0ja");
    session.write(
        "gdansk$ comity pledge add --requirement POL/requirement/81mzc5x0ja --quantity 50",
        "POL/pledge/6x83bgvd4f",
    );
    session.lose("warsaw");
    // The thief speaks with the same key, seen by Kyiv alone.
    session.run(&format!("thief$ comity {run} &"));
    session.write(&format!("thief$ comity {need} --quantity 999"), "POL/requirement/e7h2n9s4tp");
    session.run(&format!("kyiv$ comity {run} --peer /dns4/thief.example.org/tcp/7400 &"));
    session.run("kyiv$ comity show POL/requirement/e7h2n9s4tp");
    session.lose("thief");
    session.lose("gdansk");
    session.run(&format!("gdansk$ comity {run} --peer /dns4/kyiv.example.org/tcp/7400 &"));
    session.play("docs/operating.md", "A stolen key");
}
