//! What one node knows of the alliance, evaluated outside of it: what an officer carries to the safe.

use comity_node::client::{Client, ClientError};
use comity_protocol::charter::{Anchor, Charter};
use comity_protocol::control::{ControlRecord, Motion, VerifiedControl};
use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{AllianceId, AuthorId, CharterId, EnvelopeId, Id, NationId, Tip, unhex};

use crate::wire::CharterExport;

/// A node's control records, evaluated here, and what it says it holds whole.
pub(super) struct Known {
    /// What its records say.
    pub(super) state: State,
    held: Vec<(AuthorId, String, Tip)>,
}

impl Known {
    /// Asks a node.
    /// # Errors
    /// What it or its answer lacks, in words.
    pub(super) async fn of(client: &Client) -> Result<Self, String> {
        let export: CharterExport =
            client.get("/v1/charter/export", &[]).await.map_err(|error: ClientError| crate::exercise::said(&error))?;
        Self::read(&export).ok_or_else(|| "its charter export cannot be read".to_owned())
    }

    fn read(export: &CharterExport) -> Option<Self> {
        let anchor = Anchor {
            alliance: AllianceId::from_hex(&export.alliance)?,
            height: export.anchor_height,
            charter: CharterId::from_hex(&export.anchor)?,
        };
        let records: Option<Vec<Element>> =
            export.records.iter().map(|record| Some(Element::Control(verified(record)?))).collect();
        let held = export.held.iter().map(|held| {
            let author = AuthorId { nation: NationId::from_hex(&held.nation)?, key: Id::from_hex(&held.node)? };
            Some((author, held.what.clone(), Tip { seq: held.seq, id: EnvelopeId::from_hex(&held.envelope)? }))
        });
        Some(Self { held: held.collect::<Option<_>>()?, state: evaluate(anchor, records?) })
    }

    /// Returns the charter in force.
    /// # Errors
    /// If the node holds none, in words.
    pub(super) fn charter(&self) -> Result<&Charter, String> {
        self.state.charter().ok_or_else(|| "it holds no charter".to_owned())
    }

    /// Returns the id of the nation with this code, a member or one that was.
    /// # Errors
    /// If there is none, in words.
    pub(super) fn nation(&self, code: &str) -> Result<NationId, String> {
        let member = self.charter()?.by_code(code);
        member.map(|member| member.id).ok_or_else(|| format!("it knows no nation {code}"))
    }

    /// Returns the last envelope of an author that counts, as far as the node holds all of it.
    ///
    /// Of a forked chain that is the deeper of the last common envelope and the last final one: the cut to sign.
    pub(super) fn cut(&self, author: &AuthorId) -> Tip {
        let accepted = self.held.iter().find(|(held, what, _)| held == author && what == "accepted");
        accepted.map_or(Tip::NONE, |(_, _, tip)| *tip)
    }

    /// Whether the node holds every chain up to the cuts that a motion names.
    pub(super) fn holds_cuts(&self, motion: &Motion) -> bool {
        use comity_protocol::control::CharterChange;
        motion.changes.iter().all(|change| match change {
            CharterChange::Remove { nation, cuts, .. } => cuts.iter().all(|(key, cut)| {
                let author = AuthorId { nation: *nation, key: *key };
                cut.seq == 0 || self.held.iter().any(|(held, _, tip)| *held == author && tip == cut)
            }),
            CharterChange::Admit(_)
            | CharterChange::ReplaceRoot { .. }
            | CharterChange::SetParams(_)
            | CharterChange::SetRules(_) => true,
        })
    }

    /// Returns the id of a nation's roster with this version.
    pub(super) fn roster(&self, nation: &NationId, version: u64) -> Option<EnvelopeId> {
        self.state.control_records().into_iter().find_map(|control| match control.record() {
            ControlRecord::Roster(roster, _) if roster.nation == *nation && roster.version == version => {
                Some(EnvelopeId::new(*control.id().as_bytes()))
            }
            ControlRecord::Roster(..)
            | ControlRecord::Genesis(_)
            | ControlRecord::Motion(_)
            | ControlRecord::Vote(..) => None,
        })
    }
}

fn verified(record: &str) -> Option<VerifiedControl> {
    let bytes = unhex(record)?;
    let (kind, bytes) = bytes.split_first()?;
    ControlRecord::decode(*kind, bytes).ok()?.verify().ok()
}
