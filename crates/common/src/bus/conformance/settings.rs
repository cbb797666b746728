//! Topology, lag, and what can't be.

use super::*;

pub async fn a_topology_is_created_once_and_verified(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let mut topology = scene.topology();
    assert_eq!(scene.bus.verify(&topology).await, Ok(vec![]));
    scene.publish(vec![scene.message("kept")]).await;
    scene.bus.create(&topology).await.expect("creating again changes nothing");
    let consumer = scene.subscribe().await;
    next(&consumer).await.ack();

    let (topic, group) = (format!("{}-missing", scene.topic), format!("{}-missing", scene.group));
    topology.topics.push(Topic { name: topic.clone(), queues: QUEUES });
    topology.groups.push(Group { name: group.clone(), broker_attempts_max: 1_000 });
    let mismatches = scene.bus.verify(&topology).await.expect("the broker answers");
    for name in [topic, group] {
        let named = mismatches.iter().any(|mismatch| mismatch.command.contains(&name));
        assert!(named, "{name} is missing from {mismatches:?}");
    }
    scene.bus.close().await;
}

pub async fn lag_counts_what_waits(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let messages = scene.numbered(10);
    scene.publish(messages.clone()).await;
    expect_lag(&scene, 10).await;
    let consumer = scene.subscribe().await;
    receive(&consumer, &sent_bodies(&messages)).await;
    expect_lag(&scene, 0).await;
    scene.bus.close().await;
}

async fn expect_lag(scene: &Scene, expected: u64) {
    const PAUSE: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lag = scene.bus.lag(&scene.group, &scene.topic).await.expect("the broker answers");
        if lag == expected {
            return;
        }
        assert!(Instant::now() < deadline, "the lag is {lag}, not {expected}");
        tokio::time::sleep(PAUSE).await;
    }
}

pub async fn a_reachable_broker_answers_the_probe(subject: &dyn Subject) {
    let bus = subject.client().await;
    assert_eq!(bus.probe().await, Ok(()));
    bus.close().await;
}

pub async fn an_impossible_subscription_is_refused(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    for subscription in [
        Subscription { batch_max: 0, ..scene.subscription() },
        Subscription { in_flight_max: 0, ..scene.subscription() },
    ] {
        assert!(scene.bus.subscribe(subscription).await.is_err());
    }
    scene.bus.close().await;
}
