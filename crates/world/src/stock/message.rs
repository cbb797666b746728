use stock_worker::domain::{Extent, Message, Reserve, Selection, Wanted};

use crate::orders::is_echo;
use crate::setup::{Setup, currency, price};
use crate::state::{Input, Item};

/// What stock-worker's handlers make of what order-worker publishes.
pub(super) fn message(setup: &Setup, item: &Item) -> Message {
    let new = setup.new_order(item.order);
    let whole = || Selection {
        order_no: Some(new.order_no.clone()),
        session_id: Some(new.session_id),
        user_id: Some(new.user_id),
        extent: Extent::Whole,
        lines: new
            .lines
            .iter()
            .map(|line| (line.ticket_id, Some(line.quantity.get().unsigned_abs())))
            .collect(),
    };
    match item.input {
        Input::Created => Message::Reserve(Reserve {
            order_no: new.order_no.clone(),
            session_id: Some(new.session_id),
            user_id: Some(new.user_id),
            extent: Extent::Whole,
            lines: new
                .lines
                .iter()
                .map(|line| Wanted {
                    ticket_id: line.ticket_id,
                    quantity: line.quantity,
                    unit_price: Some(price()),
                })
                .collect(),
            currency: Some(currency()),
        }),
        Input::Paid => Message::Confirm(whole()),
        Input::Cancelled(reason) if is_echo(reason) => Message::Echo,
        Input::Cancelled(_) => Message::Release(whole()),
        _ => unreachable!("order-worker takes it"),
    }
}
