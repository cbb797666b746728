//! A sale on real servers, and what tests ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::bus::memory::{MemoryBus, MemoryOptions};
use common::bus::{Bus as _, Destination, OutgoingMessage, Publisher as _};
use common::life::{Life, Program};
use common::pipeline::Pipeline;
use common::readiness::Need;
use common::testing::{self, TestDatabase};
use common::worker::{Base, Worker};
use contracts::{
    Body as _, Envelope, Line, OrderEventMessage, OrderEventType, OrderNo, Quantity, SaleState,
    SessionId, ShowId, StockEventMessage, Tag, TicketId, UserId, topics,
};
use stock_worker::config::Config;
use stock_worker::gate::{Gate, Snapshot};
use stock_worker::handlers;
use stock_worker::loading::Loader;
use stock_worker::stock::Stock;
use stock_worker::store::{MIGRATIONS, NewSession, NewShow, NewTicketType, SCHEMA, Store};
use tokio::time::Instant;
use uuid::Uuid;

/// How long anything may take before a test has failed.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Whoever waits for a message that comes too early is to wait longer than [`WAIT_MAX`], whatever the
/// machine does meanwhile.
const ATTEMPTS_UNTIL_FAILED: u32 = 100;
const RETRY_DELAYS_MS: [u64; 9] = [20, 20, 20, 20, 20, 50, 100, 200, 400];
const POLL_INTERVAL: Duration = Duration::from_millis(5);

const PROGRAM: Program = Program { name: "stock-worker", version: "test", about: "" };

/// The price of every ticket type.
pub(crate) const PRICE: &str = "10.00";

/// One open session with ticket types A and B, and a worker that may consume.
pub(crate) struct World {
    pub(crate) bus: MemoryBus,
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) gate: Gate,
    pub(crate) loader: Loader,
    pub(crate) worker: Worker,
    pub(crate) config: Config,
    pub(crate) session: SessionId,
    pub(crate) a: TicketId,
    pub(crate) b: TicketId,
    stock: Arc<Stock>,
}

/// What is for sale.
pub(crate) struct Sale {
    pub(crate) total_a: i64,
    pub(crate) total_b: i64,
    pub(crate) per_user_limit: Option<i32>,
}

/// How messages are delivered and gathered.
pub(crate) struct Delivery {
    pub(crate) options: MemoryOptions,
    pub(crate) batch_max: usize,
    /// Batches in hand at once; with one, batches are decided in the order of their messages.
    pub(crate) in_flight_max: usize,
    /// How often a message that comes too early is tried.
    pub(crate) attempts_max: u32,
}

impl Default for Delivery {
    fn default() -> Self {
        let attempts_max = ATTEMPTS_UNTIL_FAILED;
        Self { options: MemoryOptions::default(), batch_max: 256, in_flight_max: 1, attempts_max }
    }
}

impl World {
    /// A loaded and open sale of so many tickets; nothing is consumed yet.
    pub(crate) async fn selling(total_a: i64, total_b: i64) -> Self {
        let sale = Sale { total_a, total_b, per_user_limit: None };
        Self::with(sale, Delivery::default()).await
    }

    pub(crate) async fn with(sale: Sale, delivery: Delivery) -> Self {
        // With `RUST_LOG`, a test that fails shows what the worker has said.
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned());
        let format = common::config::LogFormat::Text;
        common::telemetry::init_logs(&common::config::LogConfig { filter, format })
            .expect("a filter");
        let database = testing::postgres_database(&MIGRATIONS, SCHEMA).await;
        let bus = MemoryBus::new(delivery.options.clone());
        let world = Self::on(database, bus, &delivery).await;
        world.put(world.session, world.a, world.b, &sale).await;
        world.open(world.session).await;
        world.loader.load(world.session).await.expect("loaded");
        world
    }

    async fn on(database: TestDatabase, bus: MemoryBus, delivery: &Delivery) -> Self {
        let mut config =
            Config { postgres: testing::postgres_config(&database.url), ..Config::default() };
        config.pipeline.batch_max = delivery.batch_max;
        config.pipeline.in_flight_max = delivery.in_flight_max;
        config.pipeline.attempts_max = delivery.attempts_max;
        config.pipeline.retry_delays_ms = RETRY_DELAYS_MS.to_vec();
        config.pipeline.backoff_min_ms = 5;
        config.pipeline.backoff_max_ms = 20;
        config.gate.prefix = format!("{}:", testing::unique("stock"));
        config.redis.url = testing::redis_url().parse().expect("a URL of Redis");
        config.redis.response_timeout_ms = 5_000;
        let base = Base {
            postgres: config.postgres.clone(),
            broker: config.broker.clone(),
            pipeline: config.pipeline.clone(),
            outbox: config.outbox.clone(),
            inbox: config.inbox.clone(),
            drain: config.drain.clone(),
        };
        let life = Life::new(PROGRAM);
        let worker = Worker::start(life, &base, SCHEMA, Arc::new(bus.clone()), Need::Required);
        let topic: Arc<str> = topics::STOCK_TOPIC.into();
        let store = Store::new(worker.pool.clone(), worker.runtime.relay.lease(), topic.clone());
        let gate = Gate::new(common::redis::connect(&config.redis), &config.gate.prefix)
            .expect("a valid prefix");
        let readiness = &worker.life.readiness;
        let recent_max = config.pipeline.recent_max;
        let (stock, comparer) =
            Stock::new(store.clone(), gate.clone(), topic, recent_max, readiness);
        worker.life.tasks.spawn("comparer", comparer.run(worker.life.stop()));
        let loader = Loader::new(store.clone(), gate.clone());
        let id = testing::unique_number() / 1_000;
        Self {
            bus,
            database,
            store,
            gate,
            loader,
            worker,
            config,
            session: SessionId(id),
            a: TicketId(id * 10 + 1),
            b: TicketId(id * 10 + 2),
            stock: Arc::new(stock),
        }
    }

    pub(crate) async fn put(&self, session: SessionId, a: TicketId, b: TicketId, sale: &Sale) {
        let ticket = |ticket_id, name: &str, total| NewTicketType {
            ticket_id,
            name: name.to_owned(),
            unit_price: PRICE.parse().expect("valid"),
            per_order_limit: Some(8),
            total,
        };
        let session = NewSession {
            session_id: session,
            name: "Tonight".to_owned(),
            sale_starts_at: None,
            sale_ends_at: None,
            currency: "EUR".parse().expect("valid"),
            hold_seconds: None,
            per_user_limit: sale.per_user_limit,
            ticket_types: vec![ticket(a, "A", sale.total_a), ticket(b, "B", sale.total_b)],
        };
        let show = NewShow { show_id: ShowId(1), name: "Show".to_owned(), sessions: vec![session] };
        let stored = self.store.put_show(show).await.expect("written").expect("allowed");
        self.worker.runtime.relay.hand_over(stored.rows, Instant::now());
    }

    pub(crate) async fn open(&self, session: SessionId) {
        self.set_state(session, SaleState::Open).await;
    }

    pub(crate) async fn set_state(&self, session: SessionId, state: SaleState) {
        let update = self.store.set_state(session, state).await.expect("written").expect("there");
        self.worker.runtime.relay.hand_over(update.row, Instant::now());
    }

    /// Starts to consume, as one more process would.
    pub(crate) async fn consume(&self) {
        for registration in handlers::registrations(&self.config.broker, &self.config.pipeline) {
            let runtime = self.worker.runtime.clone();
            let pipeline =
                Pipeline::subscribe(self.stock.clone(), registration, &self.bus, runtime)
                    .await
                    .expect("subscribed");
            self.worker.add(pipeline.clone());
            pipeline.start(&self.worker.life.tasks);
        }
    }

    pub(crate) async fn publish(&self, messages: Vec<OutgoingMessage>) {
        for answer in self.bus.publish(messages).await {
            answer.expect("published");
        }
    }

    /// Publishes, consumes, and waits until all is quiet.
    pub(crate) async fn run(&self, messages: Vec<OutgoingMessage>) {
        self.publish(messages).await;
        self.consume().await;
        self.quiet().await;
    }

    /// Waits until no message waits, none is in hand, and no fact is unpublished.
    pub(crate) async fn quiet(&self) {
        self.until("all is quiet", async || {
            let order = self.bus.lag(topics::STOCK_ORDER_GROUP, topics::ORDER_TOPIC).await;
            let command = self.bus.lag(topics::STOCK_COMMAND_GROUP, topics::STOCK_TOPIC).await;
            order == Ok(0) && command == Ok(0) && self.count(PENDING).await == 0
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, wait)
            .await
            .unwrap_or_else(|_| panic!("{what}: not in time"));
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool).await.expect("counted")
    }

    /// What was said about an order, oldest first: `DEDUCTED`, `REJECTED reserve sold_out`.
    pub(crate) fn said(&self, order: &str) -> Vec<String> {
        let facts = self.bus.published().into_iter().filter(|message| {
            message.destination == Destination::Topic(topics::STOCK_TOPIC.into())
                && &*message.key == order
                && !matches!(&*message.tag, "STOCK_DEDUCT" | "STOCK_ROLLBACK" | "STOCK_SYNC")
        });
        facts
            .map(|message| {
                let tag: Tag = message.tag.parse().expect("a tag of ours");
                let body = StockEventMessage::read(tag, &message.body).expect("a readable fact");
                let mut text = body.operation.to_string();
                for part in body.on.map(|step| step.to_string()).into_iter().chain(body.reason) {
                    text = format!("{text} {part}");
                }
                text
            })
            .collect()
    }

    /// An order's state and lines: `HELD 1x2H` (by ticket type A = 1, B = 2), or `none`.
    pub(crate) async fn hold(&self, order: &str) -> String {
        let order_no = OrderNo::new(order).expect("valid");
        let found = self.store.reservation(&order_no).await.expect("read");
        let Some(found) = found else { return "none".to_owned() };
        let mut text = found.hold.state().as_str().to_owned();
        for line in &found.hold.lines {
            let ticket = line.ticket_id.get() % 10;
            text = format!("{text} {ticket}x{}{}", line.quantity, &line.state.as_str()[..1]);
        }
        text
    }

    /// (reserved, sold) of ticket type A.
    pub(crate) async fn counters(&self) -> (i64, i64) {
        let stock = self.store.stock(self.session).await.expect("read").expect("there");
        (stock.ticket_types[0].reserved, stock.ticket_types[0].sold)
    }

    pub(crate) async fn redis(&self) -> Snapshot {
        self.gate.snapshot(self.session).await.expect("Redis answers")
    }

    /// Whatever happened: the counters are what the holds say, and Redis is what PostgreSQL says.
    pub(crate) async fn audit(&self) {
        for (what, sql) in AUDIT {
            let wrong = self.count(sql).await;
            assert_eq!(wrong, 0, "{what}");
        }
        let free: BTreeMap<TicketId, i64> = (self.store.stock(self.session).await)
            .expect("read")
            .expect("there")
            .ticket_types
            .iter()
            .map(|row| (row.ticket_id, row.available()))
            .collect();
        assert_eq!(self.redis().await.stock, free, "Redis and PostgreSQL differ");
    }
}

impl Drop for World {
    /// Its database goes, so its tasks should.
    fn drop(&mut self) {
        self.worker.life.tasks.stop.cancel();
    }
}

const PENDING: &str = "SELECT count(*) FROM stock.outbox_batches WHERE sent_at IS NULL";

const AUDIT: [(&str, &str); 3] = [
    (
        "reserved and sold are the sums of the holds' lines",
        "SELECT count(*) FROM stock.ticket_types AS t \
         LEFT JOIN (SELECT l.ticket, coalesce(sum(l.qty) FILTER (WHERE l.state = 'HELD'), 0) AS h, \
             coalesce(sum(l.qty) FILTER (WHERE l.state = 'SOLD'), 0) AS s \
           FROM stock.reservations AS r, jsonb_to_recordset(r.lines::jsonb) \
             AS l(ticket int8, qty int8, state text) GROUP BY l.ticket) AS l \
           ON l.ticket = t.ticket_id \
         WHERE t.reserved <> coalesce(l.h, 0) OR t.sold <> coalesce(l.s, 0) \
           OR t.reserved + t.sold > t.total",
    ),
    (
        "users' counts are the sums of their holds",
        "SELECT count(*) FROM stock.user_holds AS u \
         FULL JOIN (SELECT r.session_id, r.user_id, sum(l.qty) AS live \
           FROM stock.reservations AS r, \
             jsonb_to_recordset(r.lines::jsonb) AS l(qty int8, state text) \
           WHERE l.state <> 'RELEASED' AND r.user_id IS NOT NULL \
           GROUP BY r.session_id, r.user_id) AS h USING (session_id, user_id) \
         WHERE coalesce(u.held, 0) <> coalesce(h.live, 0)",
    ),
    (
        "no event was taken twice by a group",
        "SELECT count(*) - count(DISTINCT (consumer_group, event_id)) FROM stock.inbox",
    ),
];

/// A message of ours: with an envelope and a new event id.
pub(crate) fn ours(tag: Tag, key: &str, body: Vec<u8>) -> OutgoingMessage {
    let envelope = Envelope {
        key: key.to_owned(),
        event_id: Uuid::now_v7(),
        schema_version: contracts::WRITE_VERSION,
        aggregate_version: 1,
        occurred_at: common::clock::now(),
        producer: "test/1".to_owned(),
        causation_id: None,
        traceparent: None,
    };
    OutgoingMessage { properties: envelope.to_properties(), ..foreign(tag, body) }
}

/// A Java service's message: no key, no property.
pub(crate) fn foreign(tag: Tag, body: Vec<u8>) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic(tag.topic().into()),
        tag: tag.as_str().into(),
        key: "".into(),
        body: Bytes::from(body),
        properties: BTreeMap::new(),
        delay: None,
    }
}

impl World {
    /// `ORDER_CREATED` for these lines by one user.
    pub(crate) fn created(
        &self,
        order: &str,
        user: i64,
        lines: &[(TicketId, i32)],
    ) -> OutgoingMessage {
        self.created_in(self.session, order, user, lines)
    }

    pub(crate) fn created_in(
        &self,
        session: SessionId,
        order: &str,
        user: i64,
        lines: &[(TicketId, i32)],
    ) -> OutgoingMessage {
        let mut body = order_event(OrderEventType::Created, order);
        body.session_id = Some(session);
        body.user_id = Some(UserId(user));
        body.currency = Some("EUR".parse().expect("valid"));
        body.set_lines(&lines.iter().map(line).collect::<Vec<_>>());
        ours(Tag::OrderCreated, order, body.to_body().expect("written"))
    }

    pub(crate) fn paid(&self, order: &str) -> OutgoingMessage {
        let mut body = order_event(OrderEventType::Paid, order);
        body.session_id = Some(self.session);
        ours(Tag::OrderPaid, order, body.to_body().expect("written"))
    }

    pub(crate) fn cancelled(&self, order: &str, reason: &str) -> OutgoingMessage {
        let mut body = order_event(OrderEventType::Cancelled, order);
        body.session_id = Some(self.session);
        body.reason = Some(reason.to_owned());
        ours(Tag::OrderCancelled, order, body.to_body().expect("written"))
    }
}

fn order_event(event_type: OrderEventType, order: &str) -> OrderEventMessage {
    OrderEventMessage::new(event_type, OrderNo::new(order).expect("valid"))
}

fn line(&(ticket_id, quantity): &(TicketId, i32)) -> Line {
    let quantity = Quantity::new(quantity).expect("in range");
    Line { ticket_id, quantity, unit_price: PRICE.parse().ok() }
}
