//! Records that came in a file: the checks and the admission of a peer's answer, with a report in place of strikes.

use super::Replica;
use crate::bundle::{BrokenRecord, Carried, Piece, check_run, sign};
use crate::effect::{Effect, ImportOutcome, ImportRefused, RequestId, Storage};
use crate::ids::Digest;
use crate::keys::Signature;
use crate::message::run::Run;

impl Replica {
    /// Signs the hash of a bundle with this node's key.
    pub fn sign_bundle(&self, digest: &Digest) -> Signature {
        sign(self.author.key(), digest)
    }

    /// Takes in frames of a courier file, in their order.
    pub(super) fn carried(&mut self, request: RequestId, frames: &[Vec<u8>]) {
        let mut carried = Carried::default();
        let mut control = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            match Piece::decode(frame) {
                // One evaluation for all that stand together.
                Ok(Piece::Control { kind, bytes }) => control.push((index, (kind, bytes))),
                Ok(Piece::Run(run)) => {
                    self.carry_control(std::mem::take(&mut control), &mut carried);
                    if let Err(reason) = self.carry_run(run, &mut carried) {
                        carried.refused.push((index, reason));
                    }
                }
                Ok(Piece::Frontier(_)) => {}
                Ok(Piece::Manifest(_) | Piece::Seal(_)) => carried.refused.push((index, BrokenRecord::Frame)),
                Err(error) => carried.refused.push((index, BrokenRecord::Decode(error))),
            }
        }
        self.carry_control(control, &mut carried);
        carried.refused.sort_by_key(|(index, _)| *index);
        self.effects.push_back(Effect::Carried { request, carried: Box::new(carried) });
    }

    fn carry_control(&mut self, control: Vec<(usize, (u8, Vec<u8>))>, carried: &mut Carried) {
        if control.is_empty() {
            return;
        }
        let (indices, records): (Vec<usize>, Vec<_>) = control.into_iter().unzip();
        for (index, taken) in indices.into_iter().zip(self.take_control(records)) {
            let refused = match taken {
                Ok(ImportOutcome::Accepted(_)) => {
                    carried.control_new += 1;
                    continue;
                }
                Ok(ImportOutcome::Known(_)) => {
                    carried.control_known += 1;
                    continue;
                }
                Ok(ImportOutcome::Refused(refused)) | Err(refused) => refused,
            };
            carried.refused.push((index, self.broken(refused)));
        }
    }

    fn broken(&self, refused: ImportRefused) -> BrokenRecord {
        match refused {
            ImportRefused::Decode(error) => BrokenRecord::Decode(error),
            ImportRefused::Signature(error) => BrokenRecord::Control(error.to_string()),
            ImportRefused::OtherAlliance => {
                BrokenRecord::OtherAlliance { expected: self.alliance, found: crate::ids::AllianceId::ZERO }
            }
            ImportRefused::NoEffect => BrokenRecord::NoEffect,
            ImportRefused::StorageFull => BrokenRecord::StorageFull,
        }
    }

    fn carry_run(&mut self, run: Run, carried: &mut Carried) -> Result<(), BrokenRecord> {
        if self.storage == Storage::Full {
            self.counters.refused_storage += run.items.len() as u64;
            return Err(BrokenRecord::StorageFull);
        }
        let author = run.author;
        let items = check_run(&self.state, run)?;
        let chain = self.state.chain(&author);
        let (mut new, mut bodies, mut known) = (0, 0, 0);
        for item in &items {
            match chain.and_then(|chain| chain.get(&item.header.id())) {
                None => new += 1,
                Some(held) if held.body().is_none() && item.body.is_some() => bodies += 1,
                Some(_) => known += 1,
            }
        }
        self.take_run(None, author, items);
        if new > 0 {
            *carried.envelopes_new.entry(author.nation).or_default() += new;
        }
        carried.bodies_new += bodies;
        carried.envelopes_known += known;
        Ok(())
    }
}
