use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use common::problem::{Problem, ProblemJson};
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::request::check_method;
use super::path::OrderPath;
use super::view::Accepted;
use super::{Api, code, refusal};
use crate::aggregate::Key;
use crate::domain::{Message, Reply};

/// How to pay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayOrder {
    #[schema(example = "sandbox", max_length = 64)]
    method: String,
}

/// Pays an order, or pays it again in another way.
///
/// The same method again finds the attempt that is under way. An order that waits for its stock
/// is paid once it has it.
#[utoipa::path(
    post, path = "/v1/orders/{orderNo}/pay", tag = "orders",
    params(("orderNo" = String, Path, description = "The order's number")),
    request_body = PayOrder,
    responses(
        (status = 202, description = "The attempt is recorded; look at the order for its outcome",
            body = Accepted),
        (status = 400, description = "`invalid_json`, `missing_field`, `invalid_field`",
            body = super::docs::ProblemDocument),
        (status = 401, description = "`unauthorized`", body = super::docs::ProblemDocument),
        (status = 403, description = "`forbidden`", body = super::docs::ProblemDocument),
        (status = 404, description = "`unknown_order`", body = super::docs::ProblemDocument),
        (status = 409, description = "`not_payable`", body = super::docs::ProblemDocument),
        (status = 422, description = "`unknown_payment_method`",
            body = super::docs::ProblemDocument),
        (status = 503, description = "`overloaded`, `unavailable`",
            body = super::docs::ProblemDocument),
    ),
    security(("token" = ["orders:write"]))
)]
pub(super) async fn pay(
    State(api): State<Arc<Api>>,
    OrderPath(order_no): OrderPath,
    ProblemJson(request): ProblemJson<PayOrder>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let method = check_method("method", &request.method)?;
    if api.gateways.of(method).is_none() {
        return Err(refusal::unknown_method("method", &api.gateways));
    }
    let message = Message::Pay { method: method.to_owned() };
    let key = Key::Order(order_no.clone());
    match api.queue.call(key, message).await.map_err(refusal::undecided)? {
        Reply::Done { status, payment_id } => {
            let accepted = Accepted::new(&order_no, status, None, payment_id);
            Ok((StatusCode::ACCEPTED, Json(accepted)))
        }
        Reply::NotNow { status, detail } => {
            let title = "The order can't be paid";
            Err(refusal::not_now(code::NOT_PAYABLE, title, status, detail))
        }
        Reply::UnknownOrder => Err(refusal::unknown_order()),
        other @ (Reply::None
        | Reply::Accepted { .. }
        | Reply::Refused(_)
        | Reply::KeyReused { .. }
        | Reply::UnknownPayment) => Err(refusal::unexpected(&other)),
    }
}
