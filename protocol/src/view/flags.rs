//! Collects flags and hands them to the rows they concern.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Flag, FlagCode, Name};
use crate::ids::NationId;
use crate::statement::Kind;

/// Flags raised so far.
#[derive(Default)]
pub(super) struct Flags(Vec<Flag>);

impl Flags {
    /// Raises a flag about `statements`, which the nations of these codes can clear.
    pub(super) fn raise<'c>(
        &mut self,
        code: FlagCode,
        statements: impl IntoIterator<Item = Name>,
        clears: impl IntoIterator<Item = &'c str>,
        detail: String,
    ) {
        let mut clears: Vec<String> = clears.into_iter().map(str::to_owned).collect();
        clears.sort_unstable();
        clears.dedup();
        self.0.push(Flag { code, statements: statements.into_iter().collect(), clears, detail });
    }

    /// Returns all flags by code and statement, and the codes that name each pledge and requirement.
    pub(super) fn finish(self) -> (Vec<Flag>, Named) {
        let mut flags = self.0;
        flags.sort_unstable();
        flags.dedup();
        let mut named = Named::default();
        for flag in &flags {
            for name in &flag.statements {
                if matches!(name.kind, Kind::Pledge | Kind::Requirement) {
                    named.0.entry((name.kind, name.nation, name.id.clone())).or_default().insert(flag.code);
                }
            }
        }
        (flags, named)
    }
}

/// Which codes name which pledge or requirement.
#[derive(Default)]
pub(super) struct Named(BTreeMap<(Kind, NationId, String), BTreeSet<FlagCode>>);

impl Named {
    /// Returns the codes that name a statement.
    pub(super) fn codes(&self, name: &Name) -> BTreeSet<FlagCode> {
        self.0.get(&(name.kind, name.nation, name.id.clone())).cloned().unwrap_or_default()
    }
}
