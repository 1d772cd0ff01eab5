//! Receipt checks that need the state: R03, R04 and R08 (spec 4.4).

use super::State;
use crate::chain::Link;
use crate::control::ControlRecord;
use crate::envelope::Header;
use crate::ids::{AuthorId, ControlId, Tip};
use crate::rules::Rule;

/// The verdict on a header that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is held already; its signature or its body may still be new.
    Held,
    /// It links: take it.
    Links {
        /// Cumulative quota bytes up to and including it, for the next item of a run.
        cum: u64,
    },
    /// Another header is held at its position: take it, it proves a fork.
    ForkEvidence,
    /// R03: it is of another alliance.
    OtherAlliance,
    /// R04: no roster held of its nation lists its key; ask for control records.
    UnknownAuthor,
    /// R08: its parent is not held, or not linked; ask for the range above `linked_to`.
    ParentMissing {
        /// How far the author's chain is held and linked.
        linked_to: Tip,
    },
    /// R08: its claimed time is before its parent's; it can never link.
    TimeDecreases,
    /// R08: its chain would exceed the quota; ask again after the parameters are raised.
    OverQuota,
}

/// The verdict on a control record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlReceipt {
    /// It is held already.
    Held,
    /// It may be taken; whether it is kept shows afterwards.
    Welcome,
    /// R03: it is of another alliance.
    OtherAlliance,
    /// R04: its nation is not known, or its root key is not the nation's.
    UnknownRoot,
    /// R04: it votes on a charter version that is not held.
    UnknownBase,
}

impl State {
    /// Checks R03, R04 and R08 for a header whose signature was checked.
    pub fn receipt(&self, header: &Header) -> Receipt {
        if header.alliance != self.anchor.alliance {
            return Receipt::OtherAlliance;
        }
        let author = header.author_id();
        if !self.lists(&author) {
            return Receipt::UnknownAuthor;
        }
        let quota = self.charter().map_or(0, |charter| charter.params.chain_quota);
        let Some(chain) = self.chains.get(&author) else {
            return match (header.seq, header.quota_bytes()) {
                (1, cum) if cum <= quota => Receipt::Links { cum },
                (1, _) => Receipt::OverQuota,
                _ => Receipt::ParentMissing { linked_to: Tip::NONE },
            };
        };
        if chain.get(&header.id()).is_some() {
            return Receipt::Held;
        }
        if !self.rules.keeps(Rule::KeepForkEvidence) && chain.contradicts(header) {
            // Broken on purpose: refused as what is never taken in.
            return Receipt::TimeDecreases;
        }
        let link = chain.link(header);
        if let Link::Links { cum } = link {
            return Receipt::Links { cum };
        }
        if chain.contradicts(header) {
            return Receipt::ForkEvidence;
        }
        match link {
            Link::Links { cum } => Receipt::Links { cum },
            Link::ParentMissing => {
                let linked_to = chain.at(chain.linked_to()).next().map_or(Tip::NONE, |held| held.tip());
                Receipt::ParentMissing { linked_to }
            }
            Link::TimeDecreases => Receipt::TimeDecreases,
            Link::OverQuota => Receipt::OverQuota,
        }
    }

    /// Checks R08 for a run, all or nothing: its first header must link or be held, and every next one link above it; or one
    /// of them must contradict a header held. Returns the first verdict that is neither, or `Held` where nothing is new.
    pub fn receipt_run(&self, headers: &[Header]) -> Receipt {
        let Some(first) = headers.first() else { return Receipt::Held };
        let verdict = self.receipt(first);
        if matches!(verdict, Receipt::OtherAlliance | Receipt::UnknownAuthor) {
            return verdict;
        }
        let Some(chain) = self.chains.get(&first.author_id()) else { return self.links_along(headers, verdict) };
        if headers.iter().any(|header| chain.contradicts(header)) {
            let keeps = self.rules.keeps(Rule::KeepForkEvidence);
            return if keeps { Receipt::ForkEvidence } else { Receipt::TimeDecreases };
        }
        // What is held already at the front says nothing new, and what follows links to the last of it.
        let fresh = headers.iter().position(|header| chain.get(&header.id()).is_none());
        match fresh {
            None => Receipt::Held,
            Some(at) => self.links_along(&headers[at..], self.receipt(&headers[at])),
        }
    }

    fn links_along(&self, headers: &[Header], first: Receipt) -> Receipt {
        let quota = self.charter().map_or(0, |charter| charter.params.chain_quota);
        let Receipt::Links { cum: mut total } = first else { return first };
        for pair in headers.windows(2) {
            if pair[1].time_ms < pair[0].time_ms {
                return Receipt::TimeDecreases;
            }
            total = total.saturating_add(pair[1].quota_bytes());
            if total > quota {
                return Receipt::OverQuota;
            }
        }
        Receipt::Links { cum: total }
    }

    /// Checks R03 and R04 for a control record whose signatures were checked.
    pub fn control_receipt(&self, record: &ControlRecord, id: &ControlId) -> ControlReceipt {
        let alliance = match record {
            ControlRecord::Genesis(_) => crate::ids::AllianceId::new(*id.as_bytes()),
            ControlRecord::Motion(motion) => motion.alliance,
            ControlRecord::Vote(vote, _) => vote.alliance,
            ControlRecord::Roster(roster, _) => roster.alliance,
        };
        if alliance != self.anchor.alliance {
            return ControlReceipt::OtherAlliance;
        }
        if self.controls.holds(record, id) {
            return ControlReceipt::Held;
        }
        if self.controls.course().bases.is_empty() {
            return ControlReceipt::Welcome;
        }
        match record {
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) => ControlReceipt::Welcome,
            ControlRecord::Vote(vote, _) if !self.controls.knows_base(vote) => ControlReceipt::UnknownBase,
            ControlRecord::Vote(vote, _) if self.controls.may_vote(vote) => ControlReceipt::Welcome,
            ControlRecord::Roster(roster, _) if self.controls.may_list(roster) => ControlReceipt::Welcome,
            ControlRecord::Vote(..) | ControlRecord::Roster(..) => ControlReceipt::UnknownRoot,
        }
    }

    /// Whether any roster held of the author's nation lists its key (R04), or the one in force does.
    ///
    /// A nation's rosters may list more keys than count; those in force always do.
    pub fn lists(&self, author: &AuthorId) -> bool {
        self.key_standing(author).is_some() || self.controls.lists(author)
    }

    /// Control records held, kept or not.
    pub fn control_held(&self) -> usize {
        self.controls.held()
    }
}
