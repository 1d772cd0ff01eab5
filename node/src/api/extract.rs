//! Queries and bodies of requests, refused in our own words.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Refusal;

/// A caller that does not finish a request's body for this long is refused.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The query of a request; a name it does not take is refused.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "the query is not understood").cause(rejection.body_text()))
            }
        }
    }
}

/// The bytes of a request's body.
pub(super) struct Bytes(pub(super) axum::body::Bytes);

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        tokio::time::timeout(BODY_TIMEOUT, axum::body::Bytes::from_request(request, state))
            .await
            .map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?
            .map(Self)
            .map_err(|rejection| {
                Refusal::new(rejection.status(), "the body cannot be read").cause(rejection.body_text())
            })
    }
}

/// The JSON body of a request; a field it does not take is refused.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Bytes(body) = Bytes::from_request(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, "the body is not understood")
                .cause(error.to_string())
                .hint("see /openapi.json for what it takes")
        })
    }
}
