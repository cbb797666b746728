//! An order's record in Redis, as its documentation says: `hold|user|minute|lines`, the lines as
//! `ticket x quantity state`, separated by commas; a state is H, S or R.

use std::collections::BTreeMap;

/// A record, or a reservation's row, as far as both must say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) hold: i32,
    pub(super) user: Option<i64>,
    /// Of each ticket type that is held or sold: how many, and which.
    pub(super) live: BTreeMap<i64, (i64, char)>,
}

impl Held {
    /// `None` when it is not a record.
    pub(super) fn of_record(text: &str) -> Option<Self> {
        let mut fields = text.split('|');
        let hold = fields.next()?.parse().ok()?;
        let user = match fields.next()? {
            "" => None,
            user => Some(user.parse().ok()?),
        };
        let _minute: i64 = fields.next()?.parse().ok()?;
        let mut live = BTreeMap::new();
        for line in fields.next()?.split(',').filter(|line| !line.is_empty()) {
            let (ticket, rest) = line.split_once('x')?;
            let state = rest.chars().next_back()?;
            let quantity = rest.strip_suffix(state)?.parse().ok()?;
            match state {
                'H' | 'S' => live.insert(ticket.parse().ok()?, (quantity, state)),
                'R' => continue,
                _ => return None,
            };
        }
        fields.next().is_none().then_some(Self { hold, user, live })
    }

    /// What both must say; the user only where both name one.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let users_agree = match (self.user, other.user) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, _) | (_, None) => true,
        };
        self.hold == other.hold && self.live == other.live && users_agree
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hold {}", self.hold)?;
        for (ticket, (quantity, state)) in &self.live {
            let state = if *state == 'S' { "sold" } else { "held" };
            write!(f, ", {quantity} of {ticket} {state}")?;
        }
        if self.live.is_empty() { f.write_str(", released") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_documented() {
        let held = Held::of_record("1|42|29500000|101x2H,102x1S,-7x3R").expect("a record");
        assert_eq!((held.hold, held.user), (1, Some(42)));
        assert_eq!(held.live, BTreeMap::from([(101, (2, 'H')), (102, (1, 'S'))]));
        let tombstone = Held::of_record("2||29500000|").expect("a record");
        assert_eq!((tombstone.user, tombstone.live.len()), (None, 0));
    }

    #[test]
    fn what_is_no_record_is_none() {
        for text in ["", "1|2|3", "x|2|3|", "1|2|3|4", "1|2|3|4x5", "1|2|3|4x5Z", "1|2|3|4x5H|6"] {
            assert_eq!(Held::of_record(text), None, "{text}");
        }
    }
}
