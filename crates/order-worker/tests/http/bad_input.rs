//! Each wrong request has its own code, names its field, and writes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, BODY_MAX_BYTES, CLOSED_SESSION, PER_USER_LIMIT, READER, Rig, SEAT, SESSION, SOLD_OUT,
    STANDING, WRITER, order_of, read, until,
};

/// A problem, as it is expected.
#[derive(Debug)]
struct Expected {
    status: u16,
    code: &'static str,
    field: Option<&'static str>,
    limit: Option<Value>,
}

fn no(status: u16, code: &'static str) -> Expected {
    Expected { status, code, field: None, limit: None }
}

impl Expected {
    fn field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    fn limit(self, limit: impl Into<Value>) -> Self {
        Self { limit: Some(limit.into()), ..self }
    }

    fn check(&self, answer: &Answer, what: &str) {
        assert_eq!(answer.status, self.status, "{what}: {answer:?}");
        assert_eq!(answer.content_type, "application/problem+json", "{what}");
        assert_eq!(answer.body["code"], self.code, "{what}: {answer:?}");
        assert_eq!(answer.body["type"], format!("/errors/{}", self.code), "{what}");
        assert_eq!(answer.body["status"], self.status, "{what}");
        if let Some(field) = self.field {
            assert_eq!(answer.body["field"], field, "{what}: {answer:?}");
        }
        if let Some(limit) = &self.limit {
            assert_eq!(&answer.body["limit"], limit, "{what}: {answer:?}");
        }
    }
}

/// Two seats, changed in one place.
fn changed(pointer: &str, value: Value) -> Value {
    let mut body = order_of(&[(SEAT, 2)]);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

async fn nothing_was_written(rig: &Rig) {
    for table in ["orders", "payments", "calls", "outbox", "payment_events"] {
        assert_eq!(rig.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn each_wrong_order_has_its_own_code_and_writes_nothing() {
    let rig = Rig::start().await;
    let quantity = "items[0].quantity";
    let two_sessions = changed("/items/0/sessionId", json!(CLOSED_SESSION));
    let cases = [
        (
            "quantity 0",
            order_of(&[(SEAT, 0)]),
            no(400, "invalid_quantity").field(quantity).limit(1_000),
        ),
        ("quantity -1", order_of(&[(SEAT, -1)]), no(400, "invalid_quantity").field(quantity)),
        ("quantity 1001", order_of(&[(SEAT, 1_001)]), no(400, "invalid_quantity").field(quantity)),
        (
            "far too many",
            order_of(&[(SEAT, i64::MAX)]),
            no(400, "invalid_quantity").field(quantity),
        ),
        (
            "half a ticket",
            changed("/items/0/quantity", json!(2.5)),
            no(400, "invalid_field").field(quantity),
        ),
        (
            "quantity as text",
            changed("/items/0/quantity", json!("2")),
            no(400, "invalid_field").field(quantity),
        ),
        (
            "a line without type",
            json!({"sessionId": SESSION, "userId": 1, "items": [{"quantity": 1}]}),
            no(400, "missing_field").field("items[0].ticketId"),
        ),
        (
            "no user",
            json!({"sessionId": SESSION, "items": []}),
            no(400, "missing_field").field("userId"),
        ),
        (
            "no lines",
            json!({"sessionId": SESSION, "userId": 1}),
            no(400, "missing_field").field("items"),
        ),
        (
            "no quantity",
            json!({"sessionId": SESSION, "userId": 1, "ticketId": SEAT}),
            no(400, "missing_field").field("quantity"),
        ),
        ("an empty list", order_of(&[]), no(400, "invalid_field").field("items").limit(8)),
        ("nine lines", order_of(&[(1, 1); 9]), no(400, "invalid_field").field("items").limit(8)),
        (
            "both forms",
            changed("/ticketId", json!(SEAT)),
            no(400, "invalid_field").field("ticketId"),
        ),
        (
            "a type twice",
            order_of(&[(SEAT, 1), (SEAT, 1)]),
            no(400, "duplicate_ticket").field("items[1].ticketId"),
        ),
        (
            "above the order's limit",
            order_of(&[(SEAT, 5)]),
            no(422, "order_limit").field(quantity).limit(4),
        ),
        (
            "above the buyer's limit",
            order_of(&[(SEAT, 4), (STANDING, 3)]),
            no(422, "user_limit").field("items").limit(PER_USER_LIMIT),
        ),
        (
            "another currency",
            changed("/currency", json!("USD")),
            no(422, "wrong_currency").field("currency"),
        ),
        (
            "no currency at all",
            changed("/currency", json!("euro")),
            no(400, "invalid_field").field("currency"),
        ),
        (
            "lines of two sessions",
            two_sessions,
            no(422, "lines_of_two_sessions").field("items[0].sessionId"),
        ),
        (
            "an unknown type",
            order_of(&[(99, 1)]),
            no(422, "unknown_ticket").field("items[0].ticketId"),
        ),
        (
            "an unknown session",
            changed("/sessionId", json!(99)),
            no(422, "unknown_session").field("sessionId"),
        ),
        (
            "a closed sale",
            changed("/sessionId", json!(CLOSED_SESSION)),
            no(409, "sale_closed").field("sessionId"),
        ),
        ("sold out", order_of(&[(SOLD_OUT, 1)]), no(409, "sold_out").field("items[0].ticketId")),
        (
            "an old price",
            changed("/items/0/unitPrice", json!("99.00")),
            no(409, "price_changed").field("items[0].unitPrice"),
        ),
        (
            "another total",
            changed("/totalAmount", json!(198)),
            no(409, "price_changed").field("totalAmount"),
        ),
        (
            "a negative amount",
            changed("/totalAmount", json!("-1")),
            no(400, "invalid_field").field("totalAmount"),
        ),
        (
            "an unknown method",
            changed("/paymentMethod", json!("cash")),
            no(422, "unknown_payment_method")
                .field("paymentMethod")
                .limit(json!(["instant", "sandbox*"])),
        ),
        (
            "a method with a space",
            changed("/paymentMethod", json!("sandbox x")),
            no(400, "invalid_field").field("paymentMethod").limit(64),
        ),
        (
            "an unknown channel",
            changed("/channels", json!(["FAX"])),
            no(400, "invalid_field").field("channels[0]"),
        ),
        ("an array", json!([]), no(400, "invalid_field")),
    ];
    for (index, (what, body, expected)) in cases.iter().enumerate() {
        expected.check(&rig.create(&format!("key-{index}"), body).await, what);
    }
    nothing_was_written(&rig).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_large_is_refused() {
    let rig = Rig::start().await;
    let post = async |body: String, kind: Option<&str>| {
        let request = rig.request(Method::POST, "/v1/orders").bearer_auth(WRITER);
        let request = request.header("Idempotency-Key", "k").body(body);
        read(match kind {
            Some(kind) => request.header("Content-Type", kind),
            None => request,
        })
        .await
    };
    let whole = order_of(&[(SEAT, 1)]).to_string();
    let json = Some("application/json");
    for (what, body) in [
        ("nothing", String::new()),
        ("half of it", whole[..whole.len() / 2].to_owned()),
        ("more behind it", format!("{whole} x")),
        ("not UTF-8's JSON", "\u{feff}{}".to_owned()),
    ] {
        no(400, "invalid_json").check(&post(body, json).await, what);
    }
    for kind in [None, Some("text/plain")] {
        let answer = post(whole.clone(), kind).await;
        no(415, "unsupported_media_type").check(&answer, "another type");
    }
    let long = format!("{whole}{}", " ".repeat(BODY_MAX_BYTES));
    no(413, "body_too_large").limit(BODY_MAX_BYTES).check(&post(long, json).await, "too long");
    nothing_was_written(&rig).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_creation_needs_an_idempotency_key() {
    let rig = Rig::start().await;
    let body = order_of(&[(SEAT, 1)]);
    let without = rig.request(Method::POST, "/v1/orders").bearer_auth(WRITER).json(&body);
    no(400, "missing_field").field("Idempotency-Key").check(&read(without).await, "no key");
    let long = "k".repeat(256);
    for key in ["", "a b", "ключ", long.as_str()] {
        let expected = no(400, "invalid_field").field("Idempotency-Key").limit(255);
        expected.check(&rig.create(key, &body).await, key);
    }
    nothing_was_written(&rig).await;
    assert_eq!(rig.create(&long[..255], &body).await.status, 202);
    rig.stop().await;
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let rig = Rig::start().await;
    let first = rig.create("key", &order_of(&[(SEAT, 1)])).await;
    let other = rig.create("key", &order_of(&[(SEAT, 2)])).await;
    no(422, "idempotency_key_reused").field("Idempotency-Key").check(&other, "another body");
    assert_eq!(other.body["orderNo"], first.body["orderNo"]);
    // The key is looked up before the sale's rules are asked.
    let refused = rig.create("key", &order_of(&[(SOLD_OUT, 1)])).await;
    no(422, "idempotency_key_reused").check(&refused, "a body that would be refused");
    assert_eq!(rig.count("orders").await, 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_call_without_its_token_or_scope_is_refused_before_anything_else() {
    let rig = Rig::start().await;
    let calls = [
        (Method::POST, "/v1/orders", READER),
        (Method::POST, "/v1/orders/A1/cancel", READER),
        (Method::POST, "/v1/orders/A1/pay", READER),
        (Method::GET, "/v1/orders/A1", WRITER),
    ];
    for (method, path, other) in calls {
        let request = || rig.request(method.clone(), path).body("not JSON");
        no(401, "unauthorized").check(&read(request()).await, path);
        let unknown = read(request().bearer_auth("nobody's")).await;
        no(401, "unauthorized").check(&unknown, path);
        no(403, "forbidden").check(&read(request().bearer_auth(other)).await, path);
    }
    nothing_was_written(&rig).await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let rig = Rig::start().await;
    let long = format!("/v1/orders/{}", "x".repeat(65));
    for path in ["/v1/orders/A1", "/v1/orders/%20", "/v1/orders/%FF", &long] {
        no(404, "unknown_order").check(&rig.get(path).await, path);
    }
    no(404, "unknown_order").check(&rig.cancel("A1").await, "cancel");
    no(404, "unknown_order").check(&rig.pay("A1", "instant").await, "pay");
    let method = rig.pay("A1", "cash").await;
    no(422, "unknown_payment_method").field("method").check(&method, "pay with cash");
    no(404, "not_found").check(&rig.get("/v2/orders").await, "no such path");
    no(404, "not_found").check(&rig.get("/errors/no_such_code").await, "no such page");
    let put = rig.request(Method::PUT, "/v1/orders/A1").bearer_auth(READER);
    no(405, "method_not_allowed").check(&read(put).await, "PUT");
    rig.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_come_again() {
    let rig = Rig::start_with(|config| {
        config.postgres.url = "postgres://nobody@127.0.0.1:1/nothing".parse().unwrap();
        config.postgres.acquire_timeout_ms = 200;
    })
    .await;
    let created = rig.create("key", &order_of(&[(SEAT, 1)])).await;
    no(503, "unavailable").check(&created, "create");
    assert!(created.retry_after.is_some(), "{created:?}");
    no(503, "unavailable").check(&rig.cancel("A1").await, "cancel");
    no(503, "unavailable").check(&rig.get("/v1/orders/A1").await, "show");
    let event = crate::support::notice("payment.captured", "A1", "A1-p1");
    no(503, "unavailable").check(&rig.callback(&event).await, "callback");
    rig.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_503_and_nothing_is_lost() {
    let rig = Rig::start_with(|config| {
        config.pipeline.queue_max = 1;
        config.pipeline.in_flight_max = 1;
        config.pipeline.batch_max = 1;
    })
    .await;
    let mut lock = rig.database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE orders.orders").execute(&mut *lock).await.unwrap();
    let body = order_of(&[(SEAT, 1)]);
    let create = async |index: i32| rig.create(&format!("key-{index}"), &body).await;
    let (held, ()) = tokio::join!(futures::future::join_all((0..2).map(create)), async {
        // Those two fill the pipeline and its queue; one more finds no room.
        until(async || {
            let answer = rig.create("one-too-many", &body).await;
            (answer.body["code"] == "overloaded").then_some(answer)
        })
        .await;
        lock.rollback().await.unwrap();
    });
    for answer in held {
        assert!(answer.status == 202 || answer.body["code"] == "overloaded", "{answer:?}");
    }
    rig.stop().await;
}
