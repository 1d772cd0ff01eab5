//! Every route of the local API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use comity_protocol::effect::Evidence;
use comity_protocol::ids::{EnvelopeId, Tip};
use comity_protocol::message::pack::Packed;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::extract::{Asked, Bytes, Sent};
use super::model::{
    Adoption, Board, CharterExport, CharterState, ConfirmAnswer, ConfirmRequest, ControlAnswer, ControlRequest,
    CourierAnswer, Coverage, Decision, Decisions, Explanation, Flags, ForkShown, Forks, Gaps, Listing, Log, Motions,
    Nations, PeerAnswer, PeerRequest, Peers, Problem, Resilience, RestateRequest, Restated, Shown, Status, WriteAnswer,
    WriteRequest,
};
use super::{Refusal, events, openapi, stream};
use crate::answers;
use crate::config::{PeerAddress, tcp_address};
use crate::driver::{Handle, Outlook, WAIT_MS, WAIT_MS_MAX, Write};
use crate::metrics::Metrics;

/// What every route may use.
#[derive(Clone)]
pub struct Api {
    /// The driver.
    pub driver: Handle,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Turns true when the node stops.
    pub stop: watch::Receiver<bool>,
}

/// Returns every path with its methods; the OpenAPI document lists the same.
pub(super) fn table() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/v1/status", get(status)),
        ("/v1/peers", get(peers).merge(post(add_peer)).merge(delete(remove_peer))),
        ("/v1/nations", get(nations)),
        ("/v1/charter", get(charter)),
        ("/v1/charter/export", get(charter_export)),
        ("/v1/motions", get(motions)),
        ("/v1/log", get(log)),
        ("/v1/show", get(show)),
        ("/v1/explain", get(explain)),
        ("/v1/forks", get(forks)),
        ("/v1/fork", get(fork)),
        ("/v1/restate", post(restate)),
        ("/v1/board", get(board)),
        ("/v1/coverage", get(coverage)),
        ("/v1/resilience", get(resilience)),
        ("/v1/gaps", get(gaps)),
        ("/v1/list", get(list)),
        ("/v1/flags", get(flags)),
        ("/v1/decisions", get(decisions)),
        ("/v1/decision", get(decision)),
        ("/v1/export", get(export)),
        ("/v1/bundle", get(bundle).merge(post(signed_bundle))),
        ("/v1/courier", get(courier).merge(post(courier_since))),
        ("/v1/courier/import", post(carry)),
        ("/v1/watch", get(watch_changes)),
        ("/v1/write", post(write)),
        ("/v1/control", post(control)),
        ("/v1/authoring", get(authoring).merge(post(confirm))),
        ("/metrics", get(metrics)),
        ("/healthz", get(healthz)),
        ("/readyz", get(readyz)),
        ("/openapi.json", get(openapi_json)),
    ]
}

/// Returns all routes, without the checks of who asks.
pub fn routes(api: Api) -> Router {
    table().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods)).with_state(api)
}

/// A moment to answer for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AtQuery {
    /// RFC 3339, or a day for its end in UTC; now if absent.
    as_of: Option<String>,
}

/// A moment, and a nation that is left out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CoverageQuery {
    /// Code of the nation that is left out; nobody if absent.
    without: Option<String>,
    /// RFC 3339, or a day for its end in UTC; now if absent.
    as_of: Option<String>,
}

/// A record, and a moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RefQuery {
    /// `CODE/kind/id`, `CODE/kind/id@version`, an unambiguous beginning of its id, or an envelope's id.
    #[serde(rename = "ref")]
    #[param(rename = "ref")]
    reference: String,
    /// RFC 3339, or a day for its end in UTC; now if absent.
    as_of: Option<String>,
}

/// A kind, and a moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The kind, such as `pledge`.
    kind: String,
    /// RFC 3339, or a day for its end in UTC; now if absent.
    as_of: Option<String>,
}

/// A part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Code of the only nation to show.
    nation: Option<String>,
    /// Only what stands so: `accepted`, `suspended`, `disavowed`, `post-removal`, `unlinked`, `waiting` or `void`; with what it
    /// says.
    standing: Option<String>,
    /// Most rows; 50 if absent, at most 10,000.
    limit: Option<usize>,
}

/// A fork.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ForkQuery {
    /// `CODE/NODE` by label or first digits of the key, or `CODE` for a fork of its rosters.
    of: String,
}

/// A form, and a moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `jsonl` or `csv`; `jsonl` if absent.
    format: Option<String>,
    /// RFC 3339, or a day for its end in UTC; now if absent.
    as_of: Option<String>,
}

/// How much of the signatures.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BundleQuery {
    /// Every signature held, and not only those that attest the chains.
    all_signatures: Option<bool>,
}

impl BundleQuery {
    fn packed(&self) -> Packed {
        if self.all_signatures == Some(true) { Packed::AllSignatures } else { Packed::Sparse }
    }
}

/// For whom a courier file is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CourierQuery {
    /// Code of the nation whose last witness decides what is left out; nothing is if absent.
    nation: Option<String>,
    /// Only what this node holds of every chain, to be shown to another node, and no record.
    frontier_only: Option<bool>,
}

/// A peer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AddressQuery {
    /// Its multiaddress.
    address: String,
}

type Answered<T> = Result<Json<T>, Refusal>;

/// The node and what it holds.
#[utoipa::path(get, path = "/v1/status",
    responses((status = 200, body = Status), (status = "default", body = Problem)))]
pub(super) async fn status(State(api): State<Api>) -> Answered<Status> {
    let network = api.driver.network().await?;
    api.driver.read(move |reading| Ok(answers::node::status(reading, &network))).await.map(Json)
}

/// Every peer, linked or not.
#[utoipa::path(get, path = "/v1/peers",
    responses((status = 200, body = Peers), (status = "default", body = Problem)))]
pub(super) async fn peers(State(api): State<Api>) -> Answered<Peers> {
    let network = api.driver.network().await?;
    api.driver.read(move |reading| Ok(answers::node::peers(reading, &network))).await.map(Json)
}

/// Every nation with its nodes.
#[utoipa::path(get, path = "/v1/nations",
    responses((status = 200, body = Nations), (status = "default", body = Problem)))]
pub(super) async fn nations(State(api): State<Api>) -> Answered<Nations> {
    api.driver.read(|reading| Ok(answers::node::nations(reading.state(), reading.now))).await.map(Json)
}

/// Who belongs to the alliance, how it came to be so, and how far the charter is from being stuck.
#[utoipa::path(get, path = "/v1/charter",
    responses((status = 200, body = CharterState), (status = "default", body = Problem)))]
pub(super) async fn charter(State(api): State<Api>) -> Answered<CharterState> {
    let look = |reading: &crate::driver::Reading<'_>| {
        let state = reading.state();
        answers::charter::charter(state, &answers::charter::last_heard(state), reading.now).ok_or_else(no_charter)
    };
    api.driver.read(look).await.map(Json)
}

/// What is proposed for the charter version in force, with its votes.
#[utoipa::path(get, path = "/v1/motions",
    responses((status = 200, body = Motions), (status = "default", body = Problem)))]
pub(super) async fn motions(State(api): State<Api>) -> Answered<Motions> {
    let look = |reading: &crate::driver::Reading<'_>| {
        let state = reading.state();
        answers::charter::motions(state, &answers::charter::held_whole(state)).ok_or_else(no_charter)
    };
    api.driver.read(look).await.map(Json)
}

fn no_charter() -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "the charter is not known")
        .cause("the genesis, or the anchored version, is not held")
        .hint("import a charter file of a member: comity charter import")
}

/// Every control record kept and every chain held whole, for the offline tool.
#[utoipa::path(get, path = "/v1/charter/export",
    responses((status = 200, body = CharterExport), (status = "default", body = Problem)))]
pub(super) async fn charter_export(State(api): State<Api>) -> Answered<CharterExport> {
    api.driver.read(|reading| Ok(answers::charter::export(reading))).await.map(Json)
}

/// Envelopes, newest claimed time first.
#[utoipa::path(get, path = "/v1/log", params(LogQuery),
    responses((status = 200, body = Log), (status = "default", body = Problem)))]
pub(super) async fn log(State(api): State<Api>, Asked(query): Asked<LogQuery>) -> Answered<Log> {
    let limit = query.limit.unwrap_or(50).min(10_000);
    let look = move |reading: &crate::driver::Reading<'_>| {
        answers::node::log(reading.state(), query.nation.as_deref(), query.standing.as_deref(), limit)
    };
    api.driver.read(look).await.map(Json)
}

/// Everything that said two things.
#[utoipa::path(get, path = "/v1/forks",
    responses((status = 200, body = Forks), (status = "default", body = Problem)))]
pub(super) async fn forks(State(api): State<Api>) -> Answered<Forks> {
    api.driver.read(|reading| Ok(answers::forks::forks(reading))).await.map(Json)
}

/// One fork with its proof and what to do about it.
#[utoipa::path(get, path = "/v1/fork", params(ForkQuery),
    responses((status = 200, body = ForkShown), (status = "default", body = Problem)))]
pub(super) async fn fork(State(api): State<Api>, Asked(query): Asked<ForkQuery>) -> Answered<ForkShown> {
    api.driver.read(move |reading| answers::forks::fork(reading, &query.of)).await.map(Json)
}

/// States anew what a cut left waiting.
#[utoipa::path(post, path = "/v1/restate", request_body = RestateRequest,
    responses((status = 200, body = Restated), (status = "default", body = Problem)))]
pub(super) async fn restate(State(api): State<Api>, Sent(request): Sent<RestateRequest>) -> Answered<Restated> {
    api.driver.restate(request).await.map(Json)
}

/// One record with its versions.
#[utoipa::path(get, path = "/v1/show", params(RefQuery),
    responses((status = 200, body = Shown), (status = "default", body = Problem)))]
pub(super) async fn show(State(api): State<Api>, Asked(query): Asked<RefQuery>) -> Answered<Shown> {
    let reference = query.reference;
    api.driver.view(query.as_of, move |outlook| answers::aid::show(outlook, &reference)).await.map(Json)
}

/// Why a record or an envelope counts, or does not.
#[utoipa::path(get, path = "/v1/explain", params(RefQuery),
    responses((status = 200, body = Explanation), (status = "default", body = Problem)))]
pub(super) async fn explain(State(api): State<Api>, Asked(query): Asked<RefQuery>) -> Answered<Explanation> {
    let reference = query.reference;
    let gather = move |reading: &crate::driver::Reading<'_>| {
        let held_by = |envelope: &EnvelopeId| reading.replica.held_by(envelope);
        answers::explain::explain(reading.state(), held_by, &reference)
    };
    let look = |outlook: &Outlook, explained| Ok(answers::explain::flagged(outlook, explained));
    api.driver.view_with(query.as_of, gather, look).await.map(Json)
}

/// Requirements with what was pledged for each.
#[utoipa::path(get, path = "/v1/board", params(AtQuery),
    responses((status = 200, body = Board), (status = "default", body = Problem)))]
pub(super) async fn board(State(api): State<Api>, Asked(query): Asked<AtQuery>) -> Answered<Board> {
    api.driver.view(query.as_of, |outlook| Ok(answers::aid::board(outlook))).await.map(Json)
}

/// Firm cover with or without one nation.
#[utoipa::path(get, path = "/v1/coverage", params(CoverageQuery),
    responses((status = 200, body = Coverage), (status = "default", body = Problem)))]
pub(super) async fn coverage(State(api): State<Api>, Asked(query): Asked<CoverageQuery>) -> Answered<Coverage> {
    let without = query.without;
    api.driver.view(query.as_of, move |outlook| answers::aid::coverage(outlook, without.as_deref())).await.map(Json)
}

/// What breaks if a nation, a hub or two together drop out.
#[utoipa::path(get, path = "/v1/resilience", params(AtQuery),
    responses((status = 200, body = Resilience), (status = "default", body = Problem)))]
pub(super) async fn resilience(State(api): State<Api>, Asked(query): Asked<AtQuery>) -> Answered<Resilience> {
    api.driver.view(query.as_of, |outlook| Ok(answers::resilience::resilience(outlook))).await.map(Json)
}

/// Open need.
#[utoipa::path(get, path = "/v1/gaps", params(AtQuery),
    responses((status = 200, body = Gaps), (status = "default", body = Problem)))]
pub(super) async fn gaps(State(api): State<Api>, Asked(query): Asked<AtQuery>) -> Answered<Gaps> {
    api.driver.view(query.as_of, |outlook| Ok(answers::aid::gaps(outlook))).await.map(Json)
}

/// Records of one kind.
#[utoipa::path(get, path = "/v1/list", params(ListQuery),
    responses((status = 200, body = Listing), (status = "default", body = Problem)))]
pub(super) async fn list(State(api): State<Api>, Asked(query): Asked<ListQuery>) -> Answered<Listing> {
    let kind = query.kind;
    api.driver.view(query.as_of, move |outlook| answers::aid::list(outlook, &kind)).await.map(Json)
}

/// Conflicts and doubts.
#[utoipa::path(get, path = "/v1/flags", params(AtQuery),
    responses((status = 200, body = Flags), (status = "default", body = Problem)))]
pub(super) async fn flags(State(api): State<Api>, Asked(query): Asked<AtQuery>) -> Answered<Flags> {
    api.driver.view(query.as_of, |outlook| Ok(answers::aid::flags(outlook))).await.map(Json)
}

/// Proposals, by deadline.
#[utoipa::path(get, path = "/v1/decisions", params(AtQuery),
    responses((status = 200, body = Decisions), (status = "default", body = Problem)))]
pub(super) async fn decisions(State(api): State<Api>, Asked(query): Asked<AtQuery>) -> Answered<Decisions> {
    api.driver.view(query.as_of, |outlook| Ok(answers::decision::decisions(outlook))).await.map(Json)
}

/// One proposal: who assented, kept silence, objected, and what is still to be proved.
#[utoipa::path(get, path = "/v1/decision", params(RefQuery),
    responses((status = 200, body = Decision), (status = "default", body = Problem)))]
pub(super) async fn decision(State(api): State<Api>, Asked(query): Asked<RefQuery>) -> Answered<Decision> {
    let reference = query.reference;
    api.driver.view(query.as_of, move |outlook| answers::decision::show(outlook, &reference)).await.map(Json)
}

/// All records, one a line; equal on all nodes with equal records.
#[utoipa::path(get, path = "/v1/export", params(ExportQuery),
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = "default", body = Problem)))]
pub(super) async fn export(State(api): State<Api>, Asked(query): Asked<ExportQuery>) -> Result<Response, Refusal> {
    let (form, content_type) = match query.format.as_deref() {
        None | Some("jsonl") => (answers::export::Form::JsonLines, "application/jsonl"),
        Some("csv") => (answers::export::Form::Csv, "text/csv; charset=utf-8"),
        Some(_) => return Err(Refusal::new(StatusCode::BAD_REQUEST, "format is neither jsonl nor csv")),
    };
    let text = api.driver.view(query.as_of, move |outlook| Ok(answers::export::export(outlook, form))).await?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// An audit bundle of everything held (spec 4.16), unsigned.
#[utoipa::path(get, path = "/v1/bundle", params(BundleQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem)))]
pub(super) async fn bundle(State(api): State<Api>, Asked(query): Asked<BundleQuery>) -> Result<Response, Refusal> {
    stream::bundle(&api.driver, query.packed(), stream::Signing::No).await
}

/// An audit bundle of everything held, signed by this node.
#[utoipa::path(post, path = "/v1/bundle", params(BundleQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem)))]
pub(super) async fn signed_bundle(
    State(api): State<Api>,
    Asked(query): Asked<BundleQuery>,
) -> Result<Response, Refusal> {
    stream::bundle(&api.driver, query.packed(), stream::Signing::Yes).await
}

/// A courier file of everything held, or of what a nation's witness does not acknowledge.
#[utoipa::path(get, path = "/v1/courier", params(CourierQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem)))]
pub(super) async fn courier(State(api): State<Api>, Asked(query): Asked<CourierQuery>) -> Result<Response, Refusal> {
    let wanted = match (query.nation, query.frontier_only) {
        (None, None | Some(false)) => stream::For::Anybody,
        (Some(code), None | Some(false)) => stream::For::Nation(code),
        (None, Some(true)) => stream::For::FrontierOnly,
        (Some(_), Some(true)) => {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "a frontier is for nobody in particular"));
        }
    };
    stream::courier(&api.driver, wanted).await
}

/// A courier file of what a node lacks that showed this frontier: frames of kind FrontierReply.
#[utoipa::path(post, path = "/v1/courier", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = Problem)))]
pub(super) async fn courier_since(State(api): State<Api>, Bytes(frames): Bytes) -> Result<Response, Refusal> {
    stream::courier(&api.driver, stream::For::Since(stream::frontier(&frames)?)).await
}

/// Takes in frames of a courier file, each with its length in front; they pass the checks of a peer's answer.
#[utoipa::path(post, path = "/v1/courier/import",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = CourierAnswer), (status = "default", body = Problem)))]
pub(super) async fn carry(State(api): State<Api>, Bytes(frames): Bytes) -> Answered<CourierAnswer> {
    let frames = stream::frames(&frames)?;
    api.driver.carry(frames.into_iter().map(<[u8]>::to_vec).collect()).await.map(Json)
}

/// Changes from now on, as server-sent events.
#[utoipa::path(get, path = "/v1/watch",
    responses((status = 200, body = super::model::Change, content_type = "text/event-stream")))]
pub(super) async fn watch_changes(State(api): State<Api>) -> Response {
    events::watch(api.driver.changes(), api.stop).into_response()
}

/// Writes a statement.
#[utoipa::path(post, path = "/v1/write", request_body = WriteRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `id`")),
    responses((status = 200, body = WriteAnswer), (status = "default", body = Problem)))]
pub(super) async fn write(
    State(api): State<Api>,
    headers: HeaderMap,
    Sent(request): Sent<WriteRequest>,
) -> Answered<WriteAnswer> {
    let write = Write {
        key: idempotency_key(&headers, request.id)?,
        draft: request.draft,
        if_version: request.if_version,
        wait: request.wait,
        timeout_ms: request.timeout_ms.unwrap_or(WAIT_MS).min(WAIT_MS_MAX),
    };
    api.driver.write(write).await.map(Json)
}

fn idempotency_key(headers: &HeaderMap, id: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(id) };
    let refuse = |error| Err(Refusal::new(StatusCode::BAD_REQUEST, error));
    match (header.to_str(), id) {
        (Ok(header), None) => Ok(Some(header.to_owned())),
        (Ok(header), Some(id)) if header == id => Ok(Some(id)),
        (Ok(_), Some(_)) => refuse("the header Idempotency-Key and the id in the body differ"),
        (Err(_), _) => refuse("the header Idempotency-Key is not visible ASCII"),
    }
}

/// Takes in control records.
#[utoipa::path(post, path = "/v1/control", request_body = ControlRequest,
    responses((status = 200, body = ControlAnswer), (status = "default", body = Problem)))]
pub(super) async fn control(State(api): State<Api>, Sent(request): Sent<ControlRequest>) -> Answered<ControlAnswer> {
    let mut records = Vec::with_capacity(request.records.len());
    for (index, text) in request.records.iter().enumerate() {
        match comity_protocol::ids::unhex(text).as_deref() {
            Some([kind, bytes @ ..]) => records.push((*kind, bytes.to_vec())),
            Some([]) | None => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("record {index} is not hexadecimal digits")));
            }
        }
    }
    api.driver.import(records).await.map(Json)
}

/// What a stopped node would adopt, and what stands against it.
#[utoipa::path(get, path = "/v1/authoring",
    responses((status = 200, body = Adoption), (status = "default", body = Problem)))]
pub(super) async fn authoring(State(api): State<Api>) -> Answered<Adoption> {
    api.driver.read(|reading| Ok(answers::confirm::adoption(reading))).await.map(Json)
}

/// Takes the own chain for whole, so that a stopped node authors again.
#[utoipa::path(post, path = "/v1/authoring", request_body = ConfirmRequest,
    responses((status = 200, body = ConfirmAnswer), (status = "default", body = Problem)))]
pub(super) async fn confirm(State(api): State<Api>, Sent(request): Sent<ConfirmRequest>) -> Answered<ConfirmAnswer> {
    let Some(id) = EnvelopeId::from_hex(&request.envelope) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the envelope is not 64 hexadecimal digits"));
    };
    let evidence = if request.without_peers { Evidence::Nobody } else { Evidence::Peers };
    api.driver.confirm(Tip { seq: request.seq, id }, evidence).await.map(Json)
}

/// Dials a peer from now on, also after a restart.
#[utoipa::path(post, path = "/v1/peers", request_body = PeerRequest,
    responses((status = 200, body = PeerAnswer), (status = "default", body = Problem)))]
pub(super) async fn add_peer(State(api): State<Api>, Sent(request): Sent<PeerRequest>) -> Answered<PeerAnswer> {
    let text = match &request.node {
        Some(node) => format!("{node}@{}", request.address),
        None => request.address,
    };
    let peer: PeerAddress = text
        .parse()
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "this cannot be dialled").cause(format!("{error}")))?;
    api.driver.add_peer(peer).await.map(Json)
}

/// Dials a peer no longer.
#[utoipa::path(delete, path = "/v1/peers", params(AddressQuery),
    responses((status = 200, body = PeerAnswer), (status = "default", body = Problem)))]
pub(super) async fn remove_peer(State(api): State<Api>, Asked(query): Asked<AddressQuery>) -> Answered<PeerAnswer> {
    let address = tcp_address(&query.address)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "this is not a TCP multiaddress"))?;
    api.driver.remove_peer(address).await.map(Json)
}

/// Counters in Prometheus text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Refusal> {
    let metrics = Arc::clone(&api.metrics);
    let network = api.driver.network().await?;
    let text = api.driver.read(move |reading| Ok(metrics.encode(reading, &network))).await?;
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, TYPE)], text).into_response())
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz(State(api): State<Api>) -> Result<&'static str, Refusal> {
    api.driver.read(|_| Ok("ok\n")).await
}

/// The node takes writes.
#[utoipa::path(get, path = "/readyz",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = Problem)))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Refusal> {
    let ready = |reading: &crate::driver::Reading<'_>| match reading.not_authoring() {
        None => Ok("ready\n"),
        Some(stopped) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node does not take writes")
            .cause(stopped.reason)
            .hint(stopped.hint)),
    };
    api.driver.read(ready).await
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object)))]
pub(super) async fn openapi_json() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi::document())
}
