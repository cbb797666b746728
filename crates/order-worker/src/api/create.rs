use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::auth::Caller;
use common::ids;
use common::problem::{Problem, ProblemJson};
use contracts::SessionId;

use self::request::CreateOrder;
use super::door::LetIn;
use super::view::Accepted;
use super::wait::Wait;
use super::{Api, refusal};
use crate::aggregate::Key;
use crate::domain::{Message, NewOrder, Origin, Reply};
use crate::handlers::request_hash;

mod key;
pub(super) mod request;

/// Creates an order.
///
/// Answers once the order is committed; stock is reserved after that, so look at the order for
/// its outcome, or `wait` for it. The same `Idempotency-Key` with the same body finds the order that
/// it created.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders",
    params(
        ("Idempotency-Key" = String, Header,
            description = "1 to 255 visible ASCII characters, new for each order"),
        ("wait" = Option<String>, Query,
            description = "`reserved` or `confirmed`: answer when the order has come so far or has \
                ended, at the latest after `wait_ms`"),
        ("wait_ms" = Option<u64>, Query, description = "5000 when absent; limited by \
            `api.request_timeout_ms`"),
    ),
    request_body = CreateOrder,
    responses(
        (status = 202, description = "Accepted, now or before; `Location` names the order",
            body = Accepted),
        (status = 400, description = "`invalid_json`, `missing_field`, `invalid_field`, \
            `invalid_quantity`, `duplicate_ticket`", body = super::docs::ProblemDocument),
        (status = 401, description = "`unauthorized`", body = super::docs::ProblemDocument),
        (status = 403, description = "`forbidden`", body = super::docs::ProblemDocument),
        (status = 409, description = "`sold_out`, `sale_closed`, `price_changed`",
            body = super::docs::ProblemDocument),
        (status = 413, description = "`body_too_large`", body = super::docs::ProblemDocument),
        (status = 422, description = "`idempotency_key_reused`, `unknown_session`, \
            `unknown_ticket`, `order_limit`, `user_limit`, `wrong_currency`, \
            `lines_of_two_sessions`, `unknown_payment_method`",
            body = super::docs::ProblemDocument),
        (status = 503, description = "`overloaded`, `unavailable`: come again with the same key",
            body = super::docs::ProblemDocument),
    ),
    security(("token" = ["orders:write"]))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    _: LetIn,
    wait: Wait,
    headers: HeaderMap,
    ProblemJson(request): ProblemJson<CreateOrder>,
) -> Result<Response, Problem> {
    let idempotency_key = key::of(&headers)?;
    // They hold on to what the connection has read, 8 KB, for as long as the caller waits.
    drop(headers);
    let new = order_of(&api, request, caller.name(), idempotency_key)?;
    let key = Key::Creation {
        session_id: new.session_id,
        caller: new.caller.as_str().into(),
        idempotency_key: new.idempotency_key.as_str().into(),
    };
    let wait = wait.at_most(api.request_timeout);
    // Taken before there is anything to miss.
    let place = wait.0.map(|_| api.waiting.place(&new.order_no));
    // The queue's batched read looks the key up before the sale's rules are asked.
    match api.queue.call(key, Message::Create(new)).await.map_err(refusal::undecided)? {
        Reply::Accepted { order_no, status, expires_at, replayed } => {
            let status = match (wait.0, place) {
                (Some((goal, limit)), Some(mut place)) => {
                    if replayed {
                        place = api.waiting.place(&order_no);
                        api.waiting.tell(&order_no, status);
                    }
                    place.reached(goal, limit).await.unwrap_or(status)
                }
                _ => status,
            };
            let accepted = Accepted::new(&order_no, status, Some(expires_at), None);
            let location = HeaderValue::try_from(accepted.links.this.as_str())
                .map_err(|_| Problem::internal())?;
            let headers = [(header::LOCATION, location)];
            Ok((StatusCode::ACCEPTED, headers, Json(accepted)).into_response())
        }
        Reply::Refused(refused) => Err(refusal::by_the_sale(&refused)),
        Reply::KeyReused { order_no } => Err(refusal::key_reused(&order_no)),
        other @ (Reply::None
        | Reply::Done { .. }
        | Reply::NotNow { .. }
        | Reply::UnknownOrder
        | Reply::UnknownPayment) => Err(refusal::unexpected(&other)),
    }
}

fn order_of(
    api: &Api,
    request: CreateOrder,
    caller: &str,
    idempotency_key: String,
) -> Result<NewOrder, Problem> {
    let lines = request.lines()?;
    let payment_method = request.payment_method()?;
    if payment_method.is_some_and(|method| api.gateways.of(method).is_none()) {
        return Err(refusal::unknown_method("paymentMethod", &api.gateways));
    }
    let session_id = SessionId(request.session_id);
    let mut new = NewOrder {
        order_no: ids::order_no(session_id),
        session_id,
        user_id: request.user_id.into(),
        caller: caller.to_owned(),
        idempotency_key,
        request_hash: [0; 32],
        lines,
        currency: request.currency,
        total: request.total_amount,
        payment_method: payment_method.map(str::to_owned),
        channels: request.channels(),
        origin: Origin::Request,
    };
    new.request_hash = request_hash(&new);
    Ok(new)
}
