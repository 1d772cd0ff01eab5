//! Flags over environment over file over defaults.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use comity_protocol::replica::WitnessCadence;
use toml::Spanned;

use super::file::{self, FileConfig};
use super::{
    ADDRESSES_MAX, Config, ConfigError, FILE_NAME, Flags, LogFormat, PeerAddress, STORE_BYTES_MAX_MIN, Setting, Source,
    Switch, tcp_address,
};

/// A value as written, with its place.
type Found<T> = Option<(T, Source)>;

pub(super) fn load(home: &Path, env: impl Fn(&str) -> Option<OsString>, flags: &Flags) -> Result<Config, ConfigError> {
    let path = home.join(FILE_NAME);
    let text = file::read(&path)?;
    let FileConfig { listen, peers, mdns, learn_addresses, redial_max, log, log_format, store, api, witness } =
        file::parse(&path, &text)?;
    let places = Places { text: &text, env: &env };

    Ok(Config {
        listen: addresses(
            "listen",
            flag_list("--listen", &flags.listen).or(places.list("COMITY_LISTEN", listen)?),
            &["/ip4/0.0.0.0/tcp/0"],
            "a TCP multiaddress such as /ip4/0.0.0.0/tcp/7400",
            tcp_address,
        )?,
        peers: addresses(
            "peers",
            flag_list("--peer", &flags.peers).or(places.list("COMITY_PEERS", peers)?),
            &[],
            "a TCP multiaddress such as /ip4/192.0.2.1/tcp/7400, or NODE@MULTIADDRESS",
            |text| text.parse::<PeerAddress>().ok(),
        )?,
        mdns: switch("mdns", places.bool("COMITY_MDNS", mdns)?, Switch::Off)?,
        learn_addresses: switch(
            "learn_addresses",
            places.bool("COMITY_LEARN_ADDRESSES", learn_addresses)?,
            Switch::On,
        )?,
        redial_max: parsed(
            "redial_max",
            places.one("COMITY_REDIAL_MAX", redial_max)?,
            Duration::from_secs(30),
            "a duration from 100ms to 1h, such as 30s",
            duration,
        )?,
        store_bytes_max: parsed(
            "store.bytes_max",
            places.one("COMITY_STORE_BYTES_MAX", store.bytes_max)?,
            None,
            "a whole number of bytes from 1048576",
            |text| text.parse().ok().filter(|bytes| *bytes >= STORE_BYTES_MAX_MIN).map(Some),
        )?,
        log: parsed(
            "log",
            flags.log.clone().map(|text| (text, Source::Flag("--log"))).or(places.one("COMITY_LOG", log)?),
            "info,libp2p_swarm=warn".to_owned(),
            "a filter such as info or comity_node=debug,libp2p=warn",
            |text| text.parse::<tracing_subscriber::EnvFilter>().ok().map(|_| text.to_owned()),
        )?,
        log_format: match flags.log_format {
            Some(value) => Setting { value, source: Source::Flag("--log-json") },
            None => parsed(
                "log_format",
                places.one("COMITY_LOG_FORMAT", log_format)?,
                LogFormat::Text,
                "text or json",
                |text| match text {
                    "text" => Some(LogFormat::Text),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                },
            )?,
        },
        api_tcp: parsed(
            "api.tcp",
            places.one("COMITY_API_TCP", api.tcp)?,
            None,
            "a loopback address and port such as 127.0.0.1:7401",
            |text| text.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback()).map(Some),
        )?,
        api_hosts: texts(places.list("COMITY_API_HOSTS", api.hosts)?),
        api_origins: texts(places.list("COMITY_API_ORIGINS", api.origins)?),
        api_read_gid: gid("api.read_gid", places.one("COMITY_API_READ_GID", api.read_gid)?)?,
        api_author_gid: gid("api.author_gid", places.one("COMITY_API_AUTHOR_GID", api.author_gid)?)?,
        witness_on_change_ms: milliseconds(
            "witness.on_change_ms",
            places.one("COMITY_WITNESS_ON_CHANGE_MS", witness.on_change_ms)?,
            WitnessCadence::default().on_change_ms,
        )?,
        witness_heartbeat_ms: milliseconds(
            "witness.heartbeat_ms",
            places.one("COMITY_WITNESS_HEARTBEAT_MS", witness.heartbeat_ms)?,
            WitnessCadence::default().heartbeat_ms,
        )?,
    })
}

/// Where values below the flags stand.
struct Places<'a, E> {
    text: &'a str,
    env: &'a E,
}

impl<E: Fn(&str) -> Option<OsString>> Places<'_, E> {
    fn env(&self, name: &'static str) -> Result<Found<String>, ConfigError> {
        (self.env)(name)
            .map(|value| {
                let text = value.into_string().map_err(|_| ConfigError::EnvEncoding(name))?;
                Ok((text, Source::Env(name)))
            })
            .transpose()
    }

    fn file<T>(&self, value: Option<Spanned<T>>) -> Found<T> {
        value.map(|value| {
            let line = file::line_of(self.text, value.span().start);
            (value.into_inner(), Source::File { line })
        })
    }

    fn one<T: ToString>(&self, env: &'static str, value: Option<Spanned<T>>) -> Result<Found<String>, ConfigError> {
        let file = self.file(value).map(|(value, source)| (value.to_string(), source));
        Ok(self.env(env)?.or(file))
    }

    fn bool(&self, env: &'static str, value: Option<Spanned<bool>>) -> Result<Found<String>, ConfigError> {
        self.one(env, value)
    }

    /// A list is separated by commas in the environment.
    fn list(&self, env: &'static str, value: Option<Spanned<Vec<String>>>) -> Result<Found<Vec<String>>, ConfigError> {
        let split =
            |text: String| text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect();
        Ok(self.env(env)?.map(|(text, source)| (split(text), source)).or_else(|| self.file(value)))
    }
}

fn flag_list(name: &'static str, values: &[String]) -> Found<Vec<String>> {
    (!values.is_empty()).then(|| (values.to_vec(), Source::Flag(name)))
}

fn parsed<T>(
    key: &'static str,
    found: Found<String>,
    default: T,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Setting<T>, ConfigError> {
    match found {
        None => Ok(Setting { value: default, source: Source::Default }),
        Some((text, source)) => match read(&text) {
            Some(value) => Ok(Setting { value, source }),
            None => Err(ConfigError::Value { key, from: source, value: text, expected }),
        },
    }
}

fn addresses<T>(
    key: &'static str,
    found: Found<Vec<String>>,
    default: &[&str],
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Setting<Vec<T>>, ConfigError> {
    let default = || (default.iter().map(|text| (*text).to_owned()).collect(), Source::Default);
    let (texts, from) = found.unwrap_or_else(default);
    if texts.len() > ADDRESSES_MAX {
        let value = format!("{} addresses", texts.len());
        return Err(ConfigError::Value { key, from, value, expected: "at most 1024 addresses" });
    }
    let mut value = Vec::with_capacity(texts.len());
    for text in texts {
        match read(&text) {
            Some(address) => value.push(address),
            None => return Err(ConfigError::Value { key, from, value: text, expected }),
        }
    }
    Ok(Setting { value, source: from })
}

fn texts(found: Found<Vec<String>>) -> Setting<Vec<String>> {
    let (value, source) = found.unwrap_or((Vec::new(), Source::Default));
    Setting { value, source }
}

fn switch(key: &'static str, found: Found<String>, default: Switch) -> Result<Setting<Switch>, ConfigError> {
    parsed(key, found, default, "true or false", |text| text.parse::<bool>().ok().map(Switch::from))
}

fn gid(key: &'static str, found: Found<String>) -> Result<Setting<Option<u32>>, ConfigError> {
    parsed(key, found, None, "a group number", |text| text.parse().ok().map(Some))
}

fn milliseconds(key: &'static str, found: Found<String>, default: u64) -> Result<Setting<u64>, ConfigError> {
    let read = |text: &str| text.parse().ok().filter(|ms| (100..=86_400_000).contains(ms));
    parsed(key, found, default, "whole milliseconds from 100 to 86400000", read)
}

fn duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    let duration = Duration::try_from(duration).ok()?;
    (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&duration).then_some(duration)
}
