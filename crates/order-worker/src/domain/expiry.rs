use contracts::CancelReason;

use super::decide::{Decision, Ending, changed, end};
use super::event::{Notice, Reply};
use super::facts::Facts;
use super::order::{Order, Status};
use super::payment;

/// The order's time is up, by the database's clock.
pub(super) fn deadline(order: &Order, facts: &Facts) -> Decision {
    if facts.now < order.deadline_at {
        return Decision::unchanged(Reply::None);
    }
    match order.status {
        Status::Pending => expired(order.clone(), facts),
        Status::Reserved if !order.has_open_payment() => expired(order.clone(), facts),
        Status::Reserved => {
            // Money may be on its way: the provider is told to take none, and says what it took.
            let mut next = order.clone();
            next.status = Status::Expiring;
            let closes = payment::close_open(&next);
            let mut decision = changed(next, Reply::None);
            decision.calls.extend(closes);
            decision
        }
        Status::Paid
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expiring
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => Decision::unchanged(Reply::None),
    }
}

/// Nothing was paid and nothing will be: the tickets go back.
pub(super) fn expired(order: Order, facts: &Facts) -> Decision {
    let ending = Ending {
        reason: CancelReason::Expired,
        detail: None,
        notice: Notice::Expired,
        reply: Reply::None,
    };
    end(order, Status::Expired, ending, facts)
}
