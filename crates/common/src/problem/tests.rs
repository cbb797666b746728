use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::{get, post};
use serde::Deserialize;
use tower::ServiceExt as _;

use super::*;
use crate::config::ApiConfig;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(rename = "sessionId")]
    _session_id: i64,
    #[serde(rename = "items")]
    _items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "ticketId")]
    _ticket_id: i64,
    #[serde(rename = "quantity")]
    _quantity: u32,
}

fn app() -> Router {
    let config = ApiConfig { body_max_bytes: 200, request_timeout_ms: 20, ..ApiConfig::default() };
    let router = Router::new()
        .route("/orders", post(async |ProblemJson(_): ProblemJson<Order>| "taken"))
        .route("/never", get(async || std::future::pending::<&str>().await))
        .route("/panic", get(async || -> &str { panic!("on purpose") }));
    api(router, &config)
}

async fn answer(request: Request<Body>) -> (StatusCode, Value, axum::http::HeaderMap) {
    let response = app().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    (parts.status, serde_json::from_slice(&body).unwrap_or_default(), parts.headers)
}

async fn post_order(body: &str) -> (StatusCode, Value) {
    let request = Request::post("/orders")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let (status, problem, headers) = answer(request).await;
    if !status.is_success() {
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["status"], status.as_u16());
        let kind = format!("/errors/{}", problem["code"].as_str().expect("a code"));
        assert_eq!(problem["type"], kind);
    }
    (status, problem)
}

#[tokio::test]
async fn a_body_that_fits_reaches_the_handler() {
    let body = r#"{"sessionId":1,"items":[{"ticketId":5,"quantity":2}]}"#;
    assert_eq!(post_order(body).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_field_is_named_as_a_path() {
    for (body, code, field) in [
        (r#"{"items":[]}"#, "missing_field", "sessionId"),
        (r#"{"sessionId":1,"items":[{"ticketId":5}]}"#, "missing_field", "items[0].quantity"),
        (r#"{"sessionId":"x","items":[]}"#, "invalid_field", "sessionId"),
        (r#"{"sessionId":1.5,"items":[]}"#, "invalid_field", "sessionId"),
        (
            r#"{"sessionId":1,"items":[{"ticketId":5,"quantity":-2}]}"#,
            "invalid_field",
            "items[0].quantity",
        ),
        (r#"{"sessionId":1,"items":[],"total":1}"#, "invalid_field", "total"),
        (r#"{"sessionId":1,"items":null}"#, "invalid_field", "items"),
    ] {
        let (status, problem) = post_order(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(problem["code"], code, "{body}: {problem}");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    for body in ["", "{", "nonsense", "{}{}", r#"{"sessionId":1,"items":[]} x"#] {
        let (status, problem) = post_order(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body:?}");
        let expected = if body == "{}{}" { "missing_field" } else { "invalid_json" };
        assert_eq!(problem["code"], expected, "{body:?}: {problem}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_naming_the_limit() {
    let (status, problem) = post_order(&" ".repeat(201)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(problem["code"], "body_too_large");
    assert_eq!(problem["limit"], 200);
}

#[tokio::test]
async fn another_media_type_is_refused() {
    let request = Request::post("/orders").body(Body::from("{}")).expect("a request");
    let (status, problem, _) = answer(request).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(problem["code"], "unsupported_media_type");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    for (request, code) in
        [(Request::get("/nowhere"), "not_found"), (Request::get("/orders"), "method_not_allowed")]
    {
        let (_, problem, _) = answer(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(problem["code"], code);
    }
}

#[tokio::test]
async fn a_handler_that_never_answers_or_panics_is_answered_for() {
    for (path, code) in [("/never", "unavailable"), ("/panic", "internal")] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (status, problem, headers) = answer(request).await;
        assert!(status.is_server_error());
        assert_eq!(problem["code"], code);
        assert_eq!(headers.contains_key(header::RETRY_AFTER), code == "unavailable");
    }
}

#[test]
fn further_members_stand_beside_the_others() {
    let problem = Problem::invalid_field("quantity").limit(4).with("orderNo", "A1");
    let json = serde_json::to_value(&problem).expect("JSON");
    assert_eq!(json["limit"], 4);
    assert_eq!(json["orderNo"], "A1");
    assert_eq!(json.get("extra"), None);
    assert_eq!(problem.to_string(), "invalid_field (quantity): A field is not valid");
}
