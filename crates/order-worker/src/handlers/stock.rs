use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{Body as _, StockEventMessage, StockStep, Tag};

use super::decoded;
use crate::aggregate::Key;
use crate::domain::{Message, Step};

type Read = Result<Decoded<Key, Message>, Unreadable>;

pub(super) fn deducted(incoming: &IncomingMessage) -> Read {
    read(incoming, Tag::StockDeducted, |_| Message::StockDeducted)
}

pub(super) fn confirmed(incoming: &IncomingMessage) -> Read {
    read(incoming, Tag::StockConfirmed, |_| Message::StockConfirmed)
}

pub(super) fn rolled_back(incoming: &IncomingMessage) -> Read {
    read(incoming, Tag::StockRolledBack, |_| Message::StockRolledBack)
}

pub(super) fn rejected(incoming: &IncomingMessage) -> Read {
    read(incoming, Tag::StockRejected, |body| Message::StockRejected {
        on: match body.on {
            Some(StockStep::Confirm) => Step::Confirm,
            // The contract requires it; `check` has refused a message without it.
            Some(StockStep::Reserve) | None => Step::Reserve,
        },
        reason: body.reason.clone().unwrap_or_else(|| "refused".to_owned()),
    })
}

fn read(
    incoming: &IncomingMessage,
    tag: Tag,
    message: impl FnOnce(&StockEventMessage) -> Message,
) -> Read {
    let body = StockEventMessage::read(tag, &incoming.body)
        .map_err(|error| Unreadable(error.to_string()))?;
    let order_no = body
        .order_no
        .clone()
        .ok_or_else(|| Unreadable("orderNo: required, but absent".to_owned()))?;
    let message = message(&body);
    decoded(incoming, &body, Key::Order(order_no), message)
}
