//! A whole order-worker on a bus in memory, with a database of its own behind a door.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::bus::memory::{MemoryBus, MemoryOptions};
use common::bus::{Destination, OutgoingMessage, Publisher as _};
use common::ids;
use common::life::{Failure, Life};
use common::testing::{Door, TestDatabase, postgres_database};
use contracts::{
    Amount, Body, Currency, Envelope, OrderEventMessage, OrderEventType, OrderNo, OrderStatus,
    SaleChanged, SaleState, SaleTicketType, SessionId, ShowId, StockEventMessage, StockOperation,
    Tag, TicketId, UserId,
};
use order_worker::config::Config;
use order_worker::payments::{GatewayKind, MethodConfig};
use order_worker::run::{PROGRAM, run_on};
use order_worker::store::{MIGRATOR, SCHEMA};
use sqlx::Row as _;
use tokio::task::JoinHandle;

/// How long anything may take; a real database on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Options {
    pub(crate) bus: MemoryOptions,
    pub(crate) hold_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { bus: MemoryOptions::default(), hold_s: 900 }
    }
}

pub(crate) struct Stage {
    pub(crate) bus: MemoryBus,
    pub(crate) door: Door,
    database: TestDatabase,
    life: Life,
    worker: JoinHandle<Result<(), Failure>>,
}

impl Stage {
    /// Starts the worker and tells it of the sale.
    pub(crate) async fn open(options: Options) -> Self {
        let database = postgres_database(&MIGRATOR, SCHEMA).await;
        let url: url::Url = database.url.parse().expect("it is a URL");
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let door = Door::before(server).await;
        door.open();
        let mut through = url;
        through.set_host(Some("127.0.0.1")).unwrap();
        through.set_port(Some(door.address().port())).unwrap();

        let mut config = Config::default();
        config.postgres.url = through.as_str().parse().expect("it is a PostgreSQL URL");
        config.broker.topics = common::config::Provisioning::Create;
        config.api.listen = "127.0.0.1:0".to_owned();
        config.admin.listen = "127.0.0.1:0".to_owned();
        config.orders.hold_s = options.hold_s;
        config.orders.grace_s = 0;
        config.orders.jitter_s = 0;
        config.expiry.sweep_interval_ms = 100;
        config.payments.methods =
            vec![MethodConfig { method: "instant".to_owned(), gateway: GatewayKind::Instant }];
        config.drain.drain_timeout_ms = 10_000;

        let bus = MemoryBus::new(options.bus);
        let life = Life::new(PROGRAM);
        let worker = tokio::spawn(run_on(config, life.clone(), Arc::new(bus.client())));
        let stage = Self { bus, door, database, life, worker };
        stage.publish_body(Tag::SaleChanged, "3", &sale()).await;
        stage.until_inbox("order-sale", 1).await;
        stage.until("the worker is ready", async || stage.life.readiness.is_ready()).await;
        stage
    }

    pub(crate) async fn publish_order(&self, tag: Tag, message: &OrderEventMessage) {
        self.publish_body(tag, message.order_no.as_str(), message).await;
    }

    pub(crate) async fn publish_stock(&self, message: &StockEventMessage) {
        self.publish_stock_together(std::slice::from_ref(message)).await;
    }

    /// In one send, so that they come in one batch.
    pub(crate) async fn publish_stock_together(&self, messages: &[StockEventMessage]) {
        let messages = messages
            .iter()
            .map(|message| {
                let order_no = message.order_no.as_ref().unwrap().as_str();
                enveloped(message.operation.tag(), order_no, message)
            })
            .collect();
        self.publish(messages).await;
    }

    async fn publish_body(&self, tag: Tag, key: &str, body: &impl Body) {
        self.publish(vec![enveloped(tag, key, body)]).await;
    }

    /// Whatever somebody may send.
    pub(crate) async fn publish_raw(
        &self,
        topic: &str,
        tag: &str,
        body: &str,
        envelope: &[(&str, &str)],
    ) {
        let properties = envelope
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.publish(vec![OutgoingMessage {
            destination: Destination::Topic(topic.into()),
            tag: tag.into(),
            key: "".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            properties,
            delay: None,
        }])
        .await;
    }

    async fn publish(&self, messages: Vec<OutgoingMessage>) {
        for answer in self.bus.publish(messages).await {
            answer.expect("the bus in memory is there");
        }
    }

    /// What the worker has published about the order, in order.
    pub(crate) fn said_about(&self, order_no: &str) -> Vec<OutgoingMessage> {
        self.bus
            .published()
            .into_iter()
            .filter(|message| &*message.key == order_no)
            .filter(|message| matches!(message.destination, Destination::Topic(_)))
            .filter(|message| {
                message
                    .properties
                    .get("producer")
                    .is_some_and(|producer| producer.starts_with("order-worker"))
            })
            .collect()
    }

    /// The tags of all that, by the order's version, once nothing more is pending.
    pub(crate) async fn settled(&self, order_no: &str) -> Vec<Tag> {
        self.until("the outbox is empty", async || {
            self.count("SELECT count(*) FROM orders.outbox_batches WHERE sent_at IS NULL").await
                == 0
                && self.count("SELECT count(*) FROM orders.calls").await == 0
        })
        .await;
        let mut said = self.said_about(order_no);
        said.sort_by_key(|message| message.properties["aggregateVersion"].parse::<i64>().unwrap());
        said.iter().map(|message| message.tag.parse().unwrap()).collect()
    }

    pub(crate) async fn until_said(&self, order_no: &str, tag: Tag, times: usize) {
        let what = format!("{order_no} says {tag} {times} times");
        self.until(&what, async || {
            let said = self.said_about(order_no);
            said.iter().filter(|message| &*message.tag == tag.as_str()).count() >= times
        })
        .await;
    }

    pub(crate) async fn status(&self, order_no: &str) -> Option<OrderStatus> {
        let row = sqlx::query("SELECT status FROM orders.orders WHERE order_no = $1")
            .bind(order_no)
            .fetch_optional(&self.database.pool)
            .await
            .expect("the database answers")?;
        OrderStatus::from_code(row.get("status"))
    }

    pub(crate) async fn until_status(&self, order_no: &str, status: OrderStatus) {
        let what = format!("{order_no} is {status:?}");
        self.until(&what, async || self.status(order_no).await == Some(status)).await;
    }

    pub(crate) async fn until_inbox(&self, group: &str, entries: i64) {
        let what = format!("the inbox of {group} has {entries} entries");
        self.until(&what, async || {
            let row = sqlx::query("SELECT count(*) FROM orders.inbox WHERE consumer_group = $1")
                .bind(group)
                .fetch_one(&self.database.pool)
                .await
                .expect("the database answers");
            row.get::<i64, _>(0) == entries
        })
        .await;
    }

    pub(crate) async fn until_not_ready(&self, dependency: &str) {
        self.until("the worker says what is away", async || {
            let snapshot = self.life.readiness.snapshot();
            !snapshot.ready
                && snapshot.dependencies.iter().any(|known| known.name == dependency && !known.up)
        })
        .await;
    }

    /// Everything that was given back: retries and dead letters.
    pub(crate) fn given_back(&self) -> Vec<OutgoingMessage> {
        self.bus
            .published()
            .into_iter()
            .filter(|message| !matches!(message.destination, Destination::Topic(_)))
            .collect()
    }

    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<OutgoingMessage> {
        let dead = || {
            self.given_back()
                .into_iter()
                .filter(|message| matches!(message.destination, Destination::Dead { .. }))
                .collect::<Vec<_>>()
        };
        self.until("the dead letters are there", async || dead().len() >= count).await;
        dead()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let row = sqlx::query(sql).fetch_one(&self.database.pool).await;
        row.expect("the database answers").get(0)
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, done: impl Fn() -> F) {
        let wait = async {
            while !done().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("not in time: {what}; readiness {:?}", self.life.readiness.snapshot());
        }
    }

    /// Drains the worker; it must end well.
    pub(crate) async fn close(self) {
        self.life.tasks.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.worker).await.expect("the drain ends");
        ended.expect("the worker does not panic").expect("the worker ends well");
    }
}

fn enveloped(tag: Tag, key: &str, body: &impl Body) -> OutgoingMessage {
    let envelope = Envelope {
        key: key.to_owned(),
        event_id: ids::event_id(),
        schema_version: contracts::WRITE_VERSION,
        aggregate_version: 1,
        occurred_at: common::clock::now(),
        producer: "test/1".to_owned(),
        causation_id: None,
        traceparent: None,
    };
    let properties: BTreeMap<String, String> = envelope.to_properties();
    OutgoingMessage {
        destination: Destination::Topic(tag.topic().into()),
        tag: tag.as_str().into(),
        key: key.into(),
        body: body.to_body().unwrap().into(),
        properties,
        delay: None,
    }
}

/// Session 3 sells ticket type 5 for 199.00.
fn sale() -> SaleChanged {
    let currency = Currency::new("CHF").unwrap();
    let mut sale = SaleChanged::new(ShowId(1), SessionId(3), 1, currency);
    sale.state = SaleState::Open;
    sale.ticket_types = vec![SaleTicketType {
        ticket_id: TicketId(5),
        name: "Stalls".to_owned(),
        unit_price: "199.00".parse::<Amount>().unwrap(),
        per_order_limit: None,
        sold_out: false,
        extra: contracts::Extra::new(),
    }];
    sale
}

/// A command for two tickets of type 5.
pub(crate) fn create(order_no: &str) -> OrderEventMessage {
    let mut message =
        OrderEventMessage::new(OrderEventType::Create, OrderNo::new(order_no).unwrap());
    message.user_id = Some(UserId(7));
    message.session_id = Some(SessionId(3));
    message.ticket_id = Some(TicketId(5));
    message.quantity = contracts::Quantity::new(2).ok();
    message
}

/// What stock-worker says about an order of [`create`].
pub(crate) fn stock_fact(operation: StockOperation, order_no: &str) -> StockEventMessage {
    let mut message = StockEventMessage::new(operation);
    message.order_no = OrderNo::new(order_no).ok();
    message.session_id = Some(SessionId(3));
    message.ticket_id = Some(TicketId(5));
    message.quantity = contracts::Quantity::new(2).ok();
    message.hold = Some(1);
    message
}
