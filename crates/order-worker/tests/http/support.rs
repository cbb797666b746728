//! A worker in this process, with a database of its own, and a client of its API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::auth::hash_of;
use common::bus::memory::MemoryBus;
use common::bus::{Destination, OutgoingMessage, Publisher as _};
use common::config::{Provisioning, Secret};
use common::life::{Failure, Life};
use common::testing::{TestDatabase, postgres_config, postgres_database};
use contracts::{
    Currency, Quantity, SaleChanged, SaleState, SaleTicketType, SessionId, ShowId, TicketId,
};
use hmac::{Hmac, Mac as _};
use order_worker::config::Config;
use order_worker::payments::{GatewayKind, MethodConfig};
use order_worker::run::{PROGRAM, run_on};
use order_worker::store::{MIGRATOR, SCHEMA};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) const WRITER: &str = "token-of-the-web-tier";
pub(crate) const READER: &str = "token-of-a-reader";
pub(crate) const CALLBACK_SECRET: &str = "whsec_test";
pub(crate) const MERCHANT_ID: &str = "boxoffice";
pub(crate) const MERCHANT_KEY: &str = "merchant-key";
/// An open sale; the ticket types are below.
pub(crate) const SESSION: i64 = 7;
/// A session whose sale is closed.
pub(crate) const CLOSED_SESSION: i64 = 8;
/// 99.50 EUR, at most 4 per order.
pub(crate) const SEAT: i64 = 1;
/// 10.00 EUR.
pub(crate) const STANDING: i64 = 2;
pub(crate) const SOLD_OUT: i64 = 3;
pub(crate) const PER_USER_LIMIT: i32 = 6;
pub(crate) const BODY_MAX_BYTES: usize = 4_096;
/// Far above what anything here takes: it only ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that will come to be.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The worker and what it stands on.
pub(crate) struct Rig {
    pub(crate) bus: MemoryBus,
    pub(crate) database: TestDatabase,
    pub(crate) base: String,
    client: reqwest::Client,
    life: Life,
    running: JoinHandle<Result<(), Failure>>,
    _folder: TempDir,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With a provider that is not there, unless `configure` says otherwise.
    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let database = postgres_database(&MIGRATOR, SCHEMA).await;
        sell(&database).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&database, folder.path());
        configure(&mut config);
        let bus = MemoryBus::default();
        let life = Life::new(PROGRAM);
        let running = tokio::spawn(run_on(config, life.clone(), Arc::new(bus.clone())));
        let ports = until(async || {
            let text = std::fs::read(folder.path().join("ports.json")).ok()?;
            serde_json::from_slice::<Value>(&text).ok()
        })
        .await;
        let base = format!("http://{}", ports["api"].as_str().unwrap());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { bus, database, base, client, life, running, _folder: folder }
    }

    /// Drains the worker, which must end well.
    pub(crate) async fn stop(self) {
        self.life.tasks.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        read(self.request(Method::GET, path).bearer_auth(READER)).await
    }

    pub(crate) async fn create(&self, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/v1/orders").bearer_auth(WRITER);
        read(request.header("Idempotency-Key", key).json(body)).await
    }

    /// As [`Rig::create`], with a query.
    pub(crate) async fn create_and_wait(&self, key: &str, query: &str, body: &Value) -> Answer {
        let path = format!("/v1/orders?{query}");
        let request = self.request(Method::POST, &path).bearer_auth(WRITER);
        read(request.header("Idempotency-Key", key).json(body)).await
    }

    /// The number of the only order there is, once there is one.
    pub(crate) async fn only_order(&self) -> String {
        let sql = "SELECT order_no FROM orders.orders";
        until(async || sqlx::query_scalar(sql).fetch_optional(&self.database.pool).await.unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        read(self.request(Method::POST, path).bearer_auth(WRITER).json(body)).await
    }

    pub(crate) async fn cancel(&self, order_no: &str) -> Answer {
        self.post(&format!("/v1/orders/{order_no}/cancel"), &json!({})).await
    }

    pub(crate) async fn pay(&self, order_no: &str, method: &str) -> Answer {
        self.post(&format!("/v1/orders/{order_no}/pay"), &json!({ "method": method })).await
    }

    /// A new order of one seat, paid by `method` if there is one.
    pub(crate) async fn order(&self, method: Option<&str>) -> String {
        let mut body = order_of(&[(SEAT, 1)]);
        body["paymentMethod"] = json!(method);
        let key = common::testing::unique("key");
        let answer = self.create(&key, &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["orderNo"].as_str().unwrap().to_owned()
    }

    /// A new order that has its tickets.
    pub(crate) async fn reserved(&self, method: Option<&str>) -> String {
        let order_no = self.order(method).await;
        self.stock(&order_no, "DEDUCTED").await;
        order_no
    }

    pub(crate) async fn show(&self, order_no: &str) -> Value {
        let answer = self.get(&format!("/v1/orders/{order_no}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// The order, once it is as wanted.
    pub(crate) async fn order_until(
        &self,
        order_no: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let look = async || Some(self.show(order_no).await).filter(&wanted);
        match tokio::time::timeout(PATIENCE, until(look)).await {
            Ok(order) => order,
            Err(_) => panic!("it never came to that: {:#}", self.show(order_no).await),
        }
    }

    pub(crate) async fn has_status(&self, order_no: &str, status: &str) -> Value {
        self.order_until(order_no, |order| order["status"] == status).await
    }

    /// stock-worker says something about an order of one seat.
    pub(crate) async fn stock(&self, order_no: &str, operation: &str) {
        let body = json!({
            "operation": operation, "orderNo": order_no, "sessionId": SESSION, "ticketId": SEAT,
            "quantity": 1,
        });
        self.publish("STOCK_TOPIC", &format!("STOCK_{operation}"), order_no, &body).await;
    }

    pub(crate) async fn publish(&self, topic: &str, tag: &str, key: &str, body: &Value) {
        let message = OutgoingMessage {
            destination: Destination::Topic(topic.into()),
            tag: tag.into(),
            key: key.into(),
            body: Bytes::from(body.to_string()),
            properties: std::collections::BTreeMap::new(),
            delay: None,
        };
        for answer in self.bus.client().publish(vec![message]).await {
            answer.unwrap();
        }
    }

    /// A callback under the right signature.
    pub(crate) async fn callback(&self, body: &Value) -> Answer {
        let raw = body.to_string();
        self.callback_signed(&raw, &signature(CALLBACK_SECRET, &raw)).await
    }

    pub(crate) async fn callback_signed(&self, raw: &str, signature: &str) -> Answer {
        let request = self
            .request(Method::POST, "/v1/payments/callback")
            .header("Content-Type", "application/json")
            .header("X-Boxoffice-Signature", signature);
        read(request.body(raw.to_owned())).await
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM orders.{table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.database.pool).await.unwrap()
    }
}

/// What `look` finds, looking again until it finds something.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE * 2, looking).await.expect("it never came to that")
}

/// A request for these ticket types and quantities.
pub(crate) fn order_of(lines: &[(i64, i64)]) -> Value {
    let items: Vec<Value> = lines
        .iter()
        .map(|(ticket, quantity)| json!({ "ticketId": ticket, "quantity": quantity }))
        .collect();
    json!({ "sessionId": SESSION, "userId": 42, "items": items })
}

/// A provider's event about a payment of one seat.
pub(crate) fn notice(kind: &str, order_no: &str, payment_id: &str) -> Value {
    json!({
        "eventId": common::testing::unique("evt"), "type": kind, "merchantId": MERCHANT_ID,
        "paymentId": payment_id, "providerPaymentId": "sbx_1", "orderNo": order_no,
        "amount": "99.50", "currency": "EUR", "occurredAt": "2026-11-21T07:12:19Z",
    })
}

pub(crate) fn signature(secret: &str, body: &str) -> String {
    let unix_s = common::clock::now().timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{unix_s}.{body}").as_bytes());
    format!("t={unix_s},v1={}", hex::encode(mac.finalize().into_bytes()))
}

pub(crate) async fn read(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name: &str| header(&response, name);
    let (status, content_type) = (response.status().as_u16(), header("content-type"));
    let (location, retry_after) = (header("location"), header("retry-after"));
    let text = response.text().await.unwrap();
    Answer {
        status,
        content_type: content_type.unwrap_or_default(),
        location,
        retry_after,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}

fn config(database: &TestDatabase, folder: &Path) -> Config {
    let tokens = folder.join("tokens.toml");
    let entry = |name: &str, token: &str, scope: &str| {
        format!("[[token]]\nname = {name:?}\nsha256 = {:?}\nscopes = [{scope:?}]\n", hash_of(token))
    };
    let text = entry("web", WRITER, "orders:write") + &entry("reader", READER, "orders:read");
    std::fs::write(&tokens, text).unwrap();
    let mut config = Config { postgres: postgres_config(&database.url), ..Config::default() };
    config.auth.tokens_file = Some(tokens);
    config.admin.listen = "127.0.0.1:0".to_owned();
    config.admin.port_file = Some(folder.join("ports.json"));
    config.api.listen = "127.0.0.1:0".to_owned();
    config.api.body_max_bytes = BODY_MAX_BYTES;
    config.broker.topics = Provisioning::Create;
    let payments = &mut config.payments;
    payments.methods = vec![
        MethodConfig { method: "instant".to_owned(), gateway: GatewayKind::Instant },
        MethodConfig { method: "sandbox*".to_owned(), gateway: GatewayKind::Sandbox },
    ];
    payments.sweep_interval_ms = 20;
    payments.backoff_min_ms = 20;
    payments.parked_retry_ms = 20;
    payments.sandbox.url = "http://127.0.0.1:1".to_owned();
    payments.sandbox.callback_url = "http://127.0.0.1:1/v1/payments/callback".to_owned();
    payments.sandbox.merchant_id = MERCHANT_ID.to_owned();
    payments.sandbox.merchant_key = Secret::new(MERCHANT_KEY);
    payments.sandbox.callback_secrets =
        vec![Secret::new("whsec_next"), Secret::new(CALLBACK_SECRET)];
    config
}

/// The sales, as `SALE_CHANGED` would have brought them.
async fn sell(database: &TestDatabase) {
    let ticket = |id, price: &str, limit: Option<i32>, sold_out| SaleTicketType {
        ticket_id: TicketId(id),
        name: format!("type {id}"),
        unit_price: price.parse().unwrap(),
        per_order_limit: limit.map(|limit| Quantity::new(limit).unwrap()),
        sold_out,
        extra: contracts::Extra::new(),
    };
    for (session, state) in [(SESSION, SaleState::Open), (CLOSED_SESSION, SaleState::Closed)] {
        let currency = Currency::new("EUR").unwrap();
        let mut sale = SaleChanged::new(ShowId(3), SessionId(session), 1, currency);
        sale.state = state;
        sale.per_user_limit = Some(PER_USER_LIMIT);
        sale.ticket_types = vec![
            ticket(SEAT, "99.50", Some(4), false),
            ticket(STANDING, "10.00", None, false),
            ticket(SOLD_OUT, "5.00", None, true),
        ];
        sqlx::query(
            "INSERT INTO orders.sale_sessions (session_id, version, body) VALUES ($1, 1, $2)",
        )
        .bind(session)
        .bind(serde_json::to_vec(&sale).unwrap())
        .execute(&database.pool)
        .await
        .unwrap();
    }
}
