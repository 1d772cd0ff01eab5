//! From the genesis to the version in force (spec 4.5.1), and which votes are kept on the way (4.11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Anchor, Ballots, Charter, CharterConflict};
use crate::control::{ControlRecord, Genesis, Motion, VerifiedControl};
use crate::ids::{CharterId, ControlId};

/// The records that the walk reads.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// The founding.
    pub genesis: &'a Genesis,
    /// Every vote held, by the height and version it is on, then by its id.
    pub votes: &'a BTreeMap<(u32, CharterId), BTreeMap<ControlId, Arc<VerifiedControl>>>,
    /// Every motion held.
    pub motions: &'a BTreeMap<ControlId, Arc<VerifiedControl>>,
}

/// Where the walk led.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Every version from the founding to the one in force; empty if the anchored one is not reached.
    pub versions: Vec<Arc<Charter>>,
    /// Two motions are sealed for the version in force, which is at or above the anchor: membership is frozen there.
    pub conflict: Option<CharterConflict>,
    /// Two motions are sealed for a version below the anchor, the lowest of those: an alarm, and nothing else.
    pub below: Option<CharterConflict>,
    /// The votes on the version in force that are kept.
    pub ballots: Ballots,
    /// The anchored version is not reached from the records held: some were lost, and nothing counts until they are back.
    pub lost: bool,
    /// The versions that a record may name (R04): those of the path, or where that is lost every version that was found.
    pub bases: Vec<Arc<Charter>>,
    /// The votes kept.
    pub kept: BTreeSet<ControlId>,
}

/// Dead ends looked at in the search for the anchored version. An honest store holds none, since votes on a version that
/// was not adopted are not taken in.
const DEAD_ENDS_MAX: usize = 1_024;

/// Walks from the genesis. `before` is what an earlier walk under the same anchor or a lower one found, or empty: it saves
/// time and changes nothing.
pub fn walk(anchor: &Anchor, records: Records<'_>, before: &[Arc<Charter>]) -> Course {
    let walker = Walker { records, before };
    match walker.path_to(anchor) {
        Ok(path) => walker.on(path, anchor),
        Err(found) => walker.lost(found),
    }
}

struct Walker<'a> {
    records: Records<'a>,
    before: &'a [Arc<Charter>],
}

impl Walker<'_> {
    fn founding(&self) -> Arc<Charter> {
        self.before.first().map_or_else(|| Arc::new(Charter::founded(self.records.genesis)), Arc::clone)
    }

    fn ballots(&self, charter: &Charter) -> Ballots {
        let mut ballots = Ballots::new(charter);
        for (id, control) in self.records.votes.get(&(charter.height, charter.id)).into_iter().flatten() {
            if let ControlRecord::Vote(vote, _) = control.record() {
                ballots.take(charter, *id, vote);
            }
        }
        ballots
    }

    fn motion(&self, id: &ControlId) -> Option<&Motion> {
        match self.records.motions.get(id)?.record() {
            ControlRecord::Motion(motion) => Some(motion),
            ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
        }
    }

    /// Returns the version that a motion makes of `charter`; `None` if it is not held or not well-formed.
    fn next(&self, charter: &Charter, id: &ControlId) -> Option<Arc<Charter>> {
        let known = usize::try_from(charter.height + 1).ok().and_then(|height| self.before.get(height));
        let next = super::next_charter(&charter.id, id);
        match known.filter(|known| known.id == next) {
            Some(known) => Some(Arc::clone(known)),
            None => charter.apply(id, self.motion(id)?).ok().map(Arc::new),
        }
    }

    /// Returns the versions that sealed motions make of `charter`, ascending by motion.
    fn sealed(&self, charter: &Charter, ballots: &Ballots) -> Vec<Arc<Charter>> {
        ballots.sealed().iter().filter_map(|motion| self.next(charter, motion)).collect()
    }

    /// Returns the path to the anchored version, or every version found if none leads there.
    fn path_to(&self, anchor: &Anchor) -> Result<Vec<Arc<Charter>>, Vec<Arc<Charter>>> {
        let height = usize::try_from(anchor.height).unwrap_or(usize::MAX);
        if let Some(known) = self.before.get(..=height)
            && known.last().is_some_and(|last| last.id == anchor.charter)
        {
            return Ok(known.to_vec());
        }
        let mut found = Vec::new();
        let mut path: Vec<Arc<Charter>> = Vec::new();
        // Of each version on the path, the ones above it that were not tried yet, the smallest motion last.
        let mut above: Vec<Vec<Arc<Charter>>> = vec![vec![self.founding()]];
        while let Some(next) = above.last_mut() {
            let Some(charter) = next.pop() else {
                above.pop();
                path.pop();
                continue;
            };
            if charter.id == anchor.charter && charter.height == anchor.height {
                path.push(charter);
                return Ok(path);
            }
            if found.len() >= height.saturating_add(DEAD_ENDS_MAX) {
                break;
            }
            found.push(Arc::clone(&charter));
            let mut higher = Vec::new();
            if charter.height < anchor.height {
                higher = self.sealed(&charter, &self.ballots(&charter));
                higher.reverse();
            }
            path.push(charter);
            above.push(higher);
        }
        Err(found)
    }

    /// Goes on along the path to the anchored version, and above it as far as one motion is sealed.
    fn on(&self, mut path: Vec<Arc<Charter>>, anchor: &Anchor) -> Course {
        let mut course = Course::default();
        let mut at = 0;
        while let Some(charter) = path.get(at).cloned() {
            let ballots = self.ballots(&charter);
            let sealed = self.sealed(&charter, &ballots);
            let ids: Vec<ControlId> = sealed.iter().filter_map(|next| next.motion).collect();
            let adopted = path.get(at + 1).and_then(|next| next.motion);
            if charter.height < anchor.height {
                let rival = ids.iter().find(|motion| Some(**motion) != adopted);
                if let (None, Some(adopted), Some(rival)) = (&course.below, adopted, rival) {
                    course.below = Some(CharterConflict::between(&charter, &ballots, adopted, *rival));
                }
            } else {
                match (&sealed[..], &ids[..]) {
                    ([next], _) => path.push(Arc::clone(next)),
                    (_, [one, other, ..]) => {
                        course.conflict = Some(CharterConflict::between(&charter, &ballots, *one, *other));
                    }
                    (_, _) => {}
                }
            }
            let decisive: BTreeSet<ControlId> = ids.into_iter().take(2).chain(adopted).collect();
            let kept = ballots.kept(&decisive);
            if at + 1 == path.len() {
                course.ballots = ballots.only(&kept);
            }
            course.kept.extend(kept);
            at += 1;
        }
        course.bases.clone_from(&path);
        course.versions = path;
        course
    }

    /// The anchored version is not reached: what may lead there is kept, and nothing counts.
    fn lost(&self, found: Vec<Arc<Charter>>) -> Course {
        let mut course = Course { lost: true, ..Course::default() };
        for charter in &found {
            let ballots = self.ballots(charter);
            let decisive = self.sealed(charter, &ballots).iter().filter_map(|next| next.motion).collect();
            course.kept.extend(ballots.kept(&decisive));
        }
        course.bases = found;
        course
    }
}

impl Course {
    /// Returns the version with this height and id, if a record may name it (R04).
    pub fn base(&self, height: u32, id: &CharterId) -> Option<&Arc<Charter>> {
        if self.lost {
            return self.bases.iter().find(|charter| charter.height == height && charter.id == *id);
        }
        self.versions.get(usize::try_from(height).ok()?).filter(|charter| charter.id == *id)
    }
}
