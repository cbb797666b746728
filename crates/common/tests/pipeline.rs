//! The pipeline's promises, with a toy aggregate: counters that messages add to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::bus::memory::{DeliveryOrder, MemoryBus, MemoryOptions};
use common::bus::{Bus as _, Destination, IncomingMessage, OutgoingMessage, Publisher as _};
use common::bus::{Subscription, dead_letter_topic};
use common::config::{OutboxConfig, PipelineConfig, PostgresConfig};
use common::decision::{Decision, Undecided};
use common::life::Tasks;
use common::outbox::{self, Outbox, Relay};
use common::pipeline::{
    Aggregate, Applied, CallError, Change, Decided, Decoded, Handler, Load, Loaded, LocalQueue,
    Pipeline, Registration, Runtime, Stamp, StoreError, Unreadable,
};
use common::readiness::{Need, Readiness};
use contracts::properties;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[path = "pipeline/busy.rs"]
mod busy;
#[path = "pipeline/guesses.rs"]
mod guesses;

const GROUP: &str = "adders";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counter {
    version: i64,
    sum: i64,
}

/// What the toy's database holds, and how it misbehaves.
#[derive(Default)]
struct Database {
    counters: BTreeMap<String, Counter>,
    inbox: HashSet<Uuid>,
    /// No more is to be taken from the bus.
    busy: bool,
    /// How many of the next applies find the database away.
    away: u32,
    /// How many of the next applies miss each key, as if another process had been quicker.
    misses: u32,
    /// Batches as they were applied, by number of keys.
    applied: Vec<usize>,
    /// What is believed of counters, each once.
    guesses: HashMap<String, Counter>,
    /// Loads, by number of keys that were looked up.
    loads: Vec<usize>,
}

struct Counters(Arc<Mutex<Database>>);

#[async_trait]
impl Aggregate for Counters {
    type Key = String;
    type State = Counter;
    type Message = i64;
    type Facts = ();
    type Gate = ();
    type Event = ();
    type Call = ();
    type Reply = i64;

    async fn ready(&self, _: &str) {
        while self.0.lock().unwrap().busy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn guess(&self, key: &String, _: &[&i64]) -> Option<Counter> {
        self.0.lock().unwrap().guesses.remove(key)
    }

    async fn load(&self, request: Load<'_, Self>) -> Result<Loaded<Self>, StoreError> {
        let mut database = self.0.lock().unwrap();
        database.loads.push(request.keys.len());
        let states = request
            .keys
            .iter()
            .map(|(key, _)| {
                ((*key).clone(), database.counters.get(*key).cloned().unwrap_or_default())
            })
            .collect::<HashMap<_, _>>();
        let known =
            request.events.iter().copied().filter(|id| database.inbox.contains(id)).collect();
        Ok(Loaded { states, known, facts: () })
    }

    fn decide(&self, state: &Counter, add: &i64, _: Option<&()>, (): &()) -> Decided<Self> {
        match add {
            0 => Err(Undecided::Dead("nothing to add".to_owned())),
            99 => panic!("ninety-nine"),
            -1 if state.sum == 0 => Err(Undecided::Retry("nothing there yet".to_owned())),
            add => {
                let next = Counter { sum: state.sum + add, ..state.clone() };
                let sum = next.sum;
                Ok(Decision::changed(next, sum))
            }
        }
    }

    fn raise_version(&self, state: &mut Counter) -> i64 {
        state.version += 1;
        state.version
    }

    fn version(&self, state: &Counter) -> i64 {
        state.version
    }

    fn record(&self, _: &Counter, (): &(), _: Stamp) -> outbox::Row {
        unreachable!("the toy publishes nothing")
    }

    async fn apply(
        &self,
        _: &str,
        changes: Arc<Vec<Change<Self>>>,
    ) -> Result<Vec<Applied<()>>, StoreError> {
        let mut database = self.0.lock().unwrap();
        if database.away > 0 {
            database.away -= 1;
            let reason = "switched off".to_owned();
            return Err(StoreError::Away { dependency: "toy", reason });
        }
        // 13 is what a CHECK constraint would refuse: the whole transaction fails.
        if changes.iter().any(|change| change.next.as_ref().is_some_and(|next| next.sum == 13)) {
            return Err(StoreError::Data("23514: thirteen".to_owned()));
        }
        if database.misses > 0 {
            database.misses -= 1;
            return Ok(changes.iter().map(|_| Applied::Missed).collect());
        }
        let mut entries = changes.iter().flat_map(|change| &change.entries);
        if entries.any(|entry| database.inbox.contains(&entry.event_id)) {
            return Ok(changes.iter().map(|_| Applied::Missed).collect());
        }
        database.applied.push(changes.len());
        let mut answers = Vec::new();
        for change in &*changes {
            let current = database.counters.get(&change.key).cloned().unwrap_or_default();
            if current.version != change.base.version {
                answers.push(Applied::Missed);
                continue;
            }
            if let Some(next) = &change.next {
                database.counters.insert(change.key.clone(), next.clone());
            }
            database.inbox.extend(change.entries.iter().map(|entry| entry.event_id));
            answers.push(Applied::Applied);
        }
        Ok(answers)
    }
}

fn read(incoming: &IncomingMessage) -> Result<Decoded<String, i64>, Unreadable> {
    let text = std::str::from_utf8(&incoming.body).unwrap_or_default();
    let message = text.parse().map_err(|_| Unreadable(format!("body: {text:?} is no number")))?;
    let event_id = incoming.properties[properties::EVENT_ID].parse().unwrap();
    Ok(Decoded { key: incoming.key.to_string(), message, event_id, traceparent: None })
}

struct World {
    bus: MemoryBus,
    database: Arc<Mutex<Database>>,
    pipeline: Arc<Pipeline<Counters>>,
    runtime: Runtime,
    tasks: Tasks,
}

fn runtime(bus: &MemoryBus, config: PipelineConfig) -> Runtime {
    let readiness = Readiness::new("toy");
    let broker = readiness.dependency("broker", Need::Required);
    // Never connected: the toy has no outbox.
    let pool = common::postgres::pool(&PostgresConfig::default(), "toy");
    let outbox = OutboxConfig::default();
    let publisher = Arc::new(bus.clone());
    let relay = Relay::start(
        publisher.clone(),
        pool.clone(),
        Outbox::new("toy"),
        "toy/1".to_owned(),
        broker,
        &outbox,
    );
    let abandon = CancellationToken::new();
    Runtime { publisher, relay, readiness, worker: "toy/1".into(), config, abandon }
}

fn config() -> PipelineConfig {
    PipelineConfig {
        in_flight_max: 1,
        attempts_max: 3,
        retry_delays_ms: vec![1_000, 5_000],
        ..PipelineConfig::default()
    }
}

impl World {
    async fn new(options: MemoryOptions, database: Database) -> Self {
        let bus = MemoryBus::new(options);
        let database = Arc::new(Mutex::new(database));
        let runtime = runtime(&bus, config());
        let registration = Registration {
            subscription: Subscription {
                topic: "NUMBERS".into(),
                group: GROUP.into(),
                tags: vec!["ADD".into()],
                batch_max: 100,
                in_flight_max: 4,
            },
            handlers: vec![Handler { tag: "ADD", decode: read }],
        };
        let aggregate = Arc::new(Counters(database.clone()));
        let pipeline =
            Pipeline::subscribe(aggregate, registration, &bus, runtime.clone()).await.unwrap();
        Self { bus, database, pipeline, runtime, tasks: Tasks::new() }
    }

    async fn kind() -> Self {
        Self::new(MemoryOptions::default(), Database::default()).await
    }

    async fn publish(&self, messages: &[(&str, &str)]) {
        let messages = messages.iter().map(|(key, body)| message(key, body)).collect();
        for answer in self.bus.publish(messages).await {
            answer.unwrap();
        }
    }

    async fn until(&self, done: impl Fn(&Database) -> bool) {
        let wait = async {
            while !done(&self.database.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), wait).await.expect("it happens in time");
    }

    fn sum(&self, key: &str) -> i64 {
        self.database.lock().unwrap().counters.get(key).map_or(0, |counter| counter.sum)
    }

    /// The dead letters of the group, once there are `count`.
    async fn dead_letters(&self, count: usize) -> Vec<OutgoingMessage> {
        let wait = async {
            loop {
                let dead: Vec<_> = self
                    .bus
                    .published()
                    .into_iter()
                    .filter(|message| matches!(message.destination, Destination::Dead { .. }))
                    .collect();
                if dead.len() >= count {
                    return dead;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), wait).await.expect("they come in time")
    }
}

fn message(key: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        destination: Destination::Topic("NUMBERS".into()),
        tag: "ADD".into(),
        key: key.into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: BTreeMap::from([(properties::EVENT_ID.to_owned(), Uuid::now_v7().to_string())]),
        delay: None,
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_key_in_one_batch_are_folded_into_one_change() {
    let world = World::kind().await;
    world.publish(&[("a", "1"), ("b", "5"), ("a", "2"), ("a", "3")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 4).await;
    assert_eq!((world.sum("a"), world.sum("b")), (6, 5));
    assert_eq!(world.database.lock().unwrap().applied, [2]);
    assert_eq!(world.database.lock().unwrap().counters["a"].version, 3);
}

#[tokio::test(start_paused = true)]
async fn everything_delivered_twice_in_any_order_counts_once() {
    for seed in 0..20 {
        let order = DeliveryOrder::Shuffled { seed };
        let options = MemoryOptions { order, copies: 2, ..MemoryOptions::default() };
        let world = World::new(options, Database::default()).await;
        world.pipeline.start(&world.tasks);
        let messages: Vec<(String, String)> =
            (1..=40).map(|n| (format!("k{}", n % 3), n.to_string())).collect();
        for (key, body) in &messages {
            world.publish(&[(key, body)]).await;
        }
        world.until(|database| database.inbox.len() == 40).await;
        let total: i64 = ["k0", "k1", "k2"].iter().map(|key| world.sum(key)).sum();
        assert_eq!(total, 820, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_dead_at_once_and_its_neighbours_go_on() {
    let world = World::kind().await;
    world.publish(&[("a", "1"), ("a", "x"), ("a", "2"), ("a", "0")]).await;
    world.pipeline.start(&world.tasks);
    let dead = world.dead_letters(2).await;
    assert_eq!(world.sum("a"), 3);
    let causes: Vec<&str> =
        dead.iter().map(|message| message.properties[properties::ERROR].as_str()).collect();
    assert_eq!(causes, ["1: body: \"x\" is no number", "1: nothing to add"]);
    for message in dead {
        let Destination::Dead { group, topic } = message.destination else { unreachable!() };
        assert_eq!((&*group, &*topic), (GROUP, "NUMBERS"));
        assert_eq!(message.properties[properties::WORKER], "toy/1");
    }
    assert_eq!(dead_letter_topic(GROUP), "%DLQ%adders");
}

#[tokio::test(start_paused = true)]
async fn one_message_that_the_database_refuses_is_found_and_its_neighbours_go_on() {
    let world = World::kind().await;
    world.publish(&[("a", "1"), ("bad", "13"), ("b", "2"), ("c", "7")]).await;
    world.pipeline.start(&world.tasks);
    let dead = world.dead_letters(1).await;
    assert_eq!((world.sum("a"), world.sum("b"), world.sum("c"), world.sum("bad")), (1, 2, 7, 0));
    let cause = "23514: thirteen";
    let expected = format!("3: {cause}\n2: {cause}\n1: {cause}");
    assert_eq!(dead[0].properties[properties::ERROR], expected);
}

#[tokio::test(start_paused = true)]
async fn of_several_messages_of_one_key_only_the_refused_one_is_given_back() {
    let world = World::kind().await;
    world.publish(&[("k", "6"), ("k", "7"), ("k", "-2")]).await;
    world.pipeline.start(&world.tasks);
    // Together they make 11, which is allowed: one change.
    world.until(|database| database.inbox.len() == 3).await;
    assert_eq!(world.sum("k"), 11);
    // 12 is allowed, 13 is refused: the second one is found and tried again later.
    world.publish(&[("k", "1"), ("k", "1")]).await;
    world.until(|database| database.inbox.len() == 4).await;
    assert_eq!(world.sum("k"), 12, "the one that made 13 waits for its retry");
    world.publish(&[("k", "10")]).await;
    world.until(|database| database.inbox.len() == 6).await;
    assert_eq!(world.sum("k"), 23);
    assert!(
        world
            .bus
            .published()
            .iter()
            .all(|message| !matches!(message.destination, Destination::Dead { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_early_is_tried_again_with_its_ladder() {
    let world = World::kind().await;
    world.publish(&[("a", "-1")]).await;
    world.pipeline.start(&world.tasks);
    let started = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.publish(&[("a", "10")]).await;
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!(world.sum("a"), 9);
    assert!(started.elapsed() >= Duration::from_secs(1), "the first step of the ladder");
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_it_is_dead_with_every_cause_and_the_same_event_id() {
    let world = World::kind().await;
    world.publish(&[("a", "-1")]).await;
    let event_id = world.bus.published()[0].properties[properties::EVENT_ID].clone();
    world.pipeline.start(&world.tasks);
    let dead = &world.dead_letters(1).await[0];
    assert_eq!(dead.properties[properties::EVENT_ID], event_id);
    assert_eq!(dead.properties[properties::ATTEMPT], "3");
    let cause = "nothing there yet";
    let expected = format!("3: {cause}\n2: {cause}\n1: {cause}");
    assert_eq!(dead.properties[properties::ERROR], expected);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_decision_harms_only_its_message() {
    let world = World::kind().await;
    world.publish(&[("a", "1"), ("b", "99"), ("c", "2")]).await;
    world.pipeline.start(&world.tasks);
    let dead = world.dead_letters(1).await;
    assert!(dead[0].properties[properties::ERROR].contains("ninety-nine"));
    assert_eq!((world.sum("a"), world.sum("c")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_database_burns_no_attempt() {
    let database = Database { away: 200, ..Database::default() };
    let world = World::new(MemoryOptions::default(), database).await;
    world.publish(&[("a", "1"), ("b", "2")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.away < 100).await;
    let toy = world.runtime.readiness.dependency("toy", Need::Required);
    assert!(!toy.is_up(), "readiness says which dependency is away");
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!(world.bus.published().len(), 2, "nothing was given back");
}

#[tokio::test(start_paused = true)]
async fn what_missed_is_decided_again_on_what_it_finds() {
    let database = Database { misses: 3, ..Database::default() };
    let world = World::new(MemoryOptions::default(), database).await;
    world.publish(&[("a", "1"), ("a", "2")]).await;
    world.pipeline.start(&world.tasks);
    world.until(|database| database.inbox.len() == 2).await;
    assert_eq!(world.sum("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_gets_its_dead_letter_later() {
    let world = World::kind().await;
    world.publish(&[("a", "x")]).await;
    let consumer_sees = world.pipeline.clone();
    world.bus.go_away();
    consumer_sees.start(&world.tasks);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.bus.come_back();
    assert_eq!(world.dead_letters(1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_in_hand_and_nothing_of_it_comes_again() {
    let world = World::kind().await;
    world.pipeline.start(&world.tasks);
    world.publish(&[("a", "1"), ("a", "2")]).await;
    world.until(|database| database.inbox.len() == 2).await;
    world.pipeline.stop();
    world.tasks.wait().await;
    assert_eq!(world.bus.lag(GROUP, "NUMBERS").await.unwrap(), 0);
    world.publish(&[("a", "4")]).await;
    assert_eq!(world.bus.lag(GROUP, "NUMBERS").await.unwrap(), 1);
    assert_eq!(world.sum("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn local_callers_have_their_answer_when_it_is_committed() {
    let bus = MemoryBus::default();
    let database = Arc::new(Mutex::new(Database::default()));
    let queue = Arc::new(LocalQueue::new(10));
    let aggregate = Arc::new(Counters(database.clone()));
    let tasks = Tasks::new();
    let pipeline = Pipeline::local(aggregate, "local", queue.clone(), runtime(&bus, config()));
    // Before anybody works on it the queue fills up, and says so.
    let waiting: Vec<_> = (0..10).map(|_| queue.offer("a".to_owned(), 1).unwrap()).collect();
    assert_eq!(queue.offer("a".to_owned(), 1).unwrap_err(), CallError::Overloaded);
    pipeline.start(&tasks);
    for (index, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), Ok(index as i64 + 1));
    }
    assert_eq!(database.lock().unwrap().applied, [1], "gathered into one batch");

    let dead = queue.call("a".to_owned(), 0).await;
    assert_eq!(dead, Err(CallError::Failed("nothing to add".to_owned())));
    let refused = queue.call("a".to_owned(), 3).await;
    assert_eq!(refused, Err(CallError::Failed("23514: thirteen".to_owned())));

    database.lock().unwrap().away = 1;
    let away = queue.call("a".to_owned(), 1).await.unwrap_err();
    assert!(matches!(away, CallError::Away { dependency: "toy", .. }));
    assert_eq!(queue.call("a".to_owned(), 1).await, Ok(11));

    queue.stop();
    assert_eq!(queue.call("a".to_owned(), 1).await, Err(CallError::Draining));
    tasks.wait().await;
    assert!(bus.published().is_empty(), "local messages never go to a retry queue");
}

#[test]
fn a_subscribed_tag_without_a_handler_is_refused_at_the_start() {
    let registration = Registration::<Counters> {
        subscription: Subscription {
            topic: "NUMBERS".into(),
            group: GROUP.into(),
            tags: vec!["ADD".into(), "SUBTRACT".into()],
            batch_max: 1,
            in_flight_max: 1,
        },
        handlers: vec![Handler { tag: "ADD", decode: read }],
    };
    let problem = registration.check().unwrap_err();
    assert_eq!(problem, "group adders: tag SUBTRACT is not both subscribed and handled");
}
