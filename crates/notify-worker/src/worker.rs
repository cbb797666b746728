//! How the parts are put together, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use common::admin_http::{self, Ports};
use common::auth::Tokens;
use common::bus::{Bus, Group, Topic, Topology};
use common::config::{BrokerConfig, ConfigError};
use common::life::{Failure, Life, Program, Tasks};
use common::pipeline::{LocalQueue, Pipeline};
use common::readiness::Need;
use common::worker::Worker;
use common::{backoff, postgres};
use contracts::Channel;
use futures::future;
use tokio_util::sync::CancellationToken;

use crate::channels::{self, LogChannel, SmtpChannel};
use crate::config::{Config, Service};
use crate::delivery::{AtOnce, Counters, Dispatch, Office, Shared, Sweeper};
use crate::handlers::{Notifications, Route, registrations};
use crate::store::{MIGRATOR, SCHEMA, Store};
use crate::templates::Templates;
use crate::{api, metric};

/// What this binary is.
pub const PROGRAM: Program = Program {
    name: "notify-worker",
    version: env!("CARGO_PKG_VERSION"),
    about: "Delivers notifications, each recorded once",
};

/// Where the outcomes of deliveries are decided; stands where a consumer group would.
const ANSWERS: &str = "notify-answers";

/// Brings the schema `notify` up to date.
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
    let channels = Channels::new(&config)?;
    Box::pin(run_on(config, life, Arc::new(bus), channels)).await
}

/// What serves each channel.
pub struct Channels {
    pub sms: Arc<dyn channels::Channel>,
    pub email: Arc<dyn channels::Channel>,
    pub push: Arc<dyn channels::Channel>,
}

impl Channels {
    /// As configured.
    ///
    /// # Errors
    /// What is wrong with the section `smtp`, if that is used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let serve = |channel| -> Result<Arc<dyn channels::Channel>, ConfigError> {
            match config.channels.of(channel) {
                Service::Log => Ok(Arc::new(LogChannel)),
                Service::Smtp => match SmtpChannel::new(&config.smtp) {
                    Ok(smtp) => Ok(Arc::new(smtp)),
                    Err(error) => Err(ConfigError::invalid(common::life::chain(&error))),
                },
            }
        };
        Ok(Self {
            sms: serve(Channel::Sms)?,
            email: serve(Channel::Email)?,
            push: serve(Channel::Push)?,
        })
    }

    fn all(&self) -> Vec<(Channel, Arc<dyn channels::Channel>)> {
        let Self { sms, email, push } = self;
        [(Channel::Sms, sms), (Channel::Email, email), (Channel::Push, push)]
            .map(|(name, channel)| (name, channel.clone()))
            .into()
    }
}

/// Runs until the process is asked to end, on any bus and with any channels.
///
/// # Errors
/// A wrong configuration, a port that is taken, a background task that panicked.
pub async fn run_on(
    config: Config,
    life: Life,
    bus: Arc<dyn Bus>,
    channels: Channels,
) -> Result<(), Failure> {
    common::metric::describe(metric::ALL);
    let tokens = Tokens::load(&config.auth)?;
    let worker = Worker::start(life.clone(), &config.base(), SCHEMA, bus, Need::Required);
    let call_lease = Duration::from_millis(config.delivery.lease_ms);
    let store = Store::new(worker.pool.clone(), worker.runtime.relay.lease(), call_lease);

    let templates = Templates::new(&config.templates.default_locale);
    let refresh = Duration::from_millis(config.templates.refresh_ms);
    let refreshing = refresh_templates(templates.clone(), store.clone(), refresh, life.stop());
    life.tasks.spawn("templates", refreshing);

    let (dispatch, counters) = Dispatch::new(config.delivery.queue_max, call_lease);
    let aggregate = Arc::new(Notifications {
        store: store.clone(),
        policy: config.delivery.policy(),
        at_once: AtOnce::new(templates.clone(), channels.all()),
        dispatch: dispatch.clone(),
        route: route(&config, &life.producer),
    });
    let answers = Arc::new(LocalQueue::new(config.pipeline.queue_max));
    Pipeline::local(aggregate.clone(), ANSWERS, answers.clone(), worker.runtime.clone())
        .start(&life.tasks);

    let sweeper = Sweeper::new(store.clone(), dispatch, &config.delivery);
    life.tasks.spawn("calls-sweeper", sweeper.run(life.stop()));

    let shared =
        Shared { store: store.clone(), templates, answers, readiness: life.readiness.clone() };
    let deliveries = open_offices(&config, &worker, &shared, channels, counters);

    let intake = Tasks::new();
    life.tasks.spawn("intake", end_intake(intake.clone(), life.stop(), deliveries));
    consume(&worker, &config, &aggregate, intake);

    let routes = api::router(store, &tokens, &config.api);
    let admin = admin_http::router(life.readiness.clone(), life.metrics.clone());
    let ports = Ports::open(&config.admin, admin, Some((&config.api, routes))).await?;
    life.stopping().await;
    worker.drain(ports, async || ()).await
}

/// Starts the deliveries of each channel. Once the answered token is cancelled, they deliver what
/// waits for them and end; then nobody answers any more, and the local queue ends, too.
fn open_offices(
    config: &Config,
    worker: &Worker,
    shared: &Shared,
    channels: Channels,
    counters: Counters,
) -> CancellationToken {
    let end = CancellationToken::new();
    let tasks = &worker.life.tasks;
    let open = |channel, service, counter| {
        let in_flight_max = match config.channels.of(channel) {
            Service::Log => config.delivery.log_in_flight_max,
            Service::Smtp => config.delivery.smtp_in_flight_max,
        };
        let office = Office::new(channel, service, shared.clone(), in_flight_max, &config.delivery);
        let office = Arc::new(office);
        tasks.spawn("channel-probe", office.clone().probe(tasks.stop.clone()));
        let (end, abandon) = (end.clone(), worker.runtime.abandon.clone());
        tasks.spawn("deliveries", async move {
            // What is given up is delivered again by whoever claims its call.
            let _ = abandon.run_until_cancelled(office.run(counter, end)).await;
        })
    };
    let offices = [
        open(Channel::Sms, channels.sms, counters.sms),
        open(Channel::Email, channels.email, counters.email),
        open(Channel::Push, channels.push, counters.push),
    ];
    let answers = shared.answers.clone();
    tasks.spawn("answers", async move {
        future::join_all(offices).await;
        answers.stop();
    });
    end
}

/// Subscribes each channel's group; its tasks are `intake`'s.
fn consume(worker: &Worker, config: &Config, aggregate: &Arc<Notifications>, intake: Tasks) {
    let (aggregate, registrations) = (aggregate.clone(), registrations(config));
    worker.consume(topology(config), async move |worker| {
        for registration in registrations {
            let (bus, runtime) = (&*worker.bus, worker.runtime.clone());
            let pipeline =
                Pipeline::subscribe(aggregate.clone(), registration, bus, runtime).await?;
            pipeline.start(&intake);
            worker.add(pipeline);
        }
        Ok(())
    });
}

/// Ends the deliveries once everything that was taken from the bus is recorded.
async fn end_intake(intake: Tasks, stop: CancellationToken, deliveries: CancellationToken) {
    let panicked = stop.run_until_cancelled(intake.stop.cancelled()).await.is_some();
    if panicked {
        // Its other tasks end with the process.
        deliveries.cancel();
        panic!("a task that takes messages panicked");
    }
    intake.wait().await;
    deliveries.cancel();
}

async fn refresh_templates(
    templates: Templates,
    store: Store,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        match store.templates().await {
            Ok(rows) => templates.replace(rows),
            Err(error) => tracing::debug!(%error, "the templates were not read"),
        }
        let pause = tokio::time::sleep(backoff::jitter(interval));
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

fn route(config: &Config, worker: &str) -> Route {
    Route {
        topic: config.broker.notification_topic.as_str().into(),
        sms_group: config.groups.sms.as_str().into(),
        email_group: config.groups.email.as_str().into(),
        push_group: config.groups.push.as_str().into(),
        worker: worker.into(),
    }
}

fn topology(config: &Config) -> Topology {
    let BrokerConfig { notification_topic, queues, broker_attempts_max, .. } = &config.broker;
    let group = |channel: &Channel| Group {
        name: config.groups.of(*channel).to_owned(),
        broker_attempts_max: *broker_attempts_max,
    };
    Topology {
        topics: vec![Topic { name: notification_topic.clone(), queues: *queues }],
        groups: Channel::ALL.iter().map(group).collect(),
    }
}
