//! Events: what the merchant is called back about.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CallbackUrl, Payment, Refund, Terms};
use crate::ids::{Currency, EventId, MerchantId, OrderNo, PaymentId, ProviderPaymentId, RefundId};
use crate::money::Amount;

/// An event and where it is to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) callback_url: CallbackUrl,
    pub(crate) notice: Notice,
}

/// The body of a callback.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notice {
    pub(crate) event_id: EventId,
    #[serde(rename = "type")]
    pub(crate) kind: EventKind,
    pub(crate) merchant_id: MerchantId,
    pub(crate) payment_id: PaymentId,
    pub(crate) provider_payment_id: ProviderPaymentId,
    pub(crate) order_no: OrderNo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refund_id: Option<RefundId>,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) occurred_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventKind {
    #[serde(rename = "payment.captured")]
    PaymentCaptured,
    #[serde(rename = "payment.failed")]
    PaymentFailed,
    #[serde(rename = "payment.closed")]
    PaymentClosed,
    #[serde(rename = "refund.succeeded")]
    RefundSucceeded,
    #[serde(rename = "refund.failed")]
    RefundFailed,
}

impl Event {
    pub(crate) fn of_payment(
        kind: EventKind,
        payment: &Payment,
        terms: &Terms,
        now: DateTime<Utc>,
    ) -> Arc<Self> {
        Arc::new(Self {
            callback_url: terms.callback_url.clone(),
            notice: Notice {
                event_id: EventId::fresh(),
                kind,
                merchant_id: terms.merchant_id.clone(),
                payment_id: payment.payment_id.clone(),
                provider_payment_id: payment.provider_payment_id.clone(),
                order_no: terms.order_no.clone(),
                refund_id: None,
                amount: terms.amount,
                currency: terms.currency,
                occurred_at: now,
            },
        })
    }

    pub(crate) fn of_refund(kind: EventKind, refund: &Refund, now: DateTime<Utc>) -> Arc<Self> {
        let terms = &refund.terms;
        Arc::new(Self {
            callback_url: terms.callback_url.clone(),
            notice: Notice {
                event_id: EventId::fresh(),
                kind,
                merchant_id: terms.merchant_id.clone(),
                payment_id: refund.payment_id.clone(),
                provider_payment_id: refund.provider_payment_id.clone(),
                order_no: terms.order_no.clone(),
                refund_id: Some(refund.refund_id.clone()),
                amount: refund.amount,
                currency: terms.currency,
                occurred_at: now,
            },
        })
    }

    /// What the dice are asked about: the same from run to run, unlike the event's id.
    pub(crate) fn subject(&self) -> String {
        let Notice { kind, payment_id, refund_id, .. } = &self.notice;
        match refund_id {
            Some(refund_id) => format!("{kind:?}:{payment_id}:{refund_id}"),
            None => format!("{kind:?}:{payment_id}"),
        }
    }
}
