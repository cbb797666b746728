use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use common::problem::Problem;
use contracts::OrderNo;

use super::refusal;

/// The order number in the path; what can't be one is an unknown order.
pub(super) struct OrderPath(pub(super) OrderNo);

impl<S: Send + Sync> FromRequestParts<S> for OrderPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        text.and_then(|Path(text)| OrderNo::new(text).ok())
            .map(Self)
            .ok_or_else(refusal::unknown_order)
    }
}
