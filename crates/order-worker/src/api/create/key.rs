use axum::http::{HeaderMap, StatusCode};
use common::problem::{self, Problem};

/// The header that makes a creation happen once.
const HEADER: &str = "Idempotency-Key";
/// The longest key, in characters.
const KEY_MAX_CHARS: usize = 255;

/// The caller's idempotency key.
///
/// # Errors
/// It is missing, or not 1 to 255 visible ASCII characters.
pub(super) fn of(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(HEADER) else {
        let missing = problem::code::MISSING_FIELD;
        return Err(Problem::new(StatusCode::BAD_REQUEST, missing, "A field is missing")
            .detail("send a header Idempotency-Key, new for each order")
            .field(HEADER));
    };
    let key = value.as_bytes();
    let fits = (1..=KEY_MAX_CHARS).contains(&key.len());
    match value.to_str() {
        Ok(text) if fits && key.iter().all(u8::is_ascii_graphic) => Ok(text.to_owned()),
        _ => Err(Problem::invalid_field(HEADER)
            .detail(format!("expected 1 to {KEY_MAX_CHARS} visible ASCII characters"))
            .limit(KEY_MAX_CHARS)),
    }
}
