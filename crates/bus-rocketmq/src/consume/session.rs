//! One member of a consumer group, from joining it to leaving it.

#![expect(deprecated, reason = "the lite pull consumer drops what waits; see the crate's head")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::bus::{Delivery, Subscription, retry_topic};
use rocketmq_client_rust::{DefaultMQPullConsumer as PullConsumer, MessageQueueListener};
use rocketmq_model::common::message::message_queue::MessageQueue;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Backoff;
use super::buffer::Buffer;
use super::deliver::deliver;
use super::frames::Packer;
use super::health::Health;
use super::members::{self, Queues, Shares};
use super::progress::Queue;
use super::pull::pull;
use crate::names::Names;
use crate::renew::RENEWAL_MIN_INTERVAL;
use crate::{Shared, errors, host};

/// How often progress is stored again, though it has not changed: the broker may have lost it to
/// another member's first commit.
const DOUBT_INTERVAL: Duration = Duration::from_secs(15);
/// RocketMQ's tag expression for everything.
const ALL_TAGS: &str = "*";

/// A subscription and its way through joining, working and leaving.
pub(super) struct Session {
    shared: Arc<Shared>,
    subscription: Subscription,
    stop: CancellationToken,
    /// Of the member, unique among all clients of the cluster.
    name: String,
    /// How many clients it has had.
    turns: AtomicU32,
}

/// What the tasks of a member share.
pub(super) struct Member {
    pub(super) subscription: Subscription,
    pub(super) names: Names,
    pub(super) health: Health,
    pub(super) buffer: Buffer,
    pub(super) in_flight: Arc<Semaphore>,
    /// No more deliveries are wanted.
    pub(super) stop: CancellationToken,
    /// Nothing that is in hand is waited for any more.
    pub(super) closed: CancellationToken,
    pub(super) pull_batch_max: usize,
    pub(super) pull_suspend: Duration,
    pub(super) redelivery_delay: Duration,
    pub(super) backoff_max: Duration,
    /// The group as the broker knows it.
    pub(super) group: String,
    /// Replaced when it seems stuck.
    client: watch::Sender<Arc<Client>>,
    tag_expression: String,
    retry_topic: String,
}

/// One connection of a member to the group.
pub(super) struct Client {
    pub(super) consumer: PullConsumer,
    pub(super) packer: Arc<Packer>,
    /// The end of its client id; the client puts its address before it.
    pub(super) instance: String,
}

/// A queue that is ours, and the end of its pulling.
struct Owned {
    queue: Arc<Queue>,
    stop: CancellationToken,
}

type OwnedQueues = HashMap<MessageQueue, Owned>;

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        subscription: Subscription,
        stop: CancellationToken,
    ) -> Self {
        let unique = uuid::Uuid::now_v7().simple();
        let name = format!("{}-{}-{unique}", shared.instance, subscription.group);
        Self { shared, subscription, stop, name, turns: AtomicU32::new(0) }
    }

    pub(super) async fn run(self, deliveries: mpsc::Sender<Delivery>) {
        let joined = tokio::select! {
            () = self.stop.cancelled() => None,
            () = deliveries.closed() => None,
            joined = self.join_until_it_works() => Some(joined),
        };
        let Some(client) = joined else { return };
        let member = Arc::new(self.member(client));
        let (tell, shares) = mpsc::channel(1);
        let telling = Shares::new(Arc::clone(&member), self.topics());
        let telling = tokio::spawn(telling.tell(Arc::clone(&self.shared), tell));
        let delivering = tokio::spawn(deliver(Arc::clone(&member), deliveries.clone()));
        let mut owned = OwnedQueues::new();
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = deliveries.closed() => {}
            () = self.work(&member, shares, &mut owned) => {}
        }
        self.stop.cancel();
        telling.abort();
        delivering.abort();
        // The consumer ends once this, the last sender, is gone.
        drop(deliveries);
        self.finish(&member, &owned).await;
        let client = member.client().borrow().clone();
        client.leave().await;
    }

    /// Keeps the queues that are ours pulled, their progress stored, and the client fresh.
    async fn work(
        &self,
        member: &Arc<Member>,
        mut shares: mpsc::Receiver<Queues>,
        owned: &mut OwnedQueues,
    ) {
        let mut commits = ticks(millis(self.shared.config.commit_interval_ms));
        let mut doubts = ticks(DOUBT_INTERVAL);
        let mut renewals = ticks(RENEWAL_MIN_INTERVAL);
        loop {
            tokio::select! {
                Some(ours) = shares.recv() => self.own(member, owned, &ours).await,
                _ = commits.tick() => self.commit(member, owned).await,
                _ = doubts.tick() => owned.values().for_each(|owned| owned.queue.doubt()),
                _ = renewals.tick() => if member.health.is_poor() { self.renew(member).await },
            }
        }
    }

    /// Joins the group with a fresh client; the queues stay ours unless the others object.
    async fn renew(&self, member: &Member) {
        let group = &member.group;
        match self.join().await {
            Ok(client) => {
                tracing::info!(group, "consuming through a new connection");
                member.health.start_again();
                let old = member.client.send_replace(Arc::new(client));
                self.shared.tasks.spawn(async move { old.leave().await });
            }
            Err(problem) => tracing::debug!(group, problem, "can't consume; trying again"),
        }
    }

    /// Waits until everything in hand is acknowledged or given back, or the bus is closed.
    async fn finish(&self, member: &Member, owned: &OwnedQueues) {
        let mut commits = ticks(millis(self.shared.config.commit_interval_ms));
        let all = u32::try_from(self.subscription.in_flight_max).unwrap_or(u32::MAX);
        let in_hand = member.in_flight.acquire_many(all);
        tokio::pin!(in_hand);
        loop {
            tokio::select! {
                _ = &mut in_hand => break,
                _ = commits.tick() => self.commit(member, owned).await,
            }
        }
        self.commit(member, owned).await;
    }

    async fn join_until_it_works(&self) -> Client {
        let mut backoff = Backoff::new(millis(self.shared.config.backoff_max_ms));
        let mut told = String::new();
        loop {
            let problem = match self.join().await {
                Ok(client) => return client,
                Err(problem) => problem,
            };
            if told != problem {
                let group = &*self.subscription.group;
                tracing::warn!(group, problem, "can't consume yet; trying again");
                told = problem;
            }
            backoff.wait(&self.stop).await;
        }
    }

    /// Starts a client that tells the brokers, by heartbeats, that it is a member of the group.
    async fn join(&self) -> Result<Client, String> {
        let Shared { config, names, host, .. } = &*self.shared;
        let admin = self.shared.admin().await.map_err(|error| error.to_string())?;
        for topic in self.topics() {
            admin.has_route(&topic).await?;
        }
        // An instance of its own: two subscriptions may be of one group, and connections are shared
        // by instance.
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let instance = members::instance(&self.name, turn);
        let suspend = millis(config.pull_suspend_ms);
        let mut builder = PullConsumer::builder(host.runtime())
            .client_options(host::client_options(config, &instance))
            .consumer_group(names.group(&self.subscription.group))
            .broker_suspend_max_time(suspend)
            .consumer_timeout_when_suspend(suspend * 2);
        let packer = Arc::new(Packer::new(&self.subscription, host::signer(config)));
        builder = builder.rpc_hook(packer.clone());
        let consumer = builder.build().map_err(|error| errors::describe(&error))?;
        // Before the start: registering later starts pull tasks of the client's own (1.0.0).
        for topic in self.topics() {
            let registering = consumer.register_message_queue_listener(&topic, NoListener);
            registering.await.map_err(|error| errors::describe(&error))?;
        }
        Box::pin(consumer.start()).await.map_err(|error| errors::describe(&error))?;
        Ok(Client { consumer, packer, instance })
    }

    fn topics(&self) -> [String; 2] {
        let names = &self.shared.names;
        let retries = retry_topic(&names.group(&self.subscription.group));
        [names.topic(&self.subscription.topic), retries]
    }

    fn member(&self, client: Client) -> Member {
        let config = &self.shared.config;
        let Subscription { batch_max, in_flight_max, .. } = self.subscription;
        let [_, retry_topic] = self.topics();
        let tags: Vec<&str> = self.subscription.tags.iter().map(|tag| &**tag).collect();
        Member {
            subscription: self.subscription.clone(),
            names: self.shared.names.clone(),
            health: Health::default(),
            client: watch::Sender::new(Arc::new(client)),
            buffer: Buffer::new(batch_max * 2),
            in_flight: Arc::new(Semaphore::new(in_flight_max)),
            stop: self.stop.clone(),
            closed: self.shared.closed.clone(),
            pull_batch_max: config.pull_batch_max,
            pull_suspend: millis(config.pull_suspend_ms),
            redelivery_delay: millis(config.redelivery_delay_ms),
            backoff_max: millis(config.backoff_max_ms),
            group: self.shared.names.group(&self.subscription.group),
            tag_expression: if tags.is_empty() { ALL_TAGS.to_owned() } else { tags.join(" || ") },
            retry_topic,
        }
    }

    /// Pulls what became ours, and gives up what is another member's now.
    async fn own(&self, member: &Arc<Member>, owned: &mut OwnedQueues, ours: &Queues) {
        let (kept, lost): (OwnedQueues, OwnedQueues) =
            std::mem::take(owned).into_iter().partition(|(name, _)| ours.contains(name));
        let gained = ours.len() - kept.len();
        *owned = kept;
        for name in ours {
            owned.entry(name.clone()).or_insert_with(|| {
                let queue = Arc::new(Queue::new(name.clone()));
                let stop = member.stop.child_token();
                tokio::spawn(pull(Arc::clone(member), Arc::clone(&queue), stop.clone()));
                Owned { queue, stop }
            });
        }
        if gained + lost.len() > 0 {
            let group = &member.group;
            tracing::info!(group, gained, lost = lost.len(), all = ours.len(), "queues changed");
        }
        for queue in lost.values() {
            queue.stop.cancel();
            queue.queue.revoke();
        }
        self.commit(member, &lost).await;
    }

    /// Stores in the broker how far we are, where that has changed.
    async fn commit(&self, member: &Member, owned: &OwnedQueues) {
        let changed: Vec<_> = owned
            .values()
            .filter_map(|owned| owned.queue.to_store().map(|offset| (&owned.queue, offset)))
            .collect();
        if changed.is_empty() {
            return;
        }
        let Ok(admin) = self.shared.admin().await else { return };
        // One after the other: of the first commits of a group and topic that the broker gets at
        // the same moment it keeps one (5.3.3, `ConsumerOffsetManager.commitOffset`).
        // A broker that does not answer is asked once, and holds up no other one.
        let mut away = HashSet::new();
        for (queue, offset) in changed {
            let broker = queue.name.broker_name();
            if away.contains(broker) {
                continue;
            }
            match admin.commit(&member.group, &queue.name, offset).await {
                Ok(()) => queue.stored(offset),
                Err(error) => {
                    tracing::debug!(queue = %queue.name, %error, "progress not stored");
                    away.insert(broker);
                }
            }
        }
    }
}

impl Member {
    /// The client to use, and the news when it is replaced.
    pub(super) fn client(&self) -> watch::Receiver<Arc<Client>> {
        self.client.subscribe()
    }

    pub(super) fn tags(&self, topic: &str) -> &str {
        if topic == self.retry_topic { ALL_TAGS } else { &self.tag_expression }
    }

    /// Whether a message of the topic with this tag is for us.
    pub(super) fn wants(&self, topic: &str, tag: &str) -> bool {
        let tags = &self.subscription.tags;
        topic == self.retry_topic || tags.is_empty() || tags.iter().any(|wanted| **wanted == *tag)
    }
}

impl Client {
    async fn leave(&self) {
        if let Err(error) = Box::pin(self.consumer.shutdown()).await {
            let (instance, problem) = (&self.instance, errors::describe(&error));
            tracing::debug!(instance, problem, "left without a word");
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The client wants one to take part in the group; the shares are worked out elsewhere.
struct NoListener;

impl MessageQueueListener for NoListener {
    fn message_queue_changed(
        &self,
        _topic: &str,
        _all: &HashSet<MessageQueue>,
        _assigned: &HashSet<MessageQueue>,
    ) {
    }
}
