//! The provider's books: payments, refunds, and the events that the merchant has not yet taken.
//!
//! A call is *decided* on the books as they are and answers with a [`Change`]; a change is *applied*
//! without asking again. So what the journal holds is exactly what was applied, and reading it back
//! needs no rule of business.

mod change;
mod event;
mod journal;
mod ledger;
mod payment;
mod payments;
mod refund;
mod refunds;
mod refusal;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

pub(crate) use self::change::{Change, Decision, Ending};
pub(crate) use self::event::{Event, Notice};
pub use self::journal::JournalError;
pub(crate) use self::ledger::{Answer, Ledger};
pub(crate) use self::payment::{CallbackUrl, Method, Payment, PaymentView, Status, Terms};
pub(crate) use self::refund::{Refund, RefundView};
pub(crate) use self::refunds::RefundRequest;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::report::{OrderMoney, Page, Totals};
use crate::behaviour::Behaviour;
use crate::ids::{Currency, EventId, OrderNo, PaymentId, RefundId};
use crate::money::Sum;

/// All that the provider knows.
#[derive(Debug, Default)]
pub(crate) struct Books {
    accounts: BTreeMap<PaymentId, Account>,
    refunds: HashMap<RefundId, Refund>,
    orders: BTreeMap<(OrderNo, Currency), Balance>,
    currencies: BTreeMap<Currency, Balance>,
    by_status: BTreeMap<Status, usize>,
    undelivered: HashMap<EventId, Arc<Event>>,
    behaviour: Arc<Behaviour>,
}

/// A payment and the money that moved on it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) payment: Payment,
    pub(crate) balance: Balance,
}

/// Money of a payment, an order or a currency. `refunding` is asked for but not yet decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    pub(crate) captured: Sum,
    pub(crate) refunding: Sum,
    pub(crate) refunded: Sum,
}

impl Balance {
    /// What can still be refunded.
    pub(crate) fn refundable(&self) -> Sum {
        self.captured - self.refunding - self.refunded
    }

    fn replace(&mut self, before: Self, after: Self) {
        self.captured = self.captured - before.captured + after.captured;
        self.refunding = self.refunding - before.refunding + after.refunding;
        self.refunded = self.refunded - before.refunded + after.refunded;
    }
}

impl Books {
    pub(crate) fn account(&self, id: &PaymentId) -> Result<&Account, Refusal> {
        self.accounts.get(id).ok_or(Refusal::UnknownPayment)
    }

    pub(crate) fn refund(&self, id: &RefundId) -> Result<&Refund, Refusal> {
        self.refunds.get(id).ok_or(Refusal::UnknownRefund)
    }

    pub(crate) fn behaviour(&self) -> &Arc<Behaviour> {
        &self.behaviour
    }

    pub(crate) fn payments_len(&self) -> usize {
        self.accounts.len()
    }

    /// Makes a decided change; it cannot fail.
    pub(crate) fn apply(&mut self, change: Change) {
        let event = match change {
            Change::Payment { payment, event } => {
                self.put_payment(payment);
                event
            }
            Change::Refund { refund, event } => {
                self.put_refund(refund);
                event
            }
            Change::Ended { event_id, .. } => {
                self.undelivered.remove(&event_id);
                None
            }
            Change::Behaviour(behaviour) => {
                self.behaviour = behaviour;
                None
            }
        };
        if let Some(event) = event {
            self.undelivered.insert(event.notice.event_id.clone(), event);
        }
    }

    fn put_payment(&mut self, payment: Payment) {
        let known = self.accounts.get(&payment.payment_id).map(|known| &known.payment);
        if let Some(count) = known.and_then(|known| self.by_status.get_mut(&known.status)) {
            *count -= 1;
        }
        let before = known.map(Payment::balance);
        *self.by_status.entry(payment.status).or_default() += 1;
        let after = payment.balance();
        let (id, terms) = (payment.payment_id.clone(), payment.terms.clone());
        self.accounts
            .entry(id.clone())
            .and_modify(|account| account.payment = payment.clone())
            .or_insert_with(|| Account { payment, balance: Balance::default() });
        if let Some(terms) = terms {
            self.post(&id, &terms, before.unwrap_or_default(), after);
        }
    }

    fn put_refund(&mut self, refund: Refund) {
        let (id, terms) = (refund.payment_id.clone(), refund.terms.clone());
        let after = refund.balance();
        let before = self.refunds.insert(refund.refund_id.clone(), refund);
        self.post(&id, &terms, before.map(|known| known.balance()).unwrap_or_default(), after);
    }

    fn post(&mut self, id: &PaymentId, terms: &Terms, before: Balance, after: Balance) {
        if let Some(account) = self.accounts.get_mut(id) {
            account.balance.replace(before, after);
        }
        let order = (terms.order_no.clone(), terms.currency);
        self.orders.entry(order).or_default().replace(before, after);
        self.currencies.entry(terms.currency).or_default().replace(before, after);
    }
}
