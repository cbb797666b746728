//! What order-worker consumes, in one list, and how it is read.

use std::sync::Arc;

use common::bus::{IncomingMessage, Subscription};
use common::config::PipelineConfig;
use common::pipeline::{Decoded, Handler, Registration, Unreadable};
use contracts::{Body, Envelope, Tag, topics};
use uuid::Uuid;

use crate::aggregate::{Key, Orders};
use crate::domain::Message;

mod create;
pub mod publish;
mod stock;

pub use create::request_hash;

/// Topics, as configured.
#[derive(Debug, Clone)]
pub struct Topics {
    pub order: Arc<str>,
    pub stock: Arc<str>,
    pub notification: Arc<str>,
}

/// Every subscription of the order machine.
pub fn registrations(topics: &Topics, pipeline: &PipelineConfig) -> Vec<Registration<Orders>> {
    vec![
        Registration {
            subscription: subscription(
                &topics.order,
                topics::ORDER_INTAKE_GROUP,
                &[Tag::OrderCreate],
                pipeline,
            ),
            handlers: vec![Handler { tag: Tag::OrderCreate.as_str(), decode: create::decode }],
        },
        Registration {
            subscription: subscription(
                &topics.stock,
                topics::ORDER_STOCK_GROUP,
                &[
                    Tag::StockDeducted,
                    Tag::StockRejected,
                    Tag::StockConfirmed,
                    Tag::StockRolledBack,
                ],
                pipeline,
            ),
            handlers: vec![
                Handler { tag: Tag::StockDeducted.as_str(), decode: stock::deducted },
                Handler { tag: Tag::StockRejected.as_str(), decode: stock::rejected },
                Handler { tag: Tag::StockConfirmed.as_str(), decode: stock::confirmed },
                Handler { tag: Tag::StockRolledBack.as_str(), decode: stock::rolled_back },
            ],
        },
    ]
}

/// The subscription of the sale's copy; it has no machine.
pub fn sale_subscription(topics: &Topics, pipeline: &PipelineConfig) -> Subscription {
    subscription(&topics.stock, topics::ORDER_SALE_GROUP, &[Tag::SaleChanged], pipeline)
}

fn subscription(
    topic: &Arc<str>,
    group: &str,
    tags: &[Tag],
    pipeline: &PipelineConfig,
) -> Subscription {
    Subscription {
        topic: topic.clone(),
        group: group.into(),
        tags: tags.iter().map(|tag| tag.as_str().into()).collect(),
        batch_max: pipeline.batch_max,
        in_flight_max: pipeline.deliveries_max(),
    }
}

/// The event id and trace of a message; derived from its body where it has no envelope.
pub(crate) fn envelope_of<B: Body>(
    incoming: &IncomingMessage,
    body: &B,
) -> Result<(Uuid, Option<Arc<str>>), Unreadable> {
    let envelope = Envelope::find(|name| incoming.properties.text(name))
        .map_err(|error| Unreadable(error.to_string()))?
        .unwrap_or_else(|| Envelope::derived(&incoming.topic, body, &incoming.body));
    Ok((envelope.event_id, envelope.traceparent.map(Into::into)))
}

fn decoded<B: Body>(
    incoming: &IncomingMessage,
    body: &B,
    key: Key,
    message: Message,
) -> Result<Decoded<Key, Message>, Unreadable> {
    let (event_id, traceparent) = envelope_of(incoming, body)?;
    Ok(Decoded { key, message, event_id, traceparent })
}
