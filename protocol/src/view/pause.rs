//! Pauses in force: what a nation's notices take out of its own contribution (C27), and which standby offers they call (C30).

use std::collections::BTreeMap;

use super::read::Reading;
use super::rows::Name;
use crate::ids::{NationId, Timestamp};
use crate::statement::Kind;
use crate::statement::reference::Ref;
use crate::statement::typed::SuspendNotice;
use crate::time::Day;

/// The scope of pledges.
pub(super) const PLEDGES: &str = "pledges";
/// The scope of hubs.
pub(super) const HUBS: &str = "hubs";
/// The scope of transit permits.
pub(super) const PERMITS: &str = "permits";

/// A notice in force.
pub(super) struct Pause<'a> {
    pub(super) name: Name,
    pub(super) says: SuspendNotice<'a>,
    pub(super) seen: Vec<Ref>,
}

/// The notices in force, by nation, in R8 order.
#[derive(Default)]
pub(super) struct Pauses<'a>(BTreeMap<NationId, Vec<Pause<'a>>>);

impl<'a> Pauses<'a> {
    /// Returns those in force at a moment.
    pub(super) fn of(reading: &Reading<'a>, as_of: Timestamp) -> Self {
        let mut all: BTreeMap<NationId, Vec<Pause<'a>>> = BTreeMap::new();
        let today = Day::of(as_of);
        for notice in reading.notices.iter().filter(|notice| notice.live() && notice.says.holds_on(today)) {
            let pause = Pause { name: notice.name.clone(), says: notice.says.clone(), seen: notice.seen.clone() };
            all.entry(notice.name.nation).or_default().push(pause);
        }
        Self(all)
    }

    /// Returns the first notice that pauses a record; one whose version the record's writer had seen does not.
    pub(super) fn pausing(&self, name: &Name, scope: &str, seen: &[Ref]) -> Option<&Pause<'a>> {
        let pauses =
            |pause: &&Pause<'_>| pause.says.pauses(scope, name.kind.name(), &name.id) && !saw(seen, &pause.name);
        self.0.get(&name.nation)?.iter().find(pauses)
    }

    /// Whether a notice is in force.
    pub(super) fn in_force(&self, notice: &Name) -> bool {
        self.0.get(&notice.nation).is_some_and(|pauses| pauses.iter().any(|pause| pause.name == *notice))
    }

    /// Whether a nation pauses pledges of its own.
    pub(super) fn pauses_pledges(&self, nation: NationId) -> bool {
        let offers = |kind: &str| kind == Kind::Pledge.name() || kind == Kind::StandbyPledge.name();
        let pledges = |pause: &Pause<'_>| {
            pause.says.scope.as_ref().is_none_or(|scope| scope.contains(PLEDGES))
                && pause.says.records.as_ref().is_none_or(|records| records.iter().any(|it| offers(&it.kind)))
        };
        self.0.get(&nation).is_some_and(|pauses| pauses.iter().any(pledges))
    }
}

/// Whether `seen` lists the version of a statement that `name` names.
pub(super) fn saw(seen: &[Ref], name: &Name) -> bool {
    seen.iter().any(|seen| {
        seen.nation == name.nation
            && seen.id == name.id
            && seen.kind == name.kind.name()
            && seen.version == Some(name.version)
    })
}
