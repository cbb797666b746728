//! How an order's events are said on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use common::bus::Destination;
use common::outbox::Row;
use common::pipeline::Stamp;
use contracts::{
    Body, CancelReason, Extra, Line, LocalTime, NotificationId, NotificationMessage,
    OrderEventMessage, OrderEventType, Tag,
};

use super::Topics;
use crate::domain::{Event, Notice, Order};

/// After this nobody wants to hear of a transition any more.
const NOTICE_VALID_HOURS: i64 = 24;

/// Turns events into outbox rows.
#[derive(Debug, Clone)]
pub struct Publisher {
    topics: Arc<Topics>,
}

impl Publisher {
    /// Publishes to these topics.
    pub fn new(topics: Topics) -> Self {
        Self { topics: Arc::new(topics) }
    }

    /// The row of one event about `order`, as it is after the decision.
    pub fn row(&self, order: &Order, event: &Event, stamp: Stamp) -> Row {
        let (topic, tag, body) = match event {
            Event::Created => self.fact(order, OrderEventType::Created, None, &stamp),
            Event::Reserved => self.fact(order, OrderEventType::Reserved, None, &stamp),
            Event::Paid => self.fact(order, OrderEventType::Paid, None, &stamp),
            Event::Confirmed => self.fact(order, OrderEventType::Confirmed, None, &stamp),
            Event::Cancelled { reason } => {
                self.fact(order, OrderEventType::Cancelled, Some(*reason), &stamp)
            }
            Event::Refunded => self.fact(order, OrderEventType::Refunded, None, &stamp),
            Event::Notify { notice, channel } => {
                let message = notification(order, *notice, *channel, &stamp);
                (self.topics.notification.clone(), channel.tag(), encode(&message))
            }
        };
        Row {
            batch_id: stamp.event_id,
            event_id: stamp.event_id,
            session_id: order.session_id.get(),
            key: order.order_no.as_str().into(),
            destination: Destination::Topic(topic),
            tag: tag.as_str().into(),
            body,
            aggregate_version: stamp.aggregate_version,
            occurred_at: stamp.occurred_at,
            causation_id: stamp.causation_id,
            traceparent: stamp.traceparent,
            properties: BTreeMap::new(),
        }
    }

    fn fact(
        &self,
        order: &Order,
        event_type: OrderEventType,
        reason: Option<CancelReason>,
        stamp: &Stamp,
    ) -> (Arc<str>, Tag, Bytes) {
        let lines: Vec<Line> = order
            .lines
            .iter()
            .map(|line| Line {
                ticket_id: line.ticket_id,
                quantity: line.quantity,
                unit_price: Some(line.unit_price),
            })
            .collect();
        let mut message = OrderEventMessage {
            user_id: Some(order.user_id),
            show_id: Some(order.show_id),
            session_id: Some(order.session_id),
            total_amount: Some(order.total),
            status: Some(order.status.code()),
            event_time: LocalTime::new(stamp.occurred_at).ok(),
            currency: Some(order.currency),
            reason: reason.map(|reason| reason.to_string()),
            expires_at: Some(order.expires_at),
            ..OrderEventMessage::new(event_type, order.order_no.clone())
        };
        message.set_lines(&lines);
        (self.topics.order.clone(), event_type.tag(), encode(&message))
    }
}

fn notification(
    order: &Order,
    notice: Notice,
    channel: contracts::Channel,
    stamp: &Stamp,
) -> NotificationMessage {
    // Bounded by the order number's 64 characters; the same transition names the same id.
    let id = NotificationId::new(format!("{}-{}-{channel}", order.order_no, notice.id_part()))
        .expect("an order number, a word and a channel are visible ASCII");
    let mut params = Extra::new();
    params.insert("orderNo", order.order_no.as_str());
    params.insert("total", order.total.to_string());
    params.insert("currency", order.currency.as_str());
    params.insert("tickets", order.lines.iter().map(|line| line.quantity.get()).sum::<i32>());
    params.insert("reason", order.reason.clone());
    NotificationMessage {
        order_no: Some(order.order_no.clone()),
        params: Some(params),
        valid_until: Some(stamp.occurred_at + TimeDelta::hours(NOTICE_VALID_HOURS)),
        ..NotificationMessage::templated(id, order.user_id, channel, notice.template())
    }
}

fn encode(body: &impl Body) -> Bytes {
    body.to_body().expect("at most 8 lines and some words are far below 4 MiB").into()
}
