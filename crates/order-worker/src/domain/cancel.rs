use contracts::CancelReason;

use super::decide::{Decision, Ending, end};
use super::event::{Notice, Reply};
use super::facts::Facts;
use super::order::{Order, Status};

/// The buyer cancels. Never waits for the provider: a later capture is refunded.
pub(super) fn cancel(order: &Order, facts: &Facts) -> Decision {
    match order.status {
        Status::Pending | Status::Reserved => {
            let ending = Ending {
                reason: CancelReason::User,
                detail: None,
                notice: Notice::Cancelled,
                reply: Reply::Done { status: Status::Cancelled, payment_id: None },
            };
            end(order.clone(), Status::Cancelled, ending, facts)
        }
        Status::Cancelled => {
            Decision::unchanged(Reply::Done { status: order.status, payment_id: None })
        }
        Status::Paid | Status::Confirmed => {
            refused(order, "the order is paid; it can't be cancelled any more")
        }
        Status::Expiring | Status::Expired => refused(order, "the order has expired"),
        Status::Rejected => refused(order, "the order was rejected"),
        Status::Refunding | Status::Refunded | Status::Reacquiring => {
            refused(order, "the order is being refunded")
        }
    }
}

fn refused(order: &Order, detail: &'static str) -> Decision {
    Decision::unchanged(Reply::NotNow { status: order.status, detail })
}
