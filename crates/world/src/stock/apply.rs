//! What the transaction says to each change: the rules of `store/apply.rs` and `store/counters.rs`.

use std::collections::BTreeMap;

use contracts::{RejectReason, TicketId};
use stock_worker::domain::{Hold, Shift, shifts};

use super::Folded;
use crate::defence::Defence;
use crate::setup::{Setup, ticket_index, user_index};
use crate::state::World;

/// What becomes of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Applied,
    Missed,
    Refused(RejectReason),
    StaleEpoch,
}

/// The counters, locked.
struct Counters {
    free: Vec<i64>,
    users: Vec<i64>,
    epoch: i64,
}

impl World {
    /// Compare-and-set first; then what gives back, since it makes room; then what takes.
    pub(super) fn verdicts(&self, folds: &[Folded<'_>], setup: &Setup) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> =
            folds.iter().map(|folded| self.hit(folded, setup)).collect();
        let totals = setup.totals.iter().zip(&self.stock.counters);
        let mut counters = Counters {
            free: totals.map(|(total, (reserved, sold))| total - reserved - sold).collect(),
            users: self.stock.users.clone(),
            epoch: self.stock.epoch,
        };
        for grows in [false, true] {
            for (folded, verdict) in folds.iter().zip(&mut verdicts) {
                let shifts = shifts_of(folded);
                let takes = shifts.values().any(|shift| shift.taken() > 0);
                if *verdict == Verdict::Applied && takes == grows {
                    *verdict = counters.weigh(folded, &shifts, setup);
                }
            }
        }
        verdicts
    }

    /// Rows that are not written are compared, too.
    fn hit(&self, folded: &Folded<'_>, setup: &Setup) -> Verdict {
        if folded.waits {
            return Verdict::StaleEpoch;
        }
        let says = folded.next.is_some() || !folded.events.is_empty() || !folded.entries.is_empty();
        let current = self.stock.holds[usize::from(folded.key.order)].as_ref();
        let is_as_loaded =
            current.map(|hold| hold.version) == folded.key.base.as_ref().map(|hold| hold.version);
        if is_as_loaded || !says || !setup.defences.has(Defence::HoldCas) {
            Verdict::Applied
        } else {
            Verdict::Missed
        }
    }
}

fn shifts_of(folded: &Folded<'_>) -> BTreeMap<TicketId, Shift> {
    let next = folded.next.as_ref();
    next.map(|next| shifts(folded.key.base.as_deref(), next)).unwrap_or_default()
}

impl Counters {
    /// All lines or none.
    fn weigh(
        &mut self,
        folded: &Folded<'_>,
        shifts: &BTreeMap<TicketId, Shift>,
        setup: &Setup,
    ) -> Verdict {
        let Some(next) = &folded.next else { return Verdict::Applied };
        let checks = setup.defences.has(Defence::DatabaseGate);
        for (ticket, shift) in shifts.iter().filter(|(_, shift)| shift.taken() > 0) {
            let stale = next.granted_epoch.is_some_and(|epoch| epoch != self.epoch);
            if stale && setup.defences.has(Defence::Epoch) {
                return Verdict::StaleEpoch;
            }
            if checks && self.free[ticket_index(*ticket)] < shift.taken() {
                return Verdict::Refused(RejectReason::SoldOut);
            }
        }
        if let Some(user) = next.user_id {
            let base = folded.key.base.as_deref();
            let tickets = next.live_quantity() - base.map_or(0, Hold::live_quantity);
            let held = &mut self.users[user_index(user)];
            let limit = setup.user_limit.map(i64::from);
            if checks && tickets > 0 && limit.is_some_and(|limit| *held + tickets > limit) {
                return Verdict::Refused(RejectReason::UserLimit);
            }
            *held += tickets;
        }
        for (ticket, shift) in shifts {
            self.free[ticket_index(*ticket)] -= shift.taken();
        }
        Verdict::Applied
    }
}
