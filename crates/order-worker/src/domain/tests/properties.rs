//! Random histories of one order: duplicates, drops and any order of messages.

use proptest::prelude::*;

use super::*;

fn any_message() -> impl Strategy<Value = Message> {
    let payment_id = || (1..4_u32).prop_map(|n| format!("ORDER1-p{n}"));
    let refund_id = || (1..4_u32).prop_map(|n| format!("ORDER1-r{n}"));
    prop_oneof![
        Just(Message::Create(new_order(&[(5, 2)]))),
        Just(Message::Cancel),
        prop_oneof!["card", "twint"].prop_map(|method| Message::Pay { method }),
        Just(Message::StockDeducted),
        Just(Message::StockRejected { on: Step::Reserve, reason: "sold_out".to_owned() }),
        Just(Message::StockRejected { on: Step::Confirm, reason: "released".to_owned() }),
        Just(Message::StockConfirmed),
        Just(Message::StockRolledBack),
        Just(Message::DeadlinePassed),
        payment_id().prop_map(|payment_id| Message::PaymentOpened {
            payment_id,
            provider_payment_id: "prov".to_owned(),
        }),
        payment_id().prop_map(|payment_id| captured(&payment_id, "398.00")),
        payment_id().prop_map(|payment_id| captured(&payment_id, "1.00")),
        payment_id()
            .prop_map(|payment_id| Message::PaymentFailed { payment_id, reason: String::new() }),
        payment_id().prop_map(|payment_id| Message::PaymentClosed { payment_id }),
        payment_id()
            .prop_map(|payment_id| Message::OpenGaveUp { payment_id, reason: String::new() }),
        payment_id()
            .prop_map(|payment_id| Message::CloseGaveUp { payment_id, reason: String::new() }),
        refund_id().prop_map(|refund_id| Message::RefundEnded {
            refund_id,
            outcome: RefundOutcome::Succeeded,
        }),
    ]
}

/// What must hold of an order at any time.
fn check(order: &Order) {
    let captured: Vec<&Payment> =
        order.payments.iter().filter(|payment| payment.captured.is_some()).collect();
    let refunded = |payment: &Payment| {
        order.refunds.iter().filter(|refund| refund.payment_id == payment.payment_id).count()
    };
    for payment in &captured {
        assert!(refunded(payment) <= 1, "a payment is refunded at most once");
    }
    let kept = captured.iter().filter(|payment| refunded(payment) == 0).count();
    match order.status {
        Status::Paid | Status::Confirmed => assert_eq!(kept, 1, "one payment stays: {order:?}"),
        _ => assert_eq!(kept, 0, "no money is kept without a ticket: {order:?}"),
    }
    if order.status == Status::Refunded {
        assert!(order.refunds.iter().all(|refund| refund.status == RefundStatus::Succeeded));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_history_keeps_money_without_a_ticket(
        messages in prop::collection::vec((any_message(), 0..40_i64), 1..40),
    ) {
        let mut facts = facts();
        let mut state: Option<Order> = None;
        let mut told: Vec<Notice> = Vec::new();
        for (message, minutes) in messages {
            facts.now += TimeDelta::minutes(minutes / 8);
            let Ok(decision) = decide(state.as_ref(), &message, &facts) else { continue };
            told.extend(notices(&decision));
            if let Next::Changed(next) = decision.next {
                let next = next.expect("an order never disappears");
                check(&next);
                state = Some(*next);
            }
        }
        let mut once = told.clone();
        once.dedup();
        let distinct = told.iter().enumerate().all(|(i, notice)| !told[..i].contains(notice));
        prop_assert!(distinct, "a transition is told once: {told:?}");
    }
}
