//! What an HTTP caller did wrong, or what is wrong here: `application/problem+json` (RFC 9457).

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

mod api;
mod json;

pub use api::api;
pub use json::ProblemJson;

/// Codes of this crate; each has a page in `docs/errors/`.
pub mod code {
    pub const UNAUTHORIZED: &str = "unauthorized";
    pub const FORBIDDEN: &str = "forbidden";
    pub const NOT_FOUND: &str = "not_found";
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
    pub const INVALID_JSON: &str = "invalid_json";
    pub const INVALID_FIELD: &str = "invalid_field";
    pub const MISSING_FIELD: &str = "missing_field";
    pub const BODY_TOO_LARGE: &str = "body_too_large";
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported_media_type";
    pub const OVERLOADED: &str = "overloaded";
    pub const UNAVAILABLE: &str = "unavailable";
    pub const INTERNAL: &str = "internal";

    /// All of them.
    pub const ALL: &[&str] = &[
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        INVALID_JSON,
        INVALID_FIELD,
        MISSING_FIELD,
        BODY_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        OVERLOADED,
        UNAVAILABLE,
        INTERNAL,
    ];
}

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// The last part of `type`; callers may switch on it.
    pub code: &'static str,
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    pub title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// The field of the request, as a path: `items[0].quantity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Box<str>>,
    /// The limit that the field is beyond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<Value>>,
    /// Also sent as `Retry-After`, in seconds.
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// Further members.
    #[serde(flatten)]
    pub extra: Option<Box<Map<String, Value>>>,
}

impl Problem {
    /// A problem with nothing but its code, status and title (the same for all of the code).
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            code,
            status,
            title,
            detail: None,
            field: None,
            limit: None,
            retry_after_s: None,
            extra: None,
        }
    }

    /// What is wrong this time. No personal data.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string().into());
        self
    }

    /// Which field.
    #[must_use]
    pub fn field(mut self, field: impl Into<Box<str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What would be allowed.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<Value>) -> Self {
        self.limit = Some(Box::new(limit.into()));
        self
    }

    /// When to come again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.get_or_insert_default().insert(name.to_owned(), value.into());
        self
    }

    /// 401: no token, or an unknown one.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, "A valid token is needed")
    }

    /// 403: the token lacks a scope.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, "The token lacks the scope")
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "There is nothing here")
    }

    /// 400: a field has a value that can't be.
    pub fn invalid_field(field: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_FIELD, "A field is not valid").field(field)
    }

    /// 503: too much is waiting; come again.
    pub fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, "Too many requests wait")
            .retry_after_s(1)
    }

    /// 503: a dependency is away; nothing is known to have changed, come again.
    pub fn unavailable(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, "A dependency is away")
            .detail(detail)
            .retry_after_s(1)
    }

    /// 500: our fault; the log knows more.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, "Something broke here")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)?;
        if let Some(field) = &self.field {
            write!(f, " ({field})")?;
        }
        write!(f, ": {}", self.detail.as_deref().unwrap_or(self.title))
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            #[serde(flatten)]
            problem: &'a Problem,
        }
        let document = Document { r#type: format!("/errors/{}", self.code), problem: &self };
        let body = serde_json::to_vec(&document).expect("a problem is always JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn status_number<S: serde::Serializer>(
    status: &StatusCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests;
