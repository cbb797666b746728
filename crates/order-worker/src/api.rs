//! The HTTP API: commands become messages about an order, and wait for their commit.
//!
//! Each handler reads its request, puts one message into the in-process queue and turns the
//! reply into a response. Rules are the order's, in `domain`; here is only what HTTP adds:
//! tokens, bodies, codes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use common::auth::{self, Scope, Tokens};
use common::config::ApiConfig;
use common::pipeline::LocalQueue;
use common::problem;

use crate::admission::Admission;
use crate::aggregate::Orders;
use crate::payments::{Callbacks, Gateways, Ledger, OrderLedger};
use crate::store::Store;
use crate::waiting::Waiting;

mod callback;
mod cancel;
pub mod code;
mod create;
mod docs;
mod door;
mod pages;
mod path;
mod pay;
mod refusal;
mod show;
mod view;
mod wait;

pub use docs::document;

/// What the handlers need. Clones share it.
#[derive(Clone)]
pub struct Api {
    queue: Arc<LocalQueue<Orders>>,
    store: Store,
    ledger: Arc<dyn Ledger>,
    gateways: Gateways,
    callbacks: Callbacks,
    waiting: Waiting,
    admission: Admission,
    body_max_bytes: usize,
    request_timeout: Duration,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    pub fn new(
        queue: Arc<LocalQueue<Orders>>,
        store: Store,
        gateways: Gateways,
        callbacks: Callbacks,
        waiting: Waiting,
        admission: Admission,
        config: &ApiConfig,
    ) -> Self {
        let ledger = Arc::new(OrderLedger { queue: queue.clone(), store: store.clone() });
        let body_max_bytes = config.body_max_bytes;
        let request_timeout = Duration::from_millis(config.request_timeout_ms);
        Self {
            queue,
            store,
            ledger,
            gateways,
            callbacks,
            waiting,
            admission,
            body_max_bytes,
            request_timeout,
        }
    }
}

/// All routes, with their limits and tokens.
pub fn router(api: Api, tokens: &Tokens, config: &ApiConfig) -> Router {
    let write = Router::new()
        .route("/v1/orders", post(create::create))
        .route("/v1/orders/{order_no}/cancel", post(cancel::cancel))
        .route("/v1/orders/{order_no}/pay", post(pay::pay));
    let read = Router::new().route("/v1/orders/{order_no}", get(show::show));
    // A callback's signature is its token.
    let open = Router::new()
        .route("/v1/payments/callback", post(callback::callback))
        .route("/v1/payments/callback/{provider}", post(callback::callback_of))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page))
        .route("/errors/{code}", get(pages::page));
    let routes = auth::protect(write, tokens, Scope::OrdersWrite)
        .merge(auth::protect(read, tokens, Scope::OrdersRead))
        .merge(open)
        .with_state(Arc::new(api));
    problem::api(routes, config)
}

#[cfg(test)]
mod tests;
