use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::problem::Problem;

use super::path::OrderPath;
use super::view::OrderView;
use super::{Api, refusal};

/// Shows an order with its payments, refunds and history.
#[utoipa::path(
    get, path = "/v1/orders/{orderNo}", tag = "orders",
    params(("orderNo" = String, Path, description = "The order's number")),
    responses(
        (status = 200, description = "The order", body = OrderView),
        (status = 401, description = "`unauthorized`", body = super::docs::ProblemDocument),
        (status = 403, description = "`forbidden`", body = super::docs::ProblemDocument),
        (status = 404, description = "`unknown_order`", body = super::docs::ProblemDocument),
        (status = 503, description = "`unavailable`", body = super::docs::ProblemDocument),
    ),
    security(("token" = ["orders:read"]))
)]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    OrderPath(order_no): OrderPath,
) -> Result<Json<OrderView>, Problem> {
    let (order, history) =
        tokio::try_join!(api.store.order(&order_no), api.store.history(&order_no))
            .map_err(|error| refusal::unread(&error))?;
    let order = order.ok_or_else(refusal::unknown_order)?;
    Ok(Json(OrderView::new(&order, &history)))
}
