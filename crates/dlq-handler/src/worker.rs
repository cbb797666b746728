//! What this worker is assembled from.

use std::sync::Arc;
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use common::admin_http::{self, Ports};
use common::auth::Tokens;
use common::bus::{Bus, BusError, Group, Topology};
use common::life::{Failure, Life, Program};
use common::pipeline::SinkPipeline;
use common::readiness::Need;
use common::worker::Worker;
use common::{metric, postgres};

use crate::archive::{self, Archive};
use crate::config::{Config, DlqConfig};
use crate::replay::{self, Replayer};
use crate::store::{MIGRATOR, SCHEMA, Store};
use crate::{api, metric as own_metric};

/// What this binary is.
pub const PROGRAM: Program = Program {
    name: "dlq-handler",
    version: env!("CARGO_PKG_VERSION"),
    about: "Archives dead letters, alerts, and replays by hand",
};

/// Runs the worker on RocketMQ until it is asked to end.
///
/// # Errors
/// A configuration that can't work, a port that is taken, a background task that panicked.
pub async fn run(config: Config, life: Life) -> Result<(), Failure> {
    let bus = RocketBus::connect(RocketConfig::of(&config.broker, PROGRAM.name)).await?;
    let running = Running::start(&config, life.clone(), Arc::new(bus)).await?;
    life.stopping().await;
    running.drain().await
}

/// Brings the schema up to date.
///
/// # Errors
/// What PostgreSQL says.
pub async fn migrate(config: Config) -> Result<(), Failure> {
    let pool = postgres::pool(&config.postgres, PROGRAM.name);
    postgres::migrate(&pool, &MIGRATOR, SCHEMA).await?;
    pool.close().await;
    Ok(())
}

/// A worker at work.
pub struct Running {
    worker: Worker,
    ports: Ports,
    store: Store,
}

impl Running {
    /// Starts on any bus; nothing needs to be reachable yet.
    ///
    /// # Errors
    /// The tokens can't be read, or a port is taken.
    pub async fn start(config: &Config, life: Life, bus: Arc<dyn Bus>) -> Result<Self, Failure> {
        metric::describe(own_metric::ALL);
        let tokens = Tokens::load(&config.auth)?;
        let worker = Worker::start(life.clone(), &config.base(), SCHEMA, bus, Need::Required);
        let lease = worker.runtime.relay.lease();
        let store = Store::new(postgres::pool(&config.postgres, PROGRAM.name), lease);
        let max_age_hours = config.inbox.replay_max_age_hours;
        let replayer = Replayer::new(store.clone(), worker.runtime.relay.clone(), max_age_hours);
        let admin = admin_http::router(life.readiness.clone(), life.metrics.clone());
        let api = api::router(store.clone(), replayer, &tokens, &config.api);
        let ports = Ports::open(&config.admin, admin, Some((&config.api, api))).await?;
        let interval = Duration::from_millis(config.dlq.watch_interval_ms);
        life.tasks.spawn("watch", replay::watch(store.clone(), interval, life.stop()));
        let (dlq, archive) = (config.dlq.clone(), store.clone());
        worker.consume(topology(config), |worker| subscribe(worker, dlq, archive));
        Ok(Self { worker, ports, store })
    }

    /// Where it listens.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Ends in order, once it was asked to.
    ///
    /// # Errors
    /// A background task that panicked.
    pub async fn drain(self) -> Result<(), Failure> {
        let done = self.worker.drain(self.ports, async || {}).await;
        self.store.close().await;
        done
    }
}

/// One subscription for each configured group.
async fn subscribe(worker: Worker, config: DlqConfig, store: Store) -> Result<(), BusError> {
    for group in &config.groups {
        let archive = Arc::new(Archive::new(group, store.clone()));
        let subscription = archive.subscription(&config);
        let runtime = worker.runtime.clone();
        let bus = &*worker.bus;
        let sink =
            SinkPipeline::subscribe(archive, subscription, archive::read, bus, runtime).await?;
        sink.start(&worker.life.tasks);
        worker.add(sink);
    }
    Ok(())
}

/// The groups whose dead letters are archived (their dead-letter topics come with them), and
/// those that archive them.
fn topology(config: &Config) -> Topology {
    let dlq = &config.dlq;
    let both = dlq.groups.iter().flat_map(|group| [group.clone(), dlq.archive_group(group)]);
    let broker_attempts_max = config.broker.broker_attempts_max;
    let groups = both.map(|name| Group { name, broker_attempts_max }).collect();
    Topology { topics: Vec::new(), groups }
}
