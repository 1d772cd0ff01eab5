//! What differs from run to run in a line of output, and what it stands for.

use std::collections::BTreeMap;

/// Returns a line with everything that differs from run to run named instead, and one space between words.
pub(super) fn settled(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let (word, before, after) = (words[at], at.checked_sub(1).map(|at| words[at]), words.get(at + 1).copied());
        let is_ago = words.get(at + 2) == Some(&"ago");
        if is_ago || word == "now" {
            out.push("[AGO]".to_owned());
            at += if is_ago { 2 } else { 0 };
        } else if let Some(taken) = seen(&words[at..]) {
            out.push("[SEEN]".to_owned());
            at += taken - 1;
        } else if before == Some("pid") {
            out.push("[PID]".to_owned());
        } else if matches!(before, Some("envelopes" | "number")) && word.bytes().all(|digit| digit.is_ascii_digit()) {
            // Witnesses speak by themselves while a session runs, in the same chains.
            out.push("[COUNT]".to_owned());
        } else if after == Some("bytes") || before == Some("quota") {
            out.push("[BYTES]".to_owned());
        } else {
            out.push(settled_word(word));
        }
        at += 1;
    }
    out.join(" ")
}

/// Returns how many words say how many nations have seen something, which grows while the session runs.
fn seen(words: &[&str]) -> Option<usize> {
    let number = |word: &&str| !word.is_empty() && word.bytes().all(|digit| digit.is_ascii_digit());
    match words {
        [seen, "of", all, "connected", ..] if number(seen) && number(all) => None,
        [seen, "of", all, "final", ..] if number(seen) && number(all) => Some(4),
        [seen, "of", all, ..] if number(seen) && number(all) => Some(3),
        _ => None,
    }
}

fn settled_word(word: &str) -> String {
    let bare = word.trim_end_matches([',', '.', ':', ';']);
    let tail = &word[bare.len()..];
    if bare.len() == 24 && bare.ends_with('Z') && bare.contains('T') {
        return format!("[TIME]{tail}");
    }
    if let Some(name) = clock(bare) {
        return format!("{name}{tail}");
    }
    if bare.starts_with("/ip4/") || bare.starts_with("/dns4/") {
        return format!("[ADDRESS]{tail}");
    }
    let mut out = String::new();
    for part in parts(word) {
        out.push_str(match kind(&out, part) {
            Some(Id::Record) => "[ID]",
            Some(Id::Hex) => "[HEX]",
            None => part,
        });
    }
    out
}

/// Names a day, or a time of day to the minute.
fn clock(word: &str) -> Option<&'static str> {
    let shaped = |shape: &str| {
        let same = |(letter, wanted): (u8, u8)| if wanted == b'0' { letter.is_ascii_digit() } else { letter == wanted };
        word.len() == shape.len() && word.bytes().zip(shape.bytes()).all(same)
    };
    match () {
        () if shaped("0000-00-00") => Some("[DAY]"),
        () if shaped("00:00") || shaped("00:00:00") || shaped("00:00:00.000") => Some("[CLOCK]"),
        () if shaped("0000-00-00T00:00:00Z") => Some("[TIME]"),
        () => None,
    }
}

enum Id {
    /// The last part of `CODE/kind/id`.
    Record,
    /// A digest or key, whole or its first ten digits.
    Hex,
}

fn kind(before: &str, part: &str) -> Option<Id> {
    let is_hex = part.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    match part.len() {
        10 if before.ends_with('/') && before.matches('/').count() >= 2 => Some(Id::Record),
        10 if is_hex && part.bytes().any(|digit| digit.is_ascii_digit()) => Some(Id::Hex),
        64 if is_hex => Some(Id::Hex),
        _ => None,
    }
}

/// Cuts a word into runs of letters and digits and single other characters.
fn parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(if run == 0 { first.len_utf8() } else { run });
        parts.push(part);
        rest = tail;
    }
    parts
}

/// Identifiers of the manual, and what they are in this run.
#[derive(Default)]
pub(super) struct Ids(BTreeMap<String, String>);

impl Ids {
    /// Learns from two lines that say the same.
    pub(super) fn learn(&mut self, written: &str, real: &str) {
        for (written, real) in written.split_whitespace().zip(real.split_whitespace()) {
            for (written, real) in parts(written).into_iter().zip(parts(real)) {
                if written.len() >= 10 && written != real {
                    self.0.insert(written.to_owned(), real.to_owned());
                }
            }
        }
    }

    /// Returns a word of a command with the identifiers of this run; the manual may shorten what is unique, with … or
    /// as a prefix.
    pub(super) fn real(&self, word: &str) -> String {
        let mut out = String::new();
        for part in parts(word) {
            let is_named = part.len() >= 4 && out.ends_with(['/', '=', '@', ':']);
            let known = self.0.iter().find(|(written, _)| written.starts_with(part));
            match known {
                Some((written, real)) if is_named || written == part => out.push_str(real),
                _ if part == "…" => {}
                _ => out.push_str(part),
            }
        }
        out
    }
}
