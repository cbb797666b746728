//! Which messages stock-worker takes: this list is the registration.

use std::fmt;
use std::sync::Arc;

use common::bus::{IncomingMessage, Subscription};
use common::config::{BrokerConfig, PipelineConfig};
use common::pipeline::{Decoded, Handler, Registration, Unreadable};
use contracts::{Body, Envelope, OrderNo, Tag, topics};
use uuid::Uuid;

use crate::domain::Message;
use crate::stock::Stock;

mod order_cancelled;
mod order_created;
mod order_paid;
mod stock_command;

/// What a message's state is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Order(OrderNo),
    /// A command about no order (SYNC of a ticket type): it has no state.
    Event(Uuid),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order_no) => order_no.fmt(f),
            Self::Event(event_id) => event_id.fmt(f),
        }
    }
}

impl Key {
    /// The order, if there is one.
    pub fn order_no(&self) -> Option<&OrderNo> {
        match self {
            Self::Order(order_no) => Some(order_no),
            Self::Event(_) => None,
        }
    }
}

/// Every subscription of stock-worker with its handlers.
pub fn registrations(broker: &BrokerConfig, pipeline: &PipelineConfig) -> Vec<Registration<Stock>> {
    let order = [
        handler(Tag::OrderCreated, order_created::decode),
        handler(Tag::OrderPaid, order_paid::decode),
        handler(Tag::OrderCancelled, order_cancelled::decode),
    ];
    let command = [
        handler(Tag::StockDeduct, stock_command::decode),
        handler(Tag::StockRollback, stock_command::decode),
        handler(Tag::StockSync, stock_command::decode),
    ];
    vec![
        registration(&broker.order_topic, topics::STOCK_ORDER_GROUP, order, pipeline),
        registration(&broker.stock_topic, topics::STOCK_COMMAND_GROUP, command, pipeline),
    ]
}

type Decode = fn(&IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable>;

fn handler(tag: Tag, decode: Decode) -> Handler<Stock> {
    Handler { tag: tag.as_str(), decode }
}

fn registration(
    topic: &str,
    group: &str,
    handlers: [Handler<Stock>; 3],
    pipeline: &PipelineConfig,
) -> Registration<Stock> {
    let subscription = Subscription {
        topic: topic.into(),
        group: group.into(),
        tags: handlers.iter().map(|handler| handler.tag.into()).collect(),
        batch_max: pipeline.batch_max,
        in_flight_max: pipeline.deliveries_max(),
    };
    Registration { subscription, handlers: handlers.into() }
}

/// A message's body with what identifies it.
struct Opened<B> {
    body: B,
    event_id: Uuid,
    traceparent: Option<Arc<str>>,
}

/// Reads body and envelope; without an envelope (a Java service's) the id is derived.
fn open<B: Body>(incoming: &IncomingMessage) -> Result<Opened<B>, Unreadable> {
    let unreadable = |error: &dyn fmt::Display| Unreadable(error.to_string());
    let tag: Tag = incoming.tag.parse().map_err(|error| unreadable(&error))?;
    let envelope = Envelope::find(|name| incoming.properties.text(name))
        .map_err(|error| unreadable(&error))?;
    let body = B::read(tag, &incoming.body).map_err(|error| unreadable(&error))?;
    let envelope =
        envelope.unwrap_or_else(|| Envelope::derived(&incoming.topic, &body, &incoming.body));
    let traceparent = envelope.traceparent.map(Into::into);
    Ok(Opened { body, event_id: envelope.event_id, traceparent })
}

impl<B> Opened<B> {
    fn about(self, order_no: OrderNo, message: Message) -> Decoded<Key, Message> {
        Decoded {
            key: Key::Order(order_no),
            message,
            event_id: self.event_id,
            traceparent: self.traceparent,
        }
    }
}
