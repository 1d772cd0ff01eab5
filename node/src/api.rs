//! The local API: HTTP and JSON over a Unix socket, and over loopback TCP where configured (DESIGN section 5).

pub mod auth;
pub mod model;
mod events;
mod extract;
mod openapi;
mod refusal;
mod routes;
pub mod server;
mod stream;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;

pub use openapi::document;
pub use refusal::Refusal;
pub use routes::{Api, routes};

/// Largest request body: 4,096 rosters of a control import come in several requests.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Puts the checks of [`auth`], the bound of a body and the answer to an unknown path around `routes`.
pub fn guarded(routes: Router, tcp: Option<auth::TcpPolicy>) -> Router {
    routes
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "there is no such path").hint("see /openapi.json for all of them")
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method").hint("see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(tcp, auth::check))
}

#[cfg(test)]
mod tests;
