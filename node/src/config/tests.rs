use std::ffi::OsString;

use super::*;

fn load(file: &str, env: &[(&str, &str)], flags: &Flags) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(home.path().join(FILE_NAME), file).expect("the file is written");
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
    Config::load(home.path(), env, flags)
}

fn message(file: &str) -> String {
    load(file, &[], &Flags::default()).expect_err("refused").to_string()
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = message("mdns = true\n\nlisten_on = []\n");
    assert!(text.contains("comity.toml line 3") && text.contains("`listen_on`"), "{text}");
    let text = message("[store]\nbytes_max = 9000000\nbytes_min = 1\n");
    assert!(text.contains("line 3") && text.contains("`bytes_min`"), "{text}");
    let text = message("[stor]\nbytes_max = 9000000\n");
    assert!(text.contains("`stor`"), "{text}");
}

#[test]
fn flags_come_before_environment_before_file_before_defaults() {
    let file = "redial_max = \"1s\"\nlog = \"warn\"\nlisten = [\"/ip4/127.0.0.1/tcp/1\"]\n";
    let env = [("COMITY_LOG", "debug"), ("COMITY_LISTEN", "/ip4/127.0.0.1/tcp/2, /ip6/::1/tcp/2")];
    let flags = Flags { listen: vec!["/ip4/127.0.0.1/tcp/3".to_owned()], ..Flags::default() };
    let config = load(file, &env, &flags).expect("loads");
    assert_eq!(config.redial_max, Setting { value: Duration::from_secs(1), source: Source::File { line: 1 } });
    assert_eq!(config.log, Setting { value: "debug".to_owned(), source: Source::Env("COMITY_LOG") });
    assert_eq!(config.listen.source, Source::Flag("--listen"));
    assert_eq!(config.listen.value, ["/ip4/127.0.0.1/tcp/3".parse().expect("an address")]);
    assert_eq!(config.mdns, Setting { value: Switch::Off, source: Source::Default });
    let config = load(file, &env, &Flags::default()).expect("loads");
    assert_eq!(config.listen.value.len(), 2);
}

#[test]
fn a_value_of_another_kind_is_named_with_its_place() {
    for (file, part) in [
        ("redial_max = \"soon\"", "redial_max (comity.toml line 1): \"soon\""),
        ("redial_max = \"1ms\"", "from 100ms to 1h"),
        ("\npeers = [\"/ip4/1.2.3.4/udp/1\"]", "peers (comity.toml line 2)"),
        ("[api]\ntcp = \"192.0.2.1:80\"", "loopback"),
        ("[store]\nbytes_max = 5", "store.bytes_max"),
        ("[store]\nbytes_max = -5", "line 2"),
        ("mdns = \"yes\"", "line 1"),
        ("log = \"a=b=c\"", "log (comity.toml line 1)"),
        ("log_format = \"xml\"", "text or json"),
    ] {
        let text = message(file);
        assert!(text.contains(part), "{file}: {text}");
    }
    let error = load("", &[("COMITY_MDNS", "perhaps")], &Flags::default()).expect_err("refused").to_string();
    assert!(error.contains("environment COMITY_MDNS"), "{error}");
}

#[test]
fn the_printed_configuration_loads_again_as_the_same() {
    let node = "ab".repeat(32);
    let file = format!(
        "peers = [\"/ip4/192.0.2.1/tcp/7400\", \"{node}@/dns4/node.example/tcp/7400\"]\nmdns = true\n\
         [store]\nbytes_max = 100000000\n[api]\ntcp = \"127.0.0.1:0\"\nread_gid = 7\n"
    );
    let config = load(&file, &[], &Flags::default()).expect("loads");
    let printed = config.print();
    assert!(printed.contains("bytes_max = 100000000  # comity.toml line 4"), "{printed}");
    assert!(printed.contains("# author_gid is not set  # default"), "{printed}");
    let again = load(&printed, &[], &Flags::default()).expect("its own print loads");
    assert_eq!(again.peers.value, config.peers.value);
    assert_eq!(again.redial_max.value, config.redial_max.value);
    assert_eq!(again.store_bytes_max.value, config.store_bytes_max.value);
    assert_eq!(again.api_tcp.value, config.api_tcp.value);
}

#[test]
fn a_missing_file_means_defaults() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let config = Config::load(home.path(), |_| None, &Flags::default()).expect("loads");
    assert_eq!(config.store_bytes_max.value, None);
    assert_eq!(config.listen.value.len(), 1);
}
