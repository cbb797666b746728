//! What every worker is assembled from, and the order in which it ends.
//!
//! [`Worker::start`] opens the database pool, starts the relay, the sweeper, the probes and what
//! exports the consumers' lag. The worker then registers what it consumes with
//! [`Worker::consume`], which also provisions topics and groups, and ends with [`Worker::drain`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admin_http::Ports;
use crate::backoff::Backoff;
use crate::bus::{Bus, BusError, Subscription, Topology};
use crate::config::{
    BrokerConfig, DrainConfig, InboxConfig, OutboxConfig, PipelineConfig, PostgresConfig,
    Provisioning,
};
use crate::inbox::Inbox;
use crate::life::{Failure, Life};
use crate::outbox::sweeper::Sweeper;
use crate::outbox::{Outbox, Relay};
use crate::pipeline::{Aggregate, Pipeline, Runtime, Sink, SinkPipeline};
use crate::postgres::Pool;
use crate::readiness::{Dependency, Need};
use crate::{backoff, metric, postgres};

mod lag;

/// How often the broker is asked about its health.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A broker that answers may still take no message, and then publishing has the last word: it tries
/// again within this.
const DOUBT: Duration = Duration::from_secs(3);
/// How often missing topics are looked for again.
const VERIFY_INTERVAL: Duration = Duration::from_secs(5);
/// The part of the drain's time after which what is still in hand is left to redelivery.
const ABANDON_AFTER: f64 = 0.8;

/// The configuration that every worker has.
#[derive(Debug, Clone)]
pub struct Base {
    pub postgres: PostgresConfig,
    pub broker: BrokerConfig,
    pub pipeline: PipelineConfig,
    pub outbox: OutboxConfig,
    pub inbox: InboxConfig,
    pub drain: DrainConfig,
}

/// The parts that all of a worker's code shares. Clones share them.
#[derive(Clone)]
pub struct Worker {
    pub life: Life,
    /// For batch statements (see [`postgres::hot_pool`]).
    pub pool: Pool,
    pub bus: Arc<dyn Bus>,
    pub runtime: Runtime,
    broker: Dependency,
    topology: Dependency,
    provisioning: Provisioning,
    sources: Sources,
}

type Sources = Arc<Mutex<Vec<Arc<dyn Source>>>>;

/// Something that takes messages until it is told to stop.
pub trait Source: Send + Sync {
    /// Takes no more; what is in hand is finished.
    fn stop(&self);

    /// What it takes from the bus; `None` when it takes from the process's own queue.
    fn subscription(&self) -> Option<&Subscription>;
}

impl<A: Aggregate> Source for Pipeline<A> {
    fn stop(&self) {
        Self::stop(self);
    }

    fn subscription(&self) -> Option<&Subscription> {
        Self::subscription(self)
    }
}

impl<S: Sink> Source for SinkPipeline<S> {
    fn stop(&self) {
        Self::stop(self);
    }

    fn subscription(&self) -> Option<&Subscription> {
        Some(Self::subscription(self))
    }
}

impl Worker {
    /// Assembles the parts; nothing needs to be reachable yet. `broker` says whether the worker
    /// is ready without the broker.
    pub fn start(
        life: Life,
        base: &Base,
        schema: &'static str,
        bus: Arc<dyn Bus>,
        broker: Need,
    ) -> Self {
        metric::describe(metric::ALL);
        let name = life.producer.clone();
        let pool = postgres::hot_pool(&base.postgres, &name);
        let (outbox, inbox) = (Outbox::new(schema), Inbox::new(schema));
        let database = life.readiness.dependency("postgresql", Need::Required);
        let topology = life.readiness.dependency("topics", broker);
        let broker = life.readiness.dependency("broker", broker);
        let relay = Relay::start(
            bus.clone(),
            pool.clone(),
            outbox.clone(),
            name.clone(),
            broker.clone(),
            &base.outbox,
        );
        let runtime = Runtime {
            publisher: bus.clone(),
            relay: relay.clone(),
            readiness: life.readiness.clone(),
            worker: name.into(),
            config: base.pipeline.clone(),
            abandon: CancellationToken::new(),
        };
        let sweeper = Sweeper {
            pool: pool.clone(),
            outbox,
            inbox,
            relay,
            outbox_config: base.outbox.clone(),
            inbox_config: base.inbox.clone(),
        };
        let stop = life.stop();
        let tasks = &life.tasks;
        tasks.spawn("sweeper", sweeper.run(stop.clone()));
        let probe = postgres::probe(base.postgres.clone(), database, stop.clone());
        tasks.spawn("postgresql-probe", probe);
        tasks.spawn("broker-probe", probe_broker(bus.clone(), broker.clone(), stop.clone()));
        let sources = Sources::default();
        tasks.spawn("lag", lag::export(bus.clone(), sources.clone(), stop.clone()));
        let abandon = runtime.abandon.clone();
        let drain = Duration::from_millis(base.drain.drain_timeout_ms).mul_f64(ABANDON_AFTER);
        // Not one of the tasks that the drain waits for: it ends with the process.
        tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
            abandon.cancel();
        });
        let provisioning = base.broker.topics;
        Self { life, pool, bus, runtime, broker, topology, provisioning, sources }
    }

    /// Provisions `topology`, then subscribes, in the background: a broker that is away at start
    /// is waited for. What is refused for good ends the process.
    pub fn consume<F, R>(&self, topology: Topology, subscribe: F)
    where
        F: FnOnce(Self) -> R + Send + 'static,
        R: Future<Output = Result<(), BusError>> + Send + 'static,
    {
        let this = self.clone();
        let stop = self.life.stop();
        self.life.tasks.spawn("subscribe", async move {
            let work = async {
                this.provision(&topology).await?;
                subscribe(this.clone()).await
            };
            if let Some(Err(error)) = stop.run_until_cancelled(work).await {
                panic!("subscribing was refused: {error}");
            }
        });
    }

    /// Registers a source, so that its lag is exported and the drain stops it; at once when it has
    /// begun.
    pub fn add(&self, source: Arc<dyn Source>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if self.life.stop().is_cancelled() {
            source.stop();
        }
        sources.push(source);
    }

    async fn provision(&self, topology: &Topology) -> Result<(), BusError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), VERIFY_INTERVAL);
        loop {
            let done = match self.provisioning {
                Provisioning::Create => self.bus.create(topology).await.map(|()| Vec::new()),
                Provisioning::Verify => self.bus.verify(topology).await,
            };
            match done {
                Ok(missing) if missing.is_empty() => {
                    self.topology.up();
                    return Ok(());
                }
                Ok(missing) => {
                    let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
                    self.topology.away(lines.join("; "));
                    tokio::time::sleep(VERIFY_INTERVAL).await;
                }
                Err(BusError::Away(reason)) => {
                    self.broker.away(&reason);
                    tokio::time::sleep(backoff.next_delay()).await;
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    /// Ends in order: stop pulling, answer the API's callers, finish what is in hand, publish
    /// what is committed, close. `last` runs between the last API call and the rest: it ends what
    /// API calls are decided by.
    ///
    /// # Errors
    /// A background task that panicked.
    pub async fn drain(self, mut ports: Ports, last: impl AsyncFnOnce()) -> Result<(), Failure> {
        let sources =
            std::mem::take(&mut *self.sources.lock().unwrap_or_else(PoisonError::into_inner));
        for source in &sources {
            source.stop();
        }
        ports.close_api().await;
        last().await;
        self.life.tasks.wait().await;
        self.runtime.relay.flush().await;
        self.bus.close().await;
        self.pool.close().await;
        ports.close().await;
        match self.life.tasks.failed() {
            Some(task) => Err(format!("task {task} panicked").into()),
            None => Ok(()),
        }
    }
}

async fn probe_broker(bus: Arc<dyn Bus>, broker: Dependency, stop: CancellationToken) {
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = bus.probe() => asked,
        };
        match asked {
            Ok(()) => broker.answers(DOUBT),
            Err(error) => broker.away(error),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff::jitter(PROBE_INTERVAL)) => {}
        }
    }
}
