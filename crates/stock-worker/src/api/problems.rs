//! What a caller of this API can do wrong, beside what all APIs have in common.

use axum::http::StatusCode;
use common::life::chain;
use common::postgres::{Class, classify};
use common::problem::Problem;
use contracts::{OrderNo, SessionId};

use crate::gate::GateError;
use crate::loading::LoadError;
use crate::store::PutError;

/// Codes of this crate; each has a page in `docs/errors/`.
pub mod code {
    pub const UNKNOWN_SESSION: &str = "unknown_session";
    pub const UNKNOWN_RESERVATION: &str = "unknown_reservation";
    pub const SESSION_OF_OTHER_SHOW: &str = "session_of_other_show";
    pub const TICKET_OF_OTHER_SESSION: &str = "ticket_of_other_session";
    pub const TOTAL_TOO_LOW: &str = "total_too_low";
    pub const CURRENCY_IN_USE: &str = "currency_in_use";
    pub const LOAD_IN_PROGRESS: &str = "load_in_progress";

    /// All of them.
    pub const ALL: &[&str] = &[
        UNKNOWN_SESSION,
        UNKNOWN_RESERVATION,
        SESSION_OF_OTHER_SHOW,
        TICKET_OF_OTHER_SESSION,
        TOTAL_TOO_LOW,
        CURRENCY_IN_USE,
        LOAD_IN_PROGRESS,
    ];
}

pub(super) fn unknown_session(session_id: SessionId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code::UNKNOWN_SESSION, "There is no such session")
        .detail(format_args!("session {session_id} has no ticket types here"))
}

pub(super) fn unknown_reservation(order_no: &OrderNo) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, code::UNKNOWN_RESERVATION, "There is no such reservation")
        .detail(format_args!("order {order_no} has not asked for stock"))
}

pub(super) fn database(error: &sqlx::Error) -> Problem {
    match classify(error) {
        Class::Away(reason) => Problem::unavailable(format_args!("postgresql: {reason}")),
        Class::Pause(_) | Class::Data { .. } => {
            tracing::error!(error = chain(error), "a call failed in the database");
            Problem::internal()
        }
    }
}

pub(super) fn gate(error: &GateError) -> Problem {
    Problem::unavailable(format_args!("redis: {}", chain(error)))
}

pub(super) fn load(error: &LoadError) -> Problem {
    match error {
        LoadError::Unknown(session_id) => unknown_session(*session_id),
        LoadError::Busy(_) => Problem::new(
            StatusCode::CONFLICT,
            code::LOAD_IN_PROGRESS,
            "The session is being loaded already",
        )
        .retry_after_s(1),
        LoadError::Database(error) => database(error),
        LoadError::Gate(error) => gate(error),
    }
}

pub(super) fn put(error: &PutError) -> Problem {
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title);
    match error {
        PutError::SessionOfOtherShow { session_id, show_id } => {
            conflict(code::SESSION_OF_OTHER_SHOW, "The session belongs to another show")
                .detail(format_args!("session {session_id} belongs to show {show_id}"))
        }
        PutError::TicketOfOtherSession { ticket_id, session_id } => {
            conflict(code::TICKET_OF_OTHER_SESSION, "The ticket type belongs to another session")
                .detail(format_args!("ticket type {ticket_id} belongs to session {session_id}"))
        }
        PutError::TotalTooLow { ticket_id, taken } => {
            conflict(code::TOTAL_TOO_LOW, "The total is lower than what is held and sold")
                .detail(format_args!("{taken} tickets of type {ticket_id} are held or sold"))
                .field("total")
                .limit(*taken)
        }
        PutError::CurrencyInUse { session_id, currency } => {
            conflict(code::CURRENCY_IN_USE, "The session is being sold in another currency")
                .detail(format_args!("tickets of session {session_id} are held or sold"))
                .field("currency")
                .limit(currency.as_str())
        }
    }
}
