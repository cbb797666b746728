//! Attempts to pay, and what the provider says about them.
//!
//! The order's total is what is asked for. One captured payment stays on an order; any other
//! capture (a second one, one after the end) is refunded in the same decision.

use contracts::CancelReason;

use super::decide::{Decided, Decision, Ending, changed, decide, end};
use super::event::{Call, CallKind, Event, Notice, Reply, Work};
use super::facts::Facts;
use super::message::{Captured, Message, ProviderEvent};
use super::order::{Order, Payment, PaymentStatus, Status};
use super::{expiry, refund};

/// Adds an attempt; the call that opens it at the provider.
pub(super) fn start(order: &mut Order, method: &str) -> Work {
    let payment = Payment {
        payment_id: format!("{}-p{}", order.order_no, order.payments.len() + 1),
        method: method.to_owned(),
        amount: order.total,
        status: PaymentStatus::Created,
        provider_payment_id: None,
        captured: None,
        reason: None,
    };
    let work = Work::Start(call(order, CallKind::Open, &payment));
    order.payments.push(payment);
    work
}

/// A close for each attempt that may still bring money.
pub(super) fn close_open(order: &Order) -> Vec<Work> {
    order
        .payments
        .iter()
        .filter(|payment| payment.status.is_open())
        .map(|payment| Work::Start(call(order, CallKind::Close, payment)))
        .collect()
}

fn call(order: &Order, kind: CallKind, payment: &Payment) -> Call {
    Call {
        call_id: Call::id_of(kind, &payment.payment_id),
        kind,
        order_no: order.order_no.clone(),
        session_id: order.session_id.get(),
        payment_id: payment.payment_id.clone(),
        refund_id: None,
        method: payment.method.clone(),
        amount: payment.amount,
        currency: order.currency,
    }
}

/// The buyer pays. The same method again finds the attempt that is under way.
pub(super) fn pay(order: &Order, method: &str, facts: &Facts) -> Decision {
    let refused = |detail| Decision::unchanged(Reply::NotNow { status: order.status, detail });
    match order.status {
        Status::Pending => match order.payment_method.as_deref() {
            Some(named) if named == method => {
                Decision::unchanged(Reply::Done { status: order.status, payment_id: None })
            }
            Some(_) => refused("another payment method was named; it starts once stock is held"),
            None => {
                let mut next = order.clone();
                next.payment_method = Some(method.to_owned());
                let reply = Reply::Done { status: next.status, payment_id: None };
                changed(next, reply)
            }
        },
        Status::Reserved => {
            if facts.now >= order.expires_at {
                return refused("the time to pay is over");
            }
            let under_way = order
                .payments
                .iter()
                .find(|payment| payment.status.is_open() && payment.method == method);
            if let Some(payment) = under_way {
                return Decision::unchanged(Reply::Done {
                    status: order.status,
                    payment_id: Some(payment.payment_id.clone()),
                });
            }
            if order.payments.len() >= facts.policy.payment_attempts_max {
                return refused("too many attempts to pay");
            }
            let mut next = order.clone();
            let open = start(&mut next, method);
            let payment_id = next.payments.last().map(|payment| payment.payment_id.clone());
            let reply = Reply::Done { status: next.status, payment_id };
            changed(next, reply).call(open)
        }
        Status::Paid | Status::Confirmed => refused("the order is paid"),
        Status::Expiring | Status::Expired => refused("the order has expired"),
        Status::Rejected => refused("the order was rejected"),
        Status::Cancelled => refused("the order was cancelled"),
        Status::Refunding | Status::Refunded | Status::Reacquiring => {
            refused("the order is being refunded")
        }
    }
}

/// The provider knows the payment.
pub(super) fn opened(order: &Order, payment_id: &str, provider_payment_id: &str) -> Decision {
    let end_call = Work::End { call_id: Call::id_of(CallKind::Open, payment_id) };
    let mut next = order.clone();
    let Some(payment) = next.payment_mut(payment_id) else {
        return Decision::unchanged(Reply::UnknownPayment);
    };
    payment.provider_payment_id = Some(provider_payment_id.to_owned());
    if payment.status == PaymentStatus::Created {
        payment.status = PaymentStatus::Pending;
    }
    changed(next, done(order)).call(end_call)
}

/// The provider took money.
pub(super) fn captured(order: &Order, captured: &Captured, facts: &Facts) -> Decision {
    let payment_id = &captured.payment_id;
    let mut next = order.clone();
    let Some(payment) = next.payment_mut(payment_id) else {
        return Decision::unchanged(Reply::UnknownPayment);
    };
    if payment.status == PaymentStatus::Captured {
        // Known already; only the call that asked is ended, or it would be made for ever.
        let decision = changed(next, done(order));
        return end_asking(decision, payment_id);
    }
    payment.status = PaymentStatus::Captured;
    payment.captured = Some(captured.amount);
    payment.provider_payment_id = Some(captured.provider_payment_id.clone());
    let exact = captured.amount == payment.amount && captured.currency == order.currency;
    let decision = match order.status {
        Status::Reserved | Status::Expiring if exact => paid(next, facts),
        // Not what was asked for: it never pays the order, and goes back.
        Status::Pending | Status::Reserved | Status::Expiring => {
            give_back(next, payment_id, "wrong amount", order.status, facts)
        }
        Status::Paid | Status::Confirmed => {
            give_back(next, payment_id, "paid twice", order.status, facts)
        }
        Status::Cancelled | Status::Expired | Status::Rejected => {
            give_back(next, payment_id, "paid too late", Status::Refunding, facts)
        }
        Status::Refunding | Status::Refunded | Status::Reacquiring => {
            give_back(next, payment_id, "paid too late", Status::Refunding, facts)
        }
    };
    end_asking(decision, payment_id)
}

/// Whatever we were asking about this payment has its answer.
fn end_asking(decision: Decision, payment_id: &str) -> Decision {
    [CallKind::Open, CallKind::Close].into_iter().fold(decision, |decision, kind| {
        decision.call(Work::End { call_id: Call::id_of(kind, payment_id) })
    })
}

fn paid(mut next: Order, facts: &Facts) -> Decision {
    next.status = Status::Paid;
    next.paid_at = Some(facts.now);
    let closes = close_open(&next);
    let reply = done(&next);
    let mut decision = changed(next, reply).publish(Event::Paid);
    decision.calls.extend(closes);
    decision
}

fn give_back(
    mut next: Order,
    payment_id: &str,
    reason: &str,
    status: Status,
    facts: &Facts,
) -> Decision {
    next.status = status;
    let refund = refund::request(&mut next, payment_id, reason);
    let reply = done(&next);
    let mut decision = settle_end(next, reply, facts);
    decision.calls.extend(refund);
    decision
}

/// The provider refuses the buyer's payment.
pub(super) fn failed(order: &Order, payment_id: &str, reason: &str, facts: &Facts) -> Decision {
    let ended = [CallKind::Open, CallKind::Close];
    end_attempt(order, payment_id, PaymentStatus::Failed, Some(reason), &ended, facts)
}

/// The provider will take no money under it any more.
pub(super) fn closed(order: &Order, payment_id: &str, facts: &Facts) -> Decision {
    let ended = [CallKind::Open, CallKind::Close];
    end_attempt(order, payment_id, PaymentStatus::Closed, None, &ended, facts)
}

/// The provider can't be reached: whether the payment exists is unknown, so it is closed, too.
pub(super) fn open_gave_up(
    order: &Order,
    payment_id: &str,
    reason: &str,
    facts: &Facts,
) -> Decision {
    let Some(payment) = order.payment(payment_id) else {
        return Decision::unchanged(Reply::UnknownPayment);
    };
    let close = Work::Start(call(order, CallKind::Close, payment));
    let ended = [CallKind::Open];
    end_attempt(order, payment_id, PaymentStatus::Failed, Some(reason), &ended, facts).call(close)
}

/// The provider can't be reached: late money meets the rule for late payments.
pub(super) fn close_gave_up(
    order: &Order,
    payment_id: &str,
    reason: &str,
    facts: &Facts,
) -> Decision {
    let ended = [CallKind::Close];
    end_attempt(order, payment_id, PaymentStatus::Closed, Some(reason), &ended, facts)
}

fn end_attempt(
    order: &Order,
    payment_id: &str,
    status: PaymentStatus,
    reason: Option<&str>,
    ended: &[CallKind],
    facts: &Facts,
) -> Decision {
    let mut next = order.clone();
    let Some(payment) = next.payment_mut(payment_id) else {
        return Decision::unchanged(Reply::UnknownPayment);
    };
    let reply = done(order);
    let mut decision = if payment.status.is_open() {
        payment.status = status;
        payment.reason = reason.map(str::to_owned);
        settle_end(next, reply, facts)
    } else {
        // Known already; only the call that asked is ended, with the order's version.
        changed(next, reply)
    };
    for kind in ended {
        decision.calls.push(Work::End { call_id: Call::id_of(*kind, payment_id) });
    }
    decision
}

/// The order after an attempt ended without paying it: it ends, too, when none is left open.
fn settle_end(next: Order, reply: Reply, facts: &Facts) -> Decision {
    if next.has_open_payment() {
        return changed(next, reply);
    }
    match next.status {
        Status::Reserved => {
            let ending = Ending {
                reason: CancelReason::Payment,
                detail: None,
                notice: Notice::Cancelled,
                reply,
            };
            let mut decision = end(next, Status::Cancelled, ending, facts);
            refunding_if_money_is_here(&mut decision);
            decision
        }
        Status::Expiring => {
            let mut decision = expiry::expired(next, facts);
            decision.reply = reply;
            refunding_if_money_is_here(&mut decision);
            decision
        }
        Status::Pending
        | Status::Paid
        | Status::Confirmed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expired
        | Status::Refunding
        | Status::Refunded
        | Status::Reacquiring => changed(next, reply),
    }
}

/// An order that ends while a wrong amount is on its way back is REFUNDING until it is there.
fn refunding_if_money_is_here(decision: &mut Decision) {
    if let common::decision::Next::Changed(Some(order)) = &mut decision.next {
        let waits = order
            .refunds
            .iter()
            .any(|refund| refund.status != super::order::RefundStatus::Succeeded);
        if waits {
            order.status = Status::Refunding;
        }
    }
}

/// A signed callback: its effect, and its receipt in the same transaction.
pub(super) fn callback(state: Option<&Order>, event: &ProviderEvent, facts: &Facts) -> Decided {
    let Some(order) = state else {
        return Ok(Decision::unchanged(Reply::UnknownOrder));
    };
    let effect = decide(state, &event.effect, facts)?;
    if effect.reply == Reply::UnknownPayment {
        return Ok(effect);
    }
    let receipt = Work::Receipt {
        provider: event.provider.clone(),
        event_id: event.event_id.clone(),
        kind: kind_of(&event.effect),
        body: event.body.clone(),
    };
    Ok(match effect.next {
        common::decision::Next::Changed(_) => effect.call(receipt),
        // A receipt is written with a version of the order, so that it is written once.
        common::decision::Next::Unchanged => changed(order.clone(), effect.reply).call(receipt),
    })
}

fn kind_of(effect: &Message) -> &'static str {
    effect.name()
}

fn done(order: &Order) -> Reply {
    Reply::Done { status: order.status, payment_id: None }
}
