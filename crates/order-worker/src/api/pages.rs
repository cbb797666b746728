//! The pages about errors, where a problem's `type` points to. A code without its page in
//! `docs/errors/` does not compile.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use common::problem::Problem;

macro_rules! pages {
    ($($code:literal,)+) => {
        /// Each code with its page.
        pub(super) const PAGES: &[(&str, &str)] = &[
            $(($code, include_str!(concat!("../../../../docs/errors/", $code, ".md"))),)+
        ];
    };
}

pages! {
    "body_too_large",
    "duplicate_ticket",
    "forbidden",
    "idempotency_key_reused",
    "internal",
    "invalid_field",
    "invalid_json",
    "invalid_quantity",
    "invalid_signature",
    "lines_of_two_sessions",
    "method_not_allowed",
    "missing_field",
    "not_cancellable",
    "not_found",
    "not_payable",
    "order_limit",
    "overloaded",
    "price_changed",
    "sale_closed",
    "sold_out",
    "unauthorized",
    "unavailable",
    "unknown_order",
    "unknown_payment_method",
    "unknown_session",
    "unknown_ticket",
    "unsupported_media_type",
    "user_limit",
    "wrong_currency",
}

pub(super) async fn page(Path(code): Path<String>) -> Result<Response, Problem> {
    let found = PAGES.iter().find(|(known, _)| *known == code);
    let (_, text) = found.ok_or_else(|| Problem::not_found().detail("there is no such code"))?;
    let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((kind, *text).into_response())
}
