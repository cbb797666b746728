//! stock-worker assembled: what runs, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use common::auth::Tokens;
use common::bus::{Bus, Group, Topic, Topology};
use common::config::BrokerConfig;
use common::life::{Failure, Life};
use common::pipeline::Pipeline;
use common::readiness::Need;
use common::worker::{Base, Worker};
use common::{admin_http, metric as common_metric, postgres};
use contracts::topics;

use crate::api::{self, Api};
use crate::config::Config;
use crate::gate::Gate;
use crate::loading::Loader;
use crate::sale::SoldOut;
use crate::stock::{REDIS, Stock};
use crate::store::{MIGRATIONS, SCHEMA, Store};
use crate::{handlers, metric};

mod redis_check;

/// Runs until the process is asked to end, then drains.
///
/// # Errors
/// A port is taken, the tokens can't be read, or a background task panicked.
pub async fn run(config: Config, life: Life, bus: Arc<dyn Bus>) -> Result<(), Failure> {
    common_metric::describe(metric::ALL);
    let tokens = Tokens::load(&config.auth)?;
    let worker = Worker::start(life.clone(), &base(&config), SCHEMA, bus, Need::Required);
    let topic: Arc<str> = config.broker.stock_topic.as_str().into();
    let store = Store::new(worker.pool.clone(), worker.runtime.relay.lease(), topic.clone());
    let connection = common::redis::connect(&config.redis);
    let gate = Gate::new(connection.clone(), &config.gate.prefix)?;
    let recent_max = config.pipeline.recent_max;
    let (stock, comparer) =
        Stock::new(store.clone(), gate.clone(), topic, recent_max, &life.readiness);

    let redis = life.readiness.dependency(REDIS, Need::Required);
    let probe = redis_check::run(connection, gate.clone(), redis, life.stop());
    life.tasks.spawn("redis-probe", probe);
    life.tasks.spawn("comparer", comparer.run(life.stop()));
    let sold_out = SoldOut {
        store: store.clone(),
        relay: worker.runtime.relay.clone(),
        interval: Duration::from_millis(config.sale.sold_out_interval_ms),
    };
    life.tasks.spawn("sold-out", sold_out.run(life.stop()));

    let registrations = handlers::registrations(&config.broker, &config.pipeline);
    let stock = Arc::new(stock);
    worker.consume(topology(&config.broker), async move |worker| {
        for registration in registrations {
            let (bus, runtime) = (worker.bus.clone(), worker.runtime.clone());
            let pipeline = Pipeline::subscribe(stock.clone(), registration, &*bus, runtime).await?;
            worker.add(pipeline.clone());
            pipeline.start(&worker.life.tasks);
        }
        Ok(())
    });

    let loader = Loader::new(store.clone(), gate.clone());
    let api = Api { store, gate, loader, relay: worker.runtime.relay.clone() };
    let router = api::router(api, &tokens, &config.api);
    let admin = admin_http::router(life.readiness.clone(), life.metrics.clone());
    let ports = admin_http::Ports::open(&config.admin, admin, Some((&config.api, router))).await?;
    life.stopping().await;
    worker.drain(ports, async || {}).await
}

/// Brings the schema up to date.
///
/// # Errors
/// What PostgreSQL says.
pub async fn migrate(config: Config) -> Result<(), Failure> {
    let pool = postgres::pool(&config.postgres, "stock-worker migrate");
    postgres::migrate(&pool, &MIGRATIONS, SCHEMA).await?;
    pool.close().await;
    Ok(())
}

fn base(config: &Config) -> Base {
    Base {
        postgres: config.postgres.clone(),
        broker: config.broker.clone(),
        pipeline: config.pipeline.clone(),
        outbox: config.outbox.clone(),
        inbox: config.inbox.clone(),
        drain: config.drain.clone(),
    }
}

/// The topics and groups that stock-worker needs.
pub fn topology(broker: &BrokerConfig) -> Topology {
    let topic = |name: &String| Topic { name: name.clone(), queues: broker.queues };
    let group = |name: &str| Group {
        name: name.to_owned(),
        broker_attempts_max: broker.broker_attempts_max,
    };
    Topology {
        topics: vec![topic(&broker.order_topic), topic(&broker.stock_topic)],
        groups: vec![group(topics::STOCK_ORDER_GROUP), group(topics::STOCK_COMMAND_GROUP)],
    }
}
