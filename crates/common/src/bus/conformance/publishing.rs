//! What `publish` promises, and where messages go.

use super::*;

const RETRY_DELAY: Duration = Duration::from_secs(2);

pub async fn a_delayed_message_waits(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let consumer = scene.subscribe().await;
    let late = OutgoingMessage { delay: Some(RETRY_DELAY), ..scene.message("late") };
    let sent_at = Instant::now();
    scene.publish(vec![late, scene.message("at once")]).await;
    let first = next(&consumer).await;
    assert_eq!(bodies(&first.messages), BTreeSet::from(["at once".to_owned()]));
    first.ack();
    let second = next(&consumer).await;
    assert_eq!(bodies(&second.messages), BTreeSet::from(["late".to_owned()]));
    let waited = sent_at.elapsed();
    assert!(waited >= RETRY_DELAY - Duration::from_millis(100), "came after {waited:?}");
    second.ack();
    scene.bus.close().await;
}

pub async fn a_retry_goes_to_its_group_alone(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let tagged = Subscription { tags: vec!["TAG".into()], ..scene.subscription() };
    let other = Subscription { group: Arc::clone(&scene.other_group), ..scene.subscription() };
    let (consumer, other) =
        (subscribe(&*scene.bus, tagged).await, subscribe(&*scene.bus, other).await);
    scene.publish(vec![scene.message("again")]).await;
    next(&other).await.ack();
    let first = next(&consumer).await;
    let properties = BTreeMap::from([
        ("attempt".to_owned(), "2".to_owned()),
        ("error".to_owned(), "no such line: 7".to_owned()),
    ]);
    let retry = OutgoingMessage {
        destination: Destination::Retry {
            group: Arc::clone(&scene.group),
            topic: Arc::clone(&scene.topic),
        },
        properties: properties.clone(),
        delay: Some(RETRY_DELAY),
        ..scene.message("again")
    };
    let sent_at = Instant::now();
    scene.publish(vec![retry]).await;
    first.ack();
    let second = next(&consumer).await;
    assert!(sent_at.elapsed() >= RETRY_DELAY - Duration::from_millis(100));
    let [message] = &second.messages[..] else { panic!("one message: {:?}", second.messages) };
    assert_eq!(body(message), "again");
    assert_eq!(message.topic, scene.topic);
    assert_eq!((&*message.tag, &*message.key), ("TAG", "key"));
    assert_eq!(message.properties, properties);
    second.ack();
    assert_silent(&other).await;
    assert_silent(&consumer).await;
    scene.bus.close().await;
}

pub async fn a_dead_letter_can_be_read(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let dead = OutgoingMessage {
        destination: Destination::Dead {
            group: Arc::clone(&scene.group),
            topic: Arc::clone(&scene.topic),
        },
        properties: BTreeMap::from([("error".to_owned(), "unreadable".to_owned())]),
        ..scene.message("dead")
    };
    scene.publish(vec![dead]).await;
    let reader = Subscription {
        topic: dead_letter_topic(&scene.group).into(),
        group: Arc::clone(&scene.other_group),
        ..scene.subscription()
    };
    let reader = subscribe(&*scene.bus, reader).await;
    let delivery = next(&reader).await;
    let [message] = &delivery.messages[..] else { panic!("one message") };
    assert_eq!(body(message), "dead");
    assert_eq!(message.topic, scene.topic);
    assert_eq!((&*message.tag, &*message.key), ("TAG", "key"));
    let property = |name: &str| message.properties.get(name).map(String::as_str);
    assert_eq!(property("error"), Some("unreadable"));
    assert_eq!(property(contracts::properties::ORIGIN_TOPIC), Some(&*scene.topic));
    delivery.ack();
    let consumer = scene.subscribe().await;
    assert_silent(&consumer).await;
    scene.bus.close().await;
}

pub async fn what_the_broker_will_never_take_is_refused_alone(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let large = Bytes::from(vec![b'x'; BODY_MAX_BYTES + 1]);
    let largest = Bytes::from(vec![b'x'; BODY_MAX_BYTES]);
    let answers = scene
        .bus
        .publish(vec![
            scene.message("before"),
            OutgoingMessage { body: large, ..scene.message("") },
            scene.message(""),
            OutgoingMessage { body: largest, ..scene.message("") },
            scene.message("after"),
        ])
        .await;
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0], Ok(()));
    assert!(matches!(answers[1], Err(PublishError::Refused(_))), "{:?}", answers[1]);
    assert!(matches!(answers[2], Err(PublishError::Refused(_))), "empty: {:?}", answers[2]);
    assert_eq!(answers[3], Ok(()));
    assert_eq!(answers[4], Ok(()));
    scene.bus.close().await;
}

pub async fn a_missing_topic_is_refused(subject: &dyn Subject) {
    let scene = Scene::new(subject).await;
    let lost = OutgoingMessage {
        destination: Destination::Topic(format!("{}-missing", scene.topic).into()),
        ..scene.message("lost")
    };
    let lost_group = OutgoingMessage {
        destination: Destination::Retry {
            group: format!("{}-missing", scene.group).into(),
            topic: Arc::clone(&scene.topic),
        },
        ..scene.message("lost")
    };
    scene.publish(vec![scene.message("found")]).await;
    for (answer, name) in
        scene.bus.publish(vec![lost, lost_group]).await.iter().zip(["topic", "group"])
    {
        assert!(matches!(answer, Err(PublishError::Refused(_))), "{name}: {answer:?}");
    }
    scene.bus.close().await;
}

pub async fn an_empty_publish_answers_nothing(subject: &dyn Subject) {
    let bus = subject.client().await;
    assert!(bus.publish(vec![]).await.is_empty());
    bus.close().await;
}
