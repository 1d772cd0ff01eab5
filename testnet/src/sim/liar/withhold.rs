//! Withholding: headers, bodies, or one author (T42, T43).
//!
//! *Headers*: the liar shows its whole frontier and answers ranges with nothing, or with less than half of it; it pushes
//! nothing but heartbeats. *Bodies*: ranges are answered with headers whose bodies it says it does not hold, though its
//! frontier says that it does (by seed also the other way round); pushes, which carry bodies, are left out. *Author*: one
//! other author, chosen when it first shows up, is left out of frontiers, runs, answers by id and pushes.
//!
//! By seed the liar's own chain is spared, so that it takes part like a member and only carries badly.

use comity_protocol::effect::Effect;
use comity_protocol::envelope::Header;
use comity_protocol::evaluate::State;
use comity_protocol::ids::AuthorId;
use comity_protocol::message::run::{Run, RunBody};
use comity_protocol::message::{ByIdItem, Frame};

use super::Rewritten;
use super::desk::Desk;
use super::spoil;

/// What is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Headers,
    Bodies,
    Author,
}

/// What a withholder remembers.
#[derive(Debug)]
pub(super) struct Withhold {
    what: What,
    /// Whether the own chain is served as it should be.
    spares_own: bool,
    /// Whether the frontier admits what is not served.
    admits: bool,
    author: Option<AuthorId>,
}

impl Withhold {
    pub(super) fn headers(desk: &mut Desk) -> Self {
        Self { what: What::Headers, spares_own: desk.one_in(2), admits: false, author: None }
    }

    pub(super) fn bodies(desk: &mut Desk) -> Self {
        Self { what: What::Bodies, spares_own: desk.one_in(2), admits: desk.one_in(3), author: None }
    }

    pub(super) const fn author() -> Self {
        Self { what: What::Author, spares_own: true, admits: true, author: None }
    }

    /// The author that is left out.
    #[cfg(test)]
    pub(super) const fn left_out(&self) -> Option<AuthorId> {
        self.author
    }

    pub(super) fn rewrite(&mut self, desk: &mut Desk, state: &State, effect: &Effect) -> Rewritten {
        if self.what == What::Author && self.author.is_none() {
            let others: Vec<AuthorId> =
                state.chains().map(|chain| chain.author()).filter(|author| author.nation != desk.me.nation).collect();
            self.author = desk.pick(&others).copied();
        }
        match effect {
            Effect::Push { .. } => spoil::rewrite_push(effect, |envelope| {
                let author = spoil::header_of(&envelope).map(|(header, _)| header.author_id());
                author.is_none_or(|author| !self.withholds(desk, &author)).then_some(envelope)
            }),
            Effect::Answer { .. } => spoil::rewrite_answer(effect, |frame| self.answer(desk, state, frame)),
            Effect::Save(_)
            | Effect::Ask { .. }
            | Effect::Close { .. }
            | Effect::Admission(_)
            | Effect::Written { .. }
            | Effect::Held { .. }
            | Effect::Imported { .. }
            | Effect::Confirmed { .. }
            | Effect::Carried { .. }
            | Effect::Changed(_)
            | Effect::Alarm(_) => Rewritten::Kept,
        }
    }

    fn withholds(&self, desk: &Desk, author: &AuthorId) -> bool {
        match self.what {
            What::Headers | What::Bodies => !(self.spares_own && *author == desk.me),
            What::Author => self.author == Some(*author),
        }
    }

    fn answer(&self, desk: &mut Desk, state: &State, frame: Frame) -> Vec<Frame> {
        match frame {
            Frame::Run(run) if self.withholds(desk, &run.author) => match self.what {
                What::Headers if desk.one_in(4) => front_of(state, run).into_iter().map(Frame::Run).collect(),
                What::Headers | What::Author => Vec::new(),
                What::Bodies => vec![Frame::Run(without_bodies(run))],
            },
            Frame::FrontierReply(mut entries) => {
                match self.what {
                    What::Headers => {}
                    What::Bodies if self.admits => {
                        for head in entries.iter_mut().flat_map(|entry| &mut entry.heads) {
                            head.bodies_to = 0;
                        }
                    }
                    What::Bodies => {}
                    What::Author => entries.retain(|entry| !self.withholds(desk, &entry.author)),
                }
                vec![Frame::FrontierReply(entries)]
            }
            Frame::ByIdReply(items) => vec![Frame::ByIdReply(self.by_id(desk, items))],
            other => vec![other],
        }
    }

    fn by_id(&self, desk: &Desk, mut items: Vec<ByIdItem>) -> Vec<ByIdItem> {
        let withheld = |item: &ByIdItem| {
            Header::decode(&item.header).is_ok_and(|header| self.withholds(desk, &header.author_id()))
        };
        match self.what {
            What::Headers | What::Author => items.retain(|item| !withheld(item)),
            What::Bodies => items.iter_mut().filter(|item| withheld(item)).for_each(|item| item.body = None),
        }
        items
    }
}

/// Less than half of a run, up to a header whose signature is held; none if it is too short for that.
fn front_of(state: &State, mut run: Run) -> Option<Run> {
    let chain = state.chain(&run.author)?;
    let half = u64::try_from(run.items.len() / 2).ok()?;
    let last = (run.first_seq..run.first_seq + half).rev().filter_map(|seq| chain.accepted(seq));
    let (seq, signature) = last.filter_map(|held| Some((held.seq(), *held.signature()?))).next()?;
    run.items.truncate(usize::try_from(seq - run.first_seq + 1).ok()?);
    run.items.last_mut()?.signature = None;
    run.signature = signature;
    Some(run)
}

/// The same run with every body said to be missing.
fn without_bodies(mut run: Run) -> Run {
    for item in &mut run.items {
        if let RunBody::Held(bytes) = &item.body {
            let hash = comity_protocol::envelope::body_hash(bytes);
            item.body = RunBody::Missing { hash, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        }
    }
    run
}
