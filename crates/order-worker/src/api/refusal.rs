//! Every "no" as a problem.

use axum::http::StatusCode;
use common::pipeline::CallError;
use common::postgres::{Class, classify};
use common::problem::Problem;
use contracts::{OrderNo, OrderStatus, RejectReason};

use super::code;
use crate::domain::Refusal;
use crate::payments::Gateways;

/// A creation refused by the sale's rules.
pub(super) fn by_the_sale(refusal: &Refusal) -> Problem {
    let (status, code, title) = match refusal.reason {
        RejectReason::SoldOut => (StatusCode::CONFLICT, code::SOLD_OUT, "Sold out"),
        RejectReason::SaleClosed => {
            (StatusCode::CONFLICT, code::SALE_CLOSED, "The sale is not open")
        }
        RejectReason::PriceChanged => {
            (StatusCode::CONFLICT, code::PRICE_CHANGED, "The price is another one")
        }
        RejectReason::UnknownSession => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::UNKNOWN_SESSION, "There is no such session")
        }
        RejectReason::UnknownTicket => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::UNKNOWN_TICKET, "There is no such ticket type")
        }
        RejectReason::OrderLimit => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::ORDER_LIMIT, "Too much for one order")
        }
        RejectReason::UserLimit => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::USER_LIMIT, "Too many for one buyer")
        }
        RejectReason::Currency => {
            (StatusCode::UNPROCESSABLE_ENTITY, code::WRONG_CURRENCY, "Sold in another currency")
        }
        // stock-worker's reasons; they come as a fact, never as the answer to a request.
        RejectReason::Released | RejectReason::LinesDiffer | RejectReason::IdempotencyConflict => {
            tracing::error!(reason = %refusal.reason, "a creation was refused with {}", refusal.reason);
            return Problem::internal();
        }
    };
    let problem =
        Problem::new(status, code, title).detail(&refusal.detail).field(refusal.field.as_str());
    match refusal.limit {
        Some(limit) => problem.limit(limit),
        None => problem,
    }
}

/// The idempotency key belongs to another request.
pub(super) fn key_reused(order_no: &OrderNo) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        code::IDEMPOTENCY_KEY_REUSED,
        "The idempotency key was used for another request",
    )
    .detail("the same key came before with another body; use a new key for a new order")
    .field("Idempotency-Key")
    .with("orderNo", order_no.as_str())
}

/// There is no such order.
pub(super) fn unknown_order() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code::UNKNOWN_ORDER, "There is no such order")
}

/// The order's status does not allow it.
pub(super) fn not_now(
    code: &'static str,
    title: &'static str,
    status: OrderStatus,
    detail: &str,
) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, title)
        .detail(detail)
        .with("orderStatus", status.as_str())
}

/// Nobody serves the method.
pub(super) fn unknown_method(field: &str, gateways: &Gateways) -> Problem {
    let known: Vec<&str> = gateways.methods().collect();
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        code::UNKNOWN_PAYMENT_METHOD,
        "There is no such payment method",
    )
    .field(field)
    .limit(known)
}

/// The message was not decided.
pub(super) fn undecided(error: CallError) -> Problem {
    match error {
        CallError::Overloaded => Problem::overloaded(),
        CallError::Away { dependency, .. } => Problem::unavailable(format!("{dependency} is away")),
        CallError::Draining => Problem::unavailable("this worker is shutting down"),
        CallError::Failed(reason) => {
            tracing::error!(%reason, "a request could not be decided or written");
            Problem::internal()
        }
    }
}

/// The order could not be read.
pub(super) fn unread(error: &sqlx::Error) -> Problem {
    match classify(error) {
        Class::Away(_) => Problem::unavailable("postgresql is away"),
        Class::Data { .. } | Class::Pause(_) => {
            tracing::error!(error = common::life::chain(error), "an order could not be read");
            Problem::internal()
        }
    }
}

/// A reply that its request can't have.
pub(super) fn unexpected(reply: &crate::domain::Reply) -> Problem {
    tracing::error!(?reply, "a request was answered with another one's reply");
    Problem::internal()
}
