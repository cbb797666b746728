//! What stock-worker says about the order.

use contracts::CancelReason;

use super::decide::{Decision, Ending, changed, end, notify};
use super::event::{Event, Notice, Reply};
use super::facts::Facts;
use super::order::{Order, Status};
use super::{payment, refund};

/// The tickets are held.
pub(super) fn deducted(order: &Order, facts: &Facts) -> Decision {
    match order.status {
        Status::Pending => {
            let mut next = order.clone();
            next.status = Status::Reserved;
            next.reserved_at = Some(facts.now);
            let method = next.payment_method.clone();
            let start = method.map(|method| payment::start(&mut next, &method));
            let mut decision = changed(next, Reply::None);
            if facts.policy.publish_reserved {
                decision = decision.publish(Event::Reserved);
            }
            decision.calls.extend(start);
            decision
        }
        Status::Reserved | Status::Paid | Status::Confirmed | Status::Expiring => ignored(),
        // The order ended before the hold came: say so again, so that the hold is released.
        Status::Cancelled
        | Status::Expired
        | Status::Rejected
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => ignored().publish(Event::Cancelled { reason: reason_of(order) }),
    }
}

/// There are no tickets for it.
pub(super) fn rejected_on_reserve(order: &Order, reason: &str, facts: &Facts) -> Decision {
    match order.status {
        Status::Pending => {
            let mut next = order.clone();
            next.status = Status::Rejected;
            next.reason = Some(reason.to_owned());
            next.closed_at = Some(facts.now);
            let notices = notify(&next, Notice::Rejected);
            changed(next, Reply::None)
                .publish(Event::Cancelled { reason: CancelReason::Stock })
                .publish_all(notices)
        }
        Status::Reserved
        | Status::Paid
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expiring
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => ignored(),
    }
}

/// It was paid, but its tickets were released before.
pub(super) fn rejected_on_confirm(order: &Order, reason: &str, facts: &Facts) -> Decision {
    match order.status {
        Status::Paid => lose_tickets(order, reason, facts),
        Status::Pending
        | Status::Reserved
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expiring
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => ignored(),
    }
}

/// The tickets are sold for good.
pub(super) fn confirmed(order: &Order, facts: &Facts) -> Decision {
    match order.status {
        Status::Paid => {
            let mut next = order.clone();
            next.status = Status::Confirmed;
            next.confirmed_at = Some(facts.now);
            let notices = notify(&next, Notice::Confirmed);
            let mut decision = changed(next, Reply::None);
            if facts.policy.publish_confirmed {
                decision = decision.publish(Event::Confirmed);
            }
            decision.publish_all(notices)
        }
        Status::Pending
        | Status::Reserved
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expiring
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => ignored(),
    }
}

/// The hold was released, by us or by somebody else.
pub(super) fn rolled_back(order: &Order, facts: &Facts) -> Decision {
    match order.status {
        Status::Reserved => {
            let ending = Ending {
                reason: CancelReason::Stock,
                detail: None,
                notice: Notice::Cancelled,
                reply: Reply::None,
            };
            end(order.clone(), Status::Cancelled, ending, facts)
        }
        Status::Paid => lose_tickets(order, "stock", facts),
        Status::Pending
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expiring
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => ignored(),
    }
}

/// Paid, and no tickets: the money goes back.
fn lose_tickets(order: &Order, reason: &str, facts: &Facts) -> Decision {
    let mut next = order.clone();
    next.status = Status::Refunding;
    next.reason = Some(reason.to_owned());
    next.closed_at = Some(facts.now);
    let refunds = refund::request_all(&mut next, "no tickets");
    let mut decision =
        changed(next, Reply::None).publish(Event::Cancelled { reason: CancelReason::Stock });
    decision.calls.extend(refunds);
    decision
}

fn reason_of(order: &Order) -> CancelReason {
    match order.reason.as_deref().and_then(|text| text.parse().ok()) {
        // stock-worker does not act on its own reason; this hold it must release.
        Some(CancelReason::Stock) | None => match order.status {
            Status::Expired => CancelReason::Expired,
            _ => CancelReason::Refused,
        },
        Some(reason) => reason,
    }
}

fn ignored() -> Decision {
    Decision::unchanged(Reply::None)
}
