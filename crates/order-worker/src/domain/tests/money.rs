use super::*;

#[test]
fn a_capture_pays_a_reserved_order_once() {
    let reserved = with_payment(Status::Reserved, PaymentStatus::Pending);
    let paid = given(&reserved, &captured("ORDER1-p1", "398.00"));
    assert_eq!(state(&paid).status, Status::Paid);
    assert_eq!(paid.events, [Event::Paid]);

    let again = given(state(&paid), &captured("ORDER1-p1", "398.00"));
    assert_eq!(state(&again), state(&paid));
    assert_eq!(again.events, []);
    assert_eq!(started(&again), []);
}

#[test]
fn a_second_capture_is_refunded_and_the_order_keeps_the_first() {
    for status in [Status::Paid, Status::Confirmed] {
        let mut order = with_payment(status, PaymentStatus::Captured);
        let mut second = order.payments[0].clone();
        second.payment_id = "ORDER1-p2".to_owned();
        second.status = PaymentStatus::Pending;
        second.captured = None;
        order.payments.push(second);
        let decision = given(&order, &captured("ORDER1-p2", "398.00"));
        assert_eq!(state(&decision).status, status);
        assert_eq!(started(&decision), [(CallKind::Refund, "ORDER1-r1".to_owned())]);
        assert_eq!(state(&decision).refunds[0].payment_id, "ORDER1-p2");

        let outcome = RefundOutcome::Succeeded;
        let message = Message::RefundEnded { refund_id: "ORDER1-r1".to_owned(), outcome };
        let back = given(state(&decision), &message);
        assert_eq!(state(&back).status, status, "the ticket stays");
        assert_eq!(notices(&back), []);
    }
}

#[test]
fn late_money_is_refunded_and_the_buyer_is_told_when_it_is_back() {
    for status in [Status::Cancelled, Status::Expired] {
        for payment in [PaymentStatus::Pending, PaymentStatus::Closed, PaymentStatus::Failed] {
            let late = with_payment(status, payment);
            let decision = given(&late, &captured("ORDER1-p1", "398.00"));
            assert_eq!(state(&decision).status, Status::Refunding);
            assert_eq!(started(&decision), [(CallKind::Refund, "ORDER1-r1".to_owned())]);
            assert_eq!(notices(&decision), []);

            let outcome = RefundOutcome::Succeeded;
            let message = Message::RefundEnded { refund_id: "ORDER1-r1".to_owned(), outcome };
            let back = given(state(&decision), &message);
            assert_eq!(state(&back).status, Status::Refunded);
            assert_eq!(notices(&back), [Notice::Refunded { round: 1 }]);
            let again = given(state(&back), &message);
            assert_eq!(again.next, Next::Unchanged);
        }
    }
}

#[test]
fn a_wrong_amount_never_pays_and_goes_back() {
    let reserved = with_payment(Status::Reserved, PaymentStatus::Pending);
    let decision = given(&reserved, &captured("ORDER1-p1", "1.00"));
    let order = state(&decision);
    assert_eq!(order.status, Status::Refunding);
    assert_eq!(order.refunds[0].amount, amount("1.00"));
    assert_eq!(cancels(&decision), [CancelReason::Payment]);
    assert!(!decision.events.contains(&Event::Paid));
}

#[test]
fn a_failed_payment_cancels_unless_another_one_is_open() {
    let message = Message::PaymentFailed {
        payment_id: "ORDER1-p1".to_owned(),
        reason: "declined".to_owned(),
    };
    let alone = given(&with_payment(Status::Reserved, PaymentStatus::Pending), &message);
    assert_eq!(state(&alone).status, Status::Cancelled);
    assert_eq!(cancels(&alone), [CancelReason::Payment]);

    let mut two = with_payment(Status::Reserved, PaymentStatus::Pending);
    let mut second = two.payments[0].clone();
    second.payment_id = "ORDER1-p2".to_owned();
    two.payments.push(second);
    let decision = given(&two, &message);
    assert_eq!(state(&decision).status, Status::Reserved);
    assert_eq!(cancels(&decision), []);
}

#[test]
fn an_open_that_gave_up_is_closed_too() {
    let message = Message::OpenGaveUp {
        payment_id: "ORDER1-p1".to_owned(),
        reason: "unreachable".to_owned(),
    };
    let decision = given(&with_payment(Status::Reserved, PaymentStatus::Created), &message);
    assert_eq!(state(&decision).status, Status::Cancelled);
    assert!(started(&decision).contains(&(CallKind::Close, "ORDER1-p1".to_owned())));
}

#[test]
fn paying_again_in_the_same_way_finds_the_payment_under_way() {
    let order = with_payment(Status::Reserved, PaymentStatus::Pending);
    let same = given(&order, &Message::Pay { method: "card".to_owned() });
    let payment_id = Some("ORDER1-p1".to_owned());
    assert_eq!(same, Decision::unchanged(Reply::Done { status: Status::Reserved, payment_id }));
    let other = given(&order, &Message::Pay { method: "twint".to_owned() });
    assert_eq!(started(&other), [(CallKind::Open, "ORDER1-p2".to_owned())]);
}

#[test]
fn paying_is_refused_when_it_makes_no_sense() {
    for status in ALL_STATUSES {
        let decision = given(&order(status), &Message::Pay { method: "card".to_owned() });
        let allowed = matches!(status, Status::Pending | Status::Reserved);
        assert_eq!(matches!(decision.reply, Reply::Done { .. }), allowed, "{status:?}");
    }
    let mut facts = facts();
    facts.now = order(Status::Reserved).expires_at;
    let message = Message::Pay { method: "card".to_owned() };
    let late = decide(Some(&order(Status::Reserved)), &message, &facts).unwrap();
    assert!(matches!(late.reply, Reply::NotNow { .. }));
}

#[test]
fn a_refused_refund_waits_for_an_operator() {
    let late = with_payment(Status::Expired, PaymentStatus::Closed);
    let refunding = given(&late, &captured("ORDER1-p1", "398.00"));
    let message = Message::RefundEnded {
        refund_id: "ORDER1-r1".to_owned(),
        outcome: RefundOutcome::Refused("account closed".to_owned()),
    };
    let decision = given(state(&refunding), &message);
    assert_eq!(state(&decision).status, Status::Refunding);
    assert_eq!(state(&decision).refunds[0].status, RefundStatus::Manual);
}

#[test]
fn a_callback_leaves_its_receipt_with_its_effect() {
    let event = ProviderEvent {
        provider: "sandbox".to_owned(),
        event_id: "evt-1".to_owned(),
        effect: Box::new(captured("ORDER1-p1", "398.00")),
        body: b"{}".to_vec(),
    };
    let reserved = with_payment(Status::Reserved, PaymentStatus::Pending);
    let first = given(&reserved, &Message::Callback(event.clone()));
    assert_eq!(state(&first).status, Status::Paid);
    let receipts = |decision: &Decision| {
        decision.calls.iter().filter(|work| matches!(work, Work::Receipt { .. })).count()
    };
    assert_eq!(receipts(&first), 1);
    let second = given(state(&first), &Message::Callback(event));
    assert_eq!(state(&second).status, Status::Paid);
    assert_eq!((receipts(&second), second.events.len()), (1, 0));
}
