//! The order machine: given a status, when a message comes, expect what it becomes.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use common::decision::{Next, Undecided};
use contracts::{
    Amount, CancelReason, Channel, Currency, OrderNo, Quantity, RejectReason, SessionId, ShowId,
    TicketId, UserId,
};

use super::*;

mod create;
mod money;
mod properties;

pub(super) const ALL_STATUSES: [Status; 11] = Status::ALL;
const ALL_PAYMENTS: [PaymentStatus; 5] = [
    PaymentStatus::Created,
    PaymentStatus::Pending,
    PaymentStatus::Captured,
    PaymentStatus::Failed,
    PaymentStatus::Closed,
];

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(super) fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

pub(super) fn facts() -> Facts {
    let ticket = |price: &str, sold_out| SaleTicket {
        unit_price: amount(price),
        per_order_limit: Some(4),
        sold_out,
    };
    let sale = Sale {
        session_id: SessionId(3),
        show_id: ShowId(1),
        version: 7,
        open: true,
        starts_at: Some(now() - TimeDelta::hours(1)),
        ends_at: Some(now() + TimeDelta::hours(1)),
        currency: Currency::new("CHF").unwrap(),
        hold: None,
        per_user_limit: Some(6),
        tickets: HashMap::from([
            (TicketId(5), ticket("199.00", false)),
            (TicketId(6), ticket("99.50", false)),
            (TicketId(7), ticket("10.00", true)),
        ]),
    };
    Facts {
        now: now(),
        policy: Arc::new(policy()),
        sales: HashMap::from([(SessionId(3), Arc::new(sale))]),
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        hold: TimeDelta::minutes(15),
        grace: TimeDelta::seconds(60),
        jitter: TimeDelta::seconds(5),
        default_channels: vec![Channel::Email],
        payment_attempts_max: 3,
        publish_reserved: false,
        publish_confirmed: false,
        publish_refunded: false,
    }
}

pub(super) fn new_order(lines: &[(i64, i32)]) -> NewOrder {
    NewOrder {
        order_no: OrderNo::new("ORDER1").unwrap(),
        session_id: SessionId(3),
        user_id: UserId(9),
        caller: "web".to_owned(),
        idempotency_key: "k1".to_owned(),
        request_hash: [7; 32],
        lines: lines
            .iter()
            .map(|&(ticket, quantity)| NewLine {
                ticket_id: TicketId(ticket),
                quantity: Quantity::new(quantity).unwrap(),
                unit_price: None,
            })
            .collect(),
        currency: None,
        total: None,
        payment_method: None,
        channels: Vec::new(),
        origin: Origin::Request,
    }
}

/// An order of two tickets at 199.00, in this status, with one open payment where it would have.
pub(super) fn order(status: Status) -> Order {
    let decision = decide(None, &Message::Create(new_order(&[(5, 2)])), &facts()).unwrap();
    let mut order = state(&decision).clone();
    order.status = status;
    order
}

pub(super) fn with_payment(status: Status, payment: PaymentStatus) -> Order {
    let mut order = order(status);
    order.payments.push(Payment {
        payment_id: "ORDER1-p1".to_owned(),
        method: "card".to_owned(),
        amount: order.total,
        status: payment,
        provider_payment_id: None,
        captured: (payment == PaymentStatus::Captured).then_some(order.total),
        reason: None,
    });
    order
}

pub(super) fn captured(payment_id: &str, sum: &str) -> Message {
    Message::PaymentCaptured(Captured {
        payment_id: payment_id.to_owned(),
        provider_payment_id: "prov-1".to_owned(),
        amount: amount(sum),
        currency: Currency::new("CHF").unwrap(),
    })
}

pub(super) fn given(order: &Order, message: &Message) -> Decision {
    decide(Some(order), message, &facts()).expect("every status answers every message")
}

pub(super) fn state(decision: &Decision) -> &Order {
    match &decision.next {
        Next::Changed(Some(order)) => order,
        other => panic!("expected an order, found {other:?}"),
    }
}

pub(super) fn notices(decision: &Decision) -> Vec<Notice> {
    decision
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Notify { notice, .. } => Some(*notice),
            _ => None,
        })
        .collect()
}

pub(super) fn cancels(decision: &Decision) -> Vec<CancelReason> {
    decision
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Cancelled { reason } => Some(*reason),
            _ => None,
        })
        .collect()
}

pub(super) fn started(decision: &Decision) -> Vec<(CallKind, String)> {
    decision
        .calls
        .iter()
        .filter_map(|work| match work {
            Work::Start(call) => {
                Some((call.kind, call.refund_id.clone().unwrap_or_else(|| call.payment_id.clone())))
            }
            Work::End { .. } | Work::Receipt { .. } => None,
        })
        .collect()
}

#[test]
fn stock_deducted_reserves_a_pending_order_and_starts_its_payment() {
    let mut order = order(Status::Pending);
    order.payment_method = Some("card".to_owned());
    let decision = given(&order, &Message::StockDeducted);
    assert_eq!(state(&decision).status, Status::Reserved);
    assert_eq!(state(&decision).payments[0].amount, amount("398.00"));
    assert_eq!(started(&decision), [(CallKind::Open, "ORDER1-p1".to_owned())]);
    assert_eq!(decision.events, []);
}

#[test]
fn stock_deducted_on_an_ended_order_says_again_that_it_ended() {
    for status in [Status::Cancelled, Status::Expired, Status::Rejected, Status::Refunded] {
        let decision = given(&order(status), &Message::StockDeducted);
        assert_eq!(decision.next, Next::Unchanged, "{status:?}");
        let reasons = cancels(&decision);
        assert_eq!(reasons.len(), 1, "{status:?}");
        assert_ne!(reasons[0], CancelReason::Stock, "stock-worker ignores its own reason");
    }
}

#[test]
fn a_fact_about_somebody_elses_order_is_ignored() {
    for message in [Message::StockDeducted, Message::StockConfirmed, Message::StockRolledBack] {
        let decision = decide(None, &message, &facts()).unwrap();
        assert_eq!(decision, Decision::unchanged(Reply::None));
    }
}

#[test]
fn stock_rejected_on_reserve_moves_only_a_pending_order() {
    let message =
        Message::StockRejected { on: Step::Reserve, reason: RejectReason::SoldOut.to_string() };
    for status in ALL_STATUSES {
        let decision = given(&order(status), &message);
        if status == Status::Pending {
            assert_eq!(state(&decision).status, Status::Rejected);
            assert_eq!(state(&decision).reason.as_deref(), Some("sold_out"));
            assert_eq!(notices(&decision), [Notice::Rejected]);
        } else {
            assert_eq!(decision, Decision::unchanged(Reply::None), "{status:?}");
        }
    }
}

#[test]
fn paid_without_tickets_is_refunded() {
    let message =
        Message::StockRejected { on: Step::Confirm, reason: RejectReason::Released.to_string() };
    for message in [message, Message::StockRolledBack] {
        let decision = given(&with_payment(Status::Paid, PaymentStatus::Captured), &message);
        assert_eq!(state(&decision).status, Status::Refunding);
        assert_eq!(started(&decision), [(CallKind::Refund, "ORDER1-r1".to_owned())]);
        assert_eq!(state(&decision).refunds[0].amount, amount("398.00"));
    }
}

#[test]
fn stock_confirmed_confirms_only_a_paid_order() {
    for status in ALL_STATUSES {
        let decision =
            given(&with_payment(status, PaymentStatus::Captured), &Message::StockConfirmed);
        if status == Status::Paid {
            assert_eq!(state(&decision).status, Status::Confirmed);
            assert_eq!(notices(&decision), [Notice::Confirmed]);
        } else {
            assert_eq!(decision, Decision::unchanged(Reply::None), "{status:?}");
        }
    }
}

#[test]
fn cancel_ends_an_unpaid_order_at_once_and_closes_its_payment() {
    for status in ALL_STATUSES {
        let decision = given(&with_payment(status, PaymentStatus::Pending), &Message::Cancel);
        match status {
            Status::Pending | Status::Reserved => {
                assert_eq!(state(&decision).status, Status::Cancelled);
                assert_eq!(cancels(&decision), [CancelReason::User]);
                assert_eq!(started(&decision), [(CallKind::Close, "ORDER1-p1".to_owned())]);
                assert_eq!(notices(&decision), [Notice::Cancelled]);
            }
            Status::Cancelled => {
                assert_eq!(decision, Decision::unchanged(Reply::Done { status, payment_id: None }));
            }
            _ => assert!(
                matches!(decision.reply, Reply::NotNow { .. }) && decision.next == Next::Unchanged,
                "{status:?}"
            ),
        }
    }
}

#[test]
fn a_deadline_expires_what_is_unpaid_and_asks_the_provider_first() {
    let mut facts = facts();
    let late = order(Status::Pending).deadline_at;
    facts.now = late - TimeDelta::milliseconds(1);
    let early = decide(Some(&order(Status::Pending)), &Message::DeadlinePassed, &facts).unwrap();
    assert_eq!(early, Decision::unchanged(Reply::None));

    facts.now = late;
    for (order, expected) in [
        (order(Status::Pending), Status::Expired),
        (order(Status::Reserved), Status::Expired),
        (with_payment(Status::Reserved, PaymentStatus::Failed), Status::Expired),
        (with_payment(Status::Reserved, PaymentStatus::Pending), Status::Expiring),
    ] {
        let decision = decide(Some(&order), &Message::DeadlinePassed, &facts).unwrap();
        assert_eq!(state(&decision).status, expected);
        if expected == Status::Expired {
            assert_eq!(cancels(&decision), [CancelReason::Expired]);
            assert_eq!(notices(&decision), [Notice::Expired]);
        } else {
            assert_eq!(started(&decision), [(CallKind::Close, "ORDER1-p1".to_owned())]);
            assert_eq!(decision.events, []);
        }
    }
}

#[test]
fn an_expiring_order_ends_with_what_the_provider_says() {
    let expiring = with_payment(Status::Expiring, PaymentStatus::Pending);
    let payment_id = "ORDER1-p1".to_owned();

    let closed = given(&expiring, &Message::PaymentClosed { payment_id: payment_id.clone() });
    assert_eq!(state(&closed).status, Status::Expired);
    assert_eq!(cancels(&closed), [CancelReason::Expired]);

    let paid = given(&expiring, &captured(&payment_id, "398.00"));
    assert_eq!(state(&paid).status, Status::Paid);
    assert!(paid.events.contains(&Event::Paid));

    let reason = "unreachable".to_owned();
    let unknown = given(&expiring, &Message::CloseGaveUp { payment_id, reason });
    assert_eq!(state(&unknown).status, Status::Expired);
}

#[test]
fn every_call_that_was_answered_is_ended() {
    let payment_id = "ORDER1-p1".to_owned();
    let reason = String::new();
    for message in [
        Message::PaymentOpened {
            payment_id: payment_id.clone(),
            provider_payment_id: "prov-1".to_owned(),
        },
        Message::PaymentFailed { payment_id: payment_id.clone(), reason: reason.clone() },
        Message::OpenGaveUp { payment_id: payment_id.clone(), reason },
        captured(&payment_id, "398.00"),
    ] {
        for status in ALL_STATUSES {
            for payment in ALL_PAYMENTS {
                let decision = given(&with_payment(status, payment), &message);
                let end = Work::End { call_id: "ORDER1-p1:open".to_owned() };
                assert!(decision.calls.contains(&end), "{status:?} {payment:?} {message:?}");
            }
        }
    }
}

#[test]
fn an_unknown_payment_changes_nothing() {
    for status in ALL_STATUSES {
        let decision = given(&order(status), &captured("ORDER1-p9", "398.00"));
        assert_eq!(decision, Decision::unchanged(Reply::UnknownPayment));
    }
}

#[test]
fn a_message_with_an_order_number_that_is_taken_is_dead() {
    let mut other = new_order(&[(5, 1)]);
    other.origin = Origin::Message;
    other.caller = "ORDER_CREATE".to_owned();
    let decided = decide(Some(&order(Status::Pending)), &Message::Create(other), &facts());
    assert!(matches!(decided, Err(Undecided::Dead(_))));
}
