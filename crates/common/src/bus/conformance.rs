//! What every adapter of the bus must do, as tests that they all run.
//!
//! An adapter's test crate implements [`Subject`] and calls [`crate::bus_conformance!`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::{
    BODY_MAX_BYTES, Bus, Consumer, Delivery, Destination, Group, IncomingMessage, OutgoingMessage,
    PublishError, Subscription, Topic, Topology, dead_letter_topic,
};

mod delivery;
mod publishing;
mod settings;

pub use delivery::*;
pub use publishing::*;
pub use settings::*;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing must come before we believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Queues of each test's topic.
const QUEUES: u32 = 4;

/// A broker to test against.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Another client of the same broker, as another process would be.
    async fn client(&self) -> Arc<dyn Bus>;
}

/// One test's own topic and two groups, on one client.
struct Scene {
    bus: Arc<dyn Bus>,
    topic: Arc<str>,
    group: Arc<str>,
    other_group: Arc<str>,
}

impl Scene {
    async fn new(subject: &dyn Subject) -> Self {
        let bus = subject.client().await;
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let scene = Self {
            bus,
            topic: format!("t-{unique}").into(),
            group: format!("g-{unique}").into(),
            other_group: format!("h-{unique}").into(),
        };
        scene.bus.create(&scene.topology()).await.expect("the topology can be created");
        scene
    }

    fn topology(&self) -> Topology {
        let group = |name: &Arc<str>| Group { name: name.to_string(), broker_attempts_max: 1_000 };
        Topology {
            topics: vec![Topic { name: self.topic.to_string(), queues: QUEUES }],
            groups: vec![group(&self.group), group(&self.other_group)],
        }
    }

    fn message(&self, body: &str) -> OutgoingMessage {
        OutgoingMessage {
            destination: Destination::Topic(Arc::clone(&self.topic)),
            tag: "TAG".into(),
            key: "key".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            properties: BTreeMap::new(),
            delay: None,
        }
    }

    fn numbered(&self, count: usize) -> Vec<OutgoingMessage> {
        (0..count).map(|number| self.message(&format!("m{number}"))).collect()
    }

    fn subscription(&self) -> Subscription {
        Subscription {
            topic: Arc::clone(&self.topic),
            group: Arc::clone(&self.group),
            tags: vec![],
            batch_max: 16,
            in_flight_max: 4,
        }
    }

    async fn subscribe(&self) -> Consumer {
        subscribe(&*self.bus, self.subscription()).await
    }

    async fn publish(&self, messages: Vec<OutgoingMessage>) {
        for answer in self.bus.publish(messages).await {
            answer.expect("the broker takes the message");
        }
    }
}

async fn subscribe(bus: &dyn Bus, subscription: Subscription) -> Consumer {
    bus.subscribe(subscription).await.expect("the subscription is sound")
}

async fn next(consumer: &Consumer) -> Delivery {
    timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery comes in time")
        .expect("the consumer is open")
}

/// Acknowledges all that still comes.
async fn receive_rest(consumer: &Consumer) -> Vec<IncomingMessage> {
    let mut received = Vec::new();
    while let Ok(Some(delivery)) = timeout(SILENCE, consumer.next()).await {
        received.extend(delivery.messages.iter().cloned());
        delivery.ack();
    }
    received
}

async fn assert_silent(consumer: &Consumer) {
    if let Ok(Some(delivery)) = timeout(SILENCE, consumer.next()).await {
        panic!("nothing was to come, but {:?} did", bodies(&delivery.messages));
    }
}

/// Acknowledges all that comes until every body has come.
async fn receive(consumer: &Consumer, expected: &BTreeSet<String>) -> Vec<IncomingMessage> {
    let mut missing = expected.clone();
    let mut received = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        let delivery = tokio::time::timeout_at(deadline, consumer.next())
            .await
            .unwrap_or_else(|_| panic!("{} did not come: {missing:?}", missing.len()))
            .expect("the consumer is open");
        for message in &delivery.messages {
            missing.remove(&body(message));
        }
        received.extend(delivery.messages.iter().cloned());
        delivery.ack();
    }
    received
}

fn body(message: &IncomingMessage) -> String {
    String::from_utf8_lossy(&message.body).into_owned()
}

fn bodies(messages: &[IncomingMessage]) -> BTreeSet<String> {
    messages.iter().map(body).collect()
}

fn sent_bodies(messages: &[OutgoingMessage]) -> BTreeSet<String> {
    let text = |message: &OutgoingMessage| String::from_utf8_lossy(&message.body).into_owned();
    messages.iter().map(text).collect()
}

/// Makes a test of each promise; the argument is an expression that makes the [`Subject`].
#[macro_export]
macro_rules! bus_conformance {
    ($subject:expr) => {
        $crate::bus_conformance! { $subject;
            every_message_arrives_as_it_was_sent
            a_new_group_starts_at_the_first_message
            every_group_gets_every_message
            only_subscribed_tags_arrive
            a_batch_is_never_larger_than_asked_for
            no_more_deliveries_are_in_flight_than_asked_for
            a_delivery_that_is_dropped_comes_again
            nothing_acknowledged_comes_again_after_a_drain
            members_share_and_take_over
            a_stopped_consumer_ends
            a_delayed_message_waits
            a_retry_goes_to_its_group_alone
            a_dead_letter_can_be_read
            what_the_broker_will_never_take_is_refused_alone
            a_missing_topic_is_refused
            an_empty_publish_answers_nothing
            a_topology_is_created_once_and_verified
            lag_counts_what_waits
            a_reachable_broker_answers_the_probe
            an_impossible_subscription_is_refused
        }
    };
    ($subject:expr; $($promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $promise() {
            $crate::bus::conformance::$promise(&$subject).await;
        }
    )*};
}
