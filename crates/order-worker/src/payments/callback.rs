use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use common::config::Secret;
use common::pipeline::CallError;
use contracts::{Amount, Currency, OrderNo};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::config::PaymentConfig;
use super::ledger::Ledger;
use super::signature::{self, Rejected};
use crate::domain::{Captured, Message, ProviderEvent, RefundOutcome, Reply};
use crate::store::ParkedEvent;

/// The provider whose callbacks are understood.
pub const PROVIDER: &str = "sandbox";
/// How much of an event's own id is kept, in characters.
const EVENT_ID_MAX_CHARS: usize = 128;

/// Checks and reads a provider's callbacks.
#[derive(Debug, Clone)]
pub struct Callbacks {
    secrets: Vec<Secret>,
    merchant_id: String,
    tolerance_s: u64,
}

/// Why a signed event can't take effect (now).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("unreadable: {0}")]
    Unreadable(String),
    #[error("another merchant's")]
    OtherMerchant,
    #[error("unknown order")]
    UnknownOrder,
    #[error("unknown payment")]
    UnknownPayment,
    #[error("failed: {0}")]
    Failed(String),
}

/// What became of a signed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Its effect and its receipt are written.
    Applied,
    /// It can't take effect (yet).
    Not(Unfit),
}

/// An event with the order that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) order_no: OrderNo,
    pub(super) event: ProviderEvent,
}

/// The body of a callback; the fields that we need.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    merchant_id: String,
    payment_id: String,
    provider_payment_id: String,
    order_no: OrderNo,
    refund_id: Option<String>,
    amount: Amount,
    currency: Currency,
}

impl Callbacks {
    pub fn new(config: &PaymentConfig) -> Self {
        Self {
            secrets: config.sandbox.callback_secrets.clone(),
            merchant_id: config.sandbox.merchant_id.clone(),
            tolerance_s: config.sandbox.callback_tolerance_s,
        }
    }

    /// Checks the signature of a raw body. This comes before anything else.
    ///
    /// # Errors
    /// [`Rejected`]; then nothing of the body is believed, stored or answered.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), Rejected> {
        let header = headers.get(signature::HEADER).ok_or(Rejected::Missing)?;
        let header = header.to_str().map_err(|_| Rejected::Malformed)?;
        signature::verify(&self.secrets, header, body, now.timestamp(), self.tolerance_s)
    }

    /// Lets a signed event take effect: event row and effect in one transaction.
    ///
    /// # Errors
    /// A dependency is away, or the queue is full or closing: the event must come again.
    pub async fn apply(&self, ledger: &dyn Ledger, body: &[u8]) -> Result<Taken, CallError> {
        let Read { order_no, event } = match self.read(body) {
            Ok(read) => read,
            Err(unfit) => return Ok(Taken::Not(unfit)),
        };
        match ledger.decide(order_no, Message::Callback(event)).await {
            Ok(Reply::UnknownOrder) => Ok(Taken::Not(Unfit::UnknownOrder)),
            Ok(Reply::UnknownPayment) => Ok(Taken::Not(Unfit::UnknownPayment)),
            Ok(_) => Ok(Taken::Applied),
            Err(CallError::Failed(reason)) => Ok(Taken::Not(Unfit::Failed(reason))),
            Err(error) => Err(error),
        }
    }

    /// The event as it is stored while it can't take effect.
    pub fn park(&self, body: &[u8], unfit: &Unfit, now: DateTime<Utc>) -> ParkedEvent {
        let text = |name| field(body, name).filter(|text| !text.contains('\0'));
        let fits = |id: &String| (1..=EVENT_ID_MAX_CHARS).contains(&id.chars().count());
        ParkedEvent {
            provider: PROVIDER.to_owned(),
            // Without an id of its own, the body's hash: the same event is stored once.
            event_id: text("eventId")
                .filter(fits)
                .unwrap_or_else(|| format!("sha256:{}", hex::encode(Sha256::digest(body)))),
            order_no: text("orderNo")
                .and_then(|text| OrderNo::new(text).ok())
                .map(|order_no| order_no.to_string())
                .unwrap_or_default(),
            body: body.to_vec(),
            reason: unfit.to_string(),
            received_at: now,
        }
    }

    pub(super) fn read(&self, body: &[u8]) -> Result<Read, Unfit> {
        let notice: Notice =
            serde_json::from_slice(body).map_err(|error| Unfit::Unreadable(error.to_string()))?;
        let id_fits = (1..=EVENT_ID_MAX_CHARS).contains(&notice.event_id.chars().count());
        if !id_fits || notice.event_id.contains('\0') {
            return Err(Unfit::Unreadable("eventId: not an id".to_owned()));
        }
        if notice.merchant_id != self.merchant_id {
            return Err(Unfit::OtherMerchant);
        }
        let (order_no, event_id) = (notice.order_no.clone(), notice.event_id.clone());
        let event = ProviderEvent {
            provider: PROVIDER.to_owned(),
            event_id,
            effect: Box::new(notice.effect()?),
            body: body.to_vec(),
        };
        Ok(Read { order_no, event })
    }
}

impl Notice {
    fn effect(self) -> Result<Message, Unfit> {
        let refund_id = self.refund_id.clone();
        let refund = |outcome| {
            let absent = || Unfit::Unreadable("refundId: required, but absent".to_owned());
            Ok(Message::RefundEnded { refund_id: refund_id.ok_or_else(absent)?, outcome })
        };
        match self.kind.as_str() {
            "payment.captured" => Ok(Message::PaymentCaptured(Captured {
                payment_id: self.payment_id,
                provider_payment_id: self.provider_payment_id,
                amount: self.amount,
                currency: self.currency,
            })),
            "payment.failed" => Ok(Message::PaymentFailed {
                payment_id: self.payment_id,
                reason: "refused by the provider".to_owned(),
            }),
            "payment.closed" => Ok(Message::PaymentClosed { payment_id: self.payment_id }),
            "refund.succeeded" => refund(RefundOutcome::Succeeded),
            "refund.failed" => {
                refund(RefundOutcome::Refused("the provider could not pay it back".to_owned()))
            }
            other => Err(Unfit::Unreadable(format!("type: {other:?} is not known"))),
        }
    }
}

/// A text field of a body that may be anything.
fn field(body: &[u8], name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
