//! The operators' calls.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use common::auth::{Tokens, hash_of};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use stock_worker::api::{self, Api};
use tower::ServiceExt as _;

use crate::world::World;

const WRITER: &str = "writer-token";
const READER: &str = "reader-token";

fn router(world: &World) -> Router {
    let entry = |name: &str, token: &str, scope: &str| {
        let hash = hash_of(token);
        format!("[[token]]\nname = {name:?}\nsha256 = {hash:?}\nscopes = [{scope:?}]\n")
    };
    let file = entry("w", WRITER, "stock:write") + &entry("r", READER, "stock:read");
    let tokens = Tokens::parse(&file).expect("a token file");
    let api = Api {
        store: world.store.clone(),
        gate: world.gate.clone(),
        loader: world.loader.clone(),
        relay: world.worker.runtime.relay.clone(),
    };
    api::router(api, &tokens, &world.config.api)
}

async fn call(
    world: &World,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request =
        request.header(header::CONTENT_TYPE, "application/json").body(body).expect("a request");
    let response = router(world).oneshot(request).await.expect("answered");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn put(world: &World, show: &Value) -> (StatusCode, Value) {
    call(world, Method::PUT, "/v1/shows/1", Some(WRITER), show.clone()).await
}

async fn get(world: &World, path: &str) -> (StatusCode, Value) {
    call(world, Method::GET, path, Some(READER), Value::Null).await
}

fn show(world: &World, total: i64) -> Value {
    json!({
        "name": "Show",
        "sessions": [{
            "sessionId": world.session.get(), "name": "Tonight", "currency": "EUR",
            "perUserLimit": 4, "saleEndsAt": "2999-01-01T00:00:00.123456789Z",
            "ticketTypes": [
                { "ticketId": world.a.get(), "name": "A", "unitPrice": "10.00", "total": total },
            ],
        }],
    })
}

#[tokio::test]
async fn the_same_show_twice_changes_nothing_and_other_totals_reload_redis() {
    let world = World::selling(5, 5).await;
    let (status, first) = put(&world, &show(&world, 5)).await;
    assert_eq!((status, &first["sessions"][0]["changed"]), (StatusCode::OK, &json!(true)));
    let (_, second) = put(&world, &show(&world, 5)).await;
    assert_eq!(second["sessions"][0]["changed"], false);
    assert_eq!(second["sessions"][0]["version"], first["sessions"][0]["version"]);
    let (_, third) = put(&world, &show(&world, 9)).await;
    assert_eq!(third["sessions"][0]["reloaded"], true);
    assert_eq!(world.redis().await.stock[&world.a], 9);
    world.audit().await;
}

#[tokio::test]
async fn a_load_that_died_before_its_end_is_made_again() {
    let world = World::selling(5, 5).await;
    let reloaded = async || {
        let (status, answer) = put(&world, &show(&world, 5)).await;
        assert_eq!(status, StatusCode::OK);
        answer["sessions"][0]["reloaded"].clone()
    };
    assert_eq!(reloaded().await, false);
    // As it is when Redis was opened and the process died before the rest was settled.
    sqlx::query("UPDATE stock.sessions SET loaded_epoch = loaded_epoch - 1")
        .execute(&world.database.pool)
        .await
        .expect("the database answers");
    assert_eq!(reloaded().await, true);
    assert_eq!(reloaded().await, false);
}

#[tokio::test]
async fn a_total_below_what_is_taken_is_refused_and_nothing_is_written() {
    let world = World::selling(5, 5).await;
    world.run(vec![world.created("O1", 1, &[(world.a, 3)])]).await;
    let (status, problem) = put(&world, &show(&world, 2)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!((&problem["code"], &problem["limit"]), (&json!("total_too_low"), &json!(3)));
    let stock = world.store.stock(world.session).await.expect("read").expect("there");
    assert_eq!(stock.ticket_types[0].total, 5);
    let (status, _) = put(&world, &show(&world, 3)).await;
    assert_eq!(status, StatusCode::OK);
    world.audit().await;
}

#[tokio::test]
async fn bad_shows_name_their_field() {
    let world = World::selling(5, 5).await;
    let at = |pointer: &str, value: Value| {
        let mut show = show(&world, 5);
        *show.pointer_mut(pointer).expect("the field is there") = value;
        show
    };
    let cases = [
        (at("/name", json!("")), "name"),
        (at("/sessions", json!([])), "sessions"),
        (at("/sessions/0/sessionId", json!(0)), "sessions[0].sessionId"),
        (at("/sessions/0/currency", json!("euro")), "sessions[0].currency"),
        (at("/sessions/0/perUserLimit", json!(0)), "sessions[0].perUserLimit"),
        (at("/sessions/0/saleEndsAt", json!("soon")), "sessions[0].saleEndsAt"),
        (at("/sessions/0/ticketTypes", json!([])), "sessions[0].ticketTypes"),
        (at("/sessions/0/ticketTypes/0/total", json!(-1)), "sessions[0].ticketTypes[0].total"),
        (
            at("/sessions/0/ticketTypes/0/unitPrice", json!("-1")),
            "sessions[0].ticketTypes[0].unitPrice",
        ),
    ];
    for (show, field) in cases {
        let (status, problem) = put(&world, &show).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{field}");
        assert_eq!(problem["field"], field);
    }
}

#[tokio::test]
async fn ids_of_another_show_or_session_are_refused() {
    let world = World::selling(5, 5).await;
    let elsewhere = call(&world, Method::PUT, "/v1/shows/2", Some(WRITER), show(&world, 5)).await;
    assert_eq!(elsewhere.0, StatusCode::CONFLICT);
    assert_eq!(elsewhere.1["code"], "session_of_other_show");
    let mut show = show(&world, 5);
    show["sessions"][0]["sessionId"] = json!(world.session.get() + 1);
    let (status, problem) = put(&world, &show).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("ticket_of_other_session"))
    );
}

#[tokio::test]
async fn calls_need_a_token_with_the_scope() {
    let world = World::selling(5, 5).await;
    let session = world.session;
    let calls = [
        (Method::PUT, "/v1/shows/1".to_owned(), READER),
        (Method::POST, format!("/v1/sessions/{session}/open"), READER),
        (Method::POST, format!("/v1/sessions/{session}/close"), READER),
        (Method::POST, format!("/v1/sessions/{session}/load"), READER),
        (Method::GET, format!("/v1/sessions/{session}/stock"), WRITER),
        (Method::GET, "/v1/reservations/O1".to_owned(), WRITER),
    ];
    for (method, path, wrong) in calls {
        let none = call(&world, method.clone(), &path, None, Value::Null).await.0;
        assert_eq!(none, StatusCode::UNAUTHORIZED, "{method} {path}");
        let wrong = call(&world, method.clone(), &path, Some(wrong), Value::Null).await.0;
        assert_eq!(wrong, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test]
async fn a_sale_is_closed_opened_loaded_and_looked_at() {
    let world = World::selling(5, 5).await;
    let session = world.session;
    let post = async |what: &str| {
        let path = format!("/v1/sessions/{session}/{what}");
        call(&world, Method::POST, &path, Some(WRITER), Value::Null).await
    };
    let (_, closed) = post("close").await;
    assert_eq!((&closed["state"], &closed["changed"]), (&json!("closed"), &json!(true)));
    assert_eq!(post("open").await.1["state"], "open");
    assert_eq!(post("open").await.1["changed"], false);
    world.run(vec![world.created("O1", 1, &[(world.a, 2)])]).await;
    let (status, loaded) = post("load").await;
    assert_eq!((status, &loaded["records"]), (StatusCode::OK, &json!(1)));
    let (_, stock) = get(&world, &format!("/v1/sessions/{session}/stock")).await;
    assert_eq!(stock["redis"]["loaded"], true);
    let first = &stock["ticketTypes"][0];
    assert_eq!((&first["available"], &first["redisAvailable"]), (&json!(3), &json!(3)));
    assert_eq!(first["reserved"], 2);
    let (_, held) = get(&world, "/v1/reservations/O1").await;
    assert_eq!((&held["status"], &held["lines"][0]["quantity"]), (&json!("HELD"), &json!(2)));

    let unknown = [
        (post_to(&world, "/v1/sessions/-5/open").await, "unknown_session"),
        (post_to(&world, "/v1/sessions/-5/load").await, "unknown_session"),
        (get(&world, "/v1/sessions/-5/stock").await, "unknown_session"),
        (get(&world, "/v1/reservations/O9").await, "unknown_reservation"),
    ];
    for ((status, problem), code) in unknown {
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!(code)));
    }
    let (status, problem) = get(&world, "/v1/sessions/x/stock").await;
    assert_eq!((status, &problem["field"]), (StatusCode::BAD_REQUEST, &json!("sessionId")));
}

async fn post_to(world: &World, path: &str) -> (StatusCode, Value) {
    call(world, Method::POST, path, Some(WRITER), Value::Null).await
}
