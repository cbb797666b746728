//! `ORDER_CANCELLED`: what the order holds is given back.

use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{CancelReason, OrderEventMessage};

use super::order_paid::whole_order;
use super::{Key, open};
use crate::domain::Message;

pub(super) fn decode(incoming: &IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable> {
    let opened = open::<OrderEventMessage>(incoming)?;
    let message = match opened.body.cancel_reason() {
        Some(CancelReason::Stock) => Message::Echo,
        Some(
            CancelReason::User
            | CancelReason::Payment
            | CancelReason::Expired
            | CancelReason::Refused,
        )
        | None => Message::Release(whole_order(&opened.body)),
    };
    let order_no = opened.body.order_no.clone();
    Ok(opened.about(order_no, message))
}
