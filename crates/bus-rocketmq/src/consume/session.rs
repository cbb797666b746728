//! One member of a consumer group, from joining it to leaving it.

#![expect(deprecated, reason = "the lite pull consumer drops what waits; see the crate's head")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::bus::{Delivery, Subscription, retry_topic};
use futures::future::join_all;
use rocketmq_client_rust::DefaultMQPullConsumer as PullConsumer;
use rocketmq_client_rust::MessageQueueListener;
use rocketmq_model::common::message::message_queue::MessageQueue;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Backoff;
use super::buffer::Buffer;
use super::deliver::deliver;
use super::progress::Queue;
use super::pull::pull;
use crate::names::Names;
use crate::{Shared, errors, host};

/// RocketMQ's tag expression for everything.
const ALL_TAGS: &str = "*";

/// A subscription and its way through joining, working and leaving.
pub(super) struct Session {
    shared: Arc<Shared>,
    subscription: Subscription,
    stop: CancellationToken,
}

/// What the tasks of a member share.
pub(super) struct Member {
    pub(super) subscription: Subscription,
    pub(super) names: Names,
    pub(super) client: PullConsumer,
    pub(super) buffer: Buffer,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) pull_batch_max: i32,
    pub(super) pull_suspend: Duration,
    pub(super) redelivery_delay: Duration,
    pub(super) backoff_max: Duration,
    group: String,
    tag_expression: String,
    retry_topic: String,
}

/// The queues that the group's members agreed are ours, of one topic.
struct Assignment {
    topic: String,
    queues: HashSet<MessageQueue>,
}

/// A queue that is ours, and the end of its pulling.
struct Owned {
    queue: Arc<Queue>,
    stop: CancellationToken,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        subscription: Subscription,
        stop: CancellationToken,
    ) -> Self {
        Self { shared, subscription, stop }
    }

    pub(super) async fn run(self, deliveries: mpsc::Sender<Delivery>) {
        let (changes, mut assignments) = mpsc::unbounded_channel();
        let joined = tokio::select! {
            () = self.stop.cancelled() => None,
            () = deliveries.closed() => None,
            client = self.join_until_it_works(&changes) => Some(client),
        };
        let Some(client) = joined else { return };
        let member = Arc::new(self.member(client));
        let delivering = tokio::spawn(deliver(Arc::clone(&member), deliveries.clone()));
        let mut owned = HashMap::new();
        let mut commits = tokio::time::interval(self.millis(self.shared.config.commit_interval_ms));
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = deliveries.closed() => break,
                Some(assignment) = assignments.recv() => {
                    Self::reassign(&member, &mut owned, &assignment);
                }
                _ = commits.tick() => self.commit(&member, &owned).await,
            }
        }
        self.stop.cancel();
        for queue in owned.values() {
            queue.stop.cancel();
        }
        delivering.abort();
        // The consumer ends once this, the last sender, is gone.
        drop(deliveries);
        self.finish(&member, &owned, &mut commits).await;
        self.leave(&member).await;
    }

    /// Waits until everything in hand is acknowledged or given back, or the bus is closed.
    async fn finish(
        &self,
        member: &Member,
        owned: &HashMap<MessageQueue, Owned>,
        commits: &mut tokio::time::Interval,
    ) {
        let all = u32::try_from(self.subscription.in_flight_max).unwrap_or(u32::MAX);
        let in_hand = member.in_flight.acquire_many(all);
        tokio::pin!(in_hand);
        loop {
            tokio::select! {
                () = self.shared.closed.cancelled() => break,
                _ = &mut in_hand => break,
                _ = commits.tick() => self.commit(member, owned).await,
            }
        }
        self.commit(member, owned).await;
    }

    async fn leave(&self, member: &Member) {
        if let Err(error) = Box::pin(member.client.shutdown()).await {
            let group = &*self.subscription.group;
            tracing::debug!(group, problem = errors::describe(&error), "left without a word");
        }
    }

    async fn join_until_it_works(
        &self,
        changes: &mpsc::UnboundedSender<Assignment>,
    ) -> PullConsumer {
        let mut backoff = Backoff::new(self.millis(self.shared.config.backoff_max_ms));
        let mut told = String::new();
        loop {
            let problem = match self.join(changes).await {
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

    async fn join(
        &self,
        changes: &mpsc::UnboundedSender<Assignment>,
    ) -> Result<PullConsumer, String> {
        let Shared { config, names, instance, host, .. } = &*self.shared;
        let admin = self.shared.admin().await.map_err(|error| error.to_string())?;
        let topics = self.topics();
        for topic in &topics {
            admin.has_route(topic).await?;
        }
        // An instance of its own: two subscriptions may be of one group, and connections are shared
        // by instance.
        let unique = uuid::Uuid::now_v7().simple();
        let instance = format!("{instance}-{}-{unique}", self.subscription.group);
        let suspend = self.millis(config.pull_suspend_ms);
        let mut builder = PullConsumer::builder(host.runtime())
            .client_options(host::client_options(config, &instance))
            .consumer_group(names.group(&self.subscription.group))
            .broker_suspend_max_time(suspend)
            .consumer_timeout_when_suspend(suspend * 2);
        if let Some(signer) = host::signer(config) {
            builder = builder.rpc_hook(signer);
        }
        let client = builder.build().map_err(|error| errors::describe(&error))?;
        Box::pin(client.start()).await.map_err(|error| errors::describe(&error))?;
        for topic in topics {
            let listener = Listener { changes: changes.clone() };
            let listening = Box::pin(client.register_message_queue_listener(&topic, listener));
            if let Err(error) = listening.await {
                let _ = Box::pin(client.shutdown()).await;
                return Err(errors::describe(&error));
            }
        }
        Ok(client)
    }

    fn topics(&self) -> [String; 2] {
        let names = &self.shared.names;
        let retries = retry_topic(&names.group(&self.subscription.group));
        [names.topic(&self.subscription.topic), retries]
    }

    fn member(&self, client: PullConsumer) -> Member {
        let config = &self.shared.config;
        let Subscription { batch_max, in_flight_max, .. } = self.subscription;
        let pull_batch_max = config.pull_batch_max.min(i32::MAX as usize);
        let [_, retry_topic] = self.topics();
        let tags: Vec<&str> = self.subscription.tags.iter().map(|tag| &**tag).collect();
        Member {
            subscription: self.subscription.clone(),
            names: self.shared.names.clone(),
            client,
            buffer: Buffer::new(batch_max * 2),
            in_flight: Arc::new(Semaphore::new(in_flight_max)),
            stop: self.stop.clone(),
            pull_batch_max: i32::try_from(pull_batch_max).unwrap_or(i32::MAX),
            pull_suspend: self.millis(config.pull_suspend_ms),
            redelivery_delay: self.millis(config.redelivery_delay_ms),
            backoff_max: self.millis(config.backoff_max_ms),
            group: self.shared.names.group(&self.subscription.group),
            tag_expression: if tags.is_empty() { ALL_TAGS.to_owned() } else { tags.join(" || ") },
            retry_topic,
        }
    }

    fn reassign(
        member: &Arc<Member>,
        owned: &mut HashMap<MessageQueue, Owned>,
        assignment: &Assignment,
    ) {
        let group = &member.group;
        let count = assignment.queues.len();
        tracing::info!(group, topic = assignment.topic, queues = count, "queues were assigned");
        owned.retain(|name, owned| {
            let kept = name.topic_str() != assignment.topic || assignment.queues.contains(name);
            if !kept {
                owned.queue.revoke();
                owned.stop.cancel();
            }
            kept
        });
        for name in &assignment.queues {
            owned.entry(name.clone()).or_insert_with(|| {
                let queue = Arc::new(Queue::new(name.clone()));
                let stop = member.stop.child_token();
                tokio::spawn(pull(Arc::clone(member), Arc::clone(&queue), stop.clone()));
                Owned { queue, stop }
            });
        }
    }

    /// Stores in the broker how far we are, where that has changed.
    async fn commit(&self, member: &Member, owned: &HashMap<MessageQueue, Owned>) {
        let Ok(admin) = self.shared.admin().await else { return };
        let changed = owned
            .values()
            .filter_map(|owned| owned.queue.to_store().map(|offset| (&owned.queue, offset)));
        join_all(changed.map(|(queue, offset)| async move {
            member.note_progress(queue).await;
            match admin.commit(&member.group, &queue.name, offset).await {
                Ok(()) => queue.stored(offset),
                Err(error) => tracing::debug!(queue = %queue.name, %error, "progress not stored"),
            }
        }))
        .await;
    }

    fn millis(&self, millis: impl Into<u64>) -> Duration {
        Duration::from_millis(millis.into())
    }
}

impl Member {
    pub(super) fn tags(&self, topic: &str) -> &str {
        if topic == self.retry_topic { ALL_TAGS } else { &self.tag_expression }
    }

    /// Tells the client, which stores it the moment that the queue goes to another member.
    pub(super) async fn note_progress(&self, queue: &Queue) {
        if let Some(offset) = queue.committable() {
            // It fails only after the client was shut down: then the last commit has gone out.
            let _ = self.client.update_consume_offset(&queue.name, offset).await;
        }
    }
}

struct Listener {
    changes: mpsc::UnboundedSender<Assignment>,
}

impl MessageQueueListener for Listener {
    fn message_queue_changed(
        &self,
        topic: &str,
        _all: &HashSet<MessageQueue>,
        assigned: &HashSet<MessageQueue>,
    ) {
        let assignment = Assignment { topic: topic.to_owned(), queues: assigned.clone() };
        let _ = self.changes.send(assignment);
    }
}
