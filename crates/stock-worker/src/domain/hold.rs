use std::collections::BTreeMap;

use contracts::{Amount, Currency, OrderNo, RejectReason, SessionId, TicketId, UserId};

/// An order's first hold; a higher number is a hold that was acquired again.
pub(super) const FIRST_HOLD: i32 = 1;

/// Everything that is held or was bought under one order number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hold {
    pub order_no: OrderNo,
    /// 0 when no session is known: a refusal, or a tombstone.
    pub session_id: SessionId,
    pub user_id: Option<UserId>,
    /// 1, or more after it was acquired again.
    pub hold: i32,
    /// Of the row: each decision that changes something adds one.
    pub version: i64,
    pub currency: Option<Currency>,
    /// Each ticket type once, at most; empty in a tombstone of the whole order.
    pub lines: Vec<Line>,
    /// Why it was refused; `None` when it was not.
    pub reason: Option<RejectReason>,
    /// Not stored: the epoch under which the gate granted what this batch adds.
    pub granted_epoch: Option<i64>,
    /// Not stored: what Redis has of it.
    pub redis: RedisView,
}

/// One ticket type of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    pub ticket_id: TicketId,
    /// 0 in a tombstone, and in a line that was refused.
    pub quantity: u32,
    pub state: LineState,
    /// The ticket type's price when it was held.
    pub unit_price: Option<Amount>,
}

/// How far a line, or a whole hold, is. In this order: a hold is as its least line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineState {
    Held,
    Sold,
    Released,
}

/// What Redis has of a hold once this batch has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedisView {
    /// It must be told.
    Unsure,
    /// It granted, or refused, exactly this.
    Agrees,
}

/// How a change moves the counters of one ticket type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    pub reserved: i64,
    pub sold: i64,
}

impl LineState {
    /// Whether tickets stand behind it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Sold)
    }

    /// Its name in the table and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Sold => "SOLD",
            Self::Released => "RELEASED",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Held, Self::Sold, Self::Released].into_iter().find(|state| state.as_str() == name)
    }
}

impl Line {
    /// What stands for a line that was never held: whoever asks for it later is refused.
    pub(super) fn tombstone(ticket_id: TicketId) -> Self {
        Self { ticket_id, quantity: 0, state: LineState::Released, unit_price: None }
    }

    /// Whether it was held once and given back.
    pub(super) fn was_given_back(&self) -> bool {
        self.state == LineState::Released && self.quantity > 0
    }
}

impl Hold {
    /// A hold without lines, as a tombstone is; not yet a row.
    pub(super) fn empty(order_no: OrderNo, session_id: SessionId, user_id: Option<UserId>) -> Self {
        Self {
            order_no,
            session_id,
            user_id,
            hold: FIRST_HOLD,
            version: 0,
            currency: None,
            lines: Vec::new(),
            reason: None,
            granted_epoch: None,
            redis: RedisView::Unsure,
        }
    }

    /// Held while a line is, else sold if a line is, else released.
    pub fn state(&self) -> LineState {
        self.lines.iter().map(|line| line.state).min().unwrap_or(LineState::Released)
    }

    /// The line of a ticket type.
    pub fn line(&self, ticket_id: TicketId) -> Option<&Line> {
        self.lines.iter().find(|line| line.ticket_id == ticket_id)
    }

    /// Tickets that are held or bought.
    pub fn live_quantity(&self) -> i64 {
        let live = self.lines.iter().filter(|line| line.state.is_live());
        live.map(|line| i64::from(line.quantity)).sum()
    }
}

/// How the counters of each ticket type move when `base` becomes `next`; those that don't are
/// not there.
pub fn shifts(base: Option<&Hold>, next: &Hold) -> BTreeMap<TicketId, Shift> {
    let mut shifts: BTreeMap<TicketId, Shift> = BTreeMap::new();
    let before = base.into_iter().flat_map(|hold| &hold.lines).map(|line| (line, -1));
    for (line, sign) in before.chain(next.lines.iter().map(|line| (line, 1))) {
        let shift = shifts.entry(line.ticket_id).or_default();
        let tickets = sign * i64::from(line.quantity);
        match line.state {
            LineState::Held => shift.reserved += tickets,
            LineState::Sold => shift.sold += tickets,
            LineState::Released => {}
        }
    }
    shifts.retain(|_, shift| *shift != Shift::default());
    shifts
}

impl Shift {
    /// How many tickets more (or fewer) are taken.
    pub fn taken(self) -> i64 {
        self.reserved + self.sold
    }
}
