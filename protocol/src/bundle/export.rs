//! Writing a stream from a state that stands still; a running node does the same between its other work.

use super::{Counts, Exporter, Kind, Manifest, Piece, Plan, Wanted, Writer, sign};
use crate::evaluate::State;
use crate::keys::SecretKey;
use crate::limits::FRONTIER_FRAME_ENTRIES;
use crate::message::pack::Packed;

/// What is asked of an exporter.
#[derive(Clone, Debug)]
pub struct Export {
    /// What to write.
    pub kind: Kind,
    /// What it is to hold; everything, for a bundle.
    pub wanted: Wanted,
    /// Which signatures.
    pub packed: Packed,
    /// Who writes it.
    pub exporter: Exporter,
    /// The exporter's clock.
    pub created_ms: u64,
    /// Name and version of the software.
    pub software: String,
}

impl Export {
    /// Returns the frames before the runs, in their order.
    pub fn head<'a>(&self, plan: &'a Plan) -> impl Iterator<Item = Piece> + use<'a> {
        let entries = if self.kind == Kind::Courier { plan.frontier.as_slice() } else { &[] };
        let control = match self.wanted {
            Wanted::Nothing => &[],
            Wanted::All | Wanted::Since(_) | Wanted::Nation(_) => plan.control.as_slice(),
        };
        let frontier = entries.chunks(FRONTIER_FRAME_ENTRIES).map(|part| Piece::Frontier(part.to_vec()));
        control.iter().map(|control| Piece::of_control(control)).chain(frontier)
    }

    /// Returns the manifest behind the runs.
    pub fn manifest(&self, state: &crate::charter::Anchor, plan: &Plan, counts: Counts) -> Piece {
        Piece::Manifest(Box::new(Manifest {
            alliance: state.alliance,
            exporter: self.exporter,
            counts,
            digests: (self.kind == Kind::Bundle).then_some(plan.digests),
            anchor: plan.anchor,
            created_ms: self.created_ms,
            software: self.software.clone(),
        }))
    }
}

/// Writes the whole stream into `sink`, one frame at a time; signed if a key is given, which must be the exporter's.
///
/// # Errors
/// What `sink` returns.
pub fn export<E>(
    state: &State,
    export: &Export,
    key: Option<&SecretKey>,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Counts, E> {
    let plan = Plan::of(state, &export.wanted);
    let (mut writer, magic) = Writer::new(export.kind);
    sink(&magic)?;
    for piece in export.head(&plan) {
        sink(&writer.frame(&piece))?;
    }
    for stretch in &plan.stretches {
        let mut rest = Some(*stretch);
        while let Some(stretch) = rest {
            let (run, next) = stretch.pack(state, export.packed).expect("the state stands still");
            if let Some(run) = run {
                sink(&writer.frame(&Piece::Run(run)))?;
            }
            rest = next;
        }
    }
    let counts = writer.counts();
    sink(&writer.frame(&export.manifest(&state.anchor(), &plan, counts)))?;
    let signature = key.map(|key| sign(key, &writer.digest()));
    sink(&writer.seal(signature))?;
    Ok(counts)
}
