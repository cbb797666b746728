//! The HTTP API: the merchant's calls, the buyer's, and the rehearsal's control.

mod books;
mod buyer;
mod control;
mod guard;
mod payments;
mod problem;
mod refunds;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::books::Ledger;
use crate::callbacks::Stats;
use crate::signature::Secret;

/// The largest body that is read.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// What a call is handled with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) merchant_key: Secret,
}

/// All routes. An outage and latency meet the provider's own calls; control and books stay.
pub(crate) fn router(context: Context) -> Router {
    let context = Arc::new(context);
    let provider = Router::new()
        .route("/v1/payments", post(payments::open))
        .route("/v1/payments/{payment_id}", get(payments::show))
        .route("/v1/payments/{payment_id}/close", post(payments::close))
        .route("/v1/refunds", post(refunds::request))
        .route("/v1/refunds/{refund_id}", get(refunds::show))
        .route("/v1/buyer/payments/{payment_id}/pay", post(buyer::pay))
        .route("/v1/buyer/payments/{payment_id}/fail", post(buyer::fail))
        .route("/v1/buyer/payments/{payment_id}/abandon", post(buyer::abandon))
        .layer(from_fn_with_state(Arc::clone(&context), guard::weather));
    let rehearsal = Router::new()
        .route("/v1/control", get(control::show).post(control::change))
        .route("/v1/books", get(books::payments))
        .route("/v1/books/orders", get(books::orders));
    Router::new()
        .merge(provider)
        .merge(rehearsal)
        .layer(from_fn_with_state(Arc::clone(&context), guard::merchant_only))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .route("/live", get(|| async { "live" }))
        .route("/ready", get(ready))
        .with_state(context)
}

async fn ready(State(context): State<Arc<Context>>) -> (StatusCode, &'static str) {
    if context.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    }
}
