use common::ids;
use dlq_handler::domain::Status;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stage::{GROUP, OTHER_GROUP, READER, Stage, dead, message};

#[tokio::test]
async fn every_call_needs_a_token_with_its_scope() {
    let stage = Stage::new().await;
    let id = ids::event_id();
    let reads = ["/v1/dead-letters".to_owned(), format!("/v1/dead-letters/{id}")];
    let writes = ["replay", "discard"].map(|what| format!("/v1/dead-letters/{id}/{what}"));
    let reads = reads.map(|path| (Method::GET, path));
    let writes = writes.map(|path| (Method::POST, path));
    for (method, path) in reads.iter().chain(&writes) {
        for token in [None, Some("nobody's")] {
            let (status, body) = stage.call(method.clone(), path, token, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(body["code"], "unauthorized");
        }
    }
    for (method, path) in &writes {
        let (status, body) = stage.call(method.clone(), path, Some(READER), None).await;
        assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &"forbidden".into()), "{path}");
    }
    let (status, _) = stage.call(Method::GET, "/v1/dead-letters", Some(READER), None).await;
    assert_eq!(status, StatusCode::OK);
    stage.end().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_not_there_is_not_found() {
    let stage = Stage::new().await;
    let path = format!("/v1/dead-letters/{}", ids::event_id());
    assert_eq!(stage.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stage.post(&format!("{path}/replay"), None).await.0, StatusCode::NOT_FOUND);
    let reason = Some(json!({ "reason": "none" }));
    assert_eq!(stage.post(&format!("{path}/discard"), reason).await.0, StatusCode::NOT_FOUND);
    stage.end().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_the_field() {
    let stage = Stage::new().await;
    let list = |query: &str| format!("/v1/dead-letters?{query}");
    let cases = [
        (list("limit=0"), "limit"),
        (list("limit=501"), "limit"),
        (list("limit=many"), "limit"),
        (list("status=dead"), "status"),
        (list("after=7"), "after"),
        (list("orderNo=%00"), "orderNo"),
        (list("cause=x"), "query"),
        ("/v1/dead-letters/7".to_owned(), "id"),
    ];
    for (path, field) in cases {
        let (status, body) = stage.get(&path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(body["field"], field, "{path}: {body}");
    }
    let path = format!("/v1/dead-letters/{}/discard", ids::event_id());
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": "  " }), "reason"),
        (json!({ "reason": "x".repeat(501) }), "reason"),
    ] {
        let (status, body) = stage.post(&path, Some(body)).await;
        assert_eq!((status, &body["field"]), (StatusCode::BAD_REQUEST, &field.into()), "{body}");
    }
    stage.end().await;
}

#[tokio::test]
async fn what_was_given_up_is_not_replayed_and_keeps_its_reason() {
    let stage = Stage::new().await;
    stage.publish(dead(GROUP, "A1")).await;
    let id = stage.archived(1).await[0].id;
    let discard = format!("/v1/dead-letters/{id}/discard");
    let reason = json!({ "reason": " a test order " });
    let (status, body) = stage.post(&discard, Some(reason.clone())).await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "id": id, "status": "discarded" })));
    for path in [discard, format!("/v1/dead-letters/{id}/replay")] {
        let (status, body) = stage.post(&path, Some(reason.clone())).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}");
        assert_eq!(body["code"], "dead_letter_wrong_status");
        assert_eq!(body["status"], "discarded");
    }
    let (_, full) = stage.get(&format!("/v1/dead-letters/{id}")).await;
    assert_eq!(full["status"], "discarded");
    assert_eq!(full["statusReason"], "a test order");
    assert_eq!(full["statusBy"], "operator");
    stage.end().await;
}

#[tokio::test]
async fn a_list_is_filtered_and_comes_page_by_page_the_newest_first() {
    let stage = Stage::new().await;
    for number in 0..5 {
        stage.publish(dead(GROUP, &format!("A{number}"))).await;
    }
    stage.publish(dead(OTHER_GROUP, "A0")).await;
    let letters = stage.archived(6).await;
    let ids = |page: &Value| -> Vec<String> {
        let letters = page["deadLetters"].as_array().expect("a list");
        letters.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/dead-letters?limit=4&after={after}");
        let (status, page) = stage.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    let newest_first: Vec<_> = letters.iter().rev().map(|letter| letter.id.to_string()).collect();
    assert_eq!(seen, newest_first);

    let count = async |query: &str| {
        let (_, page) = stage.get(&format!("/v1/dead-letters?{query}")).await;
        ids(&page).len()
    };
    assert_eq!(count(&format!("group={GROUP}")).await, 5);
    assert_eq!(count("orderNo=A0").await, 2);
    assert_eq!(count(&format!("orderNo=A0&group={OTHER_GROUP}")).await, 1);
    assert_eq!(count("status=waiting").await, 6);
    assert_eq!(count("status=discarded").await, 0);
    assert!(letters.iter().all(|letter| letter.status == Status::Waiting));
    stage.end().await;
}

#[tokio::test]
async fn a_body_is_shown_as_text_or_else_as_base64() {
    let stage = Stage::new().await;
    stage.publish(dead(GROUP, "A1")).await;
    stage.publish(message(GROUP, "B1", &b"\xff\x00"[..], Default::default())).await;
    for letter in stage.archived(2).await {
        let (status, full) = stage.get(&format!("/v1/dead-letters/{}", letter.id)).await;
        assert_eq!(status, StatusCode::OK);
        let expected = match letter.order_no.as_deref() {
            Some("A1") => ("text", r#"{"orderNo":"A1","eventType":"CREATED"}"#),
            _ => ("base64", "/wA="),
        };
        assert_eq!(
            (full["bodyEncoding"].as_str(), full["body"].as_str()),
            (Some(expected.0), Some(expected.1))
        );
        assert_eq!(full["history"][0]["broker"]["name"], "memory");
        let (_, page) = stage.get("/v1/dead-letters").await;
        assert!(page["deadLetters"][0].get("body").is_none(), "a list shows no body");
    }
    stage.end().await;
}
