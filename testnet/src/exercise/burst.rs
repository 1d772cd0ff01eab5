//! What nations write on their own while links break: small statements that leave firm cover as it is.
//!
//! Donors offer, revise and take back; recipients change hubs; everybody observes. Offers are not firm cover, so the
//! figures of a scenario do not depend on how far the writers come.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::draft::Draft;
use crate::scenario::Role;
use crate::wire::WriteAnswer;

/// Most of its own offers a writer remembers.
const OFFERS_MAX: usize = 64;

/// A requirement that offers can be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// `CODE/requirement/id`.
    pub(super) requirement: String,
    /// Whose it is.
    pub(super) nation: String,
    /// The item.
    pub(super) item: String,
    /// The unit as typed.
    pub(super) unit: String,
}

/// One nation's hand: what it knows to write about, and chance.
#[derive(Debug)]
pub(super) struct Hand {
    code: String,
    role: Role,
    rng: ChaCha8Rng,
    needs: Vec<Need>,
    hubs: Vec<String>,
    offers: Vec<Offer>,
    written: u64,
}

#[derive(Clone, Debug)]
struct Offer {
    record: String,
    unit: String,
}

impl Hand {
    /// A hand that knows nothing yet.
    pub(super) fn new(code: &str, role: Role, rng: ChaCha8Rng) -> Self {
        let code = code.to_owned();
        Self { code, role, rng, needs: Vec::new(), hubs: Vec::new(), offers: Vec::new(), written: 0 }
    }

    /// Learns of a requirement; its own are nothing to offer to.
    pub(super) fn learn_need(&mut self, need: Need) {
        if need.nation != self.code {
            self.needs.push(need);
        }
    }

    /// Learns of a hub of its own.
    pub(super) fn learn_hub(&mut self, record: &str) {
        self.hubs.push(record.to_owned());
    }

    /// Remembers what became of a draft.
    pub(super) fn learn(&mut self, draft: &Draft, answer: &WriteAnswer) {
        let is_offer = draft.kind == "pledge" && draft.record.is_none();
        if is_offer && self.offers.len() < OFFERS_MAX {
            let unit = draft.fields.get("unit").and_then(|unit| unit.as_str()).unwrap_or("each").to_owned();
            self.offers.push(Offer { record: answer.record.clone(), unit });
        }
    }

    /// Returns the next statement to write, and the id to write it under.
    pub(super) fn next(&mut self) -> (String, Draft) {
        self.written += 1;
        let id = format!("exercise-{}-{}", self.code, self.written);
        let draft = match self.role {
            Role::Donor => self.donor(),
            Role::Recipient => self.recipient(),
        };
        (id, draft)
    }

    fn donor(&mut self) -> Draft {
        let chance = self.rng.random_range(0..100);
        match chance {
            0..55 => self.offer(),
            55..75 => self.revise(),
            75..85 => self.withdraw(),
            _ => self.observe(),
        }
    }

    fn recipient(&mut self) -> Draft {
        let is_hub = self.rng.random_range(0..100) < 40;
        match self.hubs.choose(&mut self.rng).cloned() {
            Some(hub) if is_hub => {
                let capacity = serde_json::json!({ "road": self.rng.random_range(500..3_000_u64) });
                Draft::new("hub").revising(&hub).with("capacity", capacity)
            }
            _ => self.observe(),
        }
    }

    fn offer(&mut self) -> Draft {
        let Some(need) = self.needs.choose(&mut self.rng).cloned() else { return self.observe() };
        Draft::new("pledge")
            .with("requirement", need.requirement)
            .with("item", need.item)
            .with("quantity", self.rng.random_range(1..=40_u64))
            .with("unit", need.unit)
    }

    fn revise(&mut self) -> Draft {
        let Some(offer) = self.offers.choose(&mut self.rng).cloned() else { return self.offer() };
        Draft::new("pledge")
            .revising(&offer.record)
            .with("quantity", self.rng.random_range(1..=40_u64))
            .with("unit", offer.unit)
    }

    fn withdraw(&mut self) -> Draft {
        if self.offers.is_empty() {
            return self.offer();
        }
        let at = self.rng.random_range(0..self.offers.len());
        let offer = self.offers.swap_remove(at);
        Draft::new("pledge").revising(&offer.record).withdrawn()
    }

    fn observe(&mut self) -> Draft {
        let boxes = self.rng.random_range(1..1_000_u64);
        Draft::new("observation")
            .with("source", format!("{} liaison office", self.code))
            .with("text", format!("stock report {}: {boxes} boxes counted", self.written))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn hand(seed: u64) -> Hand {
        let mut hand = Hand::new("DEU", Role::Donor, ChaCha8Rng::seed_from_u64(seed));
        for (nation, unit) in [("UKR", "t"), ("DEU", "each")] {
            hand.learn_need(Need {
                requirement: format!("{nation}/requirement/7k3m9q2x4d"),
                nation: nation.to_owned(),
                item: "food".to_owned(),
                unit: unit.to_owned(),
            });
        }
        hand
    }

    fn drafts(seed: u64) -> Vec<(String, Draft)> {
        let mut hand = hand(seed);
        let write = |count: u64| {
            let (id, draft) = hand.next();
            let answer =
                WriteAnswer { record: format!("DEU/pledge/{count:010}"), version: String::new(), replayed: false };
            hand.learn(&draft, &answer);
            (id, draft)
        };
        (0..200).map(write).collect()
    }

    #[test]
    fn the_seed_decides_what_is_written() {
        assert_eq!(drafts(7), drafts(7));
        assert_ne!(drafts(7), drafts(8));
    }

    #[test]
    fn donors_offer_to_others_revise_and_withdraw_their_own_under_ids_never_used_twice() {
        let drafts = drafts(7);
        let ids: std::collections::BTreeSet<&String> = drafts.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), drafts.len());
        let pledges = drafts.iter().map(|(_, draft)| draft).filter(|draft| draft.kind == "pledge");
        let (new, revised): (Vec<&Draft>, Vec<&Draft>) = pledges.partition(|draft| draft.record.is_none());
        assert!(new.iter().all(|draft| draft.fields["requirement"] == "UKR/requirement/7k3m9q2x4d"));
        assert!(revised.iter().any(|draft| draft.status.as_deref() == Some("withdrawn")));
        assert!(revised.iter().any(|draft| draft.status.is_none()));
    }
}
