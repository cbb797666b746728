use std::fmt;
use std::str::FromStr;

use super::Refusal;

/// What has become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// For an operator to decide about.
    Waiting,
    /// A replay is on its way to the broker.
    Replaying,
    /// The broker has the replay; the consumer has not said how it ended.
    Replayed,
    /// The replay had its effect.
    ReplayedOk,
    /// It died again; for an operator to decide about.
    ReplayedFailed,
    /// An operator gave it up, with a reason.
    Discarded,
    /// A replay was refused: it is too old.
    Refused,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Replaying,
        Self::Replayed,
        Self::ReplayedOk,
        Self::ReplayedFailed,
        Self::Discarded,
        Self::Refused,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replaying => "replaying",
            Self::Replayed => "replayed",
            Self::ReplayedOk => "replayed-ok",
            Self::ReplayedFailed => "replayed-failed",
            Self::Discarded => "discarded",
            Self::Refused => "refused",
        }
    }

    /// The status after the message died (once more).
    ///
    /// A death outside a replay, of a message whose story had ended, is for an operator to see.
    #[must_use]
    pub fn after_death(self, death: Found) -> Self {
        match (self, death) {
            (
                Self::Waiting
                | Self::Replaying
                | Self::Replayed
                | Self::ReplayedOk
                | Self::ReplayedFailed,
                Found::InLatestReplay,
            ) => Self::ReplayedFailed,
            (Self::Discarded | Self::Refused, Found::InLatestReplay)
            | (
                Self::Waiting
                | Self::Replaying
                | Self::Replayed
                | Self::ReplayedFailed
                | Self::Refused,
                Found::OnItsOwn,
            )
            | (_, Found::InEarlierReplay) => self,
            (Self::ReplayedOk | Self::Discarded, Found::OnItsOwn) => Self::Waiting,
        }
    }

    /// Whether a replay may start.
    ///
    /// # Errors
    /// Why not.
    pub fn may_replay(
        self,
        origin_topic: Option<&str>,
        age_hours: i64,
        max_hours: i64,
    ) -> Result<(), Refusal> {
        match self {
            Self::Replaying | Self::ReplayedOk | Self::Discarded => Err(Refusal::Status(self)),
            Self::Waiting | Self::Replayed | Self::ReplayedFailed | Self::Refused => {
                if origin_topic.is_none() {
                    Err(Refusal::OriginUnknown)
                } else if age_hours >= max_hours {
                    Err(Refusal::TooOld { age_hours, max_hours })
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether it may be given up. A replay whose end is not known may not: it may be on its way.
    ///
    /// # Errors
    /// Why not.
    pub fn may_discard(self) -> Result<(), Refusal> {
        match self {
            Self::Waiting | Self::ReplayedFailed | Self::Refused => Ok(()),
            Self::Replaying | Self::Replayed | Self::ReplayedOk | Self::Discarded => {
                Err(Refusal::Status(self))
            }
        }
    }
}

/// In which delivery a message that is known already died again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    InLatestReplay,
    InEarlierReplay,
    /// Another copy of the message, or another attempt.
    OnItsOwn,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown status {0:?}")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Option<&str> = Some("T");

    #[test]
    fn each_name_is_read_as_its_status() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("WAITING".parse::<Status>().is_err());
    }

    #[test]
    fn a_death_in_the_latest_replay_is_a_failed_replay() {
        for status in [Status::Replaying, Status::Replayed, Status::ReplayedOk] {
            assert_eq!(status.after_death(Found::InLatestReplay), Status::ReplayedFailed);
            assert_eq!(status.after_death(Found::InEarlierReplay), status);
        }
    }

    #[test]
    fn a_death_outside_a_replay_reopens_what_had_ended_and_nothing_else() {
        for status in Status::ALL {
            let expected = match status {
                Status::ReplayedOk | Status::Discarded => Status::Waiting,
                other => other,
            };
            assert_eq!(status.after_death(Found::OnItsOwn), expected);
        }
    }

    #[test]
    fn no_death_makes_a_dead_letter_vanish_from_the_operators_sight() {
        for status in Status::ALL {
            for death in [Found::InLatestReplay, Found::InEarlierReplay, Found::OnItsOwn] {
                let after = status.after_death(death);
                assert!(after == status || after.may_discard().is_ok(), "{status} {death:?}");
            }
        }
    }

    #[test]
    fn only_what_is_in_nobodys_hands_may_be_replayed() {
        for status in Status::ALL {
            let expected = match status {
                Status::Replaying | Status::ReplayedOk | Status::Discarded => {
                    Err(Refusal::Status(status))
                }
                _ => Ok(()),
            };
            assert_eq!(status.may_replay(TOPIC, 1, 2), expected);
        }
    }

    #[test]
    fn what_the_inbox_might_have_forgotten_may_not_be_replayed() {
        let refused = Status::Waiting.may_replay(TOPIC, 168, 168);
        assert_eq!(refused, Err(Refusal::TooOld { age_hours: 168, max_hours: 168 }));
        assert_eq!(Status::Waiting.may_replay(TOPIC, 167, 168), Ok(()));
        assert_eq!(Status::Waiting.may_replay(None, 0, 168), Err(Refusal::OriginUnknown));
    }
}
