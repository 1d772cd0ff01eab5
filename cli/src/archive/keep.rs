//! Putting bundles into a home, and finding them there again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use comity_node::api::model::CharterState;
use comity_node::home::{Home, HomeError};
use comity_node::store::{OpenError, Settings, Store};
use comity_protocol::bundle::Audited;
use comity_protocol::chain::{Chain, Held};
use comity_protocol::control::{ControlRecord, Parent, VerifiedControl};
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AllianceId, CharterId};

use super::ArchiveRow;
use crate::api::Api;
use crate::bundle::audit;
use crate::failure::Failure;

/// Fewest digits by which an archive is named.
const DIGITS_MIN: usize = 4;
/// What the name of an archive ends with.
const ENDING: &str = "bundle";

/// What may be done beyond the usual.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// An archive that is there may give way to one that holds more.
    pub(super) replace: bool,
    /// Something may be missing that a witness acknowledged.
    pub(super) allow_omissions: bool,
}

/// Audits a bundle and keeps a copy of it, read-only.
///
/// # Errors
/// [`Failure`]; what was there is there still, and no part of a file is left.
pub(super) fn add(home: &Home, bundle: &Path, wanted: Wanted) -> Result<ArchiveRow, Failure> {
    let (sealed, audited) = audit(bundle, None)?;
    let alliance = audited.state.anchor().alliance;
    let named = named(home, &alliance, bundle)?;
    if !audited.state.charter_versions().iter().any(|version| version.id == named) {
        return Err(Failure::refused(format!("{} does not reach the charter that was re-founded", bundle.display()))
            .because(format!("version {named} of alliance {} is named, and not in it", alliance.short()))
            .hint("export a bundle from a node of the old alliance that holds that version"));
    }
    if let Some(failure) = differs(&audited) {
        return Err(failure);
    }
    if !audited.omissions.is_empty() && !wanted.allow_omissions {
        return Err(Failure::refused(format!("{} acknowledged records are missing", audited.omissions.len()))
            .because("nations of the old alliance say that they held them, and the bundle does not hold them")
            .hint(
                "see `comity verify`; take the bundle of a nation that acknowledged them, or say --allow-omissions",
            ));
    }
    let folder = folder(home);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::file("make", &folder, &error)),
    }
    let path = folder.join(format!("{}.{ENDING}", alliance.hex()));
    if path.exists() {
        if !wanted.replace {
            return Err(Failure::refused("this alliance is archived already")
                .because(format!("it is in {}", path.display()))
                .hint("--replace puts a bundle in its place that holds all of it and more"));
        }
        holds_all(&audit(&path, Some(alliance))?.1.state, &audited.state)?;
    }
    let part = path.with_extension("part");
    copy(bundle, &part)
        .and_then(|()| fs::rename(&part, &path))
        .and_then(|()| File::open(&folder)?.sync_all())
        .map_err(|error| {
            drop(fs::remove_file(&part));
            Failure::file("write", &path, &error)
        })?;
    // What is kept is what was read from the disk again, and not what was read before it was copied.
    let (sealed_again, kept) = audit(&path, Some(alliance))?;
    if sealed_again.seal.hash != sealed.seal.hash {
        return Err(Failure::environment(format!("{} changed while it was copied", bundle.display()))
            .hint("remove the archive and add it again"));
    }
    Ok(ArchiveRow::of(&path, &sealed_again, &kept))
}

/// What the exporter published and the bundle does not evaluate to.
pub(super) fn differs(audited: &Audited) -> Option<Failure> {
    let (name, published, evaluated) = audited.differing.first()?;
    Some(
        Failure::refused(format!("the bundle does not evaluate to the {name} that was published"))
            .because(format!("published {published}, evaluated {evaluated}"))
            .hint("ask another node of the old alliance for its bundle"),
    )
}

/// Returns the archives of a home by alliance; what else lies there is left alone.
pub(super) fn files(home: &Home) -> Result<Vec<(AllianceId, PathBuf)>, Failure> {
    let folder = folder(home);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::file("read", &folder, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::file("read", &folder, &error))?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).and_then(AllianceId::from_hex);
        if let Some(alliance) = name.filter(|_| path.extension().is_some_and(|ending| ending == ENDING)) {
            found.push((alliance, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Finds the archive whose alliance's id begins so, or the parent's.
pub(super) fn find(home: &Home, digits: Option<&str>) -> Result<(AllianceId, PathBuf), Failure> {
    let mut found = files(home)?;
    let none = |what: String| {
        Failure::usage(what).because("no such archive is in this home").hint("`comity archive list` shows them")
    };
    let Some(digits) = digits else {
        if found.len() > 1 {
            let parent = parent(home)?;
            found.retain(|(alliance, _)| parent.is_some_and(|parent| parent.alliance == *alliance));
        }
        return found.pop().ok_or_else(|| {
            Failure::usage("there is no archive to read")
                .because("no bundle of an alliance that was re-founded is kept in this home")
                .hint("`comity archive add BUNDLE` keeps one")
        });
    };
    if digits.len() < DIGITS_MIN {
        return Err(Failure::usage(format!("{digits:?} names no archive")).hint("write at least 4 digits of its id"));
    }
    let digits = digits.to_ascii_lowercase();
    found.retain(|(alliance, _)| alliance.hex().starts_with(&digits));
    match found.len() {
        0 | 1 => found.pop().ok_or_else(|| none(format!("{digits:?} names no archive"))),
        _ => Err(Failure::usage(format!("{digits:?} names more than one archive")).hint("write more digits of its id")),
    }
}

fn folder(home: &Home) -> PathBuf {
    home.path().join("archive")
}

/// Returns the charter version of `alliance` that its re-founding names: in this home's genesis, or in an archived one.
fn named(home: &Home, alliance: &AllianceId, bundle: &Path) -> Result<CharterId, Failure> {
    let Some(mut parent) = parent(home)? else {
        return Err(Failure::refused("this alliance re-founds no other")
            .because("its genesis names no parent")
            .hint("`comity verify` audits any bundle where it lies"));
    };
    let mut archived = files(home)?;
    while parent.alliance != *alliance {
        let above = archived.iter().position(|(of, _)| *of == parent.alliance).map(|at| archived.swap_remove(at));
        let grandparent = match above {
            Some((of, path)) => parent_in_state(&audit(&path, Some(of))?.1.state),
            None => None,
        };
        parent = grandparent.ok_or_else(|| {
            Failure::refused(format!("{} is of another alliance", bundle.display()))
                .because(format!("it is of {alliance}, this alliance re-founds {}", parent.alliance))
                .hint("export it from a node of the old alliance; a parent's parent comes after the parent")
        })?;
    }
    Ok(parent.charter)
}

/// Returns what this home's genesis names, whether its node runs or not.
fn parent(home: &Home) -> Result<Option<Parent>, Failure> {
    match home.lock() {
        Ok(lock) => {
            let (elements, _) = Store::open(&home.store(), Settings::default(), lock)?.load()?.into_elements();
            Ok(elements.iter().find_map(|element| match element {
                Element::Control(control) => parent_in(control),
                Element::Header(_) | Element::Body { .. } => None,
            }))
        }
        Err(HomeError::Store(OpenError::Locked { .. })) => {
            let charter: CharterState =
                Api::of(home)?.run(|client| async move { client.get("/v1/charter", &[]).await })?;
            let ids = charter.parent.and_then(|parent| {
                Some((AllianceId::from_hex(&parent.alliance)?, CharterId::from_hex(&parent.charter)?))
            });
            Ok(ids.map(|(alliance, charter)| Parent { alliance, charter }))
        }
        Err(error) => Err(error.into()),
    }
}

fn parent_in_state(state: &State) -> Option<Parent> {
    state.control_records().into_iter().find_map(|control| parent_in(control))
}

fn parent_in(control: &VerifiedControl) -> Option<Parent> {
    match control.record() {
        ControlRecord::Genesis(signed) => signed.genesis.parent,
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    }
}

/// Refuses a bundle that lacks an envelope, or its body, which the archive in its place has.
fn holds_all(old: &State, new: &State) -> Result<(), Failure> {
    let not_in_new = |chain: &Chain| {
        let other = new.chain(&chain.author());
        let lacking = |held: &&Held| {
            let found = other.and_then(|other| other.get(&held.id()));
            found.is_none_or(|found| held.body().is_some() && found.body().is_none())
        };
        chain.iter().find(lacking).map(Held::seq)
    };
    match old.chains().find_map(|chain| Some((chain.author(), not_in_new(chain)?))) {
        None => Ok(()),
        Some((author, seq)) => Err(Failure::refused("the archive that is there holds more")
            .because(format!("the bundle lacks envelope {seq} of node {}", author.key.short()))
            .hint("keep the archive, or export a bundle from a node that holds everything")),
    }
}

/// Copies a file whole; it is on the disk and read-only before it has its name.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // Of an attempt that was killed.
    match fs::remove_file(to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o400))
}
