//! A refusal as `application/problem+json`, or as the payment whose status forbids the call.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::behaviour::InvalidBehaviour;
use crate::books::{PaymentView, Refusal};

/// What a refused call is answered with.
#[derive(Debug)]
pub(super) enum Problem {
    Described {
        status: StatusCode,
        code: &'static str,
        detail: String,
    },
    /// `409` with the payment as it is: its status is the reason.
    Conflict(Box<PaymentView>),
}

impl Problem {
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "show the merchant key as bearer token")
    }

    pub(super) fn outage() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "outage", "the provider is away")
    }

    pub(super) fn invalid(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(super) fn missing_key() -> Self {
        let detail = "the header Idempotency-Key must be the id in the body";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key", detail)
    }

    fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Self {
        Self::Described { status, code, detail: detail.to_string() }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Conflict(payment) => return Self::Conflict(payment),
            Refusal::UnknownPayment => (StatusCode::NOT_FOUND, "unknown_payment"),
            Refusal::UnknownRefund => (StatusCode::NOT_FOUND, "unknown_refund"),
            Refusal::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Refusal::NotCaptured => (StatusCode::CONFLICT, "not_captured"),
            Refusal::OtherCurrency { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "currency"),
            Refusal::MoreThanCaptured { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "more_than_captured")
            }
            Refusal::BooksFull => (StatusCode::SERVICE_UNAVAILABLE, "books_full"),
            Refusal::NotWritten => (StatusCode::SERVICE_UNAVAILABLE, "not_written"),
        };
        Self::new(status, code, refusal)
    }
}

impl From<InvalidBehaviour> for Problem {
    fn from(invalid: InvalidBehaviour) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "behaviour", invalid)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Conflict(payment) => (StatusCode::CONFLICT, Json(payment)).into_response(),
            Self::Described { status, code, detail } => {
                let title = status.canonical_reason().unwrap_or_default();
                let body = json!({
                    "type": "about:blank", "title": title, "status": status.as_u16(),
                    "code": code, "detail": detail,
                });
                let mut response = (status, Json(body)).into_response();
                let problem = HeaderValue::from_static("application/problem+json");
                response.headers_mut().insert(header::CONTENT_TYPE, problem);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    let retry = HeaderValue::from_static("1");
                    response.headers_mut().insert(header::RETRY_AFTER, retry);
                }
                response
            }
        }
    }
}
