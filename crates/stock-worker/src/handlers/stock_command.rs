//! `STOCK_DEDUCT`, `STOCK_ROLLBACK`, `STOCK_SYNC`: commands of other services and of operators.
//!
//! The body's `operation` decides, not the tag: Java services send CONFIRM under `STOCK_SYNC`.

use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{OrderNo, Quantity, StockEventMessage, StockOperation, TicketId};

use super::order_created::wanted;
use super::{Key, open};
use crate::domain::{Extent, Message, Reserve, Selection};

pub(super) fn decode(incoming: &IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable> {
    let opened = open::<StockEventMessage>(incoming)?;
    let body = &opened.body;
    let message = match body.operation {
        StockOperation::Deduct => Message::Reserve(deduct(body)?),
        StockOperation::Confirm => Message::Confirm(selection(body)),
        StockOperation::Rollback => Message::Release(selection(body)),
        StockOperation::Sync => Message::Compare(selection(body)),
        StockOperation::Deducted
        | StockOperation::Rejected
        | StockOperation::Confirmed
        | StockOperation::RolledBack => {
            return Err(Unreadable(format!("operation: {} is no command", body.operation)));
        }
    };
    let key = match &body.order_no {
        Some(order_no) => Key::Order(order_no.clone()),
        None => Key::Event(opened.event_id),
    };
    Ok(Decoded { key, message, event_id: opened.event_id, traceparent: opened.traceparent })
}

fn deduct(body: &StockEventMessage) -> Result<Reserve, Unreadable> {
    let lines = body.lines().map_err(|error| Unreadable(error.to_string()))?;
    Ok(Reserve {
        order_no: order_no(body)?,
        session_id: body.session_id,
        user_id: body.user_id,
        extent: Extent::Lines,
        lines: lines.into_iter().map(wanted).collect(),
        currency: body.currency,
    })
}

fn order_no(body: &StockEventMessage) -> Result<OrderNo, Unreadable> {
    body.order_no.clone().ok_or_else(|| Unreadable("orderNo: required, but absent".to_owned()))
}

/// The lines that are named, or the whole order when none is.
fn selection(body: &StockEventMessage) -> Selection {
    let quantity = |number: Quantity| number.get().unsigned_abs();
    let lines: Vec<(TicketId, Option<u32>)> = match (&body.items, body.ticket_id) {
        (Some(items), _) => {
            items.iter().map(|item| (item.ticket_id, Some(quantity(item.quantity)))).collect()
        }
        (None, Some(ticket_id)) => vec![(ticket_id, body.quantity.map(quantity))],
        (None, None) => Vec::new(),
    };
    Selection {
        order_no: body.order_no.clone(),
        session_id: body.session_id,
        user_id: body.user_id,
        extent: if lines.is_empty() { Extent::Whole } else { Extent::Lines },
        lines,
    }
}
