use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::problem::Problem;

use super::path::OrderPath;
use super::view::Accepted;
use super::{Api, code, refusal};
use crate::aggregate::Key;
use crate::domain::{Message, Reply};

/// Cancels an order that is not paid; cancelled before, it stays so.
///
/// It never waits for a payment provider: money that comes later is given back.
#[utoipa::path(
    post, path = "/v1/orders/{orderNo}/cancel", tag = "orders",
    params(("orderNo" = String, Path, description = "The order's number")),
    responses(
        (status = 200, description = "Cancelled, now or before", body = Accepted),
        (status = 401, description = "`unauthorized`", body = super::docs::ProblemDocument),
        (status = 403, description = "`forbidden`", body = super::docs::ProblemDocument),
        (status = 404, description = "`unknown_order`", body = super::docs::ProblemDocument),
        (status = 409, description = "`not_cancellable`", body = super::docs::ProblemDocument),
        (status = 503, description = "`overloaded`, `unavailable`",
            body = super::docs::ProblemDocument),
    ),
    security(("token" = ["orders:write"]))
)]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    OrderPath(order_no): OrderPath,
) -> Result<Json<Accepted>, Problem> {
    let key = Key::Order(order_no.clone());
    match api.queue.call(key, Message::Cancel).await.map_err(refusal::undecided)? {
        Reply::Done { status, .. } => Ok(Json(Accepted::new(&order_no, status, None, None))),
        Reply::NotNow { status, detail } => {
            let title = "The order can't be cancelled any more";
            Err(refusal::not_now(code::NOT_CANCELLABLE, title, status, detail))
        }
        Reply::UnknownOrder => Err(refusal::unknown_order()),
        other @ (Reply::None
        | Reply::Accepted { .. }
        | Reply::Refused(_)
        | Reply::KeyReused { .. }
        | Reply::UnknownPayment) => Err(refusal::unexpected(&other)),
    }
}
