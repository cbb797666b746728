use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::api::BodyLimit;
use super::{Problem, code};

/// A JSON body; what is wrong with it is a [`Problem`] that names the field.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson<T>(pub T);

impl<T: DeserializeOwned> ProblemJson<T> {
    /// Reads a body that is in hand already.
    ///
    /// # Errors
    /// A problem that names the field.
    pub fn read(body: &[u8]) -> Result<T, Problem> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
        reader.end().map_err(|error| explain(".", &error))?;
        Ok(value)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ProblemJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON",
            )
            .detail("send Content-Type: application/json"));
        }
        let limit = request.extensions().get::<BodyLimit>().copied();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread(rejection.into_response().status(), limit))?;
        Self::read(&body).map(Self)
    }
}

fn unread(status: StatusCode, limit: Option<BodyLimit>) -> Problem {
    if status != StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(StatusCode::BAD_REQUEST, code::INVALID_JSON, "The body is not JSON")
            .detail("the body ended early");
    }
    let problem = Problem::new(status, code::BODY_TOO_LARGE, "The body is too large");
    match limit {
        Some(BodyLimit(bytes)) => problem.detail(format!("at most {bytes} bytes")).limit(bytes),
        None => problem,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn explain(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if error.classify() != Category::Data {
        return Problem::new(StatusCode::BAD_REQUEST, code::INVALID_JSON, "The body is not JSON")
            .detail(text);
    }
    // serde names a missing field in the text only; the path ends at its parent.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) => {
            let field = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
            Problem::new(StatusCode::BAD_REQUEST, code::MISSING_FIELD, "A field is missing")
                .detail(format!("{field} is required"))
                .field(field)
        }
        None if path == "." => Problem::invalid_field("").detail(text),
        None => Problem::invalid_field(path).detail(text),
    }
}
