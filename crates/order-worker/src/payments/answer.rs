//! What a provider's answer to a call means for the order; none when it has to be asked again.

use super::call::refund_id;
use super::gateway::{Closed, Opened, Refunded};
use super::metric;
use crate::domain::{Call, Message, RefundOutcome};

pub(super) fn opened(call: &Call, answer: Opened) -> Option<Message> {
    let payment_id = call.payment_id.clone();
    Some(match answer {
        Opened::Waiting { provider_payment_id } => {
            Message::PaymentOpened { payment_id, provider_payment_id }
        }
        Opened::Captured(captured) => Message::PaymentCaptured(captured),
        Opened::Failed { reason } => Message::PaymentFailed { payment_id, reason },
        Opened::Closed => Message::PaymentClosed { payment_id },
    })
}

pub(super) fn closed(call: &Call, answer: Closed) -> Option<Message> {
    Some(match answer {
        Closed::Closed => Message::PaymentClosed { payment_id: call.payment_id.clone() },
        Closed::Captured(captured) => Message::PaymentCaptured(captured),
    })
}

pub(super) fn refunded(call: &Call, answer: Refunded) -> Option<Message> {
    let outcome = match answer {
        Refunded::Succeeded => RefundOutcome::Succeeded,
        Refunded::Pending => return None,
        Refunded::Refused { reason } => {
            metrics::counter!(metric::REFUNDS_REFUSED).increment(1);
            tracing::error!(
                call.id = %call.call_id, order.no = %call.order_no, %reason,
                "refund {} is refused for good: an operator must act", call.call_id
            );
            RefundOutcome::Refused(reason)
        }
    };
    Some(Message::RefundEnded { refund_id: refund_id(call), outcome })
}
