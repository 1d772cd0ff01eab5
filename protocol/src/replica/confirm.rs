//! Confirming: a node that stopped for its home or for an envelope from elsewhere authors again (spec 4.12).
//!
//! Only a person can say that a key is in one place. What the machine can check it checks: that the own chain is held in one
//! piece, that it reaches what the key is known to have signed, and that peers show nothing more of it.

use std::collections::BTreeSet;

use super::Replica;
use super::peers::Peer;
use crate::chain::Head;
use crate::effect::{Adoption, Confirm, ConfirmRefused, Effect, Evidence, HaltReason, SaveOp, Storage};
use crate::evaluate::Standing;
use crate::ids::{AuthorKey, NationId, Tip};

impl Replica {
    /// Returns what there is to confirm, and what stands against it.
    pub fn adoption(&self) -> Adoption {
        let tip = self.own_whole_to();
        let compared: Vec<AuthorKey> = self.compared().map(|(key, _)| *key).collect();
        let nations: BTreeSet<NationId> = self.compared().filter_map(|(_, peer)| peer.nation).collect();
        Adoption {
            halted: self.halted(),
            tip,
            compared,
            nations: nations.into_iter().collect(),
            shown: self.compared().map(|(_, peer)| self.own_shown_by(peer)).max().unwrap_or(0),
            against: self.adoptable(Evidence::Peers).err(),
            against_alone: self.adoptable(Evidence::Nobody).err(),
        }
    }

    /// Lets this node author again, if nothing stands against it; saved before anybody is told.
    pub(super) fn confirm(&mut self, confirm: &Confirm) {
        let outcome = self
            .adoptable(confirm.evidence)
            .and_then(|tip| if tip == confirm.adopt { Ok(tip) } else { Err(ConfirmRefused::OtherTip { tip }) });
        if let Ok(tip) = outcome {
            self.author.halted = None;
            self.effects.push_back(Effect::Save(vec![SaveOp::Release { tip }]));
        }
        self.effects.push_back(Effect::Confirmed { request: confirm.request, outcome });
    }

    /// Returns the end of the own chain that may be adopted.
    ///
    /// # Errors
    /// The first thing that stands against it.
    fn adoptable(&self, evidence: Evidence) -> Result<Tip, ConfirmRefused> {
        let sentinel = match self.author.halted {
            Some(HaltReason::Restored { sentinel, .. }) => sentinel,
            Some(HaltReason::ForeignOwn { .. }) => None,
            Some(HaltReason::Rules { .. } | HaltReason::Forked { .. } | HaltReason::OwnBodyMissing { .. }) | None => {
                return Err(ConfirmRefused::NotHalted);
            }
        };
        let tip = self.own_whole()?;
        if let Some(sentinel) = sentinel.filter(|sentinel| sentinel.seq > 0) {
            if sentinel.seq > tip.seq {
                return Err(ConfirmRefused::BelowSentinel { sentinel, held: tip.seq });
            }
            if self.state.chain(&self.me).is_none_or(|chain| chain.get(&sentinel.id).is_none()) {
                return Err(ConfirmRefused::OtherAtSentinel { sentinel });
            }
        }
        match evidence {
            Evidence::Nobody => {}
            Evidence::Peers => self.peers_show_no_more(tip.seq)?,
        }
        if self.storage == Storage::Full { Err(ConfirmRefused::StorageFull) } else { Ok(tip) }
    }

    /// Returns the end of the own chain, which is held linear and with every body.
    fn own_whole(&self) -> Result<Tip, ConfirmRefused> {
        let Some(chain) = self.state.chain(&self.me).filter(|chain| !chain.is_empty()) else { return Ok(Tip::NONE) };
        if let Some(seq) = chain.fork() {
            return Err(ConfirmRefused::Forked { seq });
        }
        let tip = self.own_whole_to();
        let whole = usize::try_from(tip.seq).is_ok_and(|whole| whole == chain.len());
        if whole { Ok(tip) } else { Err(ConfirmRefused::Incomplete { seq: tip.seq + 1 }) }
    }

    /// The topmost own envelope up to which headers and bodies are held, below any fork.
    fn own_whole_to(&self) -> Tip {
        let Some(chain) = self.state.chain(&self.me) else { return Tip::NONE };
        let linked = chain.linked_to();
        let bodies = chain.heads().iter().map(|head| head.bodies_to).min().unwrap_or(0);
        let to = chain.fork().map_or(linked, |fork| linked.min(fork - 1)).min(bodies);
        chain.at(to).find(|held| held.linked()).map_or(Tip::NONE, |held| held.tip())
    }

    fn peers_show_no_more(&self, held: u64) -> Result<(), ConfirmRefused> {
        if self.compared().next().is_none() {
            return Err(ConfirmRefused::NoPeer);
        }
        for (peer, known) in &self.peers {
            let shown = self.own_shown_by(known);
            if shown > held {
                return Err(ConfirmRefused::PeerShowsMore { peer: *peer, shown, held });
            }
        }
        Ok(())
    }

    /// Peers of an Active key that have compared their record with ours since the start.
    fn compared(&self) -> impl Iterator<Item = (&AuthorKey, &Peer)> {
        let active = |key: &AuthorKey| match self.state.standing(key) {
            Standing::Active { .. } => true,
            Standing::Retired { .. } | Standing::Unknown => false,
        };
        self.peers.iter().filter(move |(key, peer)| peer.compared && active(key))
    }

    fn own_shown_by(&self, peer: &Peer) -> u64 {
        let heads: &[Head] = peer.shown.get(&self.me).map_or(&[], Vec::as_slice);
        heads.iter().map(|head| head.tip.seq).max().unwrap_or(0)
    }
}
