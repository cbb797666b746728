//! The short form of `cargo stack chaos`: what the other tests here do not do to a part.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use bytes::Bytes;
use common::bus::{
    Bus as _, Destination, Group, OutgoingMessage, Publisher as _, Subscription, Topic, Topology,
};
use devstack::Console;
use devstack::chaos::{Chaos, Fault, Plan};
use devstack::run_dir::Data;

const FAULTS: [Fault; 5] = [
    Fault::PostgresFrozen,
    Fault::PostgresRefuses,
    Fault::BrokerDiskFull,
    Fault::RedisWiped,
    Fault::WorkersRolled,
];

/// Together larger than a file of this broker's log.
const LARGE_SEND: usize = 1_000;
const BODY: [u8; 1_000] = [b'x'; 1_000];
/// How long their delivery may take.
const DELIVERED_MAX: Duration = Duration::from_secs(30);

/// Once this returns, each of them has happened to a sale that went on, lost nothing and doubled
/// nothing.
pub(crate) async fn harms_nobody() {
    let console = Console::stderr();
    let started = Chaos::start(None, Data::Remove, Vec::new(), Plan::SHORT, &console).await;
    let mut chaos = started.unwrap_or_else(|error| panic!("the stack does not start: {error}"));
    console.line("  a send that fits no file of the broker's log");
    Box::pin(a_large_send_arrives(&chaos.stack.servers.name_server)).await;
    for fault in FAULTS {
        console.line(format!("  {}", fault.name()));
        let outcome = Box::pin(chaos.run(fault)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(outcome.is_fine(), "{outcome:#?}");
        assert!(outcome.accepted > 0 && outcome.tables.undecided == 0, "{outcome:#?}");
    }
    chaos.stop().await;
}

/// RocketMQ answers OK to a send that fits no file of its log, and stores nothing of it.
async fn a_large_send_arrives(name_server: &str) {
    let config = RocketConfig { name_server: name_server.to_owned(), ..RocketConfig::default() };
    let bus = RocketBus::connect(config).await.expect("the configuration is sound");
    let name = "large-sends";
    let topology = Topology {
        topics: vec![Topic { name: name.to_owned(), queues: 1 }],
        groups: vec![Group { name: name.to_owned(), broker_attempts_max: 16 }],
    };
    bus.create(&topology).await.expect("the topic is created");
    let keys: BTreeSet<String> = (0..LARGE_SEND).map(|number| number.to_string()).collect();
    let message = |key: &String| OutgoingMessage {
        destination: Destination::Topic(name.into()),
        tag: "LARGE".into(),
        key: key.as_str().into(),
        body: Bytes::from_static(&BODY),
        properties: BTreeMap::new(),
        delay: None,
    };
    for answer in bus.publish(keys.iter().map(message).collect()).await {
        answer.expect("published");
    }
    let subscription = Subscription {
        topic: name.into(),
        group: name.into(),
        tags: Vec::new(),
        batch_max: LARGE_SEND,
        in_flight_max: 1,
    };
    let consumer = bus.subscribe(subscription).await.expect("subscribed");
    let mut missing = keys;
    let arrive = async {
        while !missing.is_empty() {
            let delivery = consumer.next().await.expect("the consumer is not stopped");
            let (messages, ack) = delivery.into_parts();
            messages.iter().for_each(|message| _ = missing.remove(&*message.key));
            ack.ack();
        }
    };
    let arrived = tokio::time::timeout(DELIVERED_MAX, arrive).await;
    assert!(arrived.is_ok(), "{} messages never came", missing.len());
    bus.close().await;
}
