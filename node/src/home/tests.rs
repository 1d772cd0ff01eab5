//! Homes: made once, refused when others could have read the keys, locked by one, reached by a short socket path.

use std::os::unix::fs::PermissionsExt as _;

use comity_protocol::control::{Genesis, Member, Params, SignedGenesis, nation_id};
use comity_protocol::ids::RootKey;

use super::*;
use crate::config::{Config, Flags};
use crate::store::Settings;

fn genesis() -> (VerifiedControl, NationId) {
    let root = SecretKey::from_seed(&[5; 32]);
    let key: RootKey = root.public();
    let founder = Member { root: key, code: "UKR".to_owned(), name: "Ukraine".to_owned(), next_root: None };
    let genesis = Genesis {
        name: "test".to_owned(),
        created_ms: 1,
        nonce: [1; 32],
        parent: None,
        params: Params::default(),
        founders: vec![founder],
    };
    let nation = nation_id(&genesis.alliance_id(), &key);
    let signatures = vec![genesis.sign(&root)];
    let record = ControlRecord::Genesis(SignedGenesis { genesis, signatures });
    (record.verify().expect("valid"), nation)
}

fn made() -> (tempfile::TempDir, Home, Initialised) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let home = Home::new(folder.path().join("home"));
    let (genesis, nation) = genesis();
    let initialised = home.init(&genesis, nation).expect("a new home");
    (folder, home, initialised)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn a_new_home_has_its_key_its_genesis_and_a_configuration_that_loads() {
    let (_folder, home, initialised) = made();
    assert_eq!(home.node_key().expect("loads").public(), initialised.identity.node);
    assert_eq!(home.kem_key().expect("loads").public(), initialised.kem);
    Config::load(home.path(), |_| None, &Flags::default()).expect("the template loads");
    let store = Store::open(&home.store(), Settings::default(), home.lock().expect("free")).expect("opens");
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.identity, initialised.identity);
    assert_eq!(loaded.control, [genesis().0]);
    for path in [home.path().to_owned(), home.keys_folder(), home.node_key_file(), home.store()] {
        let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} is for its owner alone", path.display());
    }
}

#[test]
fn a_home_is_never_initialised_twice() {
    let (_folder, home, initialised) = made();
    let (genesis, nation) = genesis();
    assert!(matches!(home.init(&genesis, nation), Err(HomeError::Initialised { .. })));
    assert_eq!(home.node_key().expect("still there").public(), initialised.identity.node);
    // Not even when the store is gone: an empty one would restart the chain.
    std::fs::remove_dir_all(home.path().join("store")).expect("unmounted");
    assert!(matches!(home.init(&genesis, nation), Err(HomeError::Initialised { .. })));
    let missing = Store::open(&home.store(), Settings::default(), home.lock().expect("free"));
    assert!(matches!(missing, Err(OpenError::Missing { .. })));
}

#[test]
fn keys_that_others_could_read_are_refused_with_the_command_that_helps() {
    let (_folder, home, _) = made();
    let refused = |path: &Path, bits: u32, wanted: u32| {
        mode(path, bits);
        let error = home.node_key().expect_err("refused");
        assert!(matches!(&error, HomeError::Key(KeyError::Mode { mode, .. }) if *mode == bits), "{error}");
        let command = format!("chmod {wanted:o} {}", path.display());
        assert!(error.hint().expect("a hint").starts_with(&command));
        assert_eq!(error.blame().exit_code(), 4);
        mode(path, wanted);
    };
    refused(&home.node_key_file(), 0o640, 0o600);
    refused(&home.node_key_file(), 0o604, 0o600);
    refused(&home.node_key_file(), 0o700, 0o600);
    refused(&home.keys_folder(), 0o750, 0o700);
    refused(&home.keys_folder(), 0o701, 0o700);
    mode(&home.node_key_file(), 0o400);
    home.node_key().expect("less is fine");
}

#[test]
fn key_files_hold_exactly_one_key() {
    let (_folder, home, _) = made();
    let good = std::fs::read_to_string(home.node_key_file()).expect("read");
    let upside_down = good.replace('\n', "x");
    for text in ["", "\n", &good[..64], &good[1..], &format!("{good}\n"), &format!("0{good}"), upside_down.as_str()] {
        std::fs::write(home.node_key_file(), text).expect("write");
        assert!(matches!(home.node_key(), Err(HomeError::Key(KeyError::Content { .. }))), "{text:?}");
    }
    let elsewhere = home.path().join("elsewhere");
    std::fs::write(&elsewhere, &good).expect("write");
    mode(&elsewhere, 0o600);
    std::fs::remove_file(home.node_key_file()).expect("remove");
    assert!(matches!(home.node_key(), Err(HomeError::Key(KeyError::Read { .. }))));
    std::os::unix::fs::symlink(&elsewhere, home.node_key_file()).expect("link");
    assert!(matches!(home.node_key(), Err(HomeError::Key(KeyError::Read { .. }))), "links are not followed");
}

#[test]
fn keys_of_another_user_are_refused() {
    let (_folder, home, _) = made();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a file away");
        return;
    }
    std::os::unix::fs::chown(home.node_key_file(), Some(12_345), None).expect("chown");
    let error = home.node_key().expect_err("refused");
    assert!(matches!(error, HomeError::Key(KeyError::Owner { owner: 12_345, .. })), "{error}");
}

#[test]
fn one_process_has_the_lock() {
    let (_folder, home, _) = made();
    let lock = home.lock().expect("free");
    let error = home.lock().expect_err("taken");
    assert!(matches!(error, HomeError::Store(OpenError::Locked { .. })), "{error}");
    drop(lock);
    home.lock().expect("free again");
    assert!(matches!(Home::new("/nonexistent/home").lock(), Err(HomeError::NotInitialised { .. })));
}

#[test]
fn the_default_home_follows_xdg() {
    let place = |data: Option<&str>, home: Option<&str>| {
        Home::default_place(|name| match name {
            "XDG_DATA_HOME" => data.map(OsString::from),
            _ => home.map(OsString::from),
        })
        .map(|home| home.path().to_owned())
        .ok()
    };
    assert_eq!(place(Some("/data"), Some("/home/a")), Some(PathBuf::from("/data/comity")));
    assert_eq!(place(Some("data"), Some("/home/a")), Some(PathBuf::from("/home/a/.local/share/comity")));
    assert_eq!(place(None, Some("/home/a")), Some(PathBuf::from("/home/a/.local/share/comity")));
    assert_eq!(place(None, None), None);
}

/// A home in `folder` whose socket path has `bytes` bytes.
fn home_with_socket_path_of(folder: &Path, bytes: usize) -> Home {
    let rest = bytes - folder.as_os_str().len() - "/".len() - "/node.sock".len();
    let home = Home::new(folder.join("h".repeat(rest)));
    std::fs::create_dir_all(home.path()).expect("folder");
    home
}

#[test]
fn a_socket_path_of_107_bytes_is_used_as_it_is() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let home = home_with_socket_path_of(folder.path(), SOCKET_PATH_MAX);
    let lock = home.lock().expect("free");
    let place = home.prepare_socket(&lock, |_| None).expect("fits");
    assert_eq!(place, SocketPlace { bind: home.path().join("node.sock"), link: None });
    let socket = std::os::unix::net::UnixListener::bind(&place.bind).expect("the system agrees");
    std::os::unix::net::UnixStream::connect(home.socket().expect("fits")).expect("connects");
    drop(socket);
    home.prepare_socket(&lock, |_| None).expect("a stale socket is cleared");
    assert!(!place.bind.exists());
    std::fs::write(&place.bind, "x").expect("write");
    let error = home.prepare_socket(&lock, |_| None).expect_err("a file is not removed");
    assert!(matches!(error, SocketError::Occupied { .. }));
}

#[test]
fn a_longer_socket_path_leads_through_a_link() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = tempfile::tempdir().expect("temporary folder");
    let home = home_with_socket_path_of(folder.path(), SOCKET_PATH_MAX + 1);
    let env = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| run.path().as_os_str().to_owned());
    let lock = home.lock().expect("free");
    assert!(matches!(home.socket(), Err(SocketError::Io { .. })), "no node yet");
    let place = home.prepare_socket(&lock, env).expect("goes elsewhere");
    assert!(place.bind.starts_with(run.path()) && place.link.is_some());
    let socket = std::os::unix::net::UnixListener::bind(&place.bind).expect("bind");
    std::os::unix::net::UnixStream::connect(home.socket().expect("through the link")).expect("connects");
    drop(socket);
    assert_eq!(home.prepare_socket(&lock, env).expect("after a kill"), place);
}

#[test]
fn a_run_folder_that_is_not_ours_alone_or_too_long_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = tempfile::tempdir().expect("temporary folder");
    let home = home_with_socket_path_of(folder.path(), 150);
    let lock = home.lock().expect("free");
    std::fs::create_dir(run.path().join("comity")).expect("folder");
    mode(&run.path().join("comity"), 0o755);
    let in_run = |_: &str| Some(run.path().as_os_str().to_owned());
    assert!(matches!(home.prepare_socket(&lock, in_run), Err(SocketError::RunFolder { .. })));
    let long = run.path().join("r".repeat(100));
    std::fs::create_dir(&long).expect("folder");
    let error = home.prepare_socket(&lock, |_| Some(long.as_os_str().to_owned())).expect_err("too long");
    assert!(matches!(error, SocketError::TooLong { .. }));
    assert!(error.hint().is_some());
}
