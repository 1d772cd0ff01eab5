use super::*;

#[test]
fn a_process_is_known_by_its_start_and_not_by_its_number_alone() {
    let me = ProcessId::of(std::process::id()).unwrap();
    assert!(me.is_running());
    // Another process that once had our number: signalling it must not reach us.
    let other = ProcessId { started: me.started + 1, ..me.clone() };
    assert!(!other.is_running());
    other.kill();
    let earlier = ProcessId { boot: "another".to_owned(), ..me };
    assert!(!earlier.is_running());
    earlier.kill();
    assert_eq!(ProcessId::of(u32::MAX), None);
}

#[tokio::test]
async fn stopping_ends_the_process_it_names() {
    let mut child = tokio::process::Command::new("sleep").arg("600").spawn().unwrap();
    let process = ProcessId::of(child.id().unwrap()).unwrap();
    assert_eq!(stop(&process).await, Ending::Asked);
    assert!(!process.is_running());
    child.wait().await.unwrap();
    assert_eq!(stop(&process).await, Ending::Asked);
}

#[test]
fn a_listening_address_is_read_from_the_status() {
    let status = |listen: &[&str]| Status {
        standing: "active".to_owned(),
        authoring: crate::wire::Authoring { allowed: true, reason: None },
        charter: crate::wire::Charter { height: 0 },
        forks: Vec::new(),
        nation: "POL".to_owned(),
        node: String::new(),
        listen: listen.iter().map(|address| (*address).to_owned()).collect(),
        peers: Vec::new(),
        envelopes: 0,
        held: String::new(),
        control: String::new(),
        state: String::new(),
    };
    assert_eq!(node::address(&status(&["/ip4/127.0.0.1/tcp/4711"])), "127.0.0.1:4711");
    assert_eq!(node::address(&status(&["/ip4/127.0.0.1/tcp/4711/p2p/12D3"])), "127.0.0.1:4711");
    assert_eq!(node::address(&status(&["/dns/x/tcp/1"])), "");
}

#[test]
fn a_configuration_names_relays_only_and_who_is_expected_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    let member = |code: &str, digit: &str| Member { code: code.to_owned(), node: digit.repeat(64) };
    let testnet = TestnetFile { members: vec![member("POL", "a"), member("UKR", "b")] };
    let pair = |from: &str, to: &str| Pair { from: from.to_owned(), to: to.to_owned() };
    let ports = BTreeMap::from([(pair("POL", "UKR"), 4001), (pair("UKR", "POL"), 4002)]);
    let config = NodeConfig::new(&layout, &testnet, &testnet.members[0], &ports);
    std::fs::create_dir(layout.home("POL")).unwrap();
    assert!(!config.is_written().unwrap());
    config.write().unwrap();
    assert!(config.is_written().unwrap());
    let text = std::fs::read_to_string(layout.home("POL").join("comity.toml")).unwrap();
    assert!(text.contains(&format!("\"{}@/ip4/127.0.0.1/tcp/4001\"", "b".repeat(64))), "{text}");
    assert!(!text.contains("4002"), "{text}");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["learn_addresses"].as_bool(), Some(false));
}

#[tokio::test]
async fn what_is_no_testnet_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let up = |dir: &Path, nations: &[&str]| UpOptions {
        exe: PathBuf::from("/nonexistent-binary"),
        dir: dir.to_owned(),
        nations: nations.iter().map(|code| (*code).to_owned()).collect(),
    };
    assert!(matches!(down(dir.path()).await, Err(TestnetError::Missing { .. })));
    assert!(matches!(super::up(&up(dir.path(), &[])).await, Err(TestnetError::Missing { .. })));
    let error = super::up(&up(dir.path(), &["POL", "xx"])).await.unwrap_err();
    assert_eq!(
        (error.exit(), error.to_string().as_str()),
        (2, "nations: xx is no nation code; a code is three capital letters")
    );
    std::fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
    let error = super::up(&up(dir.path(), &["POL", "UKR"])).await.unwrap_err();
    assert!(matches!(error, TestnetError::NotATestnet { .. }), "{error}");
    let other = tempfile::tempdir().unwrap();
    let error = super::up(&up(other.path(), &["POL", "UKR"])).await.unwrap_err();
    assert_eq!(error.exit(), 4, "{error}");
    // The interrupted founding is no obstacle to the next one.
    let error = super::up(&up(other.path(), &["POL", "UKR"])).await.unwrap_err();
    assert!(matches!(error, TestnetError::Start { .. }), "{error}");
}

#[test]
fn a_second_command_on_the_same_folder_waits_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    let first = layout.lock().unwrap();
    assert!(matches!(layout.lock(), Err(TestnetError::Busy { .. })));
    drop(first);
    layout.lock().unwrap();
}

#[test]
fn hints_can_be_pasted_into_a_shell() {
    assert_eq!(quoted(Path::new("/tmp/net-1/POL")), "/tmp/net-1/POL");
    assert_eq!(quoted(Path::new("/tmp/it's mine")), "'/tmp/it'\\''s mine'");
}
