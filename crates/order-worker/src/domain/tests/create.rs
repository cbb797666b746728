use super::*;

fn refused(change: impl FnOnce(&mut NewOrder)) -> Refusal {
    let mut new = new_order(&[(5, 1)]);
    change(&mut new);
    let decision = decide(None, &Message::Create(new), &facts()).unwrap();
    assert_eq!(decision.next, Next::Unchanged, "a refused request writes nothing");
    assert_eq!(decision.events, []);
    match decision.reply {
        Reply::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn line(ticket: i64, quantity: i32) -> NewLine {
    new_order(&[(ticket, quantity)]).lines[0]
}

#[test]
fn an_order_takes_its_price_and_deadline_from_the_sale() {
    let decision = decide(None, &Message::Create(new_order(&[(5, 2), (6, 1)])), &facts()).unwrap();
    let order = state(&decision);
    assert_eq!(order.status, Status::Pending);
    assert_eq!(order.total, amount("497.50"));
    assert_eq!(order.currency.as_str(), "CHF");
    assert_eq!(order.expires_at, now() + TimeDelta::minutes(15));
    let spread = order.deadline_at - order.expires_at;
    assert!(spread >= TimeDelta::seconds(60) && spread < TimeDelta::seconds(65));
    assert_eq!(order.channels, [Channel::Email]);
    assert_eq!(decision.events, [Event::Created]);
}

#[test]
fn each_rule_of_the_sale_refuses_with_its_own_reason() {
    assert_eq!(refused(|new| new.session_id = SessionId(99)).reason, RejectReason::UnknownSession);
    assert_eq!(refused(|new| new.lines = vec![line(99, 1)]).reason, RejectReason::UnknownTicket);
    assert_eq!(refused(|new| new.lines = vec![line(7, 1)]).reason, RejectReason::SoldOut);
    assert_eq!(
        refused(|new| new.currency = Currency::new("EUR").ok()).reason,
        RejectReason::Currency
    );
    assert_eq!(refused(|new| new.total = Some(amount("1.00"))).reason, RejectReason::PriceChanged);
    let beyond = refused(|new| new.lines = vec![line(5, 5)]);
    assert_eq!(beyond.reason, RejectReason::OrderLimit);
    assert_eq!((beyond.field.as_str(), beyond.limit), ("items[0].quantity", Some(4)));
    let both = |new: &mut NewOrder| new.lines = vec![line(5, 4), line(6, 3)];
    assert_eq!(refused(both).reason, RejectReason::UserLimit);
    let stale = |new: &mut NewOrder| new.lines[0].unit_price = Some(amount("198.00"));
    assert_eq!(refused(stale).reason, RejectReason::PriceChanged);
}

#[test]
fn a_sale_is_open_from_its_start_to_its_end() {
    let mut facts = facts();
    for (at, open) in [
        (now() - TimeDelta::hours(1), true),
        (now() - TimeDelta::hours(1) - TimeDelta::milliseconds(1), false),
        (now() + TimeDelta::hours(1), false),
    ] {
        facts.now = at;
        let decision = decide(None, &Message::Create(new_order(&[(5, 1)])), &facts).unwrap();
        assert_eq!(decision.next != Next::Unchanged, open, "{at}");
    }
}

#[test]
fn the_same_request_finds_its_order_and_another_one_is_told() {
    let order = order(Status::Reserved);
    let same = given(&order, &Message::Create(new_order(&[(5, 2)])));
    assert_eq!(
        same,
        Decision::unchanged(Reply::Accepted {
            order_no: order.order_no.clone(),
            status: Status::Reserved,
            expires_at: order.expires_at,
            replayed: true,
        })
    );
    let mut other = new_order(&[(5, 1)]);
    other.request_hash = [8; 32];
    let other = given(&order, &Message::Create(other));
    assert_eq!(other, Decision::unchanged(Reply::KeyReused { order_no: order.order_no.clone() }));
}

#[test]
fn a_refused_message_becomes_a_rejected_order_that_says_so() {
    let mut new = new_order(&[(7, 1)]);
    new.origin = Origin::Message;
    let decision = decide(None, &Message::Create(new), &facts()).unwrap();
    assert_eq!(state(&decision).status, Status::Rejected);
    assert_eq!(cancels(&decision), [CancelReason::Refused]);
    assert_eq!(notices(&decision), [Notice::Rejected]);
}

#[test]
fn a_message_about_a_session_that_is_not_known_yet_is_too_early() {
    let mut new = new_order(&[(5, 1)]);
    new.origin = Origin::Message;
    new.session_id = SessionId(99);
    let decided = decide(None, &Message::Create(new), &facts());
    assert!(matches!(decided, Err(Undecided::Retry(_))));
}
