//! An order API in memory, whose orders move by themselves with time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use common::clock;
use serde_json::{Value, json};

/// How long each step takes.
const STEP: TimeDelta = TimeDelta::milliseconds(40);
pub(crate) const HOLD: TimeDelta = TimeDelta::milliseconds(600);
/// Late money comes so long after the end, and is back at once.
const LATE: TimeDelta = TimeDelta::milliseconds(500);

/// How the stub behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nature {
    /// So many orders have tickets, all others are rejected.
    pub(crate) stock: usize,
    /// Each order is answered after this time.
    pub(crate) answer_after: Duration,
    /// So many orders are answered 503 first.
    pub(crate) unavailable: usize,
    /// A key that comes again makes another order.
    pub(crate) forgets_keys: bool,
    /// Every order is refused with this status and code.
    pub(crate) refuses: Option<(u16, &'static str)>,
    /// Orders stay PENDING.
    pub(crate) hangs: bool,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Orders that were being answered at once, at most.
    pub(crate) at_once_max: AtomicUsize,
    at_once: AtomicUsize,
    pub(crate) looks: AtomicUsize,
    pub(crate) orders: AtomicUsize,
}

pub(crate) struct Stub {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
}

struct Api {
    nature: Nature,
    seen: Arc<Seen>,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    by_number: HashMap<String, Order>,
    by_key: HashMap<String, String>,
    refused: usize,
}

struct Order {
    created: DateTime<Utc>,
    has_tickets: bool,
    /// Method and time.
    pays: Vec<(String, DateTime<Utc>)>,
    cancelled: bool,
}

pub(crate) async fn serve(nature: Nature) -> Stub {
    let seen = Arc::new(Seen::default());
    let api = Arc::new(Api { nature, seen: seen.clone(), orders: Mutex::default() });
    let router = Router::new()
        .route("/v1/orders", post(create))
        .route("/v1/orders/{order_no}", get(show))
        .route("/v1/orders/{order_no}/pay", post(pay))
        .route("/v1/orders/{order_no}/cancel", post(cancel))
        .with_state(api);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Stub { url, seen }
}

async fn create(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    assert_eq!(headers["authorization"], "Bearer token");
    assert_eq!(body["sessionId"], 7);
    let now = api.seen.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    api.seen.at_once_max.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(api.nature.answer_after).await;
    api.seen.at_once.fetch_sub(1, Ordering::SeqCst);
    if let Some((status, code)) = api.nature.refuses {
        return problem(status, code);
    }
    let key = headers["idempotency-key"].to_str().expect("text").to_owned();
    let mut orders = api.orders.lock().expect("orders");
    if orders.refused < api.nature.unavailable {
        orders.refused += 1;
        return problem(503, "unavailable");
    }
    if let Some(known) = orders.by_key.get(&key)
        && !api.nature.forgets_keys
    {
        return accepted(known);
    }
    let number = orders.by_number.len();
    let order_no = format!("N{number}");
    let method = body["paymentMethod"].as_str();
    let created = clock::now();
    let order = Order {
        created,
        has_tickets: number < api.nature.stock,
        pays: method.map(|method| (method.to_owned(), created)).into_iter().collect(),
        cancelled: false,
    };
    orders.by_key.insert(key, order_no.clone());
    orders.by_number.insert(order_no.clone(), order);
    api.seen.orders.fetch_add(1, Ordering::SeqCst);
    accepted(&order_no)
}

async fn show(State(api): State<Arc<Api>>, Path(order_no): Path<String>) -> Response {
    api.seen.looks.fetch_add(1, Ordering::SeqCst);
    let orders = api.orders.lock().expect("orders");
    let order = &orders.by_number[&order_no];
    let (status, paid) = if api.nature.hangs { ("PENDING", None) } else { order.status() };
    let reserved = order.has_tickets && status != "PENDING";
    let is_confirmed = status == "CONFIRMED";
    Json(json!({
        "orderNo": order_no,
        "status": status,
        "reason": (status == "REJECTED").then_some("sold_out"),
        "createdAt": order.created,
        "expiresAt": order.created + HOLD,
        "reservedAt": reserved.then(|| order.created + STEP),
        "paidAt": paid,
        "confirmedAt": paid.filter(|_| is_confirmed).map(|paid| paid + STEP),
    }))
    .into_response()
}

async fn pay(
    State(api): State<Arc<Api>>,
    Path(order_no): Path<String>,
    Json(body): Json<Value>,
) -> Response {
    let method = body["method"].as_str().expect("a method").to_owned();
    let mut orders = api.orders.lock().expect("orders");
    let order = orders.by_number.get_mut(&order_no).expect("an order");
    if order.status().0 != "RESERVED" {
        return problem(409, "not_payable");
    }
    order.pays.push((method, clock::now()));
    accepted(&order_no)
}

async fn cancel(State(api): State<Arc<Api>>, Path(order_no): Path<String>) -> Response {
    let mut orders = api.orders.lock().expect("orders");
    let order = orders.by_number.get_mut(&order_no).expect("an order");
    if !matches!(order.status().0, "PENDING" | "RESERVED") {
        return problem(409, "not_cancellable");
    }
    order.cancelled = true;
    Json(json!({ "orderNo": order_no, "status": "CANCELLED" })).into_response()
}

impl Order {
    /// The status now, and when it was paid.
    fn status(&self) -> (&'static str, Option<DateTime<Utc>>) {
        let now = clock::now();
        let age = now - self.created;
        if self.cancelled {
            return ("CANCELLED", None);
        }
        if age < STEP {
            return ("PENDING", None);
        }
        if !self.has_tickets {
            return ("REJECTED", None);
        }
        let started = |method: &str| {
            let pay = self.pays.iter().find(|(name, _)| name.starts_with(method));
            pay.map(|(_, at)| (*at).max(self.created + STEP) + STEP)
        };
        let is_late = started("sandbox-late").is_some();
        if let Some(declined) = started("sandbox-decline") {
            return if now < declined { ("RESERVED", None) } else { ("CANCELLED", None) };
        }
        match started("sandbox").filter(|_| !is_late) {
            Some(paid) if now < paid => ("RESERVED", None),
            Some(paid) if now < paid + STEP => ("PAID", Some(paid)),
            Some(paid) => ("CONFIRMED", Some(paid)),
            None if age < HOLD => ("RESERVED", None),
            None if is_late && age >= HOLD + LATE => ("REFUNDED", None),
            None => ("EXPIRED", None),
        }
    }
}

fn accepted(order_no: &str) -> Response {
    let body = json!({ "orderNo": order_no, "status": "PENDING" });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

fn problem(status: u16, code: &str) -> Response {
    let body = json!({ "code": code, "status": status, "title": "No" });
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}
