//! The order as the pipeline sees it: how it is loaded, decided, said and written.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use common::outbox;
use common::pipeline::{
    Aggregate, Applied, Change, Decided, Load, Loaded, Recent, Stamp, StoreError,
};
use contracts::{OrderNo, SessionId, topics};

use crate::admission::Admission;
use crate::domain::{self, Call, Event, Facts, Message, Order, Policy, Reply, Work, decide};
use crate::handlers::publish::Publisher;
use crate::payments::Gateways;
use crate::sale::Sales;
use crate::store::{Store, calls_left};
use crate::waiting::Waiting;

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Order(OrderNo),
    /// An order that may not be there yet: what makes two creations the same.
    Creation {
        session_id: SessionId,
        caller: Arc<str>,
        idempotency_key: Arc<str>,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order_no) => order_no.fmt(f),
            Self::Creation { session_id, caller, idempotency_key } => {
                write!(f, "{caller}/{session_id}/{idempotency_key}")
            }
        }
    }
}

/// Takes committed calls; never waits. What does not fit is found in the table.
pub type HandOver = Arc<dyn Fn(Vec<Call>) + Send + Sync>;

/// All orders.
pub struct Orders {
    pub store: Store,
    pub sales: Sales,
    pub policy: Arc<Policy>,
    pub publisher: Publisher,
    pub gateways: Gateways,
    /// Is given the calls of every committed change.
    pub hand_over: HandOver,
    /// Is told of every committed change.
    pub waiting: Waiting,
    /// Is told of every committed change.
    pub admission: Admission,
    /// Orders that are under way.
    pub recent: Recent<OrderNo, Box<Order>>,
    /// Creations that are done: who asks again gets the order.
    pub created: Recent<Key, ()>,
}

#[async_trait]
impl Aggregate for Orders {
    type Key = Key;
    type State = Option<Box<Order>>;
    type Message = Message;
    type Facts = Facts;
    type Gate = ();
    type Event = Event;
    type Call = Work;
    type Reply = Reply;

    async fn ready(&self, group: &str) {
        if group == topics::ORDER_INTAKE_GROUP {
            self.admission.let_in().await;
        }
    }

    fn guess(&self, key: &Key, messages: &[&Message]) -> Option<Self::State> {
        match key {
            Key::Order(order_no) => self.recent.take(order_no).map(Some),
            // What is refused is looked up: who lost the answer to a creation gets it again.
            Key::Creation { session_id, .. } => {
                let one = matches!(messages, [Message::Create(_)]);
                let is_new = one && self.sales.sells(*session_id) && !self.created.holds(key);
                is_new.then_some(None)
            }
        }
    }

    fn remember(&self, key: Key, state: Self::State) {
        if matches!(key, Key::Creation { .. }) && state.is_some() {
            self.created.put(key, ());
        }
        // Of an order that has ended nothing more is to be heard.
        if let Some(order) = state.filter(|order| !order.is_ended()) {
            self.recent.put(order.order_no.clone(), order);
        }
    }

    async fn load(&self, request: Load<'_, Self>) -> Result<Loaded<Self>, StoreError> {
        let keys: Vec<&Key> = request.keys.iter().map(|(key, _)| *key).collect();
        let mut creations = Vec::new();
        let creates = request.messages().any(|message| matches!(message, Message::Create(_)));
        for (key, messages) in request.keys {
            for message in messages {
                if let Message::Create(new) = message {
                    creations.push((*key, &new.order_no));
                }
            }
        }
        let known_sales = creates.then(|| self.sales.known());
        let known_sales = known_sales.as_deref();
        let snapshot =
            self.store.load(request.group, &keys, &creations, request.events, known_sales).await?;
        self.sales.learn(&snapshot.sales);
        let sales = self.sales.of(&sessions_of(&request));
        let mut by_number: HashMap<OrderNo, Box<Order>> = HashMap::new();
        let mut by_creation: HashMap<(SessionId, String, String), OrderNo> = HashMap::new();
        for order in snapshot.orders {
            let creation = (order.session_id, order.caller.clone(), order.idempotency_key.clone());
            by_creation.insert(creation, order.order_no.clone());
            by_number.insert(order.order_no.clone(), Box::new(order));
        }
        let mut states = HashMap::with_capacity(request.keys.len());
        for (key, messages) in request.keys {
            let number = match key {
                Key::Order(order_no) => Some(order_no.clone()),
                Key::Creation { session_id, caller, idempotency_key } => by_creation
                    .get(&(*session_id, caller.to_string(), idempotency_key.to_string()))
                    .cloned()
                    .or_else(|| taken_number(messages, &by_number)),
            };
            let order = number.and_then(|number| by_number.get(&number).cloned());
            states.insert((*key).clone(), order);
        }
        let facts = Facts { now: snapshot.now, policy: self.policy.clone(), sales };
        Ok(Loaded { states, known: snapshot.known, facts })
    }

    fn decide(
        &self,
        state: &Self::State,
        message: &Message,
        _gate: Option<&()>,
        facts: &Facts,
    ) -> Decided<Self> {
        decide(state.as_deref(), message, facts)
    }

    fn answer_at_once(&self, call: &Work) -> Option<Message> {
        match call {
            Work::Start(call) => self.gateways.answer_at_once(call),
            Work::End { .. } | Work::Receipt { .. } => None,
        }
    }

    fn raise_version(&self, state: &mut Self::State) -> i64 {
        let Some(order) = state else { return 0 };
        order.version += 1;
        order.version
    }

    fn version(&self, state: &Self::State) -> i64 {
        state.as_ref().map_or(0, |order| order.version)
    }

    fn record(&self, state: &Self::State, event: &Event, stamp: Stamp) -> outbox::Row {
        let order = state.as_ref().expect("only an order has something to say");
        self.publisher.row(order, event, stamp)
    }

    async fn apply(
        &self,
        group: &str,
        changes: Arc<Vec<Change<Self>>>,
    ) -> Result<Vec<Applied<()>>, StoreError> {
        self.store.apply(group, changes).await
    }

    fn committed(&self, change: &mut Change<Self>) {
        if let Some(Some(order)) = &change.next {
            self.waiting.tell(&order.order_no, order.status);
            self.admission.observe(change.base.as_deref(), order);
        }
        let calls = calls_left(&change.calls);
        if !calls.is_empty() {
            (self.hand_over)(calls);
        }
    }
}

/// The order that has the number a creation wants, if some other order has it.
fn taken_number(
    messages: &[&Message],
    by_number: &HashMap<OrderNo, Box<Order>>,
) -> Option<OrderNo> {
    messages.iter().find_map(|message| match message {
        Message::Create(new) if by_number.contains_key(&new.order_no) => Some(new.order_no.clone()),
        _ => None,
    })
}

fn sessions_of(request: &Load<'_, Orders>) -> Vec<SessionId> {
    let mut sessions: Vec<SessionId> = request
        .messages()
        .filter_map(|message| match message {
            domain::Message::Create(new) => Some(new.session_id),
            _ => None,
        })
        .collect();
    sessions.sort_unstable();
    sessions.dedup();
    sessions
}
