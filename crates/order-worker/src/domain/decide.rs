use common::decision::Undecided;

use super::event::{Event, Notice, Reply, Work};
use super::facts::Facts;
use super::message::{Message, Step};
use super::order::{Order, Status};
use super::{cancel, create, expiry, payment, refund, stock};

/// What an order's `decide` describes; the state is `None` where there is no order.
///
/// An order is some 400 bytes, which the pipeline hands on several times.
pub type Decision = common::decision::Decision<Option<Box<Order>>, Event, Work, Reply>;

/// A decision, or why there is none.
pub type Decided = Result<Decision, Undecided>;

/// The order becomes `next`.
pub(super) fn changed(next: Order, reply: Reply) -> Decision {
    Decision::changed(Some(Box::new(next)), reply)
}

/// Decides one message on one order. Pure and total: each status answers each message.
///
/// # Errors
/// [`Undecided::Dead`] for what can never be right, [`Undecided::Retry`] for what is too early.
pub fn decide(state: Option<&Order>, message: &Message, facts: &Facts) -> Decided {
    match (state, message) {
        (_, Message::Callback(event)) => payment::callback(state, event, facts),
        (None, Message::Create(new)) => create::create(new, facts),
        (Some(order), Message::Create(new)) => create::repeat(order, new),
        (
            None,
            Message::Cancel
            | Message::Pay { .. }
            | Message::PaymentOpened { .. }
            | Message::PaymentCaptured(_)
            | Message::PaymentFailed { .. }
            | Message::PaymentClosed { .. }
            | Message::OpenGaveUp { .. }
            | Message::CloseGaveUp { .. }
            | Message::RefundEnded { .. }
            | Message::DeadlinePassed,
        ) => Ok(Decision::unchanged(Reply::UnknownOrder)),
        // Facts about orders made elsewhere (a Java service uses our stock) are not ours.
        (
            None,
            Message::StockDeducted
            | Message::StockRejected { .. }
            | Message::StockConfirmed
            | Message::StockRolledBack,
        ) => Ok(Decision::unchanged(Reply::None)),
        (Some(order), Message::Cancel) => Ok(cancel::cancel(order, facts)),
        (Some(order), Message::Pay { method }) => Ok(payment::pay(order, method, facts)),
        (Some(order), Message::StockDeducted) => Ok(stock::deducted(order, facts)),
        (Some(order), Message::StockRejected { on: Step::Reserve, reason }) => {
            Ok(stock::rejected_on_reserve(order, reason, facts))
        }
        (Some(order), Message::StockRejected { on: Step::Confirm, reason }) => {
            Ok(stock::rejected_on_confirm(order, reason, facts))
        }
        (Some(order), Message::StockConfirmed) => Ok(stock::confirmed(order, facts)),
        (Some(order), Message::StockRolledBack) => Ok(stock::rolled_back(order, facts)),
        (Some(order), Message::DeadlinePassed) => Ok(expiry::deadline(order, facts)),
        (Some(order), Message::PaymentOpened { payment_id, provider_payment_id }) => {
            Ok(payment::opened(order, payment_id, provider_payment_id))
        }
        (Some(order), Message::PaymentCaptured(captured)) => {
            Ok(payment::captured(order, captured, facts))
        }
        (Some(order), Message::PaymentFailed { payment_id, reason }) => {
            Ok(payment::failed(order, payment_id, reason, facts))
        }
        (Some(order), Message::PaymentClosed { payment_id }) => {
            Ok(payment::closed(order, payment_id, facts))
        }
        (Some(order), Message::OpenGaveUp { payment_id, reason }) => {
            Ok(payment::open_gave_up(order, payment_id, reason, facts))
        }
        (Some(order), Message::CloseGaveUp { payment_id, reason }) => {
            Ok(payment::close_gave_up(order, payment_id, reason, facts))
        }
        (Some(order), Message::RefundEnded { refund_id, outcome }) => {
            Ok(refund::ended(order, refund_id, outcome, facts))
        }
    }
}

/// One notification for each of the order's channels.
pub(super) fn notify(order: &Order, notice: Notice) -> Vec<Event> {
    order.channels.iter().map(|&channel| Event::Notify { notice, channel }).collect()
}

/// The order ends in `status`: stock is released by the fact, open payments are closed, the
/// buyer is told.
pub(super) fn end(mut order: Order, status: Status, ending: Ending, facts: &Facts) -> Decision {
    order.status = status;
    order.reason = Some(ending.detail.unwrap_or_else(|| ending.reason.to_string()));
    order.closed_at = Some(facts.now);
    let notices = notify(&order, ending.notice);
    let closes = payment::close_open(&order);
    let mut decision = changed(order, ending.reply)
        .publish(Event::Cancelled { reason: ending.reason })
        .publish_all(notices);
    decision.calls.extend(closes);
    decision
}

/// How an order ends.
pub(super) struct Ending {
    pub(super) reason: contracts::CancelReason,
    /// A more exact reason for people, where there is one.
    pub(super) detail: Option<String>,
    pub(super) notice: Notice,
    pub(super) reply: Reply,
}
