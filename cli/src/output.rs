//! What a command prints: text for people, stable JSON for programs.

use std::io::{IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use comity_protocol::ids::Timestamp;
use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::failure::Failure;

/// When to colour text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How this call prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    color: bool,
}

impl Output {
    /// Decides from the flags and the terminal.
    pub fn new(json: bool, color: Color) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self { json, color: color && !json }
    }

    /// Whether the caller asked for JSON.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Prints a failure on standard error, its labels coloured where the terminal may be.
    pub fn failure(&self, failure: &Failure) {
        let mut err = std::io::stderr().lock();
        for line in failure.to_string().lines() {
            let line = match line.split_once(' ') {
                Some((label @ "error:", rest)) if self.color => format!("{} {rest}", label.red().bold()),
                Some((label @ ("cause:" | "hint:"), rest)) if self.color => format!("{} {rest}", label.bold()),
                _ => line.to_owned(),
            };
            let _ = writeln!(err, "{line}");
        }
    }

    /// Prints one result: as one JSON object, or as the text that `text` returns.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) {
        let line = if self.json { serde_json::to_string(value).expect("results are plain data") } else { text() };
        self.line(&line);
    }

    /// Prints text as it is; a closed pipe ends the printing quietly.
    pub fn text(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Prints text as it is, and a line end; a closed pipe ends the printing quietly.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
    }
}

/// Returns the operating system's time as the library that prints times knows it.
pub fn now_jiff() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Returns the operating system's time, in milliseconds.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
