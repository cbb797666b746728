//! What can be done to a payment: each a decision on the books as they are.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::EventKind;
use super::payment::{Planned, by_chance};
use super::{
    Account, Books, Change, Decision, Event, Method, Payment, PaymentView, Refusal, Status, Terms,
};
use crate::ids::PaymentId;

impl Books {
    /// Opens a payment, once: the same id with the same terms finds the payment as it is now.
    pub(crate) fn open(&self, id: PaymentId, terms: Terms, now: DateTime<Utc>) -> Decision {
        if let Ok(Account { payment, .. }) = self.account(&id) {
            return match &payment.terms {
                None => Err(Refusal::conflict(self.account(&id)?)),
                Some(known) if *known == terms => Ok(None),
                Some(_) => Err(Refusal::KeyReused),
            };
        }
        let payment = Payment::opened(id, terms.clone(), self.behaviour(), now);
        let event = (payment.status == Status::Captured)
            .then(|| Event::of_payment(EventKind::PaymentCaptured, &payment, &terms, now));
        Ok(Some(Change::Payment { payment, event }))
    }

    /// Closes a payment for good, or says that it is captured; an unknown id gets a tombstone.
    pub(crate) fn close(&self, id: &PaymentId, now: DateTime<Utc>) -> Decision {
        let Ok(account) = self.account(id) else {
            let payment = Payment::tombstone(id.clone(), now);
            return Ok(Some(Change::Payment { payment, event: None }));
        };
        match account.payment.status {
            Status::Captured => Err(Refusal::conflict(account)),
            Status::Closed => Ok(None),
            Status::Created | Status::Pending | Status::Failed => {
                let mut payment = moved(&account.payment, Status::Closed, now);
                payment.plan = account.payment.plan.filter(|_| is_late(&account.payment));
                Ok(Some(announced(payment, EventKind::PaymentClosed, now)))
            }
        }
    }

    /// The buyer pays; a closed or failed payment only if the control says so.
    pub(crate) fn pay(&self, id: &PaymentId, now: DateTime<Utc>) -> Decision {
        let account = self.account(id)?;
        match account.payment.status {
            Status::Captured => Ok(None),
            Status::Failed | Status::Closed if !self.behaviour().capture_after_close => {
                Err(Refusal::conflict(account))
            }
            // Nobody agreed on an amount for a tombstone.
            Status::Closed if account.payment.terms.is_none() => Err(Refusal::conflict(account)),
            Status::Created | Status::Pending | Status::Failed | Status::Closed => {
                let payment = moved(&account.payment, Status::Captured, now);
                Ok(Some(announced(payment, EventKind::PaymentCaptured, now)))
            }
        }
    }

    /// The buyer's payment fails.
    pub(crate) fn fail(&self, id: &PaymentId, now: DateTime<Utc>) -> Decision {
        let account = self.account(id)?;
        match account.payment.status {
            Status::Failed => Ok(None),
            Status::Captured => Err(Refusal::conflict(account)),
            Status::Closed => Err(Refusal::conflict(account)),
            Status::Created | Status::Pending => {
                let payment = moved(&account.payment, Status::Failed, now);
                Ok(Some(announced(payment, EventKind::PaymentFailed, now)))
            }
        }
    }

    /// The buyer walks away: the payment stays open until the merchant closes it.
    pub(crate) fn abandon(&self, id: &PaymentId, now: DateTime<Utc>) -> Decision {
        let account = self.account(id)?;
        match account.payment.status {
            Status::Captured => Err(Refusal::conflict(account)),
            Status::Closed | Status::Failed => Ok(None),
            Status::Created | Status::Pending => {
                let payment = moved(&account.payment, Status::Pending, now);
                Ok(Some(Change::Payment { payment, event: None }))
            }
        }
    }

    /// Carries out a payment's plan; a payment that has none (any more) is left alone.
    pub(crate) fn settle_payment(&self, id: &PaymentId, now: DateTime<Utc>) -> Option<Change> {
        let payment = &self.accounts.get(id)?.payment;
        let plan = payment.plan?;
        let may_capture_closed = self.behaviour().capture_after_close;
        let step = match (plan.what, payment.status) {
            (_, Status::Closed | Status::Failed) if !may_capture_closed => {
                let payment = moved(payment, payment.status, now);
                Change::Payment { payment, event: None }
            }
            (Planned::Begin, _) => {
                let mut payment = moved(payment, Status::Pending, now);
                payment.plan = Some(by_chance(id, self.behaviour(), now));
                Change::Payment { payment, event: None }
            }
            (Planned::Capture, _) => {
                announced(moved(payment, Status::Captured, now), EventKind::PaymentCaptured, now)
            }
            (Planned::Fail, _) => {
                announced(moved(payment, Status::Failed, now), EventKind::PaymentFailed, now)
            }
        };
        Some(step)
    }

    /// A payment as it is shown.
    pub(crate) fn payment_view(&self, id: &PaymentId) -> Result<PaymentView, Refusal> {
        self.account(id).map(Account::view)
    }
}

/// A late capture is what the method is for: a close does not call it off.
fn is_late(payment: &Payment) -> bool {
    payment.terms.as_ref().is_some_and(|terms| terms.method == Method::Late)
}

/// The payment in another status, with nothing planned.
fn moved(payment: &Payment, status: Status, now: DateTime<Utc>) -> Payment {
    Payment { status, plan: None, updated_at: now, ..payment.clone() }
}

/// The change together with its event; a tombstone has nobody to tell.
fn announced(payment: Payment, kind: EventKind, now: DateTime<Utc>) -> Change {
    let event: Option<Arc<Event>> =
        payment.terms.as_ref().map(|terms| Event::of_payment(kind, &payment, terms, now));
    Change::Payment { payment, event }
}
