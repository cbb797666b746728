//! How the parts are put together, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use common::admin_http::{self, Ports};
use common::auth::Tokens;
use common::bus::{Bus, Group, Topic, Topology};
use common::life::{Failure, Life, Program, Tasks};
use common::pipeline::{LocalQueue, Pipeline, Recent, SinkPipeline};
use common::postgres;
use common::readiness::Need;
use common::worker::Worker;
use contracts::topics;

use crate::admission::Admission;
use crate::aggregate::Orders;
use crate::api::{self, Api};
use crate::config::Config;
use crate::expiry::Sweep;
use crate::handlers::publish::Publisher;
use crate::handlers::{registrations, sale_subscription};
use crate::metric;
use crate::payments::{self, Callbacks, Executor, Gateways, OrderLedger, Parked};
use crate::sale::{self, SaleSink, Sales};
use crate::store::{MIGRATOR, SCHEMA, Store};
use crate::waiting::Waiting;

/// What this binary is.
pub const PROGRAM: Program = Program {
    name: "order-worker",
    version: env!("CARGO_PKG_VERSION"),
    about: "Takes orders, their payments and refunds, and ends them at their deadline",
};

/// Stands where a consumer group would for what comes from this process itself.
const LOCAL: &str = "order-local";

/// Brings the schema `orders` up to date.
///
/// # Errors
/// The database can't be reached, or refuses a migration.
pub async fn migrate(config: Config) -> Result<(), Failure> {
    let pool = postgres::pool(&config.postgres, PROGRAM.name);
    postgres::migrate(&pool, &MIGRATOR, SCHEMA).await?;
    pool.close().await;
    Ok(())
}

/// Runs until the process is asked to end, on RocketMQ.
///
/// # Errors
/// A wrong configuration, a port that is taken, a background task that panicked.
pub async fn run(config: Config, life: Life) -> Result<(), Failure> {
    let bus = RocketBus::connect(RocketConfig::of(&config.broker, PROGRAM.name)).await?;
    Box::pin(run_on(config, life, Arc::new(bus))).await
}

/// Runs until the process is asked to end, on any bus.
///
/// # Errors
/// A wrong configuration, a port that is taken, a background task that panicked.
pub async fn run_on(config: Config, life: Life, bus: Arc<dyn Bus>) -> Result<(), Failure> {
    common::metric::describe(metric::ALL);
    common::metric::describe(payments::metric::ALL);
    let tokens = Tokens::load(&config.auth)?;
    // Orders are accepted without the broker: into the outbox.
    let worker = Worker::start(life.clone(), &config.base(), SCHEMA, bus, Need::Degraded);
    let store = Store::new(worker.pool.clone(), worker.runtime.relay.lease());
    let sales = Sales::default();
    let admission = Admission::new(Duration::from_millis(config.orders.backlog_max_ms));
    let waiting = Waiting::default();
    life.tasks.spawn("waiting", waiting.clone().keep_reading(store.clone(), life.stop()));
    let (hand_over, calls) = payments::hand_over(config.payments.call_queue_max);
    let gateways = Gateways::new(&config.payments, &life.readiness)?;
    let orders = Arc::new(Orders {
        store: store.clone(),
        sales: sales.clone(),
        policy: Arc::new(config.orders.policy()),
        publisher: Publisher::new(config.topics()),
        gateways: gateways.clone(),
        hand_over: Arc::new(move |calls| hand_over.try_hand_over(calls)),
        waiting: waiting.clone(),
        admission: admission.clone(),
        recent: Recent::new(config.pipeline.recent_max),
        created: Recent::new(config.pipeline.recent_max),
    });
    let queue = Arc::new(LocalQueue::new(config.pipeline.queue_max));
    Pipeline::local(orders.clone(), LOCAL, queue.clone(), worker.runtime.clone())
        .start(&life.tasks);

    let ledger = Arc::new(OrderLedger { queue: queue.clone(), store: store.clone() });
    let callbacks = Callbacks::new(&config.payments);
    // Tasks of their own: they end before the queue that takes their answers.
    let paying = Tasks::new();
    Executor::start(calls, gateways.clone(), ledger.clone(), config.payments.clone(), &paying);
    let parked = Parked::new(ledger, callbacks.clone(), &config.payments);
    paying.spawn("parked-events", parked.run(paying.stop.clone()));
    life.tasks.spawn("payments", watch(paying.clone()));

    keep_time(&life, &config, &store, &queue, &sales);
    // These, too: they end before the executor, which makes the calls that they decide.
    let intake = Tasks::new();
    life.tasks.spawn("intake", watch(intake.clone()));
    consume(&worker, &config, orders, &store, intake.clone());

    let routes = api::router(
        Api::new(queue.clone(), store, gateways, callbacks, waiting, admission, &config.api),
        &tokens,
        &config.api,
    );
    let admin = admin_http::router(life.readiness.clone(), life.metrics.clone());
    let ports = Ports::open(&config.admin, admin, Some((&config.api, routes))).await?;
    life.stopping().await;
    worker
        .drain(ports, async || {
            intake.stop.cancel();
            intake.wait().await;
            paying.stop.cancel();
            paying.wait().await;
            queue.stop();
        })
        .await
}

/// What happens by itself: the sale's copy is refreshed, deadlines pass.
fn keep_time(
    life: &Life,
    config: &Config,
    store: &Store,
    queue: &Arc<LocalQueue<Orders>>,
    sales: &Sales,
) {
    let known = life.readiness.dependency("sale", Need::Required);
    let interval = Duration::from_millis(config.orders.sale_refresh_ms);
    let refresh = sales.clone().keep_fresh(store.clone(), interval, known, life.stop());
    life.tasks.spawn("sales", refresh);
    let sweep = Sweep { store: store.clone(), queue: queue.clone(), config: config.expiry.clone() };
    life.tasks.spawn("expiry", sweep.run(life.stop()));
}

fn consume(worker: &Worker, config: &Config, orders: Arc<Orders>, store: &Store, intake: Tasks) {
    let topics = config.topics();
    let registrations = registrations(&topics, &config.pipeline);
    let sale = sale_subscription(&topics, &config.pipeline);
    let sink = Arc::new(SaleSink(store.clone()));
    worker.consume(topology(config), async move |worker| {
        let (bus, runtime) = (&*worker.bus, &worker.runtime);
        let pipeline =
            SinkPipeline::subscribe(sink, sale, sale::read, bus, runtime.clone()).await?;
        pipeline.start(&intake);
        worker.add(pipeline);
        for registration in registrations {
            let pipeline =
                Pipeline::subscribe(orders.clone(), registration, bus, runtime.clone()).await?;
            pipeline.start(&intake);
            worker.add(pipeline);
        }
        Ok(())
    });
}

/// A task of these that panicked ends the process, like any other: at once, because the others may
/// end only when the process does.
async fn watch(tasks: Tasks) {
    let assert_none_failed = || {
        if let Some(task) = tasks.failed() {
            panic!("task {task} panicked");
        }
    };
    tasks.stop.cancelled().await;
    assert_none_failed();
    tasks.wait().await;
    assert_none_failed();
}

fn topology(config: &Config) -> Topology {
    let broker = &config.broker;
    let topic = |name: &String| Topic { name: name.clone(), queues: broker.queues };
    let group = |name: &str| Group {
        name: name.to_owned(),
        broker_attempts_max: broker.broker_attempts_max,
    };
    Topology {
        topics: vec![
            topic(&broker.order_topic),
            topic(&broker.stock_topic),
            topic(&broker.notification_topic),
        ],
        groups: [topics::ORDER_INTAKE_GROUP, topics::ORDER_STOCK_GROUP, topics::ORDER_SALE_GROUP]
            .map(group)
            .into(),
    }
}
