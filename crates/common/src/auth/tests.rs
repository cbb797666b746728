use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

fn tokens() -> Tokens {
    let text = format!(
        "[[token]]\nname = \"web\"\nsha256 = \"{}\"\nscopes = [\"orders:write\", \"orders:read\"]\n\
         [[token]]\nname = \"viewer\"\nsha256 = \"{}\"\nscopes = [\"orders:read\"]\n",
        hash_of("web-token"),
        hash_of("viewer-token"),
    );
    Tokens::parse(&text).expect("valid")
}

fn app() -> Router {
    let write =
        Router::new().route("/orders", post(async |caller: Caller| caller.name().to_owned()));
    let read = Router::new().route("/orders/{no}", get(async || "an order"));
    Router::new()
        .merge(protect(write, &tokens(), Scope::OrdersWrite))
        .merge(protect(read, &tokens(), Scope::OrdersRead))
        .route("/open", get(async || "open"))
}

async fn call(method: &str, path: &str, authorization: Option<&str>) -> (StatusCode, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = app().oneshot(request).await.expect("infallible");
    let status = response.status();
    if !status.is_success() {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        assert_eq!(challenge.is_some(), status == StatusCode::UNAUTHORIZED);
    }
    (status, to_bytes(response.into_body(), usize::MAX).await.expect("a body").to_vec())
}

#[tokio::test]
async fn no_token_or_an_unknown_one_is_401() {
    for authorization in
        [None, Some("Bearer"), Some("Bearer "), Some("Bearer nobody"), Some("Basic web-token")]
    {
        let (status, body) = call("POST", "/orders", authorization).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        let problem: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(problem["code"], "unauthorized");
    }
}

#[tokio::test]
async fn a_token_without_the_scope_is_403_and_the_scope_is_named() {
    let (status, body) = call("POST", "/orders", Some("Bearer viewer-token")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let problem: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(problem["code"], "forbidden");
    assert!(problem["detail"].as_str().expect("a detail").contains("orders:write"));
}

#[tokio::test]
async fn the_right_token_reaches_the_handler_which_knows_the_caller() {
    let (status, body) = call("POST", "/orders", Some("bearer web-token")).await;
    assert_eq!((status, body), (StatusCode::OK, b"web".to_vec()));
    let (status, _) = call("GET", "/orders/1", Some("Bearer viewer-token")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn an_open_route_beside_protected_ones_needs_no_token() {
    assert_eq!(call("GET", "/open", None).await.0, StatusCode::OK);
}

#[test]
fn without_a_file_no_token_is_known() {
    let tokens = Tokens::load(&AuthConfig::default()).expect("nothing to read");
    assert!(tokens.identify("").is_none());
    assert!(tokens.identify("web-token").is_none());
}

#[test]
fn a_token_file_with_a_mistake_is_refused_in_one_line() {
    let bad = [
        "[[token]]\nname = \"web\"\nsha256 = \"zz\"\nscopes = []\n",
        "[[token]]\nname = \"web\"\nsha256 = \"00\"\nscopes = []\n",
        "[[token]]\nname = \"web\"\nscopes = []\n",
        "[[token]]\nname = \"web\"\ntoken = \"plain\"\nsha256 = \"00\"\nscopes = []\n",
        "[[token]]\nname = \"web\"\nsha256 = \"00\"\nscopes = [\"orders:fly\"]\n",
        "token = 1",
    ];
    for text in bad {
        let reason = Tokens::parse(text).expect_err("refused");
        assert!(!reason.contains('\n'), "{reason}");
    }
}

#[test]
fn scopes_have_the_names_of_the_file() {
    for scope in Scope::ALL {
        let name = serde_json::to_value(scope).expect("JSON");
        assert_eq!(name, scope.name());
    }
}
