//! What every call passes first: the merchant's key, and the weather of the rehearsal.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::Context;
use super::problem::Problem;

/// Lets in who shows the merchant's key.
pub(super) async fn merchant_only(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(key.as_bytes().ct_eq(context.merchant_key.as_bytes())) {
        Ok(next.run(request).await)
    } else {
        Err(Problem::unauthorized())
    }
}

/// Slow, or away, when the control says so.
pub(super) async fn weather(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let behaviour = context.ledger.behaviour();
    if !behaviour.latency().is_zero() {
        tokio::time::sleep(behaviour.latency()).await;
    }
    if behaviour.outage {
        return Err(Problem::outage());
    }
    Ok(next.run(request).await)
}
