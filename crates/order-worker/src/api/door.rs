//! The door: who is turned away costs as little as can be.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use common::problem::Problem;

use super::Api;
use crate::metric;

/// One more order is let in. Asked before its body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct LetIn;

impl FromRequestParts<Arc<Api>> for LetIn {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        if api.admission.admits(api.queue.wait()) {
            return Ok(Self);
        }
        metrics::counter!(metric::ORDERS_TURNED_AWAY).increment(1);
        Err(Problem::overloaded())
    }
}
