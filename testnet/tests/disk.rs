//! The store's own code on a disk that fails: what was answered is there afterwards, and nothing is there by half.

use std::collections::BTreeSet;
use std::error::Error;

use comity_node::store::{Database, Full, Identity, Lane, Loaded, OpenError, SaveError, Settings};
use comity_protocol::body::KIND_CHANGE;
use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::{Remembered, SaveOp};
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::ids::Digest;
use comity_protocol::testing::{TestAlliance, TestEnvelope};
use comity_testnet::sim::disk::{Disk, Image};
use comity_testnet::vfs;

/// One step of what a node does to its store.
enum Step {
    /// Requests saved as one group.
    Save(Vec<Vec<SaveOp>>),
    Checkpoint,
    /// A clean stop and start.
    Reopen,
}

/// A node's store from its creation on.
struct Story {
    identity: Identity,
    control: Vec<VerifiedControl>,
    steps: Vec<Step>,
}

/// What a store holds, or a request adds to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Control(Vec<u8>),
    Header(Vec<u8>),
    Signature(Vec<u8>),
    Body(Vec<u8>),
    Remembered(String),
}

type Items = BTreeSet<Item>;

fn items(ops: &[SaveOp]) -> Items {
    let mut items = Items::new();
    for op in ops {
        match op {
            SaveOp::Header(header) => items.extend(header_items(header)),
            SaveOp::Control(control) => items.extend([Item::Control(control.record().encode())]),
            SaveOp::Signature { signature, .. } => items.extend([Item::Signature(signature.0.to_vec())]),
            SaveOp::Body { bytes, .. } => items.extend([Item::Body(bytes.to_vec())]),
            SaveOp::Remember(answer) => items.extend([Item::Remembered(format!("{answer:?}"))]),
            SaveOp::Anchor(_) | SaveOp::Halt { .. } | SaveOp::Release { .. } => {}
        }
    }
    items
}

fn header_items(header: &AttestedHeader) -> Vec<Item> {
    let signature = header.signature().map(|signature| Item::Signature(signature.0.to_vec()));
    signature.into_iter().chain([Item::Header(header.header().encode().to_vec())]).collect()
}

fn held(loaded: &Loaded) -> Items {
    let mut items: Items = loaded.control.iter().map(|control| Item::Control(control.record().encode())).collect();
    for envelope in &loaded.envelopes {
        items.extend(header_items(&envelope.header));
        items.extend(envelope.body.as_ref().map(|body| Item::Body(body.to_vec())));
    }
    items.extend(loaded.remembered.iter().map(|answer| Item::Remembered(format!("{answer:?}"))));
    items
}

fn ops(envelope: &TestEnvelope) -> Vec<SaveOp> {
    vec![SaveOp::Header(envelope.header.clone()), body(envelope)]
}

fn body(envelope: &TestEnvelope) -> SaveOp {
    SaveOp::Body { id: envelope.id(), bytes: envelope.body.clone() }
}

/// A body that means nothing.
fn filler(number: u64, length: usize) -> Vec<u8> {
    format!("body {number} of {length} bytes, ").into_bytes().into_iter().cycle().take(length).collect()
}

/// Own and foreign envelopes in every way that a replica saves them, with an idle moment and a clean stop between.
fn story() -> Story {
    let mut alliance = TestAlliance::new(1, &[("DEU", 1), ("FIN", 1), ("EST", 2)]);
    let author = alliance.nations[0].nodes[0].author;
    let identity = Identity { alliance: alliance.id, nation: author.nation, node: author.key };
    let control = alliance.control();
    let mut of = |nation: usize, node: usize, count: u64, length: usize| -> Vec<TestEnvelope> {
        let node = alliance.node(nation, node);
        (0..count).map(|number| node.envelope(KIND_CHANGE, filler(number, length))).collect()
    };
    let own = of(0, 0, 6, 300);
    let run = of(1, 0, 5, 700);
    let large = of(2, 0, 3, 9_000);
    let late = of(2, 1, 2, 100);
    let version = own[1].id();
    let record = ("pledge".to_owned(), "7k3m9q2x4d".to_owned());
    let answer = Remembered { key: "order-1".to_owned(), content: Digest::new([7; 32]), record, version };
    // A run carries one signature, at its end; the bodies come later.
    let bare = |envelope: &TestEnvelope| {
        SaveOp::Header(AttestedHeader::from_store(&envelope.header.header().encode(), None).expect("encoded"))
    };
    let mut headers: Vec<SaveOp> = run[..4].iter().map(bare).collect();
    headers.push(SaveOp::Header(run[4].header.clone()));
    let signature = *run[1].header.signature().expect("signed");
    let revised = alliance.roster(1, |roster| roster.note = "revised".to_owned());
    let steps = vec![
        Step::Save(vec![ops(&own[0])]),
        Step::Save(vec![[ops(&own[1]), vec![SaveOp::Remember(answer)]].concat(), headers]),
        Step::Save(vec![run[..3].iter().map(body).collect(), vec![body(&late[0])], ops(&own[2])]),
        Step::Checkpoint,
        Step::Save(large.iter().map(ops).collect()),
        Step::Save(vec![vec![SaveOp::Signature { id: run[1].id(), signature }], vec![SaveOp::Control(revised)]]),
        Step::Reopen,
        Step::Save(vec![ops(&own[3]), run[3..].iter().map(body).collect()]),
        Step::Save(vec![[ops(&late[0]), ops(&late[1])].concat()]),
        Step::Checkpoint,
        Step::Save(vec![ops(&own[4])]),
        Step::Save(vec![ops(&own[5])]),
    ];
    Story { identity, control, steps }
}

impl Story {
    /// A new store on a new disk.
    fn image(&self) -> Image {
        let disk = Disk::new(0);
        Database::create(&disk.store_path(), vfs::NAME, &self.identity, &self.control).expect("created");
        disk.image()
    }

    /// All that is saved in the end.
    fn all(&self) -> Items {
        let mut ledger = Ledger::new(self);
        run(&disk_with(&self.image(), 0), &self.steps, &mut ledger).expect("no fault, no error");
        ledger.answered
    }
}

fn disk_with(image: &Image, seed: u64) -> Disk {
    let disk = Disk::new(seed);
    disk.restore(image);
    disk
}

/// What a store was asked to hold, and what it said.
struct Ledger {
    /// Must be there.
    answered: Items,
    /// Each is there as a whole, or not at all.
    open: Vec<Items>,
}

impl Ledger {
    fn new(story: &Story) -> Self {
        let control: Vec<SaveOp> = story.control.iter().cloned().map(SaveOp::Control).collect();
        Self { answered: items(&control), open: Vec::new() }
    }

    /// Panics unless `loaded` is what this ledger allows.
    fn check(&self, loaded: &Loaded, context: &str) {
        assert_eq!(loaded.damage, [], "{context}");
        let mut held = held(loaded);
        for item in &self.answered {
            assert!(held.remove(item), "{context}: lost {item:?}");
        }
        for request in &self.open {
            let new: Items = request.difference(&self.answered).cloned().collect();
            let there = new.intersection(&held).count();
            assert!(there == 0 || there == new.len(), "{context}: {there} of {} items of a request", new.len());
            held.retain(|item| !new.contains(item));
        }
        assert_eq!(held, Items::new(), "{context}: never saved");
    }
}

/// Opens and loads as a node's start does.
fn start(disk: &Disk) -> Result<(Database, Loaded), OpenError> {
    let settings = Settings { vfs: Some(vfs::NAME.to_owned()), ..Settings::default() };
    let mut database = Database::open(&disk.store_path(), settings)?;
    let loaded = database.load()?;
    Ok((database, loaded))
}

/// Takes `steps` until one fails.
fn run(disk: &Disk, steps: &[Step], ledger: &mut Ledger) -> Result<(), Box<dyn Error>> {
    let (mut database, _) = start(disk)?;
    for step in steps {
        match step {
            Step::Save(group) => save(&mut database, group, ledger)?,
            Step::Checkpoint => {
                database.checkpoint();
            }
            Step::Reopen => {
                drop(database);
                database = start(disk)?.0;
            }
        }
    }
    Ok(())
}

fn save(database: &mut Database, group: &[Vec<SaveOp>], ledger: &mut Ledger) -> Result<(), SaveError> {
    let answers = database.save(Lane::Live, group);
    let mut result = Ok(());
    for (request, answer) in group.iter().zip(answers) {
        match answer {
            Ok(_) => ledger.answered.extend(items(request)),
            // The story has a body that comes before its header.
            Err(SaveError::NoHeader { .. }) => {}
            Err(error) => {
                ledger.open.push(items(request));
                result = Err(error);
            }
        }
    }
    result
}

/// What ends a run at some operation.
#[derive(Clone, Copy, Debug)]
enum End {
    PowerCut,
    Kill,
}

fn end_at_every_operation(end: End, seed: u64) {
    let (story, image) = (story(), story().image());
    let all = story.all();
    for operations in 0.. {
        let context = format!("{end:?} at operation {operations}, seed {seed}");
        let disk = disk_with(&image, seed.wrapping_add(operations));
        disk.fail_after(operations);
        let mut ledger = Ledger::new(&story);
        let result = run(&disk, &story.steps, &mut ledger);
        if !disk.is_dead() {
            result.expect("no fault, no error");
            assert!(operations > 200, "the story is too short: {operations}");
            return;
        }
        match end {
            End::PowerCut => disk.power_cut(),
            End::Kill => disk.kill(),
        }
        let (database, loaded) = start(&disk).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        ledger.check(&loaded, &context);
        drop(database);
        if operations % 8 != 0 {
            continue;
        }
        // Saving what is held changes nothing, so the whole story can be told again.
        let mut again = Ledger { answered: ledger.answered, open: Vec::new() };
        run(&disk, &story.steps, &mut again).unwrap_or_else(|error| panic!("{context}, again: {error:?}"));
        disk.power_cut();
        let (_, loaded) = start(&disk).unwrap_or_else(|error| panic!("{context}, at the end: {error:?}"));
        again.check(&loaded, &context);
        assert_eq!(held(&loaded), all, "{context}");
    }
}

/// The seed of the environment, or some.
fn seed() -> u64 {
    std::env::var("COMITY_SEED").map_or(1_000, |seed| seed.parse().expect("COMITY_SEED is a number"))
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_answered() {
    for more in [0, 1_000_000] {
        end_at_every_operation(End::PowerCut, seed() + more);
    }
}

#[test]
fn a_kill_at_any_operation_loses_nothing_that_was_answered() {
    end_at_every_operation(End::Kill, seed());
}

#[test]
fn a_creation_that_was_cut_leaves_a_whole_store_or_one_that_does_not_open() {
    let story = story();
    let control = Ledger::new(&story);
    let mut unopened = 0;
    for operations in 0.. {
        let context = format!("cut at operation {operations}");
        let disk = Disk::new(operations);
        disk.fail_after(operations);
        let created = Database::create(&disk.store_path(), vfs::NAME, &story.identity, &story.control);
        if !disk.is_dead() {
            created.expect("no fault, no error");
            break;
        }
        disk.power_cut();
        match start(&disk) {
            Ok((_, loaded)) => control.check(&loaded, &context),
            Err(error) => {
                assert!(created.is_err(), "{context}: {error:?}");
                unopened += 1;
            }
        }
    }
    assert!(unopened > 50, "only {unopened} did not open");
    let disk = disk_with(&story.image(), 0);
    let again = Database::create(&disk.store_path(), vfs::NAME, &story.identity, &story.control);
    assert!(matches!(again, Err(OpenError::Exists { .. })), "{again:?}");
}

#[test]
fn a_full_disk_refuses_keeps_what_it_has_and_goes_on_when_there_is_room() {
    let (story, image) = (story(), story().image());
    let all = story.all();
    let mut refused = 0;
    for room in (90_000..).step_by(4_999) {
        let context = format!("room for {room} bytes");
        let disk = disk_with(&image, room);
        let mut ledger = Ledger::new(&story);
        disk.set_room(Some(room));
        let (mut database, _) = start(&disk).expect("a full disk can be read");
        let mut full = false;
        for step in &story.steps {
            let Step::Save(group) = step else { continue };
            match save(&mut database, group, &mut ledger) {
                Ok(()) => {}
                Err(SaveError::DiskFull(Full::Device)) => full = true,
                Err(error) => panic!("{context}: {error:?}"),
            }
            ledger.check(&database.load().expect("a full disk can be read"), &context);
        }
        if !full {
            break;
        }
        refused += 1;
        disk.set_room(None);
        for step in &story.steps {
            let Step::Save(group) = step else { continue };
            save(&mut database, group, &mut ledger).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        }
        disk.kill();
        drop(database);
        let (_, loaded) = start(&disk).expect("opens");
        assert_eq!(held(&loaded), all, "{context}");
        assert_eq!(loaded.damage, [], "{context}");
    }
    assert!(refused > 20, "only {refused} limits were too low");
}

#[test]
fn a_disk_that_lies_about_syncs_loses_what_was_answered() {
    let (story, image) = (story(), story().image());
    let mut lost = 0;
    for seed in 0..40 {
        let disk = disk_with(&image, seed);
        disk.lie_about_sync(true);
        let mut ledger = Ledger::new(&story);
        run(&disk, &story.steps, &mut ledger).expect("nobody notices");
        disk.power_cut();
        let kept = start(&disk).map_or_else(|_| Items::new(), |(_, loaded)| held(&loaded));
        lost += u32::from(!ledger.answered.is_subset(&kept));
    }
    assert!(lost > 20, "only {lost} of 40 lost anything");
}

#[test]
fn an_older_image_gives_the_older_content_on_the_same_disk_and_on_another() {
    let (story, image) = (story(), story().image());
    let disk = disk_with(&image, 3);
    let mut ledger = Ledger::new(&story);
    // The image is taken of a running store, log and all.
    let (mut database, _) = start(&disk).expect("opens");
    let Step::Save(first) = &story.steps[0] else { panic!("the story begins with a save") };
    save(&mut database, first, &mut ledger).expect("saved");
    let backup = disk.image();
    drop(database);
    run(&disk, &story.steps, &mut Ledger::new(&story)).expect("no fault, no error");
    let (mut database, _) = start(&disk).expect("opens");
    disk.restore(&backup);
    let answer = database.save(Lane::Live, first).remove(0);
    assert!(matches!(answer, Err(SaveError::Fatal(_))), "files opened before are unusable: {answer:?}");
    drop(database);
    for disk in [disk, disk_with(&backup, 4)] {
        let (_, loaded) = start(&disk).expect("opens");
        ledger.check(&loaded, "restored");
    }
}

/// Cuts the power once and returns the traces before that and at the end.
fn traced(story: &Story, image: &Image, seed: u64, operations: u64) -> (u64, u64) {
    let disk = disk_with(image, seed);
    let mut ledger = Ledger::new(story);
    disk.fail_after(operations);
    run(&disk, &story.steps, &mut ledger).expect_err("the power goes");
    let before = disk.trace();
    disk.power_cut();
    run(&disk, &story.steps, &mut ledger).expect("no fault, no error");
    (before, disk.trace())
}

#[test]
fn a_seed_gives_one_history_of_operations() {
    let (story, image) = (story(), story().image());
    let mut ends = BTreeSet::new();
    for operations in (0..40).map(|n| n * 5) {
        let one = traced(&story, &image, 1, operations);
        assert_eq!(one, traced(&story, &image, 1, operations), "operation {operations}");
        let other = traced(&story, &image, 2, operations);
        assert_eq!(one.0, other.0, "until the power goes the seed decides nothing");
        ends.extend([one.1, other.1]);
    }
    assert!(ends.len() > 60, "{} histories of 80 that may differ", ends.len());
}

#[test]
fn a_flipped_bit_is_harmless_or_reported() {
    let story = story();
    // A damaged signature is found by a deep check alone: verifying all of them at each start takes too long.
    let unsigned =
        |items: Items| -> Items { items.into_iter().filter(|item| !matches!(item, Item::Signature(_))).collect() };
    let all = unsigned(story.all());
    let disk = disk_with(&story.image(), 5);
    run(&disk, &story.steps, &mut Ledger::new(&story)).expect("no fault, no error");
    let image = disk.image();
    let (mut harmless, mut damaged, mut unopened) = (0, 0, 0);
    for choice in (0..100 * 8).step_by(3).chain((0..1_000).map(|n| n * 7_919)) {
        disk.restore(&image);
        disk.flip_bit(choice);
        match start(&disk) {
            Err(_) => unopened += 1,
            Ok((_, loaded)) if !loaded.damage.is_empty() => damaged += 1,
            Ok((_, loaded)) => {
                assert_eq!(unsigned(held(&loaded)), all, "bit {choice}");
                assert_eq!(loaded.identity, story.identity, "bit {choice}");
                harmless += 1;
            }
        }
    }
    assert!(harmless > 0 && damaged > 0 && unopened > 0, "{harmless} harmless, {damaged} damaged, {unopened} unopened");
}
