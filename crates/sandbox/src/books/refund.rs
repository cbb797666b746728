//! One refund of a captured payment: PENDING, then SUCCEEDED or FAILED.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Balance, Terms};
use crate::ids::{Currency, OrderNo, PaymentId, ProviderPaymentId, RefundId};
use crate::money::Amount;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refund {
    pub(crate) refund_id: RefundId,
    pub(crate) payment_id: PaymentId,
    pub(crate) provider_payment_id: ProviderPaymentId,
    pub(crate) amount: Amount,
    /// The terms of the payment, so that a refund's postings need no second look-up.
    pub(crate) terms: Terms,
    pub(crate) status: RefundStatus,
    /// When a pending refund ends.
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

/// A refund as it is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundView {
    refund_id: RefundId,
    payment_id: PaymentId,
    provider_payment_id: ProviderPaymentId,
    order_no: OrderNo,
    status: RefundStatus,
    amount: Amount,
    currency: Currency,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Refund {
    /// What this refund adds to the money that goes back; a failed one adds nothing.
    pub(crate) fn balance(&self) -> Balance {
        let amount = self.amount.as_sum();
        match self.status {
            RefundStatus::Pending => Balance { refunding: amount, ..Balance::default() },
            RefundStatus::Succeeded => Balance { refunded: amount, ..Balance::default() },
            RefundStatus::Failed => Balance::default(),
        }
    }

    pub(crate) fn view(&self) -> RefundView {
        RefundView {
            refund_id: self.refund_id.clone(),
            payment_id: self.payment_id.clone(),
            provider_payment_id: self.provider_payment_id.clone(),
            order_no: self.terms.order_no.clone(),
            status: self.status,
            amount: self.amount,
            currency: self.terms.currency,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}
