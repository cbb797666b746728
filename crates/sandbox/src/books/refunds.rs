//! What can be done to a refund. Never more goes back than was captured.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::event::EventKind;
use super::payment::later;
use super::refund::RefundStatus;
use super::{Books, Change, Decision, Event, Refund, RefundView, Refusal, Status};
use crate::ids::{Currency, PaymentId, RefundId};
use crate::money::Amount;

/// The body of `POST /v1/refunds`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundRequest {
    pub(crate) refund_id: RefundId,
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
}

impl Books {
    /// Accepts a refund, once: the same id with the same body finds the refund as it is now.
    pub(crate) fn request_refund(&self, request: &RefundRequest, now: DateTime<Utc>) -> Decision {
        if let Ok(known) = self.refund(&request.refund_id) {
            let same = known.payment_id == request.payment_id
                && known.amount == request.amount
                && known.terms.currency == request.currency;
            return if same { Ok(None) } else { Err(Refusal::KeyReused) };
        }
        let account = self.account(&request.payment_id)?;
        let (Some(terms), Status::Captured) = (&account.payment.terms, account.payment.status)
        else {
            return Err(Refusal::NotCaptured);
        };
        if terms.currency != request.currency {
            return Err(Refusal::OtherCurrency { expected: terms.currency });
        }
        let left = account.balance.refundable();
        if request.amount.as_sum() > left {
            return Err(Refusal::MoreThanCaptured { left });
        }
        let refund = Refund {
            refund_id: request.refund_id.clone(),
            payment_id: request.payment_id.clone(),
            provider_payment_id: account.payment.provider_payment_id.clone(),
            amount: request.amount,
            terms: terms.clone(),
            status: RefundStatus::Pending,
            due_at: later(now, self.behaviour().refund_delay_ms),
            created_at: now,
            updated_at: now,
        };
        Ok(Some(Change::Refund { refund, event: None }))
    }

    /// Ends a pending refund.
    pub(crate) fn settle_refund(&self, id: &RefundId, now: DateTime<Utc>) -> Option<Change> {
        let known = self.refunds.get(id).filter(|known| known.status == RefundStatus::Pending)?;
        let rules = self.behaviour();
        let fails = rules.dice().happens(rules.refund_fail_ratio, "refund", id.as_ref());
        let (status, kind) = if fails {
            (RefundStatus::Failed, EventKind::RefundFailed)
        } else {
            (RefundStatus::Succeeded, EventKind::RefundSucceeded)
        };
        let refund = Refund { status, updated_at: now, ..known.clone() };
        let event = Some(Event::of_refund(kind, &refund, now));
        Some(Change::Refund { refund, event })
    }

    /// A refund as it is shown.
    pub(crate) fn refund_view(&self, id: &RefundId) -> Result<RefundView, Refusal> {
        self.refund(id).map(Refund::view)
    }
}
