use contracts::StockStep;
use order_worker::domain::{Captured, Message, Order, ProviderEvent, RefundOutcome, Step};

use super::amount_of;
use crate::setup::{METHODS, Setup, currency, price};
use crate::state::{Input, Item, Taken};

/// What order-worker's handlers, executor and callbacks make of it.
pub(super) fn message(setup: &Setup, state: Option<&Order>, item: &Item) -> Message {
    let number = setup.number(item.order);
    let payment_id = |payment: u8| format!("{number}-p{}", payment + 1);
    let captured = |payment: u8, taken: Taken| {
        let total = state.map_or_else(price, |order| order.total);
        Message::PaymentCaptured(Captured {
            payment_id: payment_id(payment),
            provider_payment_id: format!("at-{}", payment_id(payment)),
            amount: amount_of(taken, total),
            currency: currency(),
        })
    };
    let reason = || "unreachable".to_owned();
    let failed = |payment| Message::PaymentFailed {
        payment_id: payment_id(payment),
        reason: "refused by the provider".to_owned(),
    };
    let callback = |effect: Message, name: &str| {
        Message::Callback(ProviderEvent {
            provider: "sandbox".to_owned(),
            event_id: format!("{number}-{name}"),
            effect: Box::new(effect),
            body: Vec::new(),
        })
    };
    match item.input {
        Input::Create => Message::Create(setup.new_order(item.order)),
        Input::Cancel => Message::Cancel,
        Input::Pay(method) => Message::Pay { method: METHODS[usize::from(method)].to_owned() },
        Input::Deadline => Message::DeadlinePassed,
        Input::Deducted => Message::StockDeducted,
        Input::Rejected(StockStep::Reserve, reason) => {
            Message::StockRejected { on: Step::Reserve, reason: reason.to_string() }
        }
        Input::Rejected(StockStep::Confirm, reason) => {
            Message::StockRejected { on: Step::Confirm, reason: reason.to_string() }
        }
        Input::Confirmed => Message::StockConfirmed,
        Input::RolledBack => Message::StockRolledBack,
        Input::CapturedCallback(payment, taken) => {
            callback(captured(payment, taken), &format!("captured{payment}"))
        }
        Input::FailedCallback(payment) => callback(failed(payment), &format!("failed{payment}")),
        Input::Opened(payment) => Message::PaymentOpened {
            payment_id: payment_id(payment),
            provider_payment_id: format!("at-{}", payment_id(payment)),
        },
        Input::Captured(payment, taken) => captured(payment, taken),
        Input::Failed(payment) => failed(payment),
        Input::Closed(payment) => Message::PaymentClosed { payment_id: payment_id(payment) },
        Input::OpenGaveUp(payment) => {
            Message::OpenGaveUp { payment_id: payment_id(payment), reason: reason() }
        }
        Input::CloseGaveUp(payment) => {
            Message::CloseGaveUp { payment_id: payment_id(payment), reason: reason() }
        }
        Input::Refunded(refund) => Message::RefundEnded {
            refund_id: format!("{number}-r{}", refund + 1),
            outcome: RefundOutcome::Succeeded,
        },
        Input::Created | Input::Paid | Input::Cancelled(_) => {
            unreachable!("stock-worker takes it")
        }
    }
}
