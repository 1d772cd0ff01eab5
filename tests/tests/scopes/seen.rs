//! What can be seen of a state, and of what one step changed in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use comity_protocol::chain::Chain;
use comity_protocol::control::VerifiedControl;
use comity_protocol::envelope::Header;
use comity_protocol::evaluate::{Changes, Element, State};
use comity_protocol::ids::{AuthorId, CharterId, ControlId, EnvelopeId, NationId};
use comity_protocol::roster::NationRoster;
use comity_protocol::section::Verdict;

/// What a state is asked about beyond what it holds: how it would receive each record of a pool, and where authors stand.
#[derive(Default)]
pub(crate) struct Probe {
    headers: Vec<Header>,
    controls: Vec<VerifiedControl>,
    authors: BTreeSet<AuthorId>,
    only: Option<AuthorId>,
}

impl Probe {
    /// Asks nothing, and looks at one author's chain alone beside the digests.
    pub(crate) fn of_chain(author: AuthorId) -> Self {
        Self { only: Some(author), ..Self::default() }
    }

    pub(crate) fn of<'a>(elements: impl Iterator<Item = &'a Element>) -> Self {
        let mut probe = Self::default();
        for element in elements {
            match element {
                Element::Header(attested) => {
                    probe.authors.insert(attested.header().author_id());
                    probe.headers.push(attested.header().clone());
                }
                Element::Control(control) => probe.controls.push(control.clone()),
                Element::Body { .. } => {}
            }
        }
        probe
    }

    fn differs(&self, a: &State, b: &State) -> Result<(), String> {
        for header in &self.headers {
            same("receipt of a header", &a.receipt(header), &b.receipt(header))?;
        }
        for control in &self.controls {
            let id = control.id();
            let receipt = |state: &State| state.control_receipt(control.record(), &id);
            same("receipt of a control record", &receipt(a), &receipt(b))?;
        }
        for author in &self.authors {
            same("author's next place", &a.author_tip(author), &b.author_tip(author))?;
            same("author's status", &a.author_status(author), &b.author_status(author))?;
            same("key's standing", &a.standing(&author.key), &b.standing(&author.key))?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what}: {a:?} and {b:?}")) }
}

/// Reads all a state works out only when it is asked, as views and heartbeats do between two batches.
pub(crate) fn read(state: &State) {
    let _ = (state.frontier(), state.held(), state.control(), state.state());
    state.chains().for_each(|chain| {
        chain.heads();
    });
}

/// Compares all that can be seen of two states.
///
/// # Errors
/// The first thing that differs.
pub(crate) fn compare(a: &State, b: &State, probe: &Probe) -> Result<(), String> {
    same("frontier digest", &a.frontier(), &b.frontier())?;
    same("held digest", &a.held(), &b.held())?;
    same("control digest", &a.control(), &b.control())?;
    same("state digest", &a.state(), &b.state())?;
    if !a.control_ids().eq(b.control_ids()) {
        return Err(format!("control records kept: {:?}", (a.control_ids().count(), b.control_ids().count())));
    }
    same("acknowledgements", a.acknowledgements(), b.acknowledgements())?;
    if let Some(author) = probe.only {
        let chains = (a.chain(&author), b.chain(&author));
        return match chains {
            (Some(one), Some(other)) => compare_chains((a, one), (b, other)),
            (one, other) => same("whether there is a chain", &one.is_some(), &other.is_some()),
        };
    }
    same("control records held", &a.control_held(), &b.control_held())?;
    same("charter", &a.charter(), &b.charter())?;
    for nation in a.nations() {
        same("roster", &a.roster(&nation.id), &b.roster(&nation.id))?;
        let (one, other) = (a.section(&nation.id), b.section(&nation.id));
        same("rows", one.table(), other.table())?;
        same("counts", &one.counts(), &other.counts())?;
        if !one.heads().eq(other.heads()) {
            return Err(format!("heads of the document of {}", nation.code));
        }
    }
    same("authors", &a.chains().count(), &b.chains().count())?;
    for (one, other) in a.chains().zip(b.chains()) {
        compare_chains((a, one), (b, other)).map_err(|why| format!("chain of {:?}: {why}", one.author()))?;
    }
    same("active authors", &a.active_authors().count(), &b.active_authors().count())?;
    probe.differs(a, b)
}

fn compare_chains((a, one): (&State, &Chain), (b, other): (&State, &Chain)) -> Result<(), String> {
    same("author", &one.author(), &other.author())?;
    same("status", &one.status(), &other.status())?;
    same("fork", &one.fork(), &other.fork())?;
    same("tip", &one.tip(), &other.tip())?;
    same("cut looked for", &one.incomplete(), &other.incomplete())?;
    same("linked to", &one.linked_to(), &other.linked_to())?;
    same("bodies to", &one.bodies_to(), &other.bodies_to())?;
    same("quota used", &one.quota_used(), &other.quota_used())?;
    same("heads", &one.heads(), &other.heads())?;
    same("bodies missing", &one.bodies_missing(64), &other.bodies_missing(64))?;
    same("headers", &one.len(), &other.len())?;
    same("unkept", &one.unkept(), &other.unkept())?;
    for held in one.iter() {
        let there = other.get(&held.id()).ok_or_else(|| format!("{:?} is held by one only", held.tip()))?;
        let seen = |state: &State, chain: &Chain, held: &comity_protocol::chain::Held| {
            let view = state.view_of(chain, held);
            let here = (held.seq(), held.linked(), held.cum(), held.body().is_some(), held.signature().is_some());
            (here, view.standing, view.verdict, chain.keeps(held), held.signature_point())
        };
        let (here, there) = (seen(a, one, held), seen(b, other, there));
        if here != there {
            return Err(format!("{:?}: {here:?} and {there:?}", held.tip()));
        }
    }
    Ok(())
}

/// The facts that [`Changes`] tells a follower about.
pub(crate) struct Facts {
    charter: Option<CharterId>,
    control: BTreeSet<ControlId>,
    rosters: BTreeMap<NationId, NationRoster>,
    headers: BTreeSet<EnvelopeId>,
    bodies: BTreeSet<EnvelopeId>,
    accepted: BTreeSet<(AuthorId, EnvelopeId)>,
    valid: BTreeSet<(AuthorId, EnvelopeId)>,
    forks: BTreeMap<AuthorId, u64>,
}

impl Facts {
    pub(crate) fn of(state: &State) -> Self {
        let mut facts = Self {
            charter: state.charter().map(|charter| charter.id),
            control: state.control_ids().copied().collect(),
            rosters: state.nations().filter_map(|n| Some((n.id, state.roster(&n.id)?.clone()))).collect(),
            headers: BTreeSet::new(),
            bodies: BTreeSet::new(),
            accepted: BTreeSet::new(),
            valid: BTreeSet::new(),
            forks: state.chains().filter_map(|chain| Some((chain.author(), chain.fork()?))).collect(),
        };
        for chain in state.chains() {
            for held in chain.iter() {
                let view = state.view_of(chain, held);
                let place = (chain.author(), held.id());
                facts.headers.insert(held.id());
                facts.bodies.extend(held.body().map(|_| held.id()));
                facts.accepted.extend(view.verdict.map(|_| place));
                facts.valid.extend((view.verdict == Some(Verdict::Valid)).then_some(place));
            }
        }
        facts
    }

    /// Checks that `changes` is exactly what tells these facts from those `after`.
    ///
    /// # Errors
    /// The first thing told wrongly, or not told.
    pub(crate) fn told(&self, after: &Self, changes: &Changes) -> Result<(), String> {
        same("told charter", &changes.charter, &(self.charter != after.charter))?;
        let set = |ids: &[EnvelopeId]| ids.iter().copied().collect::<BTreeSet<_>>();
        same("told headers", &set(&changes.headers), &(&after.headers - &self.headers))?;
        same("told bodies", &set(&changes.bodies), &(&after.bodies - &self.bodies))?;
        let ids = |ids: &[ControlId]| ids.iter().copied().collect::<BTreeSet<_>>();
        same("told control kept", &ids(&changes.control_kept), &(&after.control - &self.control))?;
        same("told control dropped", &ids(&changes.control_dropped), &(&self.control - &after.control))?;
        let rosters = after.rosters.iter().filter(|(nation, roster)| self.rosters.get(nation) != Some(roster));
        same("told rosters", &changes.rosters, &rosters.map(|(nation, _)| *nation).collect())?;
        let forks = after.forks.iter().filter(|(author, seq)| self.forks.get(author) != Some(seq));
        let forks: BTreeMap<AuthorId, u64> = forks.map(|(author, seq)| (*author, *seq)).collect();
        same("told forks", &changes.forked.iter().copied().collect(), &forks)?;
        let accepted: BTreeSet<_> = changes.accepted.iter().map(|placed| (placed.author, placed.tip.id)).collect();
        same("told accepted", &accepted, &(&after.accepted - &self.accepted))?;
        same("told dropped", &changes.dropped.iter().copied().collect(), &(&self.accepted - &after.accepted))?;
        let follows = |(author, _): &&(AuthorId, EnvelopeId)| !changes.rebuilt.contains(&author.nation);
        let (was, is): (BTreeSet<_>, BTreeSet<_>) =
            (self.valid.iter().filter(follows).collect(), after.valid.iter().filter(follows).collect());
        if let Some(lost) = was.difference(&is).next() {
            return Err(format!("{lost:?} is no longer valid, and its nation not rebuilt"));
        }
        same("told valid", &changes.valid.iter().filter(follows).collect(), &(&is - &was))?;
        match is.symmetric_difference(&was).find(|(author, _)| !changes.documents.contains(&author.nation)) {
            Some(place) => Err(format!("{place:?} changed a document that is not named")),
            None => Ok(()),
        }
    }

    /// The facts that only ever grow: nothing held is lost, and no fork rises or ends.
    ///
    /// # Errors
    /// What was lost.
    pub(crate) fn grow(&self, after: &Self) -> Result<(), String> {
        let held = self.headers.is_subset(&after.headers) && self.bodies.is_subset(&after.bodies);
        if !held {
            return Err("something held is lost".into());
        }
        for (author, seq) in &self.forks {
            if after.forks.get(author).is_none_or(|now| now > seq) {
                return Err(format!("the fork of {author:?} at {seq} rose to {:?}", after.forks.get(author)));
            }
        }
        Ok(())
    }
}
