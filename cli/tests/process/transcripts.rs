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
