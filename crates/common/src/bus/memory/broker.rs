//! What the clients of one broker in memory share.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::properties::ORIGIN_TOPIC;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{DeliveryOrder, MemoryOptions, TopicPolicy};
use crate::bus::{
    BusError, Destination, IncomingMessage, Mismatch, OutgoingMessage, Position, PublishError,
    Subscription, Topology, dead_letter_topic,
};
use crate::clock;

/// A group and the topic that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueKey {
    group: Arc<str>,
    topic: Arc<str>,
}

/// What there is for a group right now.
pub(super) enum Taken {
    Messages(Vec<IncomingMessage>),
    /// Something waits, but not before this instant.
    NothingBefore(Instant),
    Nothing,
}

#[derive(Debug, Clone)]
struct Stored {
    message: IncomingMessage,
    due: Instant,
}

/// What waits for one group on one topic.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Stored>,
    in_hand: usize,
    joined: bool,
    tags: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct State {
    /// Every message of a topic, for the groups that come later.
    topics: BTreeMap<Arc<str>, Vec<Stored>>,
    queues: HashMap<QueueKey, Queue>,
    created_topics: HashSet<String>,
    created_groups: HashSet<String>,
    published: Vec<OutgoingMessage>,
    next_message: i64,
    away: bool,
}

#[derive(Debug)]
pub(super) struct Broker {
    options: MemoryOptions,
    state: Mutex<State>,
    shuffle: Mutex<Option<StdRng>>,
    changed: watch::Sender<()>,
}

impl Broker {
    pub(super) fn new(options: MemoryOptions) -> Self {
        let shuffle = match options.order {
            DeliveryOrder::Published => None,
            DeliveryOrder::Shuffled { seed } => Some(StdRng::seed_from_u64(seed)),
        };
        Self {
            options,
            state: Mutex::default(),
            shuffle: Mutex::new(shuffle),
            changed: watch::Sender::new(()),
        }
    }

    /// Changes whenever there may be something new to take.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn set_away(&self, away: bool) {
        self.state().away = away;
        self.changed.send_replace(());
    }

    pub(super) fn published(&self) -> Vec<OutgoingMessage> {
        self.state().published.clone()
    }

    pub(super) fn take_published(&self) -> Vec<OutgoingMessage> {
        std::mem::take(&mut self.state().published)
    }

    pub(super) fn publish(&self, messages: Vec<OutgoingMessage>) -> Vec<Result<(), PublishError>> {
        let mut state = self.state();
        let answers = messages
            .into_iter()
            .map(|message| {
                self.accept(&state, &message)?;
                self.store(&mut state, &message);
                state.published.push(message);
                Ok(())
            })
            .collect();
        drop(state);
        self.changed.send_replace(());
        answers
    }

    fn accept(&self, state: &State, message: &OutgoingMessage) -> Result<(), PublishError> {
        if state.away {
            return Err(PublishError::Away("the test took the broker away".to_owned()));
        }
        if message.body.is_empty() {
            return Err(PublishError::Refused("RocketMQ takes no empty body".to_owned()));
        }
        if message.body.len() > self.options.body_max_bytes {
            let (size, max) = (message.body.len(), self.options.body_max_bytes);
            return Err(PublishError::Refused(format!("{size} bytes of body, {max} is the limit")));
        }
        let (kind, name, created) = match &message.destination {
            Destination::Topic(topic) => ("topic", topic, &state.created_topics),
            Destination::Retry { group, .. } | Destination::Dead { group, .. } => {
                ("group", group, &state.created_groups)
            }
        };
        if self.options.topics == TopicPolicy::Created && !created.contains(&**name) {
            return Err(PublishError::Refused(format!("there is no {kind} {name}")));
        }
        Ok(())
    }

    fn store(&self, state: &mut State, message: &OutgoingMessage) {
        state.next_message += 1;
        let stored = Stored {
            message: incoming(message, state.next_message),
            due: Instant::now() + message.delay.unwrap_or_default(),
        };
        match &message.destination {
            Destination::Topic(topic) => self.append(state, topic, stored),
            Destination::Dead { group, .. } => {
                self.append(state, &dead_letter_topic(group).into(), stored);
            }
            Destination::Retry { group, topic } => {
                let key = QueueKey { group: Arc::clone(group), topic: Arc::clone(topic) };
                let queue = state.queues.entry(key).or_default();
                for _ in 0..self.options.copies {
                    queue.waiting.push_back(stored.clone());
                }
            }
        }
    }

    /// Adds to a topic and to every group that takes it.
    fn append(&self, state: &mut State, topic: &Arc<str>, stored: Stored) {
        for (key, queue) in &mut state.queues {
            if key.topic == *topic && queue.joined && queue.takes(&stored) {
                for _ in 0..self.options.copies {
                    queue.waiting.push_back(stored.clone());
                }
            }
        }
        state.topics.entry(Arc::clone(topic)).or_default().push(stored);
    }

    /// Makes the group a subscriber: one that is new starts with the first message of the topic.
    pub(super) fn join(&self, subscription: &Subscription) -> QueueKey {
        let key = QueueKey {
            group: Arc::clone(&subscription.group),
            topic: Arc::clone(&subscription.topic),
        };
        let State { topics, queues, .. } = &mut *self.state();
        let queue = queues.entry(key.clone()).or_default();
        if !queue.joined {
            queue.joined = true;
            queue.tags.clone_from(&subscription.tags);
            for stored in topics.get(&subscription.topic).into_iter().flatten() {
                if queue.takes(stored) {
                    for _ in 0..self.options.copies {
                        queue.waiting.push_back(stored.clone());
                    }
                }
            }
        }
        key
    }

    /// Takes up to `batch_max` messages that are due; they are in hand from here on.
    pub(super) fn take(&self, key: &QueueKey, batch_max: usize) -> Taken {
        let mut state = self.state();
        if state.away {
            return Taken::Nothing;
        }
        let Some(queue) = state.queues.get_mut(key) else { return Taken::Nothing };
        let now = Instant::now();
        let mut batch = Vec::new();
        while batch.len() < batch_max {
            let mut due = (0..queue.waiting.len()).filter(|&i| queue.waiting[i].due <= now);
            let chosen = match &mut *self.shuffle.lock().unwrap_or_else(PoisonError::into_inner) {
                None => due.next(),
                Some(rng) => {
                    let due: Vec<usize> = due.collect();
                    (!due.is_empty()).then(|| due[rng.random_range(0..due.len())])
                }
            };
            let Some(stored) = chosen.and_then(|chosen| queue.waiting.remove(chosen)) else {
                break;
            };
            batch.push(stored.message);
        }
        if batch.is_empty() {
            let next = queue.waiting.iter().map(|stored| stored.due).min();
            return next.map_or(Taken::Nothing, Taken::NothingBefore);
        }
        queue.in_hand += batch.len();
        Taken::Messages(batch)
    }

    /// Ends messages that were in hand.
    pub(super) fn finish(&self, key: &QueueKey, count: usize) {
        if let Some(queue) = self.state().queues.get_mut(key) {
            queue.in_hand -= count;
        }
    }

    /// Puts messages that were in hand back to the head of the queue.
    pub(super) fn give_back(&self, key: &QueueKey, batch: Vec<IncomingMessage>, now: Instant) {
        if let Some(queue) = self.state().queues.get_mut(key) {
            queue.in_hand -= batch.len();
            for mut message in batch.into_iter().rev() {
                message.broker_attempts += 1;
                let due = now + self.options.redelivery_delay;
                queue.waiting.push_front(Stored { message, due });
            }
        }
        self.changed.send_replace(());
    }

    pub(super) fn create(&self, topology: &Topology) -> Result<(), BusError> {
        let mut state = self.state();
        state.reachable()?;
        state.created_topics.extend(topology.topics.iter().map(|topic| topic.name.clone()));
        state.created_groups.extend(topology.groups.iter().map(|group| group.name.clone()));
        Ok(())
    }

    pub(super) fn verify(&self, topology: &Topology) -> Result<Vec<Mismatch>, BusError> {
        let state = self.state();
        state.reachable()?;
        let missing = |kind: &str, name: &str| Mismatch {
            problem: format!("{kind} {name} is missing"),
            command: format!("(in memory) create {kind} {name}"),
        };
        let topics = topology.topics.iter().filter(|t| !state.created_topics.contains(&t.name));
        let groups = topology.groups.iter().filter(|g| !state.created_groups.contains(&g.name));
        Ok(topics
            .map(|topic| missing("topic", &topic.name))
            .chain(groups.map(|group| missing("group", &group.name)))
            .collect())
    }

    pub(super) fn lag(&self, group: &str, topic: &str) -> Result<u64, BusError> {
        let state = self.state();
        state.reachable()?;
        let key = QueueKey { group: group.into(), topic: topic.into() };
        let waiting = match state.queues.get(&key) {
            Some(queue) if queue.joined => queue.waiting.len() + queue.in_hand,
            Some(_) | None => state.topics.get(topic).map_or(0, Vec::len),
        };
        Ok(u64::try_from(waiting).unwrap_or(u64::MAX))
    }

    pub(super) fn probe(&self) -> Result<(), BusError> {
        self.state().reachable()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reachable(&self) -> Result<(), BusError> {
        if self.away {
            return Err(BusError::Away("the test took the broker away".to_owned()));
        }
        Ok(())
    }
}

impl Queue {
    fn takes(&self, stored: &Stored) -> bool {
        self.tags.is_empty() || self.tags.contains(&stored.message.tag)
    }
}

fn incoming(message: &OutgoingMessage, number: i64) -> IncomingMessage {
    let topic = match &message.destination {
        Destination::Topic(topic)
        | Destination::Retry { topic, .. }
        | Destination::Dead { topic, .. } => topic,
    };
    let now = clock::now();
    let mut properties = message.properties.clone();
    if matches!(message.destination, Destination::Dead { .. }) {
        properties.entry(ORIGIN_TOPIC.to_owned()).or_insert_with(|| topic.to_string());
    }
    IncomingMessage {
        topic: Arc::clone(topic),
        tag: Arc::clone(&message.tag),
        key: Arc::clone(&message.key),
        body: message.body.clone(),
        properties: properties.into(),
        message_id: format!("memory-{number}").into(),
        broker_attempts: 0,
        born_at: now,
        stored_at: now,
        position: Position { broker: "memory".into(), queue: 0, offset: number },
    }
}
