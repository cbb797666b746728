//! One order's record: its lines and how far each is.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use contracts::{OrderNo, TicketId, UserId};

use super::{GateError, HoldNo};

const SECONDS_PER_MINUTE: i64 = 60;

/// How far a line, or a whole order, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldState {
    Held,
    Sold,
    /// Given back, refused, or released before it was ever held.
    Released,
}

impl HoldState {
    /// Whether tickets stand behind it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Sold)
    }

    pub(super) const fn letter(self) -> &'static str {
        match self {
            Self::Held => "H",
            Self::Sold => "S",
            Self::Released => "R",
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'H' => Some(Self::Held),
            'S' => Some(Self::Sold),
            'R' => Some(Self::Released),
            _ => None,
        }
    }
}

/// One line of an order: a ticket type, how many of it, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldLine {
    pub ticket: TicketId,
    /// 0 in a tombstone.
    pub quantity: u32,
    pub state: HoldState,
}

/// What Redis knows about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub order_no: OrderNo,
    pub hold: HoldNo,
    pub user: Option<UserId>,
    /// Each ticket type once.
    pub lines: Vec<HoldLine>,
    /// When it last changed, by Redis' clock, to the minute.
    pub changed_at: DateTime<Utc>,
}

impl Record {
    /// The whole order's state: held while a line is, else sold if a line is, else released.
    pub fn state(&self) -> HoldState {
        let states = self.lines.iter().map(|line| line.state);
        states.min().unwrap_or(HoldState::Released)
    }

    /// How many tickets it holds or has bought.
    pub fn live_quantity(&self) -> u64 {
        let live = self.lines.iter().filter(|line| line.state.is_live());
        live.map(|line| u64::from(line.quantity)).sum()
    }

    /// The record as Redis keeps it; `lua/session.lua` describes it.
    pub(super) fn to_text(&self) -> String {
        let user = self.user.map(|user| user.to_string()).unwrap_or_default();
        let minute = self.changed_at.timestamp().div_euclid(SECONDS_PER_MINUTE).max(0);
        format!("{}|{user}|{minute}|{}", self.hold, lines_text(&self.lines))
    }

    pub(super) fn from_text(order_no: &str, text: &str) -> Result<Self, GateError> {
        let read = || {
            let mut fields = text.split('|');
            let hold = HoldNo::new(fields.next()?.parse().ok()?)?;
            let user = match fields.next()? {
                "" => None,
                user => Some(user.parse().ok()?),
            };
            let minute: i64 = fields.next()?.parse().ok()?;
            let changed_at = DateTime::from_timestamp(minute.checked_mul(SECONDS_PER_MINUTE)?, 0)?;
            let lines = fields.next()?.split(',').filter(|line| !line.is_empty());
            let lines = lines.map(line_from_text).collect::<Option<Vec<_>>>()?;
            let order_no = OrderNo::new(order_no).ok()?;
            let whole = fields.next().is_none();
            whole.then_some(Self { order_no, hold, user, lines, changed_at })
        };
        read().ok_or_else(|| GateError::Unreadable { what: "a record", found: text.to_owned() })
    }
}

/// Lines as a record has them, sorted by ticket type, so that the same lines are the same text.
pub(super) fn lines_text(lines: &[HoldLine]) -> String {
    let mut sorted: Vec<&HoldLine> = lines.iter().collect();
    sorted.sort_unstable_by_key(|line| line.ticket);
    let mut text = String::new();
    for HoldLine { ticket, quantity, state } in sorted {
        let comma = if text.is_empty() { "" } else { "," };
        let letter = state.letter();
        write!(text, "{comma}{ticket}x{quantity}{letter}").expect("a String takes everything");
    }
    text
}

fn line_from_text(text: &str) -> Option<HoldLine> {
    let (ticket, rest) = text.split_once('x')?;
    let state = rest.chars().next_back().and_then(HoldState::from_letter)?;
    let quantity = rest.get(..rest.len() - 1)?.parse().ok()?;
    Some(HoldLine { ticket: ticket.parse().ok()?, quantity, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_and_read_back() {
        let line = |ticket, quantity, state| HoldLine { ticket: TicketId(ticket), quantity, state };
        let record = Record {
            order_no: OrderNo::new("A1").expect("valid"),
            hold: HoldNo::FIRST,
            user: Some(UserId(42)),
            lines: vec![line(-7, 0, HoldState::Released), line(101, 2, HoldState::Held)],
            changed_at: DateTime::from_timestamp(29_500_000 * 60, 0).expect("in range"),
        };
        assert_eq!(record.to_text(), "1|42|29500000|-7x0R,101x2H");
        assert_eq!(Record::from_text("A1", &record.to_text()).expect("readable"), record);
        assert_eq!(record.state(), HoldState::Held);
        assert_eq!(record.live_quantity(), 2);
    }

    #[test]
    fn a_tombstone_without_lines_is_released() {
        let record = Record::from_text("A1", "1||29500000|").expect("readable");
        assert_eq!((record.user, record.lines.len()), (None, 0));
        assert_eq!(record.state(), HoldState::Released);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for text in ["", "1|2|3", "0|2|3|", "1|2|3|4", "1|2|3|4x5", "1|2|3|4x5Z", "1|2|3|4x5H|6"] {
            assert!(Record::from_text("A1", text).is_err(), "{text}");
        }
    }
}
