use std::collections::BTreeMap;

use contracts::properties as names;
use uuid::Uuid;

use super::Status;

/// What an attempt adds to a message; a replay starts without it.
const OF_ATTEMPTS: [&str; 6] = [
    names::ATTEMPT,
    names::ERROR,
    names::WORKER,
    names::WORKER_VERSION,
    names::ORIGIN_TOPIC,
    // It travels as the message's key.
    names::KEYS,
];

/// Why a dead letter can't be replayed, or not be discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the dead letter is {0}")]
    Status(Status),
    #[error(
        "the event is {age_hours} hours old and at most {max_hours} may be replayed: the \
         consumer's inbox might have forgotten it"
    )]
    TooOld { age_hours: i64, max_hours: i64 },
    #[error("nothing says to which topic the message was first published")]
    OriginUnknown,
}

/// The properties of a replayed message: as they were when it was first published, so that a
/// consumer that had the effect knows the event, and the replay's id.
pub fn replayed_properties(
    dead: &BTreeMap<String, String>,
    replay_id: Uuid,
) -> BTreeMap<String, String> {
    let mut properties = dead.clone();
    properties.retain(|name, _| !OF_ATTEMPTS.contains(&name.as_str()));
    properties.insert(names::REPLAY_ID.to_owned(), replay_id.to_string());
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_restarts_the_attempts_and_keeps_the_rest() {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let dead = BTreeMap::from([
            text(names::EVENT_ID, "e"),
            text(names::ATTEMPT, "8"),
            text(names::ERROR, "8: no"),
            text(names::WORKER, "w/1"),
            text(names::ORIGIN_TOPIC, "T"),
            text(names::REPLAY_ID, "an earlier one"),
            text("theirs", "x"),
        ]);
        let replay_id = Uuid::from_u128(9);
        let expected = BTreeMap::from([
            text(names::EVENT_ID, "e"),
            text(names::REPLAY_ID, &replay_id.to_string()),
            text("theirs", "x"),
        ]);
        assert_eq!(replayed_properties(&dead, replay_id), expected);
    }
}
