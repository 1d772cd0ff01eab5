//! Auditing a bundle (spec 4.16): the same checks and the same evaluation as a node's, of nothing but the bundle.

use std::collections::{BTreeMap, BTreeSet};

use super::{BrokenRecord, Manifest, Piece, Place, Sealed, check_run, control_record};
use crate::body::{Body, KIND_WITNESS, WitnessBody};
use crate::chain::{Chain, Held};
use crate::charter::Anchor;
use crate::control::{ControlRecord, VerifiedControl};
use crate::evaluate::{Element, State};
use crate::ids::{AllianceId, AuthorId, ControlId, Digest, EnvelopeId, NationId, Tip};
use crate::keys::tagged_hash;
use crate::message::run::Run;

mod omission;

pub use omission::{Missing, Omission};

/// Takes the frames of a bundle one by one.
///
/// What it holds is what a node would hold: nothing is taken in whose author no roster in the bundle lists, that does not
/// link, or that is over its chain's quota.
#[derive(Debug)]
pub struct Audit {
    expected: Option<AllianceId>,
    controls: Vec<(Place, VerifiedControl)>,
    /// Control records and headers only: what a run is checked against.
    links: Option<State>,
    elements: Vec<Element>,
}

/// A record of a bundle that breaks a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record}")]
pub struct Broken {
    /// Which frame.
    pub place: Place,
    /// Whose envelope, and the position of the first one of its run.
    pub envelope: Option<(AuthorId, u64)>,
    /// What is wrong.
    pub record: BrokenRecord,
}

/// What an audit found in a bundle whose every signature and link holds.
#[derive(Debug)]
pub struct Audited {
    /// The evaluation, from the founding.
    pub state: State,
    /// Digests that the manifest names and the evaluation does not give: name, the manifest's, ours.
    pub differing: Vec<(&'static str, Digest, Digest)>,
    /// What the exporter's nation published before.
    pub published: PublishedDigests,
    /// What a witness acknowledged and the bundle lacks, ascending by author and position.
    pub omissions: Vec<Omission>,
}

/// How the last Witness body of the exporter's nation compares with the evaluation of what it acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedDigests {
    /// There is none in the bundle.
    None,
    /// It was written under other control records or about a fork or about what is not here, so the two cannot be compared.
    NotComparable {
        /// The witness's envelope.
        witness: EnvelopeId,
    },
    /// The two are equal.
    Match {
        /// The witness's envelope.
        witness: EnvelopeId,
    },
    /// The state it published is not what its own acknowledgements evaluate to.
    Differs {
        /// The witness's envelope.
        witness: EnvelopeId,
        /// What it says.
        published: Digest,
        /// What is evaluated.
        evaluated: Digest,
    },
}

/// A Witness body with all that its chain acknowledged up to it.
struct LastWitness {
    envelope: EnvelopeId,
    body: WitnessBody,
    tips: BTreeMap<AuthorId, Tip>,
    rosters: BTreeMap<NationId, (u64, ControlId)>,
}

#[expect(clippy::result_large_err, reason = "an audit ends with it: it is made once at most")]
impl Audit {
    /// Starts; an expected alliance is one the auditor knows from elsewhere.
    pub const fn new(expected: Option<AllianceId>) -> Self {
        Self { expected, controls: Vec::new(), links: None, elements: Vec::new() }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// [`Broken`]; the audit is over then.
    pub fn take(&mut self, place: Place, piece: Piece) -> Result<(), Broken> {
        match piece {
            Piece::Control { kind, bytes } => {
                let control =
                    control_record(kind, &bytes).map_err(|record| Broken { place, envelope: None, record })?;
                let found = alliance_of(&control);
                let expected = *self.expected.get_or_insert(found);
                if found != expected {
                    let record = BrokenRecord::OtherAlliance { expected, found };
                    return Err(Broken { place, envelope: None, record });
                }
                self.controls.push((place, control));
            }
            Piece::Run(run) => self.take_run(place, run)?,
            Piece::Manifest(manifest) => {
                let found = manifest.alliance;
                let expected = *self.expected.get_or_insert(found);
                let record = match manifest.digests {
                    None => BrokenRecord::NoDigests,
                    Some(_) if found != expected => BrokenRecord::OtherAlliance { expected, found },
                    Some(_) => return Ok(()),
                };
                return Err(Broken { place, envelope: None, record });
            }
            Piece::Frontier(_) => return Err(Broken { place, envelope: None, record: BrokenRecord::Frame }),
            Piece::Seal(_) => {}
        }
        Ok(())
    }

    fn take_run(&mut self, place: Place, run: Run) -> Result<(), Broken> {
        let at = Some((run.author, run.first_seq));
        let broken = |record| Broken { place, envelope: at, record };
        let alliance = self.expected.ok_or(broken(BrokenRecord::Frame))?;
        if self.links.is_none() {
            self.links = Some(self.founded(Anchor::founding(alliance))?);
        }
        let links = self.links.as_mut().expect("it was just made");
        let items = check_run(links, run).map_err(broken)?;
        links.admit(items.iter().map(|item| Element::Header(item.header.clone())).collect());
        for item in items {
            let id = item.header.id();
            self.elements.push(Element::Header(item.header));
            self.elements.extend(item.body.map(|bytes| Element::Body { id, bytes }));
        }
        Ok(())
    }

    /// Evaluates the control records, each of which must count.
    fn founded(&self, anchor: Anchor) -> Result<State, Broken> {
        let mut state = State::new(anchor);
        state.admit(self.controls.iter().map(|(_, control)| Element::Control(control.clone())).collect());
        match self.controls.iter().find(|(_, control)| state.control_record(&control.id()).is_none()) {
            Some((place, _)) => Err(Broken { place: *place, envelope: None, record: BrokenRecord::NoEffect }),
            None => Ok(state),
        }
    }

    /// Evaluates the bundle, once it was read to its end.
    ///
    /// # Errors
    /// [`Broken`] for a control record that counts for nothing, in a bundle without runs.
    pub fn finish(self, sealed: &Sealed) -> Result<Audited, Broken> {
        let links = match &self.links {
            Some(links) => links,
            None => &self.founded(Anchor::founding(sealed.manifest.alliance))?,
        };
        let last = last_witness(links, &self.elements, &sealed.manifest.exporter.nation);
        // A version that the exporter pinned decides what a conflict below it means; the walk to it is checked like any other.
        let mut state = self.founded(sealed.manifest.anchor())?;
        let published = match &last {
            None => PublishedDigests::None,
            Some(last) => {
                // What it speaks of is evaluated first: the set decides, not the order, so the rest follows at no cost.
                state.admit(acknowledged(&self.elements, last));
                last.compare(&state, links)
            }
        };
        state.admit(self.elements);
        let differing = differing(&state, &sealed.manifest);
        let omissions = omission::omissions(&state);
        Ok(Audited { state, differing, published, omissions })
    }
}

impl Audited {
    /// Whether what was published agrees with the evaluation; omissions are another matter.
    pub fn agrees(&self) -> bool {
        self.differing.is_empty() && !matches!(self.published, PublishedDigests::Differs { .. })
    }
}

impl LastWitness {
    /// Compares what it published with `state`, the evaluation of what it acknowledged; `all` has every header of the bundle.
    ///
    /// A witness acknowledges nothing of a chain that counts for nothing, and neither branch above a fork, yet the digest of
    /// its state names both: whether it held them when it spoke nobody can tell from what it acknowledged.
    fn compare(&self, state: &State, all: &State) -> PublishedDigests {
        let witness = self.envelope;
        let told_of_all = all.chains().all(|chain| chain.fork().is_none() && chain.tip() != Tip::NONE);
        let rosters =
            self.rosters.iter().all(|(nation, tip)| state.roster(nation).is_some_and(|held| held.tip() == *tip));
        let listed = state.nations().filter_map(|nation| state.roster(&nation.id)).all(|roster| {
            let (version, _) = roster.tip();
            version == 0 || self.rosters.values().any(|tip| *tip == roster.tip())
        });
        let whole = |chain: &Chain| chain.fork().is_none() && chain.bodies_to() == chain.tip().seq;
        let same = state.charter_id() == self.body.charter
            && told_of_all
            && rosters
            && listed
            && state.chains().all(whole)
            && state.frontier() == self.body.frontier;
        let evaluated = state.state();
        match (same, evaluated == self.body.state) {
            (_, true) => PublishedDigests::Match { witness },
            (true, false) => PublishedDigests::Differs { witness, published: self.body.state, evaluated },
            (false, false) => PublishedDigests::NotComparable { witness },
        }
    }
}

fn alliance_of(control: &VerifiedControl) -> AllianceId {
    match control.record() {
        ControlRecord::Genesis(signed) => signed.genesis.alliance_id(),
        ControlRecord::Motion(motion) => motion.alliance,
        ControlRecord::Vote(vote, _) => vote.alliance,
        ControlRecord::Roster(roster, _) => roster.alliance,
    }
}

fn differing(state: &State, manifest: &Manifest) -> Vec<(&'static str, Digest, Digest)> {
    let Some(digests) = &manifest.digests else { return Vec::new() };
    let charter = |id: crate::ids::CharterId| tagged_hash("charter", id.as_bytes());
    [
        ("charter", charter(digests.charter), charter(state.charter_id())),
        ("control", digests.control, state.control()),
        ("frontier", digests.frontier, state.frontier()),
        ("state", digests.state, state.state()),
    ]
    .into_iter()
    .filter(|(_, named, found)| named != found)
    .collect()
}

/// Finds the last Witness body of a nation's newest witness chain, and what that chain acknowledged until then.
fn last_witness(links: &State, elements: &[Element], nation: &NationId) -> Option<LastWitness> {
    let witnesses: BTreeSet<AuthorId> = omission::witnesses(links, nation).collect();
    let mut bodies: BTreeMap<AuthorId, Vec<(Tip, u64, WitnessBody)>> = BTreeMap::new();
    for pair in elements.windows(2) {
        let [Element::Header(header), Element::Body { id, bytes }] = pair else { continue };
        let fits = header.id() == *id && header.header().kind == KIND_WITNESS;
        if fits
            && witnesses.contains(&header.header().author_id())
            && let Ok(Body::Witness(body)) = Body::decode(KIND_WITNESS, bytes)
        {
            let entry = (header.tip(), header.header().time_ms, body);
            bodies.entry(header.header().author_id()).or_default().push(entry);
        }
    }
    let newest = |(_, bodies): &(&AuthorId, &Vec<(Tip, u64, WitnessBody)>)| bodies.last().map(|(_, time, _)| *time);
    let (author, bodies) = bodies.iter().max_by_key(newest)?;
    let (tip, _, body) = bodies.last()?;
    let mut last =
        LastWitness { envelope: tip.id, body: body.clone(), tips: BTreeMap::new(), rosters: BTreeMap::new() };
    let path: BTreeSet<EnvelopeId> = links.chain(author)?.path(&tip.id, 1, tip.seq).into_iter().map(Held::id).collect();
    for (_, _, body) in bodies.iter().filter(|(tip, _, _)| path.contains(&tip.id)) {
        last.tips.extend(body.acks.iter().map(|ack| (ack.author, ack.tip)));
        last.rosters.extend(body.rosters.iter().map(|roster| (roster.nation, (roster.version, roster.id))));
    }
    // A witness holds its own chain up to where it speaks.
    last.tips.insert(*author, Tip { seq: tip.seq - 1, id: EnvelopeId::ZERO });
    Some(last)
}

/// The elements at or below what a witness acknowledges.
fn acknowledged(elements: &[Element], last: &LastWitness) -> Vec<Element> {
    let mut taken = true;
    let below = elements.iter().filter(|element| {
        if let Element::Header(header) = element {
            let to = last.tips.get(&header.header().author_id()).map_or(0, |tip| tip.seq);
            taken = header.header().seq <= to;
        }
        taken
    });
    below.cloned().collect()
}
