//! The configuration in effect, for people and programs.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Config, LogFormat, Setting};

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ShownSetting {
    /// Its key, with the table in front where it stands in one.
    pub key: String,
    /// The value in effect, as the file would hold it; `null` where nothing is set.
    pub value: Value,
    /// Where the value comes from.
    pub source: String,
}

impl Config {
    /// Returns every setting, in the order of the file, tables last.
    pub fn shown(&self) -> Vec<ShownSetting> {
        fn shown<T>(key: &str, setting: &Setting<T>, value: impl Fn(&T) -> Value) -> ShownSetting {
            ShownSetting { key: key.to_owned(), value: value(&setting.value), source: setting.source.to_string() }
        }
        fn texts<T: fmt::Display>(list: &[T]) -> Value {
            list.iter().map(ToString::to_string).collect()
        }
        vec![
            shown("listen", &self.listen, |list| texts(list)),
            shown("peers", &self.peers, |list| texts(list)),
            shown("mdns", &self.mdns, |switch| json!(switch.is_on())),
            shown("learn_addresses", &self.learn_addresses, |switch| json!(switch.is_on())),
            shown("redial_max", &self.redial_max, |span| json!(format!("{}ms", span.as_millis()))),
            shown("log", &self.log, |text| json!(text)),
            shown("log_format", &self.log_format, |format| match format {
                LogFormat::Text => json!("text"),
                LogFormat::Json => json!("json"),
            }),
            shown("store.bytes_max", &self.store_bytes_max, |max| json!(max)),
            shown("api.tcp", &self.api_tcp, |tcp| json!(tcp.map(|tcp| tcp.to_string()))),
            shown("api.hosts", &self.api_hosts, |list| texts(list)),
            shown("api.origins", &self.api_origins, |list| texts(list)),
            shown("api.read_gid", &self.api_read_gid, |gid| json!(gid)),
            shown("api.author_gid", &self.api_author_gid, |gid| json!(gid)),
            shown("witness.on_change_ms", &self.witness_on_change_ms, |ms| json!(ms)),
            shown("witness.heartbeat_ms", &self.witness_heartbeat_ms, |ms| json!(ms)),
        ]
    }

    /// Returns the effective configuration as TOML, each line with its source as a comment.
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut table = String::new();
        for ShownSetting { key, value, source } in self.shown() {
            let (above, key) = key.rsplit_once('.').unwrap_or(("", &key));
            if above != table {
                above.clone_into(&mut table);
                // Writing to a string cannot fail.
                let _ = write!(out, "\n[{table}]\n");
            }
            let _ = match literal(&value) {
                Some(text) => writeln!(out, "{key} = {text}  # {source}"),
                None => writeln!(out, "# {key} is not set  # {source}"),
            };
        }
        out
    }
}

/// Returns a value as TOML writes it.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(toml::Value::String(text.clone()).to_string()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(literal).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}
