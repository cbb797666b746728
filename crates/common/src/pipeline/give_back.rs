//! Messages that could not be decided: tried again later, or dead-lettered, with the cause.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::properties as names;

use crate::bus::{Destination, IncomingMessage, OutgoingMessage};

/// How much of a cause travels with the message, in bytes: RocketMQ limits all properties of a
/// message to 32 KiB.
const CAUSE_MAX_BYTES: usize = 4 * 1024;

/// A message on its way to its group's retry or dead-letter queue.
#[derive(Debug, Clone)]
pub struct GiveBack {
    incoming: IncomingMessage,
    attempt: Attempt,
    cause: String,
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Delivered again to its one group after `delay`; `number` attempts have failed so far.
    Again { number: u32, delay: Duration },
    /// Never again, unless an operator replays it.
    Never { number: u32 },
}

impl GiveBack {
    /// To the dead-letter queue at once.
    pub fn dead(incoming: IncomingMessage, cause: String) -> Self {
        let number = attempts_of(&incoming) + 1;
        Self { incoming, attempt: Attempt::Never { number }, cause }
    }

    /// To the retry queue with the next delay of the ladder, or, after the last attempt, to the
    /// dead-letter queue.
    pub fn retry(
        incoming: IncomingMessage,
        cause: String,
        attempts_max: u32,
        ladder: &[Duration],
    ) -> Self {
        let number = attempts_of(&incoming) + 1;
        let step = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let delay = ladder.get(step).or_else(|| ladder.last()).copied();
        let attempt = match delay {
            Some(delay) if number < attempts_max => Attempt::Again { number, delay },
            _ => Attempt::Never { number },
        };
        Self { incoming, attempt, cause }
    }

    /// Whether it goes to the dead-letter queue.
    pub fn is_dead(&self) -> bool {
        matches!(self.attempt, Attempt::Never { .. })
    }

    /// The cause, as it will travel.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The message that failed.
    pub fn incoming(&self) -> &IncomingMessage {
        &self.incoming
    }

    /// The message to publish: body, tag, key and properties as they were, and the cause.
    pub fn to_message(&self, group: &str, worker: &str) -> OutgoingMessage {
        let topic = self.incoming.topic.clone();
        let group = group.into();
        let (number, destination, delay) = match self.attempt {
            Attempt::Again { number, delay } => {
                (number, Destination::Retry { group, topic }, Some(delay))
            }
            Attempt::Never { number } => (number, Destination::Dead { group, topic }, None),
        };
        let mut properties = BTreeMap::clone(&self.incoming.properties);
        properties.insert(names::ATTEMPT.to_owned(), number.to_string());
        let causes = match properties.get(names::ERROR) {
            Some(earlier) => format!("{number}: {}\n{earlier}", self.cause),
            None => format!("{number}: {}", self.cause),
        };
        properties.insert(names::ERROR.to_owned(), printable(&causes));
        properties.insert(names::WORKER.to_owned(), worker.to_owned());
        OutgoingMessage {
            destination,
            tag: self.incoming.tag.clone(),
            key: self.incoming.key.clone(),
            body: self.incoming.body.clone(),
            properties,
            delay,
        }
    }
}

/// How many attempts have failed before this delivery.
fn attempts_of(incoming: &IncomingMessage) -> u32 {
    incoming.properties.get(names::ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Cut to [`CAUSE_MAX_BYTES`] at a character; RocketMQ separates properties by control characters.
fn printable(text: &str) -> String {
    let mut end = text.len().min(CAUSE_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(attempts: Option<&str>) -> IncomingMessage {
        let mut properties = std::collections::BTreeMap::new();
        if let Some(attempts) = attempts {
            properties.insert(names::ATTEMPT.to_owned(), attempts.to_owned());
            properties.insert(names::ERROR.to_owned(), "1: first".to_owned());
        }
        IncomingMessage {
            topic: "T".into(),
            tag: "A".into(),
            key: "k".into(),
            body: bytes::Bytes::from_static(b"{}"),
            properties: properties.into(),
            message_id: "m".into(),
            broker_attempts: 0,
            born_at: chrono::DateTime::UNIX_EPOCH,
            stored_at: chrono::DateTime::UNIX_EPOCH,
            position: crate::bus::Position::default(),
        }
    }

    const LADDER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

    #[test]
    fn first_failure_is_retried_after_the_first_delay() {
        let message =
            GiveBack::retry(incoming(None), "no".to_owned(), 3, &LADDER).to_message("g", "w/1");
        assert_eq!(
            message.destination,
            Destination::Retry { group: "g".into(), topic: "T".into() }
        );
        assert_eq!(message.delay, Some(LADDER[0]));
        assert_eq!(message.properties[names::ATTEMPT], "1");
        assert_eq!(message.properties[names::ERROR], "1: no");
    }

    #[test]
    fn last_failure_is_dead_and_keeps_every_cause() {
        let back = GiveBack::retry(incoming(Some("2")), "no\u{1}t".to_owned(), 3, &LADDER);
        assert!(back.is_dead());
        let message = back.to_message("g", "w/1");
        assert_eq!(message.destination, Destination::Dead { group: "g".into(), topic: "T".into() });
        assert_eq!(message.properties[names::ERROR], "3: no t\n1: first");
        assert_eq!(message.delay, None);
    }
}
