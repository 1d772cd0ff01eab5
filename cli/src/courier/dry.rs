//! A dry run: the receipt checks of the node, on a copy of what it holds.

use std::collections::{BTreeMap, BTreeSet};

use comity_node::api::model::{CourierAnswer, CourierRefusal, Status};
use comity_protocol::bundle::{BrokenRecord, Piece, Place, Reader, check_run, control_record};
use comity_protocol::charter::Anchor;
use comity_protocol::control::VerifiedControl;
use comity_protocol::evaluate::{ControlReceipt, Element, State};
use comity_protocol::ids::{AllianceId, EnvelopeId, NationId};
use comity_protocol::message::run::Run;

use crate::api::Api;
use crate::failure::Failure;

/// What the node holds: its control records and headers, and which bodies it lacks.
pub struct Dry {
    state: State,
    bodiless: BTreeSet<EnvelopeId>,
    own: String,
    own_key: bool,
}

impl Dry {
    /// Takes a copy over the local API; the node goes on meanwhile.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn of(api: &Api, status: &Status) -> Result<Self, Failure> {
        let alliance = AllianceId::from_hex(&status.alliance)
            .ok_or_else(|| Failure::environment("the node names no alliance that this version knows"))?;
        let mut dry = Self {
            state: State::new(Anchor::founding(alliance)),
            bodiless: BTreeSet::new(),
            own: status.node.clone(),
            own_key: false,
        };
        let mut download = api.run(|client| async move { client.download("/v1/bundle", &[]).await })?;
        let mut reader = Reader::new();
        let broken = |cause: String| Failure::environment("the copy of the node's record broke off").because(cause);
        let mut controls = Vec::new();
        while let Some(bytes) = api.run(|_| download.next())? {
            let mut left: &[u8] = &bytes;
            while !left.is_empty() {
                left = &left[reader.feed(left)..];
                while let Some(frame) = reader.poll().map_err(|error| broken(error.to_string()))? {
                    match frame.piece {
                        Piece::Control { kind, bytes } => controls.push((kind, bytes)),
                        Piece::Run(run) => {
                            dry.hold(std::mem::take(&mut controls)).map_err(|error| broken(error.to_string()))?;
                            dry.run(run).map_err(|error| broken(error.to_string()))?;
                        }
                        Piece::Frontier(_) | Piece::Manifest(_) | Piece::Seal(_) => {}
                    }
                }
            }
        }
        reader.finish().map_err(|error| broken(error.to_string()))?;
        dry.hold(controls).map_err(|error| broken(error.to_string()))?;
        dry.own_key = false;
        Ok(dry)
    }

    fn hold(&mut self, controls: Vec<(u8, Vec<u8>)>) -> Result<(), BrokenRecord> {
        let checked = controls.into_iter().map(|(kind, bytes)| Ok(Element::Control(control_record(kind, &bytes)?)));
        let elements: Vec<Element> = checked.collect::<Result<_, _>>()?;
        if !elements.is_empty() {
            self.state.admit(elements);
        }
        Ok(())
    }

    /// Whether an envelope of the node's own key came that it does not hold.
    pub const fn own_key(&self) -> bool {
        self.own_key
    }

    /// Checks a chunk as the node would, and takes it into the copy.
    pub fn carry(&mut self, chunk: &[(Place, Vec<u8>)]) -> CourierAnswer {
        let mut answer = CourierAnswer::default();
        let mut controls = Vec::new();
        for (index, (_, bytes)) in (0..).zip(chunk) {
            match Piece::decode(bytes) {
                Ok(Piece::Control { kind, bytes }) => controls.push((index, kind, bytes)),
                Ok(Piece::Run(run)) => {
                    self.controls(std::mem::take(&mut controls), &mut answer);
                    let nation = run.author.nation;
                    match self.run(run) {
                        Ok(Counted { new, bodies, known }) => {
                            if new > 0 {
                                *answer.envelopes_new.entry(self.code(&nation)).or_default() += new;
                            }
                            answer.bodies_new += bodies;
                            answer.envelopes_known += known;
                        }
                        Err(reason) => refuse(&mut answer, index, &reason),
                    }
                }
                Ok(Piece::Frontier(_) | Piece::Manifest(_) | Piece::Seal(_)) => {}
                Err(error) => refuse(&mut answer, index, &BrokenRecord::Decode(error)),
            }
        }
        self.controls(controls, &mut answer);
        answer
    }

    fn code(&self, nation: &NationId) -> String {
        let known = self.state.charter().and_then(|charter| charter.nation(nation));
        known.map_or_else(|| nation.hex(), |nation| nation.code.clone())
    }

    fn controls(&mut self, controls: Vec<(u32, u8, Vec<u8>)>, answer: &mut CourierAnswer) {
        let mut welcome: BTreeMap<u32, VerifiedControl> = BTreeMap::new();
        for (index, kind, bytes) in controls {
            match control_record(kind, &bytes) {
                Err(reason) => refuse(answer, index, &reason),
                Ok(control) => match self.state.control_receipt(control.record(), &control.id()) {
                    ControlReceipt::Held if self.state.control_record(&control.id()).is_some() => {
                        answer.control_known += 1;
                    }
                    ControlReceipt::Welcome => {
                        welcome.insert(index, control);
                    }
                    ControlReceipt::OtherAlliance => {
                        let (expected, found) = (self.state.anchor().alliance, AllianceId::ZERO);
                        refuse(answer, index, &BrokenRecord::OtherAlliance { expected, found });
                    }
                    ControlReceipt::Held | ControlReceipt::UnknownRoot | ControlReceipt::UnknownBase => {
                        refuse(answer, index, &BrokenRecord::NoEffect);
                    }
                },
            }
        }
        self.state.admit(welcome.values().cloned().map(Element::Control).collect());
        for (index, control) in welcome {
            if self.state.control_record(&control.id()).is_some() {
                answer.control_new += 1;
            } else {
                refuse(answer, index, &BrokenRecord::NoEffect);
            }
        }
    }

    fn run(&mut self, run: Run) -> Result<Counted, BrokenRecord> {
        let author = run.author;
        let items = check_run(&self.state, run)?;
        let mut counted = Counted::default();
        let mut elements = Vec::new();
        for item in items {
            let id = item.header.id();
            if self.state.chain(&author).is_some_and(|chain| chain.get(&id).is_some()) {
                if item.body.is_some() && self.bodiless.remove(&id) {
                    counted.bodies += 1;
                } else {
                    counted.known += 1;
                }
                continue;
            }
            counted.new += 1;
            if item.body.is_none() {
                self.bodiless.insert(id);
            }
            elements.push(Element::Header(item.header));
        }
        self.own_key |= counted.new > 0 && author.key.hex() == self.own;
        self.state.admit(elements);
        Ok(counted)
    }
}

#[derive(Default)]
struct Counted {
    new: u64,
    bodies: u64,
    known: u64,
}

fn refuse(answer: &mut CourierAnswer, frame: u32, reason: &BrokenRecord) {
    let rule = reason.rule().map(str::to_owned);
    answer.refused.push(CourierRefusal { frame, rule, reason: reason.to_string() });
}
