use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use common::decision::Next;
use contracts::{Channel, Extra, NotificationId, OrderNo, UserId};

use super::*;

const ATTEMPTS_MAX: u32 = 3;
const USER: UserId = UserId(7);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

fn policy() -> Policy {
    let retry_delays = vec![Duration::from_secs(1), Duration::from_secs(5)];
    Policy { attempts_max: ATTEMPTS_MAX, retry_delays }
}

fn facts() -> Facts {
    Facts { now: now(), suppressed: HashSet::new() }
}

fn request(valid_until: Option<DateTime<Utc>>) -> Arc<Request> {
    Arc::new(Request {
        id: NotificationId::new("N1").expect("valid"),
        channel: Channel::Email,
        session_id: 3,
        order_no: Some(OrderNo::new("A1").expect("valid")),
        user_id: Some(USER),
        locale: None,
        valid_until,
        content: Content::Template { name: "order.confirmed".to_owned(), params: Extra::new() },
        original: Original(Bytes::from_static(b"{\"phone\":\"555\"}")),
    })
}

fn found(status: Status, attempt: u32) -> State {
    Some(Notification {
        version: 4,
        status,
        attempt,
        valid_until: None,
        last_error: None,
        request: None,
    })
}

fn answer(attempt: u32, outcome: Outcome) -> Message {
    Message::Answer(Answer { attempt, outcome, request: request(None) })
}

fn later() -> Outcome {
    Outcome::Later { reason: "busy".to_owned() }
}

fn never() -> Outcome {
    Outcome::Never { reason: "no such mailbox".to_owned() }
}

/// What is compared: the status and attempt after it, how many calls with which delay, the cause.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    next: Option<(Status, u32)>,
    calls: Vec<(u32, Duration)>,
    dead: Vec<String>,
}

fn see(state: &State, message: &Message, facts: &Facts) -> Seen {
    let decision = decide(&policy(), state, message, facts);
    let next = match decision.next {
        Next::Unchanged => None,
        Next::Changed(next) => next.map(|n| (n.status, n.attempt)),
    };
    Seen {
        next,
        calls: decision.calls.iter().map(|call| (call.attempt, call.after)).collect(),
        dead: decision.events.into_iter().map(|dead| dead.cause).collect(),
    }
}

fn unchanged() -> Seen {
    Seen { next: None, calls: vec![], dead: vec![] }
}

fn becomes(status: Status, attempt: u32) -> Seen {
    Seen { next: Some((status, attempt)), calls: vec![], dead: vec![] }
}

fn calls(attempt: u32, after: Duration) -> Seen {
    let next = Some((Status::Pending, attempt));
    Seen { next, calls: vec![(attempt, after)], dead: vec![] }
}

fn fails(attempt: u32, cause: &str) -> Seen {
    let next = Some((Status::Failed, attempt));
    Seen { next, calls: vec![], dead: vec![cause.to_owned()] }
}

#[test]
fn every_state_decides_every_message() {
    let asked = Message::Request(request(None));
    let none = None;
    let table: Vec<(State, Message, Seen)> = vec![
        (none.clone(), asked.clone(), calls(1, Duration::ZERO)),
        (none, answer(1, Outcome::Delivered), unchanged()),
        // A request meets a row.
        (found(Status::Pending, 1), asked.clone(), unchanged()),
        (found(Status::Sent, 1), asked.clone(), unchanged()),
        (found(Status::Suppressed, 1), asked.clone(), unchanged()),
        (found(Status::Expired, 1), asked.clone(), unchanged()),
        (found(Status::Failed, 3), asked, calls(1, Duration::ZERO)),
        // The answer of the attempt that is under way.
        (found(Status::Pending, 1), answer(1, Outcome::Delivered), becomes(Status::Sent, 1)),
        (found(Status::Pending, 1), answer(1, later()), calls(2, Duration::from_secs(1))),
        (found(Status::Pending, 2), answer(2, later()), calls(3, Duration::from_secs(5))),
        (found(Status::Pending, 3), answer(3, later()), fails(3, "gave up after 3 attempts: busy")),
        (found(Status::Pending, 1), answer(1, never()), fails(1, "no such mailbox")),
        (found(Status::Pending, 1), answer(1, Outcome::Overdue), unchanged()),
        // The answer of an earlier attempt: only a delivery counts.
        (found(Status::Pending, 2), answer(1, Outcome::Delivered), becomes(Status::Sent, 2)),
        (found(Status::Pending, 2), answer(1, later()), unchanged()),
        (found(Status::Pending, 2), answer(1, never()), unchanged()),
    ];
    for (state, message, expected) in table {
        assert_eq!(see(&state, &message, &facts()), expected, "{state:?} {message:?}");
    }
}

#[test]
fn what_has_ended_stays_as_it_is_whatever_answer_comes() {
    for status in [Status::Sent, Status::Failed, Status::Suppressed, Status::Expired] {
        for outcome in [Outcome::Delivered, later(), never(), Outcome::Overdue] {
            let seen = see(&found(status, 1), &answer(1, outcome.clone()), &facts());
            assert_eq!(seen, unchanged(), "{status} {outcome:?}");
        }
    }
}

#[test]
fn nothing_is_delivered_once_nobody_wants_to_hear_it() {
    let over = now();
    let asked = Message::Request(request(Some(over)));
    assert_eq!(see(&None, &asked, &facts()), becomes(Status::Expired, 1));
    let still = Message::Request(request(Some(over + TimeDelta::milliseconds(1))));
    assert_eq!(see(&None, &still, &facts()), calls(1, Duration::ZERO));

    let mut pending = found(Status::Pending, 1);
    pending.as_mut().expect("a row").valid_until = Some(over);
    for outcome in [later(), Outcome::Overdue] {
        let seen = see(&pending, &answer(1, outcome), &facts());
        assert_eq!(seen, becomes(Status::Expired, 1));
    }
    // It was delivered in time, its answer is late.
    let seen = see(&pending, &answer(1, Outcome::Delivered), &facts());
    assert_eq!(seen, becomes(Status::Sent, 1));
}

#[test]
fn a_suppressed_channel_is_recorded_and_not_delivered() {
    let asked = Message::Request(request(None));
    let mut facts = facts();
    facts.suppressed.insert((USER, Channel::Sms));
    assert_eq!(see(&None, &asked, &facts), calls(1, Duration::ZERO), "another channel");
    facts.suppressed.insert((USER, Channel::Email));
    assert_eq!(see(&None, &asked, &facts), becomes(Status::Suppressed, 1));
}

#[test]
fn a_dead_letter_knows_its_attempt_and_its_message() {
    let decision = decide(&policy(), &found(Status::Pending, 2), &answer(2, never()), &facts());
    let dead = &decision.events[0];
    assert_eq!((dead.attempt, &dead.request), (2, &request(None)));
    let Next::Changed(Some(next)) = decision.next else { panic!("it has failed") };
    assert_eq!(next.last_error.as_deref(), Some("no such mailbox"));
}

#[test]
fn debug_shows_no_body() {
    let shown = format!("{:?}", request(None));
    assert!(!shown.contains("555") && shown.contains("[15 bytes]"), "{shown}");
}
