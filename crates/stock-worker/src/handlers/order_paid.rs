//! `ORDER_PAID`: what the order holds is sold.

use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{OrderEventMessage, TicketId};

use super::{Key, open};
use crate::domain::{Extent, Message, Selection};

pub(super) fn decode(incoming: &IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable> {
    let opened = open::<OrderEventMessage>(incoming)?;
    let message = Message::Confirm(whole_order(&opened.body));
    let order_no = opened.body.order_no.clone();
    Ok(opened.about(order_no, message))
}

/// The whole order; its lines only help to find the session.
pub(super) fn whole_order(body: &OrderEventMessage) -> Selection {
    let quantity = |number: contracts::Quantity| number.get().unsigned_abs();
    let lines: Vec<(TicketId, Option<u32>)> = match (&body.items, body.ticket_id) {
        (Some(items), _) => {
            items.iter().map(|item| (item.ticket_id, Some(quantity(item.quantity)))).collect()
        }
        (None, Some(ticket_id)) => vec![(ticket_id, body.quantity.map(quantity))],
        (None, None) => Vec::new(),
    };
    Selection {
        order_no: Some(body.order_no.clone()),
        session_id: body.session_id,
        user_id: body.user_id,
        extent: Extent::Whole,
        lines,
    }
}
