//! Facts as they are published.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::bus::Destination;
use common::outbox::Row;
use common::pipeline::Stamp;
use contracts::{Body as _, Line, LocalTime, Quantity, StockEventMessage, StockOperation};

use crate::domain::{self, Event, Fact, Hold};

/// The outbox row of a fact about `hold`.
pub(super) fn row(topic: &Arc<str>, hold: &Hold, event: &Event, stamp: Stamp) -> Row {
    let body = message(hold, event, &stamp);
    Row {
        batch_id: stamp.event_id,
        event_id: stamp.event_id,
        session_id: event.session_id.get(),
        key: hold.order_no.as_str().into(),
        destination: Destination::Topic(topic.clone()),
        tag: body.operation.tag().as_str().into(),
        body: Bytes::from(body.to_body().expect("eight lines fit a message")),
        aggregate_version: stamp.aggregate_version,
        occurred_at: stamp.occurred_at,
        causation_id: stamp.causation_id,
        traceparent: stamp.traceparent,
        properties: BTreeMap::new(),
    }
}

fn message(hold: &Hold, event: &Event, stamp: &Stamp) -> StockEventMessage {
    let operation = match event.fact {
        Fact::Deducted => StockOperation::Deducted,
        Fact::Rejected { .. } => StockOperation::Rejected,
        Fact::Confirmed => StockOperation::Confirmed,
        Fact::RolledBack => StockOperation::RolledBack,
    };
    let mut body = StockEventMessage::new(operation);
    body.order_no = Some(hold.order_no.clone());
    body.event_time = LocalTime::new(stamp.occurred_at).ok();
    body.session_id = Some(event.session_id);
    body.user_id = event.user_id;
    body.currency = event.currency;
    body.hold = Some(event.hold);
    if let Fact::Rejected { on, reason } = event.fact {
        body.on = Some(on);
        body.reason = Some(reason.to_string());
    }
    let lines: Vec<Line> = event.lines.iter().filter_map(line).collect();
    if !lines.is_empty() {
        body.set_lines(&lines);
    }
    body
}

/// A line that was never held has no quantity that could be said.
fn line(line: &domain::Line) -> Option<Line> {
    let quantity = i32::try_from(line.quantity).ok().and_then(|n| Quantity::new(n).ok())?;
    Some(Line { ticket_id: line.ticket_id, quantity, unit_price: line.unit_price })
}
