//! `ORDER_CREATED`: its tickets are held, all or none.

use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{Line, OrderEventMessage};

use super::{Key, open};
use crate::domain::{Extent, Message, Reserve, Wanted};

pub(super) fn decode(incoming: &IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable> {
    let opened = open::<OrderEventMessage>(incoming)?;
    let body = &opened.body;
    let lines = body.lines().map_err(|error| Unreadable(error.to_string()))?;
    let reserve = Reserve {
        order_no: body.order_no.clone(),
        session_id: body.session_id,
        user_id: body.user_id,
        extent: Extent::Whole,
        lines: lines.into_iter().map(wanted).collect(),
        currency: body.currency,
    };
    Ok(opened.about(reserve.order_no.clone(), Message::Reserve(reserve)))
}

/// A line as stock sees it.
pub(super) fn wanted(line: Line) -> Wanted {
    Wanted { ticket_id: line.ticket_id, quantity: line.quantity, unit_price: line.unit_price }
}
