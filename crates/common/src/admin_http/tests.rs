use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::*;
use crate::config::{AdminConfig, ApiConfig};
use crate::readiness::Need;
use crate::telemetry;

async fn get(router: Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn ready_names_each_dependency_with_its_reason() {
    let readiness = Readiness::new("test-worker");
    let database = readiness.dependency("postgresql", Need::Required);
    let broker = readiness.dependency("broker", Need::Degraded);
    broker.away("connection refused");
    let router = router(readiness, telemetry::init_metrics());

    let (status, body) = get(router.clone(), "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["dependencies"][0]["reason"], "not connected yet");
    assert_eq!(body["dependencies"][1]["reason"], "connection refused");

    database.up();
    let (status, body) = get(router.clone(), "/ready").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(get(router, "/live").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_rendered_with_their_descriptions() {
    let handle = telemetry::init_metrics();
    let readiness = Readiness::new("test-worker");
    readiness.dependency("metrics-test", Need::Required).up();
    let (status, body) = get(router(readiness, handle), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("boxoffice_dependency_up{dependency=\"metrics-test\"} 1"), "{body}");
    assert!(body.contains("# HELP boxoffice_dependency_up"), "{body}");
}

#[tokio::test]
async fn ports_are_bound_written_to_the_file_and_closed_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ports.json");
    let listen = "127.0.0.1:0".to_owned();
    let admin = AdminConfig { listen: listen.clone(), port_file: Some(path.clone()) };
    let api = ApiConfig { listen, ..ApiConfig::default() };
    let routes = Router::new().route("/", axum::routing::get(async || "api"));
    let admin_routes = router(Readiness::new("test-worker"), telemetry::init_metrics());
    let mut ports =
        Ports::open(&admin, admin_routes, Some((&api, routes))).await.expect("both ports");

    let written: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("the file")).expect("JSON");
    let (api, admin) = (ports.api_address().expect("an API"), ports.admin_address());
    assert_eq!(written["api"], api.to_string());
    assert_eq!(written["admin"], admin.to_string());

    let mut stream = TcpStream::connect(api).await.expect("open");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.ends_with("api"), "{answer}");

    ports.close_api().await;
    TcpStream::connect(api).await.expect_err("the API is closed");
    TcpStream::connect(admin).await.expect("the admin port is open");
    ports.close().await;
    TcpStream::connect(admin).await.expect_err("the admin port is closed");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listen = taken.local_addr().expect("bound").to_string();
    let refused = serve(&listen, Router::new(), CancellationToken::new()).await.err();
    let refused = refused.expect("refused");
    assert!(crate::life::chain(&refused).contains(&listen), "{refused}");
}

#[tokio::test]
async fn callers_that_come_at_once_wait_to_be_accepted() {
    let shutdown = CancellationToken::new();
    let (address, _) = serve("127.0.0.1:0", Router::new(), shutdown).await.expect("a port");
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a Linux kernel");
    let limit: u32 = limit.trim().parse().expect("a number");
    // Nothing else runs on this thread, so nobody accepts: whoever finds no room hears nothing.
    for number in 0..BACKLOG.min(limit) {
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500))
            .unwrap_or_else(|error| panic!("connection {number}: {error}"));
    }
}
