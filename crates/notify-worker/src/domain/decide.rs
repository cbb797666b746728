use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::decision::Decision;
use contracts::{Channel, UserId};

use super::{Answer, Message, Notification, Outcome, Request, State, Status};

/// What decisions of one batch know beside the states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The database's time.
    pub now: DateTime<Utc>,
    /// Who does not want to be reached on which channel.
    pub suppressed: HashSet<(UserId, Channel)>,
}

/// How long a delivery is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub attempts_max: u32,
    /// The delay before the second attempt, the third, …; the last one repeats.
    pub retry_delays: Vec<Duration>,
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    pub attempt: u32,
    pub request: Arc<Request>,
    /// Not before this much time has passed.
    pub after: Duration,
}

/// It can't be delivered: its message is dead-lettered, with the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    pub attempt: u32,
    pub cause: String,
    pub request: Arc<Request>,
}

type Decided = Decision<State, Dead, Deliver, ()>;

/// Decides one message.
pub fn decide(policy: &Policy, state: &State, message: &Message, facts: &Facts) -> Decided {
    match (state, message) {
        (None, Message::Request(request)) => accept(0, request, facts),
        // The row was purged, so this was decided long ago.
        (None, Message::Answer(_)) => Decision::unchanged(()),
        (Some(found), Message::Request(request)) => match found.status {
            // The replay of a dead letter, or somebody asks again: it is tried again.
            Status::Failed => accept(found.version, request, facts),
            Status::Pending | Status::Sent | Status::Suppressed | Status::Expired => {
                Decision::unchanged(())
            }
        },
        (Some(found), Message::Answer(answer)) => match found.status {
            Status::Pending => answered(policy, found, answer, facts),
            // A second delivery of the same call, after a lease ran out: decided already.
            Status::Sent | Status::Failed | Status::Suppressed | Status::Expired => {
                Decision::unchanged(())
            }
        },
    }
}

fn accept(version: i64, request: &Arc<Request>, facts: &Facts) -> Decided {
    const FIRST_ATTEMPT: u32 = 1;
    let suppressed =
        request.user_id.is_some_and(|user| facts.suppressed.contains(&(user, request.channel)));
    let status = if is_over(request.valid_until, facts) {
        Status::Expired
    } else if suppressed {
        Status::Suppressed
    } else {
        Status::Pending
    };
    let next = Notification {
        version,
        status,
        attempt: FIRST_ATTEMPT,
        valid_until: request.valid_until,
        last_error: None,
        request: Some(request.clone()),
    };
    let decision = Decision::changed(Some(next), ());
    match status {
        Status::Pending => decision.call(Deliver {
            attempt: FIRST_ATTEMPT,
            request: request.clone(),
            after: Duration::ZERO,
        }),
        Status::Sent | Status::Failed | Status::Suppressed | Status::Expired => decision,
    }
}

fn answered(policy: &Policy, found: &Notification, answer: &Answer, facts: &Facts) -> Decided {
    let Answer { attempt, outcome, request } = answer;
    let becomes = |status, last_error: Option<&str>| Notification {
        status,
        last_error: last_error.map(str::to_owned),
        ..found.clone()
    };
    let fail = |cause: String| {
        let dead = Dead { attempt: *attempt, cause, request: request.clone() };
        Decision::changed(Some(becomes(Status::Failed, Some(&dead.cause))), ()).publish(dead)
    };
    // Only a delivery counts whichever attempt it was: it can't be taken back.
    let is_stale = *attempt != found.attempt;
    match outcome {
        Outcome::Delivered => Decision::changed(Some(becomes(Status::Sent, None)), ()),
        Outcome::Later { .. } | Outcome::Never { .. } if is_stale => Decision::unchanged(()),
        Outcome::Never { reason } => fail(reason.clone()),
        Outcome::Later { reason } if is_over(found.valid_until, facts) => {
            Decision::changed(Some(becomes(Status::Expired, Some(reason))), ())
        }
        Outcome::Later { reason } if *attempt >= policy.attempts_max => {
            fail(format!("gave up after {attempt} attempts: {reason}"))
        }
        Outcome::Later { reason } => {
            let next =
                Notification { attempt: attempt + 1, ..becomes(Status::Pending, Some(reason)) };
            Decision::changed(Some(next), ()).call(Deliver {
                attempt: attempt + 1,
                request: request.clone(),
                after: policy.delay_after(*attempt),
            })
        }
        Outcome::Overdue if is_over(found.valid_until, facts) => {
            Decision::changed(Some(becomes(Status::Expired, None)), ())
        }
        // Our clock is ahead of the database's: its call is still there and is made later.
        Outcome::Overdue => Decision::unchanged(()),
    }
}

fn is_over(valid_until: Option<DateTime<Utc>>, facts: &Facts) -> bool {
    valid_until.is_some_and(|until| until <= facts.now)
}

impl Policy {
    fn delay_after(&self, attempt: u32) -> Duration {
        let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        self.retry_delays
            .get(step)
            .or_else(|| self.retry_delays.last())
            .copied()
            .unwrap_or_default()
    }
}
