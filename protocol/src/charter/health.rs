//! How far the charter is from being stuck (spec 4.9, F12).

use std::collections::{BTreeMap, BTreeSet};

use super::Charter;
use crate::ids::{NationId, Timestamp};

/// A nation whose witness said nothing for this long counts as dark.
pub const DARK_AFTER_MS: u64 = 48 * 3_600_000;

/// Whether the nations that are left can still change the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharterHealth {
    /// Members.
    pub nations: usize,
    /// Members that must agree to change the charter.
    pub quorum: usize,
    /// Members that closed their own chains, ascending.
    pub closed: BTreeSet<NationId>,
    /// Other members not heard of for 48 hours, or never, ascending.
    pub dark: BTreeSet<NationId>,
    /// So many more losses until membership cannot change; 0 if it cannot now.
    pub losses_left: usize,
}

/// Works out the charter's health: `closed` are the nations whose roster is closed, `last_witness` the time each nation's
/// witness last claimed.
pub fn health(
    charter: &Charter,
    closed: &BTreeSet<NationId>,
    last_witness: &BTreeMap<NationId, Timestamp>,
    as_of: Timestamp,
) -> CharterHealth {
    let closed: BTreeSet<NationId> = charter.members.keys().filter(|nation| closed.contains(nation)).copied().collect();
    let dark = charter.members.keys().filter(|nation| {
        let heard = last_witness.get(nation).is_some_and(|last| as_of.since(*last) <= DARK_AFTER_MS);
        !heard && !closed.contains(nation)
    });
    let dark: BTreeSet<NationId> = dark.copied().collect();
    let (nations, quorum) = (charter.members.len(), charter.quorum());
    let there = nations - closed.len() - dark.len();
    CharterHealth { nations, quorum, closed, dark, losses_left: (there + 1).saturating_sub(quorum) }
}
