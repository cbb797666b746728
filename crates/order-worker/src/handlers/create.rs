use common::bus::IncomingMessage;
use common::pipeline::{Decoded, Unreadable};
use contracts::{Body as _, OrderEventMessage, Tag};
use sha2::{Digest as _, Sha256};

use super::decoded;
use crate::aggregate::Key;
use crate::domain::{Message, NewLine, NewOrder, Origin};

/// Who creates orders by message, as far as idempotency keys go.
const MESSAGE_CALLER: &str = "ORDER_CREATE";

/// `ORDER_CREATE`: the same effect as `POST /v1/orders`. Its order number is the sender's, and
/// (unless it names an idempotency key) what makes two commands the same.
pub(super) fn decode(incoming: &IncomingMessage) -> Result<Decoded<Key, Message>, Unreadable> {
    let body = OrderEventMessage::read(Tag::OrderCreate, &incoming.body)
        .map_err(|error| Unreadable(error.to_string()))?;
    let required = |field: &str| Unreadable(format!("{field}: required, but absent"));
    let session_id = body.session_id.ok_or_else(|| required("sessionId"))?;
    let user_id = body.user_id.ok_or_else(|| required("userId"))?;
    let lines = body.lines().map_err(|error| Unreadable(error.to_string()))?;
    let mut new = NewOrder {
        order_no: body.order_no.clone(),
        session_id,
        user_id,
        caller: MESSAGE_CALLER.to_owned(),
        idempotency_key: body.idempotency_key.clone().unwrap_or_else(|| body.order_no.to_string()),
        request_hash: [0; 32],
        lines: lines
            .iter()
            .map(|line| NewLine {
                ticket_id: line.ticket_id,
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect(),
        currency: body.currency,
        total: body.total_amount,
        payment_method: body.payment_method.clone(),
        channels: body.channels.clone().unwrap_or_default(),
        origin: Origin::Message,
    };
    new.request_hash = request_hash(&new);
    let key = Key::Creation {
        session_id,
        caller: new.caller.as_str().into(),
        idempotency_key: new.idempotency_key.as_str().into(),
    };
    decoded(incoming, &body, key, Message::Create(new))
}

/// A hash of what the caller asked for: the same request has the same one, however it is written.
pub fn request_hash(new: &NewOrder) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |text: String| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    part(new.session_id.to_string());
    part(new.user_id.to_string());
    for line in &new.lines {
        let price = line.unit_price.map(|price| price.decimal().normalize().to_string());
        part(format!("{}x{}@{price:?}", line.ticket_id, line.quantity.get()));
    }
    part(format!("{:?}", new.currency));
    part(format!("{:?}", new.total.map(|total| total.decimal().normalize().to_string())));
    part(format!("{:?}", new.payment_method));
    part(format!("{:?}", new.channels));
    hash.finalize().into()
}
