//! What happened in a run, a line an event: the thing that is compared, searched and read.

use std::fmt::{self, Write as _};

/// The lines of a run, in order; the same seed and the same software give the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    text: String,
    lines: usize,
}

impl Trace {
    /// Adds a line: when (milliseconds since the run began), where, and what.
    pub(super) fn add(&mut self, at_ms: u64, place: &str, what: fmt::Arguments<'_>) {
        self.lines += 1;
        // Writing to a string never fails.
        writeln!(self.text, "{:>9}.{:03} {place:<8} {what}", at_ms / 1_000, at_ms % 1_000).unwrap_or_default();
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are.
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// Returns the last `lines` lines of those that are not about single frames.
    pub fn story(&self, lines: usize) -> String {
        let told: Vec<&str> = self.text.lines().filter(|line| !line.contains(" ~ ")).collect();
        let from = told.len().saturating_sub(lines);
        told[from..].iter().fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        })
    }
}
