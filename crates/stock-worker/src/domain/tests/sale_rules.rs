//! What is refused before the gate is asked, and what becomes of the gate's answers.

use super::*;

fn decided(message: &Message, gate: Option<GateAnswer>, facts: &Facts) -> Decision {
    decide(None, message, gate.as_ref(), facts).expect("decided")
}

#[test]
fn a_reservation_that_the_sale_refuses_is_never_asked_about() {
    let order = || reserve(Extent::Whole, &[(A, 2)]);
    type Change = fn(&mut Facts, &mut Reserve);
    let cases: [(Change, RejectReason); 9] = [
        (|facts, _| facts.sessions.clear(), RejectReason::UnknownSession),
        (|facts, _| facts.tickets.clear(), RejectReason::UnknownTicket),
        (|facts, _| session(facts).state = SaleState::Closed, RejectReason::SaleClosed),
        (|facts, _| session(facts).state = SaleState::Draft, RejectReason::SaleClosed),
        (|facts, _| session(facts).sale_ends_at = Some(facts.now), RejectReason::SaleClosed),
        (
            |facts, _| {
                let second = chrono::TimeDelta::seconds(1);
                session(facts).sale_starts_at = Some(facts.now + second);
            },
            RejectReason::SaleClosed,
        ),
        (|_, order| order.currency = Currency::new("USD").ok(), RejectReason::Currency),
        (|_, order| order.lines[0].unit_price = "9.99".parse().ok(), RejectReason::PriceChanged),
        (
            |_, order| order.lines[0].quantity = Quantity::new(5).expect("in range"),
            RejectReason::OrderLimit,
        ),
    ];
    for (change, reason) in cases {
        let mut facts = facts();
        let Message::Reserve(mut wanted) = order() else { unreachable!("it is a reservation") };
        change(&mut facts, &mut wanted);
        let message = Message::Reserve(wanted);
        assert!(question(None, &message, &facts).is_none(), "{reason} is asked about");
        let decision = decided(&message, None, &facts);
        assert_eq!(said(&decision), [rejected(reason)]);
        let hold = after(None, &decision).expect("a row");
        assert_eq!((hold.reason, hold.live_quantity()), (Some(reason), 0));
        assert_eq!(hold.redis, RedisView::Agrees, "Redis has no record of it");
    }
}

fn session(facts: &mut Facts) -> &mut Session {
    facts.sessions.get_mut(&SESSION).expect("the session")
}

#[test]
fn the_session_of_a_command_is_that_of_its_ticket_type() {
    let Message::Reserve(mut wanted) = reserve(Extent::Lines, &[(A, 1)]) else {
        unreachable!("it is a reservation")
    };
    wanted.session_id = None;
    let decision = decided(&Message::Reserve(wanted), Some(GateAnswer::Granted), &facts());
    assert_eq!(after(None, &decision).expect("a hold").session_id, SESSION);
}

#[test]
fn lines_of_two_sessions_are_refused() {
    let mut facts = facts();
    facts.tickets.get_mut(&B).expect("the type").session_id = SessionId(8);
    let decision = decided(&reserve(Extent::Whole, &[(A, 1), (B, 1)]), None, &facts);
    assert_eq!(said(&decision), [rejected(RejectReason::UnknownTicket)]);
}

#[test]
fn each_answer_of_the_gate_has_its_outcome() {
    use RejectReason::{LinesDiffer, Released, SoldOut, UserLimit};
    let refused = |reason, by| GateAnswer::Refused { reason, by };
    let cases = [
        (GateAnswer::Released, Released, RedisView::Unsure),
        (GateAnswer::LinesDiffer, LinesDiffer, RedisView::Unsure),
        (refused(SoldOut, Keeper::Redis), SoldOut, RedisView::Agrees),
        (refused(UserLimit, Keeper::Redis), UserLimit, RedisView::Agrees),
        (refused(SoldOut, Keeper::PostgreSql), SoldOut, RedisView::Unsure),
    ];
    for (gate, reason, redis) in cases {
        let decision = decided(&reserve(Extent::Whole, &[(A, 1)]), Some(gate.clone()), &facts());
        let hold = after(None, &decision).expect("a row");
        assert_eq!(said(&decision), [rejected(reason)], "{gate:?}");
        assert_eq!((hold.reason, hold.redis), (Some(reason), redis), "{gate:?}");
        assert_eq!(hold.state(), LineState::Released);
    }
}

#[test]
fn a_closed_gate_leaves_the_order_undecided() {
    let gate = GateAnswer::Closed { why: "not loaded" };
    let decision = decided(&reserve(Extent::Whole, &[(A, 1)]), Some(gate), &facts());
    assert_eq!(decision.next, Next::Unchanged);
    assert!(decision.events.is_empty());
    assert_eq!(decision.calls, [Work::AwaitLoad { session_id: SESSION, why: "not loaded" }]);
}

#[test]
fn a_granted_hold_carries_its_epoch_price_and_currency() {
    let hold = step(None, &reserve(Extent::Whole, &[(A, 2)])).expect("a hold");
    assert_eq!(hold.granted_epoch, Some(3));
    assert_eq!(hold.currency, Some(euro()));
    assert_eq!(hold.lines[0].unit_price, Some(price()));
    assert_eq!(hold.redis, RedisView::Agrees);
}

#[test]
fn a_refused_line_of_a_held_order_is_kept_as_refused() {
    let held = step(None, &reserve(Extent::Lines, &[(A, 2)]));
    let refusal = GateAnswer::Refused { reason: RejectReason::SoldOut, by: Keeper::PostgreSql };
    let message = reserve(Extent::Lines, &[(B, 1)]);
    assert!(question(held.as_ref(), &message, &facts()).is_some());
    let decision = decide(held.as_ref(), &message, Some(&refusal), &facts()).expect("decided");
    let next = after(held, &decision);
    assert_eq!(lines(next.as_ref()), "101x2H 102x0R");
    assert_eq!(next.expect("a hold").redis, RedisView::Unsure, "Redis must hear of it");
}
