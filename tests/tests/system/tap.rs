//! Hears every message on the topics, in groups of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use common::bus::{
    Bus as _, Consumer, Destination, Group, IncomingMessage, OutgoingMessage, Subscription,
    Topology,
};
use contracts::properties::SCHEMA_VERSION;
use contracts::{Body as _, SaleChanged, Tag, topics};

use crate::stage::{SESSION, Stage};

const TOPICS: [&str; 3] = [topics::ORDER_TOPIC, topics::STOCK_TOPIC, topics::NOTIFICATION_TOPIC];
const BATCH_MAX: usize = 256;
const IN_FLIGHT_MAX: usize = 1;
const BROKER_ATTEMPTS_MAX: u32 = 16;

pub(crate) struct Tap {
    heard: Arc<Mutex<Vec<IncomingMessage>>>,
    consumers: Vec<Arc<Consumer>>,
}

impl Tap {
    /// Hears all from the first message on.
    pub(crate) async fn start(stage: &Stage) -> Self {
        let groups = TOPICS
            .map(|topic| Group { name: group_of(topic), broker_attempts_max: BROKER_ATTEMPTS_MAX });
        let topology = Topology { topics: Vec::new(), groups: groups.into() };
        stage.bus.create(&topology).await.expect("groups are created");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut consumers = Vec::new();
        for topic in TOPICS {
            let subscription = Subscription {
                topic: topic.into(),
                group: group_of(topic).into(),
                tags: Vec::new(),
                batch_max: BATCH_MAX,
                in_flight_max: IN_FLIGHT_MAX,
            };
            let consumer = stage.bus.subscribe(subscription).await.expect("subscribed");
            let consumer = Arc::new(consumer);
            tokio::spawn(listen(consumer.clone(), heard.clone()));
            consumers.push(consumer);
        }
        Self { heard, consumers }
    }

    /// Its groups with their topics.
    pub(crate) fn takers() -> Vec<(String, String)> {
        TOPICS.map(|topic| (group_of(topic), topic.to_owned())).into()
    }

    /// What was said about these orders and about the sale, in the order of hearing it, to be
    /// said again just so.
    pub(crate) fn about(&self, orders: &[String]) -> Vec<OutgoingMessage> {
        let heard = self.heard.lock().expect("no listener panicked");
        let is_meant = |message: &&IncomingMessage| {
            orders.iter().any(|order_no| **order_no == *message.key) || is_our_sale(message)
        };
        heard.iter().filter(is_meant).map(again).collect()
    }

    /// The versions of the contracts in which something was said about these orders.
    pub(crate) fn versions(&self, orders: &[String]) -> BTreeSet<String> {
        let about = self.about(orders).into_iter();
        about.filter_map(|mut message| message.properties.remove(SCHEMA_VERSION)).collect()
    }

    pub(crate) fn end(self) {
        for consumer in self.consumers {
            consumer.stop();
        }
    }
}

/// The tags that are among the messages.
pub(crate) fn tags(messages: &[OutgoingMessage]) -> BTreeSet<Tag> {
    messages.iter().map(|message| message.tag.parse().expect("a tag of ours")).collect()
}

/// Others were written badly.
fn is_our_sale(message: &IncomingMessage) -> bool {
    *message.tag == *Tag::SaleChanged.as_str()
        && SaleChanged::read(Tag::SaleChanged, &message.body)
            .is_ok_and(|sale| sale.session_id == SESSION)
}

async fn listen(consumer: Arc<Consumer>, heard: Arc<Mutex<Vec<IncomingMessage>>>) {
    while let Some(delivery) = consumer.next().await {
        let (messages, ack) = delivery.into_parts();
        heard.lock().expect("no listener panicked").extend(messages);
        ack.ack();
    }
}

fn again(message: &IncomingMessage) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic(message.topic.clone()),
        tag: message.tag.clone(),
        key: message.key.clone(),
        body: message.body.clone(),
        properties: BTreeMap::clone(&message.properties),
        delay: None,
    }
}

fn group_of(topic: &str) -> String {
    format!("tap-{topic}")
}
