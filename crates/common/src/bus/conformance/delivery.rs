//! What a subscription promises.

use super::*;

pub async fn every_message_arrives_as_it_was_sent(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let consumer = scene.subscribe().await;
    let properties = BTreeMap::from([
        ("eventId".to_owned(), "0190c0de".to_owned()),
        ("schemaVersion".to_owned(), "1".to_owned()),
    ]);
    let mut messages = scene.numbered(50);
    for message in &mut messages {
        message.properties.clone_from(&properties);
        message.tag = "ORDER_CREATED".into();
        message.key = format!("order-{}", message.body.len()).into();
    }
    scene.publish(messages.clone()).await;
    for message in receive(&consumer, &sent_bodies(&messages)).await {
        assert_eq!(message.topic, scene.topic);
        assert_eq!(&*message.tag, "ORDER_CREATED");
        assert_eq!(*message.key, format!("order-{}", message.body.len()));
        assert_eq!(message.properties, properties);
        assert_eq!(message.broker_attempts, 0);
        assert!(!message.message_id.is_empty());
    }
    scene.bus.close().await;
}

pub async fn a_new_group_starts_at_the_first_message(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let messages = scene.numbered(20);
    scene.publish(messages.clone()).await;
    let consumer = scene.subscribe().await;
    receive(&consumer, &sent_bodies(&messages)).await;
    scene.bus.close().await;
}

pub async fn every_group_gets_every_message(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let other = Subscription { group: Arc::clone(&scene.other_group), ..scene.subscription() };
    let (one, two) = (scene.subscribe().await, subscribe(&*scene.bus, other).await);
    let messages = scene.numbered(10);
    scene.publish(messages.clone()).await;
    let expected = sent_bodies(&messages);
    tokio::join!(receive(&one, &expected), receive(&two, &expected));
    scene.bus.close().await;
}

pub async fn only_subscribed_tags_arrive(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let tags = vec!["PAID".into(), "CANCELLED".into()];
    let some = subscribe(&*scene.bus, Subscription { tags, ..scene.subscription() }).await;
    let tagged = |body: &str, tag: &str| OutgoingMessage { tag: tag.into(), ..scene.message(body) };
    let messages = vec![
        tagged("1", "CREATED"),
        tagged("2", "PAID"),
        tagged("3", "CREATED"),
        tagged("4", "CANCELLED"),
        tagged("5", "PAID2"),
    ];
    scene.publish(messages).await;
    let received = receive(&some, &BTreeSet::from(["2".to_owned(), "4".to_owned()])).await;
    assert_eq!(received.len(), 2, "{:?}", bodies(&received));
    assert_silent(&some).await;
    scene.bus.close().await;
}

pub async fn a_batch_is_never_larger_than_asked_for(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let messages = scene.numbered(300);
    scene.publish(messages.clone()).await;
    let subscription = Subscription { batch_max: 64, ..scene.subscription() };
    let consumer = subscribe(&*scene.bus, subscription).await;
    let mut missing = sent_bodies(&messages);
    let mut largest = 0;
    while !missing.is_empty() {
        let delivery = next(&consumer).await;
        assert!(!delivery.messages.is_empty());
        largest = largest.max(delivery.messages.len());
        for message in &delivery.messages {
            missing.remove(&body(message));
        }
        delivery.ack();
    }
    assert!((2..=64).contains(&largest), "the largest batch had {largest} messages");
    scene.bus.close().await;
}

pub async fn no_more_deliveries_are_in_flight_than_asked_for(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    scene.publish(scene.numbered(6)).await;
    let subscription = Subscription { batch_max: 1, in_flight_max: 2, ..scene.subscription() };
    let consumer = subscribe(&*scene.bus, subscription).await;
    let (one, two) = (next(&consumer).await, next(&consumer).await);
    assert_silent(&consumer).await;
    one.ack();
    next(&consumer).await.ack();
    two.ack();
    scene.bus.close().await;
}

pub async fn a_delivery_that_is_dropped_comes_again(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let consumer = scene.subscribe().await;
    scene.publish(vec![scene.message("again")]).await;
    let first = next(&consumer).await;
    assert_eq!(first.messages[0].broker_attempts, 0);
    drop(first);
    let second = next(&consumer).await;
    assert_eq!(bodies(&second.messages), BTreeSet::from(["again".to_owned()]));
    let (messages, ack) = second.into_parts();
    assert!(messages[0].broker_attempts > 0);
    drop(ack);
    next(&consumer).await.ack();
    assert_silent(&consumer).await;
    scene.bus.close().await;
}

pub async fn nothing_acknowledged_comes_again_after_a_drain(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let messages = scene.numbered(40);
    scene.publish(messages.clone()).await;
    let subscription = Subscription { batch_max: 4, in_flight_max: 4, ..scene.subscription() };
    let consumer = subscribe(&*scene.bus, subscription).await;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&consumer).await;
        acknowledged.extend(bodies(&delivery.messages));
        delivery.ack();
    }
    let in_hand = next(&consumer).await;
    let lost = next(&consumer).await;
    consumer.stop();
    // What is in hand can still be acknowledged.
    acknowledged.extend(bodies(&in_hand.messages));
    in_hand.ack();
    drop(lost);
    while let Some(late) = timeout(PATIENCE, consumer.next()).await.expect("the consumer ends") {
        acknowledged.extend(bodies(&late.messages));
        late.ack();
    }
    scene.bus.close().await;

    let bus = subject.client().await;
    let consumer = subscribe(&*bus, scene.subscription()).await;
    let all = sent_bodies(&messages);
    let unacknowledged = all.difference(&acknowledged).cloned().collect();
    let mut received = bodies(&receive(&consumer, &unacknowledged).await);
    received.extend(bodies(&receive_rest(&consumer).await));
    // A queue's progress is its lowest unfinished message: what came after one that was given back
    // may come again; with everything finished but that one delivery, that is all.
    let again: BTreeSet<_> = received.intersection(&acknowledged).cloned().collect();
    assert!(again.len() < acknowledged.len(), "everything came again: {again:?}");
    bus.close().await;

    let bus = subject.client().await;
    let consumer = subscribe(&*bus, scene.subscription()).await;
    assert_silent(&consumer).await;
    bus.close().await;
}

pub async fn members_share_and_take_over(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let second_bus = subject.client().await;
    let subscription = Subscription { batch_max: 1, ..scene.subscription() };
    let first = subscribe(&*scene.bus, subscription.clone()).await;
    let second = subscribe(&*second_bus, subscription).await;
    let deadline = Instant::now() + PATIENCE;
    let (mut by_first, mut by_second) = (0, 0);
    let mut round = 0;
    while by_first == 0 || by_second == 0 {
        assert!(Instant::now() < deadline, "one member got all: {by_first} to {by_second}");
        round += 1;
        for number in 0..QUEUES * 2 {
            scene.publish(vec![scene.message(&format!("r{round}-{number}"))]).await;
        }
        by_first += drain(&first).await;
        by_second += drain(&second).await;
    }
    first.stop();
    while let Some(delivery) = first.next().await {
        delivery.ack();
    }
    scene.bus.close().await;
    let last: Vec<_> = (0..20).map(|number| scene.message(&format!("last-{number}"))).collect();
    for answer in second_bus.publish(last.clone()).await {
        answer.expect("the broker takes the message");
    }
    receive(&second, &sent_bodies(&last)).await;
    second_bus.close().await;
}

/// Acknowledges what comes until a moment of silence.
async fn drain(consumer: &Consumer) -> usize {
    const MOMENT: Duration = Duration::from_millis(200);
    let mut count = 0;
    while let Ok(Some(delivery)) = timeout(MOMENT, consumer.next()).await {
        count += delivery.messages.len();
        delivery.ack();
    }
    count
}

pub async fn a_stopped_consumer_ends(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let consumer = scene.subscribe().await;
    consumer.stop();
    let end = timeout(PATIENCE, consumer.next()).await.expect("the consumer ends");
    assert!(end.is_none());
    scene.bus.close().await;
}
