//! What is asked about witnesses: who has seen an envelope, and what is final.

use super::State;
use crate::chain::Held;
use crate::ids::{AuthorId, NationId, Tip};
use crate::rules::Rule;
use crate::witness::Acknowledgements;

impl State {
    /// Returns what the nations' witnesses acknowledge.
    pub const fn acknowledgements(&self) -> &Acknowledgements {
        &self.acknowledgements
    }

    /// Returns the member nations whose witness acknowledges an envelope of `author` or one above it, ascending ("seen by 5
    /// of 7").
    pub fn seen_by(&self, author: &AuthorId, held: &Held) -> Vec<NationId> {
        let Some(chain) = self.chain(author) else { return Vec::new() };
        let mut nations = self.acknowledgements.nations_above(chain, held);
        nations.retain(|nation| self.charter().is_some_and(|charter| charter.members.contains_key(nation)));
        nations
    }

    /// Returns the deepest final envelope of an author's chain (spec 4.5.4): more than two thirds of the members acknowledge
    /// it or what stands above it. [`Tip::NONE`] for none.
    pub fn final_tip(&self, author: &AuthorId) -> Tip {
        self.acknowledgements.finality(author).tip
    }

    /// Whether an envelope is final: no later trick with its author's key takes it away.
    pub fn is_final(&self, author: &AuthorId, held: &Held) -> bool {
        self.chain(author).is_some_and(|chain| chain.leads_to(&held.id(), &self.final_tip(author).id))
    }

    /// Whether two headers are final neither of which leads to the other: a third of the nations acknowledged both sides.
    pub fn witness_split(&self, author: &AuthorId) -> bool {
        self.acknowledgements.finality(author).split.is_some()
    }

    /// Returns the topmost headers of an author that a nation's witness acknowledges, ascending: one for an honest nation.
    pub fn acknowledged(&self, nation: &NationId, author: &AuthorId) -> Vec<Tip> {
        self.acknowledgements.tops(nation, author).to_vec()
    }

    /// Returns what an honest witness of `nation` may acknowledge of an author's chain now, if that is more than it did (spec
    /// 4.7): the deepest envelope that is accepted, held with all bodies below it, and either below any fork or final (W1);
    /// nothing if it contradicts, or may contradict, what the nation acknowledged before (W2).
    pub fn acknowledgeable(&self, nation: &NationId, author: &AuthorId) -> Option<Tip> {
        let chain = self.chain(author)?;
        let top = chain.accepted(chain.bodies_to())?;
        let sure = match chain.fork().filter(|fork| *fork <= top.seq()) {
            None => top,
            Some(fork) => {
                let common = chain.common(&top.id(), &self.final_tip(author).id);
                chain.accepted(fork - 1).into_iter().chain(common).max_by_key(|held| held.seq())?
            }
        };
        if self.acknowledgements.absent_of(nation, author).next().is_some()
            && self.rules.keeps(Rule::AcknowledgeOneBranch)
        {
            return None;
        }
        let tops = self.acknowledgements.tops(nation, author);
        let below = |top: &Tip| chain.leads_to(&sure.id(), &top.id);
        let above = |top: &Tip| chain.leads_to(&top.id, &sure.id());
        let agrees = tops.iter().all(|top| below(top) || above(top)) || !self.rules.keeps(Rule::AcknowledgeOneBranch);
        (agrees && !tops.iter().any(below)).then(|| sure.tip())
    }
}
