//! A batch as it is written: owned, so that the transaction can outlive its caller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::inbox::Entry;
use common::outbox::Row;
use contracts::{RejectReason, SessionId, TicketId, UserId};

use super::reservation::lines_text;
use crate::domain::{Hold, Repair, Shift, shifts};

/// Everything that one transaction is to write.
#[derive(Debug)]
pub struct Plan {
    pub group: String,
    pub changes: Vec<Planned>,
    pub(super) lease: Duration,
}

/// One key's change.
#[derive(Debug)]
pub struct Planned {
    /// The order; `None` for a command about no order, which has no state.
    pub(super) order_no: Option<String>,
    /// 0 when there was no row.
    pub(super) base_version: i64,
    pub(super) next: Option<NextRow>,
    pub(super) entries: Vec<Entry>,
    pub(super) rows: Vec<Arc<Row>>,
    pub(super) repairs: Vec<RepairRow>,
    pub(super) shifts: BTreeMap<TicketId, Shift>,
    pub(super) user: Option<UserShift>,
    /// The epoch under which the gate granted what grows here.
    pub(super) epoch: Option<i64>,
}

/// The columns of a reservation that is inserted or updated.
#[derive(Debug)]
pub(super) struct NextRow {
    pub(super) session_id: i64,
    pub(super) user_id: Option<i64>,
    pub(super) status: &'static str,
    pub(super) hold: i32,
    pub(super) version: i64,
    pub(super) currency: Option<String>,
    pub(super) lines: String,
    pub(super) reason: Option<&'static str>,
}

/// A row of `stock.repairs`.
#[derive(Debug)]
pub(super) struct RepairRow {
    pub kind: &'static str,
    pub subject: String,
    pub session_id: Option<SessionId>,
    pub detail: String,
}

/// How a user's count moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct UserShift {
    pub(super) session_id: SessionId,
    pub(super) user_id: UserId,
    pub(super) tickets: i64,
}

/// What became of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    /// The row was not as it was loaded.
    Missed,
    Refused(RejectReason),
    /// The session's epoch has moved on since the gate granted it.
    StaleEpoch,
}

impl Planned {
    /// The change from `base` to `next` (`None`: the row stays as it is).
    pub fn new(
        order_no: Option<String>,
        base: Option<&Hold>,
        next: Option<&Hold>,
        entries: Vec<Entry>,
        rows: Vec<Arc<Row>>,
    ) -> Self {
        let shifts = next.map(|next| shifts(base, next)).unwrap_or_default();
        let user = next.and_then(|next| {
            let tickets = next.live_quantity() - base.map_or(0, Hold::live_quantity);
            let user_id = next.user_id.filter(|_| tickets != 0)?;
            Some(UserShift { session_id: next.session_id, user_id, tickets })
        });
        Self {
            order_no,
            base_version: base.map_or(0, |hold| hold.version),
            next: next.map(NextRow::new),
            entries,
            rows,
            repairs: Vec::new(),
            shifts,
            user,
            epoch: next.and_then(|next| next.granted_epoch),
        }
    }

    /// An operator should look at this order.
    pub fn repair(&mut self, repair: Repair, session_id: Option<SessionId>) {
        let detail = match repair {
            Repair::ReleaseMetSold => "a release found tickets that are sold; nothing was changed",
            Repair::ReleaseOfOtherQuantity => {
                "a release named another quantity than is held; nothing was changed"
            }
        };
        self.note(repair.as_str(), session_id, detail.to_owned());
    }

    /// A row for operators.
    pub fn note(&mut self, kind: &'static str, session_id: Option<SessionId>, detail: String) {
        let subject = self.order_no.clone().unwrap_or_default();
        self.repairs.push(RepairRow { kind, subject, session_id, detail });
    }

    /// Whether it takes tickets that were free.
    pub(super) fn grows(&self) -> bool {
        self.shifts.values().any(|shift| shift.taken() > 0)
    }
}

impl NextRow {
    fn new(hold: &Hold) -> Self {
        Self {
            session_id: hold.session_id.get(),
            user_id: hold.user_id.map(UserId::get),
            status: hold.state().as_str(),
            hold: hold.hold,
            version: hold.version,
            currency: hold.currency.map(|currency| currency.to_string()),
            lines: lines_text(&hold.lines),
            reason: hold.reason.map(RejectReason::as_str),
        }
    }
}
