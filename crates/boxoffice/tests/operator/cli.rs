//! The program itself: what it sends, what it prints, and its exit codes.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::stub_orders;

/// How long anything may take before a test has failed.
const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

type Calls = Arc<Mutex<Vec<String>>>;

/// Every worker in one stub: it notes the calls.
async fn stub() -> (String, Calls) {
    let calls = Calls::default();
    let router = Router::new().fallback(answer).with_state(calls.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

async fn answer(State(calls): State<Calls>, method: Method, uri: Uri, body: Bytes) -> Response {
    calls.lock().expect("calls").push(format!("{method} {uri}"));
    let problem = |status: StatusCode, code: &str| {
        let body = json!({ "type": format!("/errors/{code}"), "code": code,
            "status": status.as_u16(), "title": "It can't be", "detail": "because",
            "field": "sessions[0].name", "limit": 200 });
        (status, axum::Json(body)).into_response()
    };
    match (method.as_str(), uri.path()) {
        ("PUT", "/v1/shows/1") => {
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["sessions"][0]["ticketTypes"][0]["unitPrice"], "79.00");
            axum::Json(json!({ "showId": 1, "sessions": [] })).into_response()
        }
        ("POST", "/v1/sessions/101/load") => {
            axum::Json(json!({ "sessionId": 101, "epoch": 1 })).into_response()
        }
        ("POST", "/v1/sessions/101/open") => {
            axum::Json(json!({ "sessionId": 101, "state": "open", "changed": true }))
                .into_response()
        }
        ("POST", "/v1/sessions/9/open") => problem(StatusCode::NOT_FOUND, "unknown_session"),
        ("GET", "/v1/sessions/7/stock") => axum::Json(json!({ "sessionId": 7, "state": "open",
            "redis": { "loaded": true, "epoch": 1, "records": 2, "users": 2 },
            "ticketTypes": [{ "ticketId": 70, "name": "Floor", "total": 10, "available": 4,
                "redisAvailable": 3 }] }))
        .into_response(),
        ("GET", "/v1/orders/A%2F1") => axum::Json(json!({ "orderNo": "A/1", "status": "CONFIRMED",
            "items": [{ "ticketId": 70, "quantity": 2, "unitPrice": "10.00" }],
            "createdAt": "2026-11-21T07:12:19.553Z",
            "history": [{ "type": "ORDER_CREATED", "occurredAt": "2026-11-21T07:12:19.553Z" }] }))
        .into_response(),
        ("GET", "/v1/dead-letters") => {
            axum::Json(json!({ "deadLetters": [{ "id": "d1", "status": "waiting" }] }))
                .into_response()
        }
        ("POST", "/v1/dead-letters/d1/replay") => {
            let body = json!({ "id": "d1", "replayId": "r1", "group": "g" });
            (StatusCode::ACCEPTED, axum::Json(body)).into_response()
        }
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

async fn run(url: &str, arguments: &[&str]) -> Ran {
    ended(start(url, arguments)).await
}

fn start(url: &str, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_boxoffice"))
        .args(arguments)
        .env("BOXOFFICE_ORDER_URL", url)
        .env("BOXOFFICE_STOCK_URL", url)
        .env("BOXOFFICE_DLQ_URL", url)
        .env("BOXOFFICE_TOKEN", "t")
        .env_remove("BOXOFFICE_PROFILE")
        .env_remove("BOXOFFICE_ADMIN_URLS")
        .env_remove("BOXOFFICE_DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it runs")
}

async fn ended(child: Child) -> Ran {
    let done = child.wait_with_output().await.expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran {
        code: done.status.code().expect("no signal"),
        out: text(done.stdout),
        err: text(done.stderr),
    }
}

fn sample() -> String {
    format!("{}/../../deploy/samples/show.toml", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn a_show_is_stored_loaded_and_opened() {
    let (url, calls) = stub().await;
    let ran = run(&url, &["show", "load", &sample(), "--open"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("10000") && ran.out.contains("open"), "{}", ran.out);
    let calls = calls.lock().expect("calls").clone();
    let expected = ["PUT /v1/shows/1", "POST /v1/sessions/101/load", "POST /v1/sessions/101/open"];
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn checking_a_show_sends_nothing() {
    let (url, calls) = stub().await;
    let ran = run(&url, &["show", "load", &sample(), "--check", "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(answer, json!({ "showId": 1, "sessions": 1, "tickets": 10_000 }));
    assert!(calls.lock().expect("calls").is_empty());
}

#[tokio::test]
async fn answers_are_tables_for_people_and_json_for_programs() {
    let (url, _) = stub().await;
    let stock = run(&url, &["stock", "show", "7"]).await;
    assert_eq!(stock.code, 0, "{}", stock.err);
    assert!(stock.out.contains("Floor") && stock.out.contains("differs"), "{}", stock.out);
    let order = run(&url, &["order", "show", "A/1"]).await;
    assert_eq!(order.code, 0, "{}", order.err);
    assert!(order.out.contains("CONFIRMED") && order.out.contains("ORDER_CREATED"));
    let letters = run(&url, &["dlq", "list"]).await;
    assert!(letters.out.contains("d1") && letters.out.contains("waiting"), "{}", letters.out);
    let replayed = run(&url, &["dlq", "replay", "d1"]).await;
    assert!(replayed.out.contains("replay r1"), "{}", replayed.out);
    let json = run(&url, &["--json", "dlq", "list"]).await;
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["deadLetters"][0]["id"], "d1");
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_field_and_exits_with_1() {
    let (url, _) = stub().await;
    let ran = run(&url, &["sale", "open", "9"]).await;
    assert_eq!(ran.code, 1);
    for part in ["It can't be", "404", "unknown_session", "because", "sessions[0].name", "200"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    let json = run(&url, &["sale", "open", "9", "--json"]).await;
    assert_eq!(json.code, 1);
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["error"]["field"], "sessions[0].name");
}

#[tokio::test]
async fn what_is_away_exits_with_69() {
    let (url, _) = stub().await;
    let broken = run(&url, &["sale", "close", "9"]).await;
    assert_eq!(broken.code, 69, "{}", broken.err);
    assert!(broken.err.contains("503"), "{}", broken.err);
    let away = run("http://127.0.0.1:1", &["sale", "open", "9"]).await;
    assert_eq!(away.code, 69, "{}", away.err);
    let database = run(
        "http://127.0.0.1:1",
        &["audit", "--database-url", "postgres://nobody@127.0.0.1:1/none"],
    )
    .await;
    assert_eq!(database.code, 69, "{}", database.err);
}

#[tokio::test]
async fn what_is_asked_wrongly_exits_with_64() {
    let (url, calls) = stub().await;
    let wrong: [&[&str]; 7] = [
        &["show", "load", "no-such-file.toml"],
        &["sale", "open"],
        &["sale", "open", "seven"],
        &["audit"],
        &["--profile", "no-such-file.toml", "stock", "show", "7"],
        &["load", "--session", "7", "--ticket", "x"],
        &["load", "--session", "7", "--ticket", "70", "--rate", "0"],
    ];
    for arguments in wrong {
        let ran = run(&url, arguments).await;
        assert_eq!(ran.code, 64, "{arguments:?}: {}", ran.err);
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
    assert!(calls.lock().expect("calls").is_empty());
}

#[tokio::test]
async fn a_load_tells_its_progress_in_plain_lines_where_nobody_sees_it_live() {
    let orders = stub_orders::serve(stub_orders::Nature { stock: 5, ..Default::default() }).await;
    let arguments = ["load", "--session", "7", "--ticket", "70", "--buyers", "5", "--within", "1"];
    let to = ["--token", "token", "--admin-url", "http://127.0.0.1:1"];
    let ran = run(&orders.url, &[&arguments[..], &to].concat()).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("5 buyers"), "{}", ran.out);
    let line = ran.err.lines().next().unwrap_or_default();
    assert!(line.contains("/5 came") && line.ends_with(", lag ?"), "{}", ran.err);
    assert!(!ran.err.contains('\x1b'), "{}", ran.err);
}

/// As Ctrl-C does.
async fn interrupt(child: &Child) {
    let pid = child.id().expect("it has not ended").to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().await.expect("kill runs");
    assert!(sent.success());
}

/// Starts a load that would last for minutes, and waits until some buyers have come.
async fn loading(nature: stub_orders::Nature) -> Child {
    let orders = stub_orders::serve(nature).await;
    let arguments =
        ["load", "--session", "7", "--ticket", "70", "--buyers", "100000", "--rate", "100"];
    let child = start(&orders.url, &[&arguments[..], &["--token", "token"]].concat());
    let some_came = async {
        while orders.seen.orders.load(Ordering::SeqCst) < 10 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, some_came).await.expect("buyers come");
    child
}

#[tokio::test]
async fn after_ctrl_c_nobody_else_comes_and_a_second_one_gives_up() {
    let plenty = stub_orders::Nature { stock: usize::MAX, ..Default::default() };
    let child = loading(plenty.clone()).await;
    interrupt(&child).await;
    let ran = tokio::time::timeout(WAIT_MAX, ended(child)).await.expect("it ends soon");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("confirmed") && !ran.out.contains("100000 buyers"), "{}", ran.out);

    let mut child = loading(stub_orders::Nature { hangs: true, ..plenty }).await;
    let give_up = async {
        while child.try_wait().expect("it is ours").is_none() {
            interrupt(&child).await;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, give_up).await.expect("it ends soon");
    let ran = ended(child).await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("given up"), "{}", ran.err);
}

#[tokio::test]
async fn an_audit_exits_with_1_when_it_finds_something() {
    let world = crate::world::World::clean().await;
    let target = world.target();
    let redis_url = target.redis_url.expect("there");
    let arguments = [
        "audit",
        "--quiet",
        "--database-url",
        &target.database_url,
        "--redis-url",
        &redis_url,
        "--redis-prefix",
        &target.redis_prefix,
    ];
    let clean = run("http://127.0.0.1:1", &arguments).await;
    assert_eq!(clean.code, 0, "{}{}", clean.out, clean.err);
    assert!(clean.out.contains("holds"), "{}", clean.out);
    world.sql("UPDATE notify.notifications SET status = 'PENDING' WHERE order_no = 'D'").await;
    let found = run("http://127.0.0.1:1", &arguments).await;
    assert_eq!(found.code, 1, "{}", found.err);
    assert!(found.out.contains("1 VIOLATIONS") && found.out.contains("D-expired-EMAIL"));
    assert!(found.err.contains("1 violations of Q5"), "{}", found.err);
}
