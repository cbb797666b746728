//! The in-memory bus keeps the promises of the port.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::bus::conformance::Subject;
use common::bus::memory::{DeliveryOrder, MemoryBus, MemoryOptions, TopicPolicy};
use common::bus::{
    Bus, BusError, Destination, OutgoingMessage, PublishError, Publisher, Subscription,
};

struct Memory(MemoryBus);

impl Memory {
    fn strict() -> Self {
        let topics = TopicPolicy::Created;
        Self(MemoryBus::new(MemoryOptions { topics, ..MemoryOptions::default() }))
    }
}

#[async_trait]
impl Subject for Memory {
    async fn client(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.client())
    }
}

common::bus_conformance!(Memory::strict());

fn message(body: &str) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic("TOPIC".into()),
        tag: "TAG".into(),
        key: "key".into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: Default::default(),
        delay: None,
    }
}

fn subscription() -> Subscription {
    Subscription {
        topic: "TOPIC".into(),
        group: "group".into(),
        tags: vec![],
        batch_max: 100,
        in_flight_max: 1,
    }
}

async fn order_of(options: MemoryOptions) -> Vec<Bytes> {
    let bus = MemoryBus::new(options);
    let messages = (0..10).map(|number| message(&number.to_string())).collect();
    bus.publish(messages).await.into_iter().collect::<Result<(), _>>().unwrap();
    let consumer = bus.subscribe(subscription()).await.unwrap();
    let delivery = consumer.next().await.unwrap();
    delivery.messages.iter().map(|message| message.body.clone()).collect()
}

#[tokio::test]
async fn the_default_order_is_the_published_one() {
    let order = order_of(MemoryOptions::default()).await;
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(order.len(), 10);
}

#[tokio::test]
async fn a_seed_shuffles_and_repeats() {
    let shuffled = |seed| MemoryOptions {
        order: DeliveryOrder::Shuffled { seed },
        ..MemoryOptions::default()
    };
    let order = order_of(shuffled(7)).await;
    assert!(!order.is_sorted());
    assert_eq!(order, order_of(shuffled(7)).await);
    assert_ne!(order, order_of(shuffled(8)).await);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 10);
}

#[tokio::test]
async fn copies_deliver_everything_twice() {
    let order = order_of(MemoryOptions { copies: 2, ..MemoryOptions::default() }).await;
    assert_eq!(order.len(), 20);
}

#[tokio::test]
async fn an_outage_takes_nothing_delivers_nothing_and_loses_nothing() {
    let bus = MemoryBus::default();
    let consumer = bus.subscribe(subscription()).await.unwrap();
    bus.publish(vec![message("before")]).await.remove(0).unwrap();
    consumer.next().await.unwrap().ack();
    bus.publish(vec![message("waiting")]).await.remove(0).unwrap();
    consumer.next().await.map(drop).unwrap();
    bus.go_away();
    let refused = bus.publish(vec![message("during")]).await.remove(0);
    assert!(matches!(refused, Err(PublishError::Away(_))));
    assert!(matches!(bus.probe().await, Err(BusError::Away(_))));
    let pause = Duration::from_millis(50);
    while let Ok(Some(made_before)) = tokio::time::timeout(pause, consumer.next()).await {
        drop(made_before);
    }
    bus.come_back();
    let delivery = consumer.next().await.unwrap();
    assert_eq!(delivery.messages[0].body, "waiting");
    delivery.ack();
}

#[tokio::test]
async fn a_delay_is_kept_and_what_was_published_is_recorded() {
    const DELAY: Duration = Duration::from_millis(80);
    let bus = MemoryBus::default();
    let consumer = bus.subscribe(subscription()).await.unwrap();
    let started = tokio::time::Instant::now();
    let delay = Some(DELAY);
    bus.publish(vec![OutgoingMessage { delay, ..message("late") }]).await.remove(0).unwrap();
    consumer.next().await.unwrap().ack();
    assert!(started.elapsed() >= DELAY);
    assert_eq!(bus.published().len(), 1);
    assert_eq!(bus.take_published().len(), 1);
    assert!(bus.published().is_empty());
}
