use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{READ_TOKEN, WRITE_TOKEN, World};

/// One HTTP exchange on a connection of its own.
async fn call(
    world: &World,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(world.api).await.expect("the API listens");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let status = StatusCode::from_u16(status).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

const PATH: &str = "/v1/recipients/7";

#[tokio::test]
async fn a_recipient_is_stored_shown_masked_replaced_and_erased() {
    let world = World::start().await;
    let body = json!({
        "email": "sophie@example.org", "phone": "+41 79 555 01 02",
        "deviceToken": "abcdef", "locale": "de-CH",
    });
    let put = call(&world, "PUT", PATH, Some(WRITE_TOKEN), Some(&body)).await;
    assert_eq!(put, (StatusCode::NO_CONTENT, Value::Null));
    let (status, mut shown) = call(&world, "GET", PATH, Some(READ_TOKEN), None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(shown["updatedAt"].take().is_string());
    let masked = json!({
        "userId": 7, "email": "s***@example.org", "phone": "***02", "deviceToken": "***",
        "locale": "de-CH", "updatedAt": null,
    });
    assert_eq!(shown, masked);

    let only_email = json!({ "email": "sophie@example.com" });
    call(&world, "PUT", PATH, Some(WRITE_TOKEN), Some(&only_email)).await;
    let (_, shown) = call(&world, "GET", PATH, Some(READ_TOKEN), None).await;
    assert_eq!((&shown["email"], &shown["phone"]), (&json!("s***@example.com"), &Value::Null));

    for _ in 0..2 {
        let (status, _) = call(&world, "DELETE", PATH, Some(WRITE_TOKEN), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "erasing what is erased is no mistake");
    }
    let (status, problem) = call(&world, "GET", PATH, Some(READ_TOKEN), None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    world.end().await;
}

#[tokio::test]
async fn tokens_and_scopes_are_asked_for() {
    let world = World::start().await;
    let body = json!({});
    for (method, token, expected) in [
        ("GET", None, StatusCode::UNAUTHORIZED),
        ("GET", Some("another"), StatusCode::UNAUTHORIZED),
        ("GET", Some(WRITE_TOKEN), StatusCode::FORBIDDEN),
        ("PUT", None, StatusCode::UNAUTHORIZED),
        ("PUT", Some(READ_TOKEN), StatusCode::FORBIDDEN),
        ("DELETE", Some(READ_TOKEN), StatusCode::FORBIDDEN),
        ("POST", Some(WRITE_TOKEN), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (status, problem) = call(&world, method, PATH, token, Some(&body)).await;
        assert_eq!(status, expected, "{method} {token:?}: {problem}");
    }
    assert_eq!(world.count("SELECT count(*) FROM notify.recipients").await, 0);
    world.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_recipient_is_named_and_nothing_is_written() {
    let world = World::start().await;
    let bad = [
        (json!({ "email": "nobody" }), "invalid_field", "email"),
        (json!({ "email": format!("{}@example.org", "a".repeat(250)) }), "invalid_field", "email"),
        (json!({ "phone": "call me" }), "invalid_field", "phone"),
        (json!({ "phone": "12" }), "invalid_field", "phone"),
        (json!({ "phone": "1234567890123456" }), "invalid_field", "phone"),
        (json!({ "deviceToken": "" }), "invalid_field", "deviceToken"),
        (json!({ "deviceToken": "x".repeat(4_097) }), "invalid_field", "deviceToken"),
        (json!({ "locale": "de_CH!" }), "invalid_field", "locale"),
        (json!({ "email": 7 }), "invalid_field", "email"),
        (json!({ "mail": "a@example.org" }), "invalid_field", "mail"),
    ];
    for (body, code, field) in bad {
        let (status, problem) = call(&world, "PUT", PATH, Some(WRITE_TOKEN), Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {problem}");
        assert_eq!((&problem["code"], &problem["field"]), (&json!(code), &json!(field)), "{body}");
    }
    let body = json!({ "email": "a@example.org" });
    let path = "/v1/recipients/seven";
    let (status, problem) = call(&world, "PUT", path, Some(WRITE_TOKEN), Some(&body)).await;
    assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!("userId")));
    assert_eq!(world.count("SELECT count(*) FROM notify.recipients").await, 0);
    world.end().await;
}
