//! The operators' calls: storing shows, opening and closing sales, loading sessions, looking.

use axum::Router;
use axum::routing::{get, post, put};
use common::auth::{Scope, Tokens, protect};
use common::config::ApiConfig;
use common::outbox::Relay;

use crate::gate::Gate;
use crate::loading::Loader;
use crate::store::Store;

mod problems;
mod put_show;
mod reservations;
mod sessions;
mod show_body;

pub use problems::code;

/// What the calls work on.
#[derive(Clone)]
pub struct Api {
    pub store: Store,
    pub gate: Gate,
    pub loader: Loader,
    pub relay: Relay,
}

/// The whole API; a call needs a token with scope `stock:write`, or `stock:read` when it only
/// looks.
pub fn router(api: Api, tokens: &Tokens, config: &ApiConfig) -> Router {
    let write = Router::new()
        .route("/v1/shows/{show_id}", put(put_show::put_show))
        .route("/v1/sessions/{session_id}/open", post(sessions::open))
        .route("/v1/sessions/{session_id}/close", post(sessions::close))
        .route("/v1/sessions/{session_id}/load", post(sessions::load));
    let read = Router::new()
        .route("/v1/sessions/{session_id}/stock", get(sessions::stock))
        .route("/v1/reservations/{order_no}", get(reservations::reservation));
    let routes =
        protect(write, tokens, Scope::StockWrite).merge(protect(read, tokens, Scope::StockRead));
    common::problem::api(routes, config).with_state(api)
}
