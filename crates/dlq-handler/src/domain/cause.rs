/// What is recorded of a dead letter that the broker itself gave up on.
const NOT_RECORDED: &str = "no cause was recorded: the broker gave it up";

/// Why a message died: every attempt's cause, newest first.
///
/// As they travel, each begins a line: `3: no such ticket type`, `2: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Causes(String);

impl Causes {
    /// Reads the property; without one the broker gave the message up after `deliveries`.
    pub fn read(property: Option<&str>, deliveries: u32) -> Self {
        match property.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Self(text.replace('\0', " ")),
            None => Self(format!("{NOT_RECORDED} (redelivered {deliveries} times)")),
        }
    }

    /// All of them.
    pub fn all(&self) -> &str {
        &self.0
    }

    /// The newest one, without its number.
    pub fn newest(&self) -> &str {
        let Some((number, rest)) = numbered(&self.0) else { return &self.0 };
        let earlier = rest
            .match_indices('\n')
            .find(|(at, _)| numbered(&rest[at + 1..]).is_some_and(|(earlier, _)| earlier < number));
        earlier.map_or(rest, |(at, _)| &rest[..at])
    }
}

/// The number at the beginning of a cause, and what follows.
fn numbered(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = text.split_once(": ")?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_cause_ends_where_an_earlier_attempt_begins() {
        let causes = Causes::read(Some("3: no\n  caused by: x\n2: earlier\n1: first"), 0);
        assert_eq!(causes.newest(), "no\n  caused by: x");
        assert_eq!(causes.all(), "3: no\n  caused by: x\n2: earlier\n1: first");
    }

    #[test]
    fn a_number_inside_a_cause_is_no_earlier_attempt() {
        assert_eq!(Causes::read(Some("1: limits\n8: too many"), 0).newest(), "limits\n8: too many");
    }

    #[test]
    fn a_text_that_another_service_wrote_is_the_cause() {
        assert_eq!(
            Causes::read(Some("NullPointerException: x"), 0).newest(),
            "NullPointerException: x"
        );
    }

    #[test]
    fn without_a_recorded_cause_the_broker_gave_it_up() {
        for property in [None, Some(""), Some("  ")] {
            let causes = Causes::read(property, 16);
            assert!(causes.newest().contains("16 times"), "{}", causes.newest());
        }
    }
}
