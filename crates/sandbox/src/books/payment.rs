//! One payment: its terms, its status, and what it waits for.
//!
//! ```text
//! CREATED -> PENDING -> CAPTURED | FAILED | CLOSED      FAILED, CLOSED -> CAPTURED if the control says so
//! ```

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Account, Balance};
use crate::behaviour::Behaviour;
use crate::ids::{Currency, InvalidText, MerchantId, OrderNo, PaymentId, ProviderPaymentId};
use crate::money::{Amount, Sum};

/// What the merchant asked for; the same for as long as the payment exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terms {
    pub(crate) merchant_id: MerchantId,
    pub(crate) order_no: OrderNo,
    pub(crate) amount: Amount,
    pub(crate) currency: Currency,
    pub(crate) method: Method,
    pub(crate) callback_url: CallbackUrl,
}

/// How a payment goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Method {
    /// Captured after `capture_delay_ms`, or failed by `fail_ratio`.
    #[serde(rename = "sandbox")]
    Automatic,
    /// Captured before the answer to the open is sent.
    #[serde(rename = "sandbox-instant")]
    Instant,
    /// Waits for the buyer.
    #[serde(rename = "sandbox-manual")]
    Manual,
    /// Fails after `capture_delay_ms`.
    #[serde(rename = "sandbox-decline")]
    Decline,
    /// The open is answered after `slow_answer_ms` (CREATED until then), then as `sandbox`.
    #[serde(rename = "sandbox-slow")]
    Slow,
    /// Captured after `late_capture_ms`, closed or not if the control says so.
    #[serde(rename = "sandbox-late")]
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Created,
    Pending,
    Captured,
    Failed,
    Closed,
}

/// What a payment does by itself, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) what: Planned,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Planned {
    Begin,
    Capture,
    Fail,
}

/// An absolute `http` or `https` address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CallbackUrl(Arc<str>);

/// One payment. Without terms it is a tombstone: closed before it was ever opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    pub(crate) payment_id: PaymentId,
    pub(crate) provider_payment_id: ProviderPaymentId,
    pub(crate) terms: Option<Terms>,
    pub(crate) status: Status,
    pub(crate) plan: Option<Plan>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A payment as it is shown. A tombstone has no terms to show.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentView {
    payment_id: PaymentId,
    provider_payment_id: ProviderPaymentId,
    pub(crate) status: Status,
    #[serde(flatten)]
    terms: Option<Terms>,
    captured_amount: Sum,
    refunding_amount: Sum,
    refunded_amount: Sum,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Payment {
    pub(crate) fn opened(
        id: PaymentId,
        terms: Terms,
        rules: &Behaviour,
        now: DateTime<Utc>,
    ) -> Self {
        let (status, plan) = first(&id, terms.method, rules, now);
        Self {
            payment_id: id,
            provider_payment_id: ProviderPaymentId::fresh(),
            terms: Some(terms),
            status,
            plan,
            created_at: now,
            updated_at: now,
        }
    }

    pub(crate) fn tombstone(id: PaymentId, now: DateTime<Utc>) -> Self {
        Self {
            payment_id: id,
            provider_payment_id: ProviderPaymentId::fresh(),
            terms: None,
            status: Status::Closed,
            plan: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// What this payment adds to the captured money.
    pub(crate) fn balance(&self) -> Balance {
        let captured = match (&self.terms, self.status) {
            (Some(terms), Status::Captured) => terms.amount.as_sum(),
            _ => Sum::ZERO,
        };
        Balance { captured, ..Balance::default() }
    }
}

/// The first status of a payment, and what happens to it next.
fn first(
    id: &PaymentId,
    method: Method,
    rules: &Behaviour,
    now: DateTime<Utc>,
) -> (Status, Option<Plan>) {
    let after = |delay_ms, what| Some(Plan { what, at: later(now, delay_ms) });
    match method {
        Method::Automatic => (Status::Pending, Some(by_chance(id, rules, now))),
        Method::Instant => (Status::Captured, None),
        Method::Manual => (Status::Pending, None),
        Method::Decline => (Status::Pending, after(rules.capture_delay_ms, Planned::Fail)),
        Method::Slow => (Status::Created, after(rules.slow_answer_ms, Planned::Begin)),
        Method::Late => (Status::Pending, after(rules.late_capture_ms, Planned::Capture)),
    }
}

/// A capture after the usual delay, or a failure for those whom `fail_ratio` picks.
pub(super) fn by_chance(id: &PaymentId, rules: &Behaviour, now: DateTime<Utc>) -> Plan {
    let fails = rules.dice().happens(rules.fail_ratio, "fail", id.as_ref());
    let what = if fails { Planned::Fail } else { Planned::Capture };
    Plan { what, at: later(now, rules.capture_delay_ms) }
}

/// `now` and a delay that the behaviour's limits keep below a day.
pub(super) fn later(now: DateTime<Utc>, delay_ms: u64) -> DateTime<Utc> {
    now + TimeDelta::milliseconds(delay_ms.cast_signed())
}

impl Account {
    pub(crate) fn view(&self) -> PaymentView {
        let Payment { payment_id, provider_payment_id, terms, status, .. } = &self.payment;
        PaymentView {
            payment_id: payment_id.clone(),
            provider_payment_id: provider_payment_id.clone(),
            status: *status,
            terms: terms.clone(),
            captured_amount: self.balance.captured,
            refunding_amount: self.balance.refunding,
            refunded_amount: self.balance.refunded,
            created_at: self.payment.created_at,
            updated_at: self.payment.updated_at,
        }
    }
}

impl CallbackUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CallbackUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match reqwest::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidText { what: "callbackUrl", rule: "an absolute http or https URL" }),
        }
    }
}

impl TryFrom<String> for CallbackUrl {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse()
    }
}
