//! Bundles and courier files, streamed: what they hold is settled in the loop at one moment, packed there a run at a time as for
//! a peer, and compressed and sent beside it.

use std::io;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use comity_protocol::bundle::{Export, Gone, Kind, Piece, Plan, Stretch, Wanted, Writer, split_frame};
use comity_protocol::charter::Anchor;
use comity_protocol::frontier::FrontierEntry;
use comity_protocol::ids::AuthorId;
use comity_protocol::limits::FRONTIER_ENTRIES_MAX;
use comity_protocol::message::pack::Packed;
use comity_protocol::message::run::Run;
use futures::stream::{self, Stream};
use tokio::sync::OwnedSemaphorePermit;

use super::Refusal;
use crate::driver::{Handle, Reading};

/// Runs packed in one look into the loop, about as much as one answer to a peer.
const RUNS_PER_LOOK: usize = 4;
/// Bodies that may be missing; a node that lacks more is still fetching.
const MISSING_MAX: usize = 65_536;

/// Whether this node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// For whom a courier file is.
#[derive(Clone, Debug)]
pub(super) enum For {
    /// Whoever takes it: everything.
    Anybody,
    /// A nation, by code.
    Nation(String),
    /// A node that showed this frontier.
    Since(Vec<FrontierEntry>),
    /// Nobody: the own frontier alone.
    FrontierOnly,
}

/// Streams an audit bundle.
///
/// # Errors
/// That the node is stopping, or still fetches bodies.
pub(super) async fn bundle(driver: &Handle, packed: Packed, signing: Signing) -> Result<Response, Refusal> {
    start(driver, Kind::Bundle, For::Anybody, packed, signing).await
}

/// Streams a courier file.
///
/// # Errors
/// That the node is stopping or still fetches bodies, or that there is no such nation.
pub(super) async fn courier(driver: &Handle, wanted: For) -> Result<Response, Refusal> {
    start(driver, Kind::Courier, wanted, Packed::Sparse, Signing::No).await
}

/// Takes a request's body apart into frames.
///
/// # Errors
/// A frame that is cut off or too long.
pub(super) fn frames(mut body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let frame = split_frame(&mut body).map_err(|error| {
            let what = format!("frame {} of the body cannot be read", frames.len());
            Refusal::new(StatusCode::BAD_REQUEST, what).cause(error.to_string())
        })?;
        frames.push(frame);
    }
    Ok(frames)
}

/// Reads a frontier from a request's body.
///
/// # Errors
/// Anything else in it.
pub(super) fn frontier(body: &[u8]) -> Result<Vec<FrontierEntry>, Refusal> {
    let refuse = |cause: String| Refusal::new(StatusCode::BAD_REQUEST, "the body is no frontier").cause(cause);
    let mut entries = Vec::new();
    for frame in frames(body)? {
        match Piece::decode(frame) {
            Ok(Piece::Frontier(part)) if entries.len() + part.len() <= FRONTIER_ENTRIES_MAX => entries.extend(part),
            Ok(_) => return Err(refuse(format!("at most {FRONTIER_ENTRIES_MAX} entries and no other frame"))),
            Err(error) => return Err(refuse(error.to_string())),
        }
    }
    Ok(entries)
}

/// A stream on its way.
struct Exporting {
    driver: Handle,
    export: Export,
    anchor: Anchor,
    plan: Plan,
    writer: Writer,
    signing: Signing,
    next: Next,
    /// Held until the stream ends.
    _turn: OwnedSemaphorePermit,
}

/// What of a stream comes next.
enum Next {
    Head(Vec<u8>),
    Runs { stretch: usize, rest: Option<Stretch> },
    Done,
}

async fn start(
    driver: &Handle,
    kind: Kind,
    wanted: For,
    packed: Packed,
    signing: Signing,
) -> Result<Response, Refusal> {
    let turn = driver.stream_turn()?;
    let (export, anchor, plan) = driver.read(move |reading| settle(reading, kind, wanted, packed)).await?;
    if plan.missing.len() > MISSING_MAX {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "nothing is exported")
            .cause(format!("{} bodies are not here yet", plan.missing.len()))
            .hint("try again when the node has caught up, see `comity status`"));
    }
    let (writer, magic) = Writer::new(kind);
    let exporting = Exporting {
        driver: driver.clone(),
        export,
        anchor,
        plan,
        writer,
        signing,
        next: Next::Head(magic),
        _turn: turn,
    };
    let body = Body::from_stream(chunks(exporting));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

fn settle(reading: &Reading<'_>, kind: Kind, wanted: For, packed: Packed) -> Result<(Export, Anchor, Plan), Refusal> {
    let state = reading.state();
    let wanted = match wanted {
        For::Anybody => Wanted::All,
        For::FrontierOnly => Wanted::Nothing,
        For::Since(entries) => Wanted::Since(entries),
        For::Nation(code) => Wanted::Nation(
            state
                .nation_by_code(&code)
                .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("{code} is no nation of this alliance")))?
                .id,
        ),
    };
    let plan = Plan::of(state, &wanted);
    let export = Export {
        kind,
        wanted,
        packed,
        exporter: AuthorId { nation: reading.facts.nation, key: reading.facts.key },
        created_ms: reading.now.0,
        software: concat!("comity ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    Ok((export, state.anchor(), plan))
}

/// A stream that fails breaks the connection off, so that nobody takes a part for the whole.
fn chunks(exporting: Exporting) -> impl Stream<Item = io::Result<Vec<u8>>> {
    stream::try_unfold(exporting, async |mut exporting| {
        let chunk = exporting.chunk().await?;
        Ok(chunk.map(|chunk| (chunk, exporting)))
    })
}

impl Exporting {
    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        match std::mem::replace(&mut self.next, Next::Done) {
            Next::Head(mut bytes) => {
                for piece in self.export.head(&self.plan) {
                    bytes.extend(self.writer.frame(&piece));
                }
                self.next = Next::Runs { stretch: 0, rest: self.plan.stretches.first().copied() };
                Ok(Some(bytes))
            }
            Next::Runs { stretch, rest: Some(rest) } => self.runs(stretch, rest).await.map(Some),
            Next::Runs { rest: None, .. } => self.end().await.map(Some),
            Next::Done => Ok(None),
        }
    }

    async fn runs(&mut self, stretch: usize, rest: Stretch) -> io::Result<Vec<u8>> {
        let (packed, stretches) = (self.export.packed, self.plan.stretches[stretch + 1..].to_vec());
        let look = move |reading: &Reading<'_>| Ok(pack(reading, packed, rest, stretches.into_iter()));
        let looked = self.driver.read(look).await.map_err(|refusal| broken(&refusal.problem().error))?;
        let (mut runs, rest, begun) = looked.map_err(|gone| broken(&gone.to_string()))?;
        let alliance = self.anchor.alliance;
        runs.iter_mut().for_each(|run| self.plan.spare(&alliance, run));
        self.next = Next::Runs { stretch: stretch + begun, rest };
        let mut writer = self.writer.clone();
        // Compressing some mebibytes takes a while.
        let compress = move || {
            let bytes: Vec<u8> = runs.into_iter().flat_map(|run| writer.frame(&Piece::Run(run))).collect();
            (writer, bytes)
        };
        let (writer, bytes) =
            tokio::task::spawn_blocking(compress).await.map_err(|_| broken("the export broke off"))?;
        self.writer = writer;
        Ok(bytes)
    }

    async fn end(&mut self) -> io::Result<Vec<u8>> {
        let manifest = self.export.manifest(&self.anchor, &self.plan, self.writer.counts());
        let mut bytes = self.writer.frame(&manifest);
        let digest = self.writer.digest();
        let signature = match self.signing {
            Signing::No => None,
            Signing::Yes => {
                let sign = move |reading: &Reading<'_>| Ok(reading.replica.sign_bundle(&digest));
                Some(self.driver.read(sign).await.map_err(|refusal| broken(&refusal.problem().error))?)
            }
        };
        bytes.extend(self.writer.clone().seal(signature));
        Ok(bytes)
    }
}

/// Packs the next runs; the last part says how many stretches were begun.
fn pack(
    reading: &Reading<'_>,
    packed: Packed,
    first: Stretch,
    mut stretches: impl Iterator<Item = Stretch>,
) -> Result<(Vec<Run>, Option<Stretch>, usize), Gone> {
    let mut runs = Vec::new();
    let (mut next, mut begun) = (Some(first), 0);
    while let Some(stretch) = next.filter(|_| runs.len() < RUNS_PER_LOOK) {
        let (run, rest) = stretch.pack(reading.state(), packed)?;
        runs.extend(run);
        next = rest.or_else(|| {
            begun += 1;
            stretches.next()
        });
    }
    Ok((runs, next, begun))
}

fn broken(cause: &str) -> io::Error {
    io::Error::other(cause.to_owned())
}
