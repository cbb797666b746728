//! Reading a call: its body, its ids, its idempotency key.

use std::fmt::Display;
use std::str::FromStr;

use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::problem::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body as JSON, whatever its content type says.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(Problem::invalid)
}

/// An id from the path.
pub(super) fn id<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(error))
}

/// The idempotency key is the merchant's own id, sent twice: a call that mixes them up is refused.
pub(super) fn check_key(headers: &HeaderMap, id: &str) -> Result<(), Problem> {
    match headers.get(IDEMPOTENCY_KEY) {
        Some(key) if key.as_bytes() == id.as_bytes() => Ok(()),
        _ => Err(Problem::missing_key()),
    }
}
