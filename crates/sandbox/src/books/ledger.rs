//! The books under their lock, with their journal and their timers.
//!
//! One lock serialises every decision, which is what makes close and capture exclude each other.
//! The journal is written inside it (one `write` into the page cache, some microseconds), so that
//! its lines are in the order of the decisions. Timers are started inside it, too: a caller that
//! hangs up after the change is written cannot lose them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::journal::Journal;
use super::refund::RefundStatus;
use super::{Books, Change, Decision, Ending, JournalError, Refusal};
use crate::behaviour::{Behaviour, InvalidBehaviour};
use crate::callbacks::Delivery;
use crate::clock;
use crate::ids::{EventId, PaymentId, RefundId};
use crate::timers::{Timer, Timers};

/// How soon a due change is tried again that could not be written.
const UNWRITTEN_RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    timers: Timers,
    payments_max: usize,
}

#[derive(Debug)]
struct State {
    books: Books,
    journal: Option<Journal>,
}

/// Whether a call changed the books or found its work done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Changed,
    Found,
}

impl Ledger {
    /// Reads the journal back and starts the timers of everything that is unfinished.
    pub(crate) fn recover(
        journal: Option<&Path>,
        timers: Timers,
        payments_max: usize,
    ) -> Result<Self, JournalError> {
        let mut books = Books::default();
        let journal = journal.map(|path| Journal::recover(path, &mut books)).transpose()?;
        let ledger = Self { state: Mutex::new(State { books, journal }), timers, payments_max };
        ledger.resume();
        Ok(ledger)
    }

    /// Reads from the books.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.lock().books)
    }

    /// The behaviour as it is now.
    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        self.read(|books| Arc::clone(books.behaviour()))
    }

    /// Decides, writes the change, applies it, and shows what `look` wants to see of the result.
    pub(crate) fn change<T>(
        &self,
        decide: impl FnOnce(&Books, DateTime<Utc>) -> Decision,
        look: impl FnOnce(&Books) -> Result<T, Refusal>,
    ) -> Result<(Answer, T), Refusal> {
        let mut state = self.lock();
        let now = clock::now();
        let change = decide(&state.books, now)?;
        let answer = if change.is_some() { Answer::Changed } else { Answer::Found };
        if let Some(change) = change {
            self.commit(&mut state, change, now)?;
        }
        look(&state.books).map(|seen| (answer, seen))
    }

    /// Changes the behaviour for the fields that the patch names.
    pub(crate) fn set_behaviour(
        &self,
        patch: &[u8],
    ) -> Result<Result<Arc<Behaviour>, Refusal>, InvalidBehaviour> {
        let mut state = self.lock();
        let behaviour = Arc::new(state.books.behaviour().patched(patch)?);
        let change = Change::Behaviour(Arc::clone(&behaviour));
        Ok(self.commit(&mut state, change, clock::now()).map(|()| behaviour))
    }

    /// Carries out what a payment has planned.
    pub(crate) fn settle_payment(&self, id: &PaymentId) {
        self.settle(Timer::Payment(id.clone()), |books, now| books.settle_payment(id, now));
    }

    /// Ends a refund that is due.
    pub(crate) fn settle_refund(&self, id: &RefundId) {
        self.settle(Timer::Refund(id.clone()), |books, now| books.settle_refund(id, now));
    }

    fn settle(&self, timer: Timer, decide: impl FnOnce(&Books, DateTime<Utc>) -> Option<Change>) {
        let mut state = self.lock();
        let now = clock::now();
        let change = decide(&state.books, now);
        if let Some(change) = change
            && self.commit(&mut state, change, now).is_err()
        {
            self.timers.after(UNWRITTEN_RETRY, timer);
        }
    }

    /// Notes that an event needs no more callbacks.
    pub(crate) fn end(&self, event_id: EventId, how: Ending) {
        let change = Change::Ended { event_id, how };
        // Unwritten it is only sent once more after a restart, as at-least-once allows.
        if self.commit(&mut self.lock(), change, clock::now()).is_err() {
            tracing::debug!("the end of a delivery was not written");
        }
    }

    fn commit(&self, state: &mut State, change: Change, now: DateTime<Utc>) -> Result<(), Refusal> {
        if let Change::Payment { payment, .. } = &change
            && state.books.payments_len() >= self.payments_max
            && state.books.account(&payment.payment_id).is_err()
        {
            return Err(Refusal::BooksFull);
        }
        if let Some(journal) = &mut state.journal {
            journal.append(&change).map_err(|error| {
                tracing::error!(error = %error, "the journal could not be written");
                Refusal::NotWritten
            })?;
        }
        self.start_timers(&change, state.books.behaviour(), now);
        state.books.apply(change);
        Ok(())
    }

    fn start_timers(&self, change: &Change, behaviour: &Behaviour, now: DateTime<Utc>) {
        let event = match change {
            Change::Payment { payment, event } => {
                if let Some(plan) = payment.plan {
                    self.timers.at(plan.at, now, Timer::Payment(payment.payment_id.clone()));
                }
                event
            }
            Change::Refund { refund, event } => {
                if refund.status == RefundStatus::Pending {
                    self.timers.at(refund.due_at, now, Timer::Refund(refund.refund_id.clone()));
                }
                event
            }
            Change::Ended { .. } | Change::Behaviour(_) => return,
        };
        if let Some(event) = event {
            Delivery::start(event, behaviour, &self.timers);
        }
    }

    fn resume(&self) {
        let state = self.lock();
        let (books, now) = (&state.books, clock::now());
        for account in books.accounts.values() {
            if let Some(plan) = account.payment.plan {
                self.timers.at(plan.at, now, Timer::Payment(account.payment.payment_id.clone()));
            }
        }
        for refund in books.refunds.values() {
            if refund.status == RefundStatus::Pending {
                self.timers.at(refund.due_at, now, Timer::Refund(refund.refund_id.clone()));
            }
        }
        for event in books.undelivered.values() {
            Delivery::start(event, books.behaviour(), &self.timers);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic while the books were changed leaves them unusable")
    }
}
