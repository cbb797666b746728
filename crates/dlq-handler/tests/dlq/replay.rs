use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use common::bus::memory::{MemoryBus, MemoryOptions, TopicPolicy};
use common::bus::{
    Bus as _, Destination, IncomingMessage, OutgoingMessage, Position, Subscription, Topology,
};
use common::life::{Life, Tasks};
use common::pipeline::{Recorded, Runtime, Sink, SinkPipeline, StoreError, Unreadable};
use common::postgres::Pool;
use common::{clock, config, outbox, readiness};
use contracts::{Envelope, properties as names};
use dlq_handler::PROGRAM;
use dlq_handler::domain::Status;
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Timestamp, Uuid};

use crate::stage::{GROUP, OTHER_GROUP, Stage, TOPIC, dead, event_id, message, next};

#[tokio::test]
async fn a_replay_reaches_only_its_group_with_the_event_as_it_was() {
    let stage = Stage::new().await;
    let (consumer, neighbour) = (stage.consumer(GROUP).await, stage.consumer(OTHER_GROUP).await);
    let original = dead(GROUP, "A1");
    stage.publish(original.clone()).await;
    let letters = stage.archived(1).await;
    let replay_id = stage.replay(&letters[0]).await;

    let replayed = next(&consumer).await;
    let mut expected = original.properties.clone();
    for added in [names::ATTEMPT, names::ERROR, names::WORKER] {
        expected.remove(added);
    }
    expected.insert(names::REPLAY_ID.to_owned(), replay_id);
    assert_eq!(replayed.properties, expected);
    assert_eq!(&*replayed.topic, TOPIC);
    assert_eq!(
        (&replayed.body, &replayed.tag, &replayed.key),
        (&original.body, &original.tag, &original.key)
    );
    let envelope = Envelope::read(&replayed.properties).expect("readable").expect("there");
    assert_eq!(envelope.event_id.to_string(), event_id(&original));
    assert_eq!(envelope.producer, "order-worker/0.1.0", "whoever said it first");

    // What is published to the topic now is the first thing that the neighbour hears of.
    let destination = Destination::Topic(TOPIC.into());
    stage.publish(OutgoingMessage { destination, ..dead(GROUP, "sentinel") }).await;
    assert_eq!(&*next(&neighbour).await.key, "sentinel");
    assert_eq!(&*next(&consumer).await.key, "sentinel");

    let letters = stage.until(|letters| letters[0].status == Status::Replayed).await;
    let full = stage.full(&letters[0]).await;
    assert_eq!(full.replays[0].outcome.as_deref(), Some("sent"));
    assert_eq!(full.replays[0].requested_by, "operator");
    stage.end().await;
}

#[tokio::test]
async fn a_message_without_an_envelope_stays_without_one() {
    let stage = Stage::new().await;
    let consumer = stage.consumer(GROUP).await;
    let body = Bytes::from_static(br#"{"orderNo":"J1","phone":"+491700000000"}"#);
    let theirs = BTreeMap::from([("theirs".to_owned(), "kept".to_owned())]);
    stage.publish(message(GROUP, "", body.clone(), theirs.clone())).await;
    let letters = stage.archived(1).await;
    let replay_id = stage.replay(&letters[0]).await;
    let replayed = next(&consumer).await;
    let mut expected = theirs;
    expected.insert(names::REPLAY_ID.to_owned(), replay_id);
    assert_eq!(replayed.properties, expected);
    assert_eq!(Envelope::read(&replayed.properties), Ok(None));
    assert_eq!((&*replayed.key, &replayed.body), ("", &body));
    stage.end().await;
}

#[tokio::test]
async fn what_dies_again_comes_back_to_its_own_dead_letter() {
    let stage = Stage::new().await;
    let consumer = stage.consumer(GROUP).await;
    stage.publish(dead(GROUP, "A1")).await;
    let letters = stage.archived(1).await;
    for (round, cause) in ["still no such type", "and never was"].into_iter().enumerate() {
        stage.replay(&letters[0]).await;
        let replayed = next(&consumer).await;
        let dies = again(&replayed, &format!("1: {cause}"));
        // Twice: it may be published and delivered more than once.
        stage.publish(dies.clone()).await;
        stage.publish(dies).await;
        stage.drained().await;
        let deaths = i32::try_from(round).expect("small") + 2;
        let letters = stage.until(|letters| letters[0].deaths == deaths).await;
        assert_eq!(letters.len(), 1, "{letters:#?}");
        assert_eq!(letters[0].status, Status::ReplayedFailed);
        assert_eq!(letters[0].cause, cause);
    }
    let full = stage.full(&letters[0]).await;
    let causes: Vec<_> = full.deaths.iter().map(|death| death.cause.as_str()).collect();
    assert_eq!(causes, ["no such ticket type", "still no such type", "and never was"]);
    let of_replays: Vec<_> = full.replays.iter().map(|replay| Some(replay.replay_id)).collect();
    assert_eq!(of_replays, full.deaths[1..].iter().map(|d| d.replay_id).collect::<Vec<_>>());
    assert!(full.replays.iter().all(|replay| replay.outcome.as_deref() == Some("failed")));
    stage.end().await;
}

fn again(replayed: &IncomingMessage, error: &str) -> OutgoingMessage {
    let mut properties = BTreeMap::clone(&replayed.properties);
    properties.insert(names::ATTEMPT.to_owned(), "1".to_owned());
    properties.insert(names::ERROR.to_owned(), error.to_owned());
    message(GROUP, &replayed.key, replayed.body.clone(), properties)
}

#[tokio::test]
async fn a_replay_waits_for_a_broker_that_is_away() {
    let stage = Stage::new().await;
    let consumer = stage.consumer(GROUP).await;
    stage.publish(dead(GROUP, "A1")).await;
    let letters = stage.archived(1).await;
    stage.bus.go_away();
    stage.replay(&letters[0]).await;
    let path = format!("/v1/dead-letters/{}/replay", letters[0].id);
    let (status, body) = stage.post(&path, None).await;
    assert_eq!((status, &body["status"]), (StatusCode::CONFLICT, &"replaying".into()));
    stage.bus.come_back();
    assert_eq!(&*next(&consumer).await.key, "A1");
    stage.until(|letters| letters[0].status == Status::Replayed).await;
    stage.end().await;
}

#[tokio::test]
async fn a_replay_that_the_broker_refuses_for_good_has_failed() {
    let options = MemoryOptions { topics: TopicPolicy::Created, ..MemoryOptions::default() };
    let stage = Stage::on(MemoryBus::new(options), |_| {}).await;
    let gone = Topology::default();
    stage.bus.create(&gone).await.expect("nothing to do");
    // A group that was archived once and exists no more.
    let incoming = IncomingMessage {
        topic: TOPIC.into(),
        tag: "ORDER_CREATED".into(),
        key: "A1".into(),
        body: Bytes::from_static(b"{}"),
        properties: BTreeMap::new().into(),
        message_id: "m".into(),
        broker_attempts: 16,
        born_at: clock::now(),
        stored_at: clock::now(),
        position: Position::default(),
    };
    let letter = dlq_handler::archive::read(&incoming).expect("never unreadable").record;
    stage.store.archive("gone".into(), vec![letter]).await.expect("archived");
    let letters = stage.archived(1).await;
    assert!(letters[0].cause.contains("16 times"), "{}", letters[0].cause);
    stage.replay(&letters[0]).await;
    let letters = stage.until(|letters| letters[0].status == Status::ReplayedFailed).await;
    assert_eq!(letters[0].status_reason.as_deref(), Some("there is no group gone"));
    stage.end().await;
}

#[tokio::test]
async fn an_event_that_an_inbox_might_have_forgotten_is_refused() {
    let stage = Stage::on(MemoryBus::default(), |config| {
        config.inbox.replay_max_age_hours = 24;
    })
    .await;
    let made_hours_ago = |hours: u64| {
        let now = u64::try_from(clock::now().timestamp()).expect("after 1970");
        Uuid::new_v7(Timestamp::from_unix(NoContext, now - hours * 3_600 - 60, 0)).to_string()
    };
    for (key, hours) in [("young", 23), ("old", 24)] {
        let mut letter = dead(GROUP, key);
        letter.properties.insert(names::EVENT_ID.to_owned(), made_hours_ago(hours));
        stage.publish(letter).await;
    }
    let letters = stage.archived(2).await;
    let named =
        |name: &str| letters.iter().find(|l| l.order_no.as_deref() == Some(name)).expect("there");
    stage.replay(named("young")).await;
    let path = format!("/v1/dead-letters/{}/replay", named("old").id);
    for _ in 0..2 {
        let (status, body) = stage.post(&path, None).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &"replay_too_old".into()));
        assert_eq!(body["limit"], 24);
    }
    let refused = stage.full(named("old")).await.summary;
    assert_eq!(refused.status, Status::Refused);
    assert!(refused.status_reason.is_some_and(|reason| reason.contains("24 hours old")));
    let sent = stage.bus.published();
    assert!(
        !sent
            .iter()
            .any(|m| matches!(m.destination, Destination::Retry { .. }) && &*m.key == "old")
    );
    stage.end().await;
}

/// A consumer with an inbox: counts its effects, each event's once.
struct Counter {
    pool: Pool,
}

#[async_trait]
impl Sink for Counter {
    type Record = ();

    async fn store(&self, group: &str, records: &[Recorded<()>]) -> Result<(), StoreError> {
        for recorded in records {
            sqlx::query(
                "WITH first AS (INSERT INTO dlq.inbox VALUES ($1, $2, '', 1) \
                   ON CONFLICT DO NOTHING RETURNING 1) \
                 UPDATE public.counter SET effects = effects + (SELECT count(*) FROM first), \
                   deliveries = deliveries + 1",
            )
            .bind(group)
            .bind(recorded.event_id)
            .execute(&self.pool)
            .await
            .map_err(|error| StoreError::Data(error.to_string()))?;
        }
        Ok(())
    }
}

/// As our consumers read: the envelope's event id, or one that is derived from the content.
fn read_event(incoming: &IncomingMessage) -> Result<Recorded<()>, Unreadable> {
    let envelope = Envelope::read(&incoming.properties).map_err(|e| Unreadable(e.to_string()))?;
    let event_id = envelope.map(|envelope| envelope.event_id).unwrap_or_else(|| {
        contracts::derived_event_id(&incoming.topic, "", &incoming.tag, &incoming.body, None)
    });
    Ok(Recorded { event_id, record: () })
}

#[tokio::test]
async fn a_consumer_that_had_the_effect_knows_the_replay() {
    let stage = Stage::new().await;
    let pool = stage.database.pool.clone();
    sqlx::raw_sql(
        "CREATE TABLE public.counter (effects int8, deliveries int8); \
                   INSERT INTO public.counter VALUES (0, 0)",
    )
    .execute(&pool)
    .await
    .expect("a table");
    let tasks = Tasks::new();
    let consumer = counting(&stage, pool.clone(), &tasks).await;
    let enveloped = dead(GROUP, "A1");
    let foreign = message(GROUP, "", Bytes::from_static(b"{\"orderNo\":\"J1\"}"), BTreeMap::new());
    for letter in [enveloped, foreign] {
        // It has its effect, and then dies nevertheless (a crash before the acknowledgement).
        let destination = Destination::Topic(TOPIC.into());
        stage.publish(OutgoingMessage { destination, ..letter.clone() }).await;
        stage.publish(letter).await;
    }
    let letters = stage.archived(2).await;
    counted(&pool, 2).await;
    for letter in &letters {
        stage.replay(letter).await;
    }
    assert_eq!(counted(&pool, 4).await, 2, "each effect once");
    consumer.stop();
    tasks.wait().await;
    stage.end().await;
}

async fn counting(stage: &Stage, pool: Pool, tasks: &Tasks) -> Arc<SinkPipeline<Counter>> {
    let bus = stage.bus.client();
    let life = Life::new(PROGRAM);
    let broker = life.readiness.dependency("broker", readiness::Need::Required);
    let publisher: Arc<dyn common::bus::Publisher> = Arc::new(bus.clone());
    let relay = outbox::Relay::start(
        publisher.clone(),
        pool.clone(),
        outbox::Outbox::new("dlq"),
        "consumer/1".to_owned(),
        broker,
        &config::OutboxConfig::default(),
    );
    let runtime = Runtime {
        publisher,
        relay,
        readiness: life.readiness,
        worker: "consumer/1".into(),
        config: config::PipelineConfig::default(),
        abandon: CancellationToken::new(),
    };
    let subscription = Subscription {
        topic: TOPIC.into(),
        group: GROUP.into(),
        tags: Vec::new(),
        batch_max: 8,
        in_flight_max: 1,
    };
    let sink = Arc::new(Counter { pool });
    let pipeline = SinkPipeline::subscribe(sink, subscription, read_event, &bus, runtime)
        .await
        .expect("subscribed");
    pipeline.start(tasks);
    pipeline
}

/// Waits for as many deliveries; answers the effects.
async fn counted(pool: &Pool, deliveries: i64) -> i64 {
    let started = tokio::time::Instant::now();
    loop {
        let (effects, seen): (i64, i64) =
            sqlx::query_as("SELECT effects, deliveries FROM public.counter")
                .fetch_one(pool)
                .await
                .expect("a row");
        if seen >= deliveries {
            return effects;
        }
        assert!(started.elapsed().as_secs() < 20, "{seen} of {deliveries} deliveries");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
