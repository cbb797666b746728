//! The API's description: OpenAPI at `/openapi.json`, and the same for people at `/docs`.

use std::sync::LazyLock;

use axum::Json;
use axum::response::Html;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

mod html;

/// Made once: it is the same for every caller.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(Description::openapi()).expect("a description is always JSON")
});
static PAGE: LazyLock<String> = LazyLock::new(|| html::page(&DOCUMENT));

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Boxoffice orders",
        description = "Orders, their payments, and what became of them. Every refusal is \
            `application/problem+json` with a `code`; `/errors/{code}` explains each.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        super::create::create,
        super::show::show,
        super::cancel::cancel,
        super::pay::pay,
        super::callback::callback,
    ),
    tags(
        (name = "orders", description = "With a bearer token"),
        (name = "payments", description = "For payment providers, with a signature"),
    ),
    modifiers(&Tokens)
)]
struct Description;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// A refusal (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes common::problem::Problem and is never made")]
pub(super) struct ProblemDocument {
    /// `/errors/<code>`: a page about it.
    #[schema(example = "/errors/sold_out")]
    r#type: String,
    /// Callers may switch on it.
    #[schema(example = "sold_out")]
    code: String,
    status: u16,
    title: String,
    /// What is wrong this time.
    detail: Option<String>,
    /// The field of the request, as a path.
    #[schema(example = "items[0].quantity")]
    field: Option<String>,
    /// What would be allowed.
    limit: Option<Value>,
    /// When to come again; also sent as `Retry-After`.
    #[schema(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u64>,
}

/// The OpenAPI document.
pub fn document() -> &'static Value {
    &DOCUMENT
}

pub(super) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The page for people.
pub(super) fn html() -> &'static str {
    &PAGE
}

pub(super) async fn page() -> Html<&'static str> {
    Html(html())
}
