use std::sync::Arc;

use bus_rocketmq::{RocketBus, RocketConfig};
use bytes::Bytes;
use common::bus::memory::MemoryBus;
use common::bus::{
    Bus as _, Destination, Group, OutgoingMessage, Publisher as _, Subscription, Topic, Topology,
};
use common::testing;
use contracts::properties as names;
use dlq_handler::domain::Status;

use crate::stage::{GROUP, Stage, dead, next};

const BROKER_ATTEMPTS_MAX: u32 = 16;

async fn client() -> RocketBus {
    let name_server = testing::name_server();
    let config = RocketConfig { name_server, ..RocketConfig::default() };
    RocketBus::connect(config).await.expect("a client")
}

/// As `dead` makes it, but for the names of this test.
fn renamed(message: OutgoingMessage, group: &str, topic: &str) -> OutgoingMessage {
    let destination = Destination::Dead { group: group.into(), topic: topic.into() };
    OutgoingMessage { destination, ..message }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_rocketmq_is_archived_with_what_the_broker_knows_and_replayed() {
    let (group, topic) = (testing::unique("dead"), testing::unique("topic"));
    let bus = client().await;
    let topology = Topology {
        topics: vec![Topic { name: topic.clone(), queues: 2 }],
        groups: vec![Group { name: group.clone(), broker_attempts_max: BROKER_ATTEMPTS_MAX }],
    };
    bus.create(&topology).await.expect("created");
    let groups = vec![group.clone()];
    let stage = Stage::on_any(MemoryBus::default(), Arc::new(client().await), |config| {
        config.dlq.groups = groups;
    })
    .await;

    let enveloped = renamed(dead(GROUP, "A1"), &group, &topic);
    let mut foreign = renamed(dead(GROUP, ""), &group, &topic);
    foreign.body = Bytes::from_static(b"\xff\x00 not UTF-8");
    foreign.properties.clear();
    let answers = bus.publish(vec![enveloped.clone(), foreign.clone()]).await;
    assert_eq!(answers, [Ok(()), Ok(())]);

    let letters = stage.archived(2).await;
    for letter in &letters {
        assert_eq!(letter.origin_topic.as_deref(), Some(&*topic));
        let death = stage.full(letter).await.deaths.remove(0);
        assert!(!death.broker.is_empty() && !death.message_id.is_empty(), "{death:?}");
        assert!(death.born_at <= death.stored_at && death.offset >= 0, "{death:?}");
    }

    let subscription = Subscription {
        topic: topic.as_str().into(),
        group: group.as_str().into(),
        tags: Vec::new(),
        batch_max: 1,
        in_flight_max: 1,
    };
    let consumer = bus.subscribe(subscription).await.expect("subscribed");
    for original in [enveloped, foreign] {
        let is_it = |letter: &&_| key_of(letter) == &*original.key;
        let letter = letters.iter().find(is_it).expect("archived");
        let replay_id = stage.replay(letter).await;
        let replayed = next(&consumer).await;
        let mut expected = original.properties.clone();
        expected.retain(|name, _| name != names::ATTEMPT && name != names::ERROR);
        expected.remove(names::WORKER);
        expected.insert(names::REPLAY_ID.to_owned(), replay_id);
        assert_eq!(replayed.properties, expected);
        assert_eq!((&replayed.body, &replayed.key), (&original.body, &original.key));
        assert_eq!((&*replayed.topic, &replayed.tag), (&*topic, &original.tag));
    }
    stage.until(|letters| letters.iter().all(|l| l.status == Status::Replayed)).await;
    bus.close().await;
    stage.end().await;
}

fn key_of(letter: &dlq_handler::store::Summary) -> &str {
    letter.order_no.as_deref().unwrap_or_default()
}
