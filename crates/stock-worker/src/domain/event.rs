use contracts::{Currency, RejectReason, SessionId, StockStep, TicketId, UserId};

use super::hold::{Hold, Line};

/// A fact about stock, with everything that its message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub fact: Fact,
    pub session_id: SessionId,
    pub user_id: Option<UserId>,
    pub currency: Option<Currency>,
    pub hold: i32,
    /// The lines that it is about; may be empty in a refusal and in a release.
    pub lines: Vec<Line>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Deducted,
    Rejected { on: StockStep, reason: RejectReason },
    Confirmed,
    RolledBack,
}

/// Work beside the hold: recorded with it, done after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// An operator should look: a `repairs` row and an alert.
    Repair(Repair),
    /// Compare Redis with PostgreSQL.
    Compare { session_id: Option<SessionId>, tickets: Vec<TicketId> },
    /// Nothing can be decided until the session is loaded: nothing of this change is written.
    AwaitLoad { session_id: SessionId, why: &'static str },
}

/// What was asked for and is not done by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// A release met tickets that are sold.
    ReleaseMetSold,
    /// A release named another quantity than is held.
    ReleaseOfOtherQuantity,
}

impl Repair {
    /// Its name in the table and as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReleaseMetSold => "release_met_sold",
            Self::ReleaseOfOtherQuantity => "release_of_other_quantity",
        }
    }
}

impl Event {
    /// A fact about some lines of a hold.
    pub(super) fn about(hold: &Hold, fact: Fact, lines: Vec<Line>) -> Self {
        Self {
            fact,
            session_id: hold.session_id,
            user_id: hold.user_id,
            currency: hold.currency,
            hold: hold.hold,
            lines,
        }
    }
}
