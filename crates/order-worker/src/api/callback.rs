use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use common::clock;
use common::problem::{self, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, code, refusal};
use crate::payments::{PROVIDER, Taken, metric};

/// What became of a callback.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    /// `applied`, or `parked`: stored, and tried again later.
    outcome: &'static str,
}

/// Takes a payment provider's callback.
///
/// The signature counts in place of a token. Answered with 2xx once the event is stored; sent
/// again it has no further effect.
#[utoipa::path(
    post, path = "/v1/payments/callback", tag = "payments",
    params(("X-Boxoffice-Signature" = String, Header,
        description = "`t=<unix seconds>,v1=<hex HMAC-SHA256 of \"<t>.<raw body>\">`")),
    request_body(content = String, content_type = "application/json",
        description = "The provider's event"),
    responses(
        (status = 200, description = "Stored", body = Received),
        (status = 401, description = "`invalid_signature`: nothing was stored",
            body = super::docs::ProblemDocument),
        (status = 413, description = "`body_too_large`", body = super::docs::ProblemDocument),
        (status = 503, description = "`overloaded`, `unavailable`: send it again",
            body = super::docs::ProblemDocument),
    )
)]
pub(super) async fn callback(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Received>, Problem> {
    let body = body.map_err(|rejection| unread(rejection, api.body_max_bytes))?;
    let now = clock::now();
    if let Err(rejected) = api.callbacks.verify(&headers, &body, now) {
        count("rejected");
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            code::INVALID_SIGNATURE,
            "The signature is not believed",
        )
        .detail(rejected));
    }
    let taken = api.callbacks.apply(api.ledger.as_ref(), &body).await;
    let unfit = match taken.map_err(refusal::undecided)? {
        Taken::Applied => {
            count("applied");
            return Ok(Json(Received { outcome: "applied" }));
        }
        Taken::Not(unfit) => unfit,
    };
    let event = api.callbacks.park(&body, &unfit, now);
    api.ledger.park_event(&event).await.map_err(|error| refusal::unread(&error))?;
    count("parked");
    tracing::warn!(
        order.no = %event.order_no, event.id = %event.event_id, reason = %unfit,
        "event {} of provider {} is parked", event.event_id, event.provider
    );
    Ok(Json(Received { outcome: "parked" }))
}

/// The same under the provider's name.
pub(super) async fn callback_of(
    Path(provider): Path<String>,
    state: State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Received>, Problem> {
    if provider != PROVIDER {
        return Err(Problem::not_found().detail("there is no such provider"));
    }
    callback(state, headers, body).await
}

fn unread(rejection: BytesRejection, limit_bytes: usize) -> Problem {
    let status = rejection.into_response().status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(status, problem::code::BODY_TOO_LARGE, "The body is too large")
            .detail(format!("at most {limit_bytes} bytes"))
            .limit(limit_bytes);
    }
    Problem::new(StatusCode::BAD_REQUEST, problem::code::INVALID_JSON, "The body is not JSON")
        .detail("the body ended early")
}

fn count(outcome: &'static str) {
    metrics::counter!(metric::CALLBACKS, "outcome" => outcome).increment(1);
}
