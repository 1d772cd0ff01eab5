//! The OpenAPI document, generated from the handlers and their types.

use utoipa::OpenApi;

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Comity node",
        description = "The local API of one node. GET needs the read scope, all else the author scope."
    ),
    paths(
        routes::status,
        routes::peers,
        routes::add_peer,
        routes::remove_peer,
        routes::nations,
        routes::charter,
        routes::charter_export,
        routes::motions,
        routes::log,
        routes::show,
        routes::explain,
        routes::forks,
        routes::fork,
        routes::restate,
        routes::board,
        routes::coverage,
        routes::resilience,
        routes::gaps,
        routes::list,
        routes::flags,
        routes::decisions,
        routes::decision,
        routes::export,
        routes::bundle,
        routes::signed_bundle,
        routes::courier,
        routes::courier_since,
        routes::carry,
        routes::watch_changes,
        routes::write,
        routes::control,
        routes::authoring,
        routes::confirm,
        routes::metrics,
        routes::healthz,
        routes::readyz,
        routes::openapi_json,
    )
)]
struct Document;

/// Returns the document served at `/openapi.json`; the command line writes it into the manual.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_lists_every_route_and_nothing_else() {
        let routes: BTreeSet<_> = routes::table().into_iter().map(|(path, _)| path.to_owned()).collect();
        let listed: BTreeSet<_> = document().paths.paths.keys().cloned().collect();
        assert_eq!(routes, listed);
        let json = serde_json::to_value(document()).expect("it is JSON");
        assert!(json["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", json["openapi"]);
        for schema in ["Status", "WriteRequest", "WriteAnswer", "Gaps", "GapRow", "Problem", "Change"] {
            assert!(json["components"]["schemas"][schema].is_object(), "{schema}");
        }
    }
}
