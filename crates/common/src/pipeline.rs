//! How every message is consumed: gather, load, consult, decide, apply, and what follows.
//!
//! The unit is the batch. A batch of one and a batch of 500 run the same code. A worker gives
//! one [`Aggregate`]: how its states are loaded and applied, and the pure `decide`. Everything
//! else is here, the same for every handler: duplicates, folding, misses, retries, dead letters,
//! dependencies that are away, drain.
//!
//! An HTTP call, a callback of a payment provider and a due deadline are messages, too: they
//! come through [`LocalQueue`] and their entries carry a reply slot.

use std::collections::{HashMap, HashSet};
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::bus::{IncomingMessage, Subscription};
use crate::decision::{Decision, Undecided};
use crate::{inbox, outbox};

mod fold;
mod give_back;
mod intake;
mod local;
mod pace;
mod recent;
mod run;
mod runtime;
mod sink;

pub use give_back::{Attempt, GiveBack};
pub use local::{CallError, LocalQueue};
pub use recent::Recent;
pub use run::Pipeline;
pub use runtime::Runtime;
pub use sink::{Recorded, Sink, SinkHandler, SinkPipeline};

/// What [`Aggregate::decide`] answers.
pub type Decided<A> = Result<
    Decision<
        <A as Aggregate>::State,
        <A as Aggregate>::Event,
        <A as Aggregate>::Call,
        <A as Aggregate>::Reply,
    >,
    Undecided,
>;

/// One kind of state that messages change: an order, a hold, a notification.
#[async_trait]
pub trait Aggregate: Send + Sync + Sized + 'static {
    type Key: Clone + Ord + Hash + Display + Debug + Send + Sync;
    type State: Clone + Debug + Send + Sync;
    type Message: Debug + Send + Sync;
    /// What a whole batch is decided on beside the states: the database's time, prices, epochs.
    type Facts: Send + Sync;
    /// What a consulted gate (or the database's refusal) said about one message.
    type Gate: Clone + Debug + Send + Sync;
    type Event: Debug + Send + Sync;
    type Call: Debug + Send + Sync;
    type Reply: Debug + Send;

    /// Waits until one more batch of this group is to be taken from the bus, where its messages are
    /// safe.
    async fn ready(&self, _group: &str) {}

    /// The state that the key is likely to be in, as far as that is known without looking: none
    /// for a new one, the state that this process wrote last. A decision on it counts only once
    /// it is written: compare-and-set and inbox tell whether the guess was right. If not, or if
    /// nothing is to be written, the key is looked up.
    fn guess(&self, _key: &Self::Key, _messages: &[&Self::Message]) -> Option<Self::State> {
        None
    }

    /// Is given each state that was written, for later guesses.
    fn remember(&self, _key: Self::Key, _state: Self::State) {}

    /// Reads the states of all keys that are asked for, which events the inbox knows, and the
    /// facts for all messages: one snapshot.
    async fn load(&self, request: Load<'_, Self>) -> Result<Loaded<Self>, StoreError>;

    /// Asks the gate about the messages that need it; one answer for each ask, in order.
    async fn consult(
        &self,
        _facts: &Self::Facts,
        asks: &[Ask<'_, Self>],
    ) -> Result<Vec<Option<Self::Gate>>, StoreError> {
        Ok(asks.iter().map(|_| None).collect())
    }

    /// Decides one message. Pure; lives in the worker's `domain`.
    fn decide(
        &self,
        state: &Self::State,
        message: &Self::Message,
        gate: Option<&Self::Gate>,
        facts: &Self::Facts,
    ) -> Decided<Self>;

    /// The answer to a call, where it follows from the call alone and nobody has to be asked: it
    /// is decided in the same transaction.
    fn answer_at_once(&self, _call: &Self::Call) -> Option<Self::Message> {
        None
    }

    /// Raises the version of a state that a decision has just changed, and answers it.
    fn raise_version(&self, state: &mut Self::State) -> i64;

    /// The version of a state; 0 when there is no row.
    fn version(&self, state: &Self::State) -> i64;

    /// The outbox row of an event about `state`, the state after the decision.
    fn record(&self, state: &Self::State, event: &Self::Event, stamp: Stamp) -> outbox::Row;

    /// Writes the changes in one transaction, by compare-and-set on the base version, with their
    /// inbox entries and outbox rows (leased for the runtime's lease): one answer for each.
    /// A transaction may outlive its caller, so it shares the changes; it has let them go once this
    /// returns.
    async fn apply(
        &self,
        group: &str,
        changes: Arc<Vec<Change<Self>>>,
    ) -> Result<Vec<Applied<Self::Gate>>, StoreError>;

    /// After the commit: makes what stands outside PostgreSQL say what PostgreSQL says. Called
    /// for applied changes and for the keys of events that the inbox already knew.
    async fn settle(
        &self,
        _facts: &Self::Facts,
        _states: &[(&Self::Key, &Self::State)],
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the commit: hands the calls of an applied change to whoever makes them. Must not
    /// wait; what it can't take is found again in the table.
    fn committed(&self, _change: &mut Change<Self>) {}
}

/// What to load.
pub struct Load<'a, A: Aggregate> {
    pub group: &'a str,
    /// Sorted, each once, with the messages that are to be decided on it.
    pub keys: &'a [(&'a A::Key, Vec<&'a A::Message>)],
    /// Keys whose states are not asked for; the facts are.
    pub guessed: &'a [Guess<'a, A>],
    /// Events whose inbox entries are asked for.
    pub events: &'a [Uuid],
}

impl<'a, A: Aggregate> Load<'a, A> {
    /// All messages that are to be decided.
    pub fn messages(&self) -> impl Iterator<Item = &'a A::Message> + use<'a, A> {
        let asked = self.keys.iter().flat_map(|(_, messages)| messages);
        asked.chain(self.guessed.iter().flat_map(|guess| &guess.messages)).copied()
    }
}

/// The state that a key is likely to be in, and the messages that are to be decided on it.
pub struct Guess<'a, A: Aggregate> {
    pub state: &'a A::State,
    pub messages: Vec<&'a A::Message>,
}

/// What was loaded.
pub struct Loaded<A: Aggregate> {
    /// One state for each key; an absent row is a state, too.
    pub states: HashMap<A::Key, A::State>,
    pub known: HashSet<Uuid>,
    pub facts: A::Facts,
}

/// A message about which the gate may be asked.
pub struct Ask<'a, A: Aggregate> {
    pub key: &'a A::Key,
    pub state: &'a A::State,
    pub message: &'a A::Message,
}

/// What the pipeline stamps on an event.
#[derive(Debug, Clone)]
pub struct Stamp {
    pub event_id: Uuid,
    pub aggregate_version: i64,
    pub occurred_at: DateTime<Utc>,
    pub causation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
}

/// One key's change: all its messages of the batch folded into one.
#[derive(Debug)]
pub struct Change<A: Aggregate> {
    pub key: A::Key,
    /// As it was loaded: the compare-and-set is on its version.
    pub base: A::State,
    /// `None` when no message changed anything: only inbox entries are written then.
    pub next: Option<A::State>,
    pub entries: Vec<inbox::Entry>,
    /// Shared with the transaction that writes them and the relay that publishes them.
    pub rows: Vec<Arc<outbox::Row>>,
    pub calls: Vec<A::Call>,
}

/// What became of one [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<Gate> {
    Applied,
    /// The state had moved on (or an inbox entry was there): loaded and decided again.
    Missed,
    /// PostgreSQL says no to what the gate had granted: decided again with this answer.
    Refused(Gate),
    /// The gate's epoch had moved on: consulted again.
    StaleEpoch,
}

/// Why a store could not do its part.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A dependency is away: the subscription pauses and no attempt is counted.
    #[error("{dependency} is away: {reason}")]
    Away { dependency: &'static str, reason: String },
    /// Some message's data makes it fail: the batch is split to find it.
    #[error("{0}")]
    Data(String),
}

/// A message taken from the bus, read.
#[derive(Debug)]
pub struct Decoded<Key, Message> {
    pub key: Key,
    pub message: Message,
    /// From the envelope, or derived from the body when there is none.
    pub event_id: Uuid,
    pub traceparent: Option<Arc<str>>,
}

/// Why a message can't be read; it names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads a message, or names the field that can't be read.
pub type Decode<A> =
    fn(
        &IncomingMessage,
    ) -> Result<Decoded<<A as Aggregate>::Key, <A as Aggregate>::Message>, Unreadable>;

/// How one tag's messages are read. The worker's list of these is its registration.
pub struct Handler<A: Aggregate> {
    pub tag: &'static str,
    pub decode: Decode<A>,
}

/// A subscription and the handlers of all its tags.
pub struct Registration<A: Aggregate> {
    pub subscription: Subscription,
    pub handlers: Vec<Handler<A>>,
}

impl<A: Aggregate> Registration<A> {
    /// Checks that every subscribed tag has exactly one handler.
    ///
    /// # Errors
    /// Names the tag.
    pub fn check(&self) -> Result<(), String> {
        let tags: HashSet<&str> = self.subscription.tags.iter().map(|tag| &**tag).collect();
        let handled: HashSet<&str> = self.handlers.iter().map(|handler| handler.tag).collect();
        let group = &self.subscription.group;
        if handled.len() != self.handlers.len() {
            return Err(format!("group {group}: a tag has two handlers"));
        }
        if let Some(tag) = tags.symmetric_difference(&handled).next() {
            return Err(format!("group {group}: tag {tag} is not both subscribed and handled"));
        }
        Ok(())
    }
}
