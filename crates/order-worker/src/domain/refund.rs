use super::decide::{Decision, changed, notify};
use super::event::{Call, CallKind, Event, Notice, Reply, Work};
use super::facts::Facts;
use super::message::RefundOutcome;
use super::order::{Order, PaymentStatus, Refund, RefundStatus, Status};

/// Requests a refund of everything captured that has none yet.
pub(super) fn request_all(order: &mut Order, reason: &str) -> Vec<Work> {
    let captured: Vec<String> = order
        .payments
        .iter()
        .filter(|payment| payment.status == PaymentStatus::Captured)
        .filter(|payment| {
            !order.refunds.iter().any(|refund| refund.payment_id == payment.payment_id)
        })
        .map(|payment| payment.payment_id.clone())
        .collect();
    captured.iter().filter_map(|payment_id| request(order, payment_id, reason)).collect()
}

/// Requests the refund of one captured payment; `None` when nothing was captured under it.
pub(super) fn request(order: &mut Order, payment_id: &str, reason: &str) -> Option<Work> {
    let payment = order.payment(payment_id)?;
    let amount = payment.captured?;
    let method = payment.method.clone();
    let refund_id = format!("{}-r{}", order.order_no, order.refunds.len() + 1);
    order.refunds.push(Refund {
        refund_id: refund_id.clone(),
        payment_id: payment_id.to_owned(),
        amount,
        status: RefundStatus::Requested,
        reason: reason.to_owned(),
    });
    Some(Work::Start(Call {
        call_id: Call::id_of(CallKind::Refund, &refund_id),
        kind: CallKind::Refund,
        order_no: order.order_no.clone(),
        session_id: order.session_id.get(),
        payment_id: payment_id.to_owned(),
        refund_id: Some(refund_id),
        method,
        amount,
        currency: order.currency,
    }))
}

/// The provider has answered for good.
pub(super) fn ended(
    order: &Order,
    refund_id: &str,
    outcome: &RefundOutcome,
    facts: &Facts,
) -> Decision {
    let done = Reply::Done { status: order.status, payment_id: None };
    let end_call = Work::End { call_id: Call::id_of(CallKind::Refund, refund_id) };
    let mut next = order.clone();
    let Some(refund) = next.refunds.iter_mut().find(|refund| refund.refund_id == refund_id) else {
        return Decision::unchanged(Reply::UnknownPayment);
    };
    let status = match outcome {
        RefundOutcome::Succeeded => RefundStatus::Succeeded,
        RefundOutcome::Refused(_) => RefundStatus::Manual,
    };
    // A refund that succeeded stays so, whatever comes late.
    if refund.status == RefundStatus::Succeeded || refund.status == status {
        return Decision::unchanged(done);
    }
    refund.status = status;
    if let RefundOutcome::Refused(reason) = outcome {
        refund.reason = format!("refused by the provider: {reason}");
    }
    let all_back = next.refunds.iter().all(|refund| refund.status == RefundStatus::Succeeded);
    if next.status != Status::Refunding || !all_back {
        return changed(next, done).call(end_call);
    }
    next.status = Status::Refunded;
    next.closed_at = Some(facts.now);
    let round = u32::try_from(next.refunds.len()).unwrap_or(u32::MAX);
    let notices = notify(&next, Notice::Refunded { round });
    let mut decision = changed(next, done).call(end_call);
    if facts.policy.publish_refunded {
        decision = decision.publish(Event::Refunded);
    }
    decision.publish_all(notices)
}
