//! What the provider answers; the fields that we need.

use contracts::{Amount, Currency};
use serde::Deserialize;

use crate::domain::Captured;
use crate::payments::gateway::{Closed, GatewayError, Opened, Refunded};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) payment_id: String,
    provider_payment_id: String,
    status: PaymentStatus,
    captured_amount: Amount,
    /// Absent on a payment that was closed before it was opened.
    currency: Option<Currency>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum PaymentStatus {
    Created,
    Pending,
    Captured,
    Failed,
    Closed,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    status: RefundStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

/// Why a call was refused.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
}

impl Payment {
    pub(super) fn opened(self) -> Result<Opened, GatewayError> {
        match self.status {
            PaymentStatus::Created | PaymentStatus::Pending => {
                Ok(Opened::Waiting { provider_payment_id: self.provider_payment_id })
            }
            PaymentStatus::Captured => self.captured().map(Opened::Captured),
            PaymentStatus::Failed => {
                Ok(Opened::Failed { reason: "refused by the provider".to_owned() })
            }
            PaymentStatus::Closed => Ok(Opened::Closed),
        }
    }

    /// After a lost close it may still be open: then nobody knows whether the close will come.
    pub(super) fn closed(self) -> Result<Closed, GatewayError> {
        match self.status {
            PaymentStatus::Closed => Ok(Closed::Closed),
            PaymentStatus::Captured => self.captured().map(Closed::Captured),
            PaymentStatus::Created | PaymentStatus::Pending | PaymentStatus::Failed => {
                Err(GatewayError::Unknown(format!("the payment is still {:?}", self.status)))
            }
        }
    }

    fn captured(self) -> Result<Captured, GatewayError> {
        let unpriced = || GatewayError::Unknown("a capture without a currency".to_owned());
        Ok(Captured {
            payment_id: self.payment_id,
            provider_payment_id: self.provider_payment_id,
            amount: self.captured_amount,
            currency: self.currency.ok_or_else(unpriced)?,
        })
    }
}

impl Refund {
    pub(super) fn outcome(self) -> Refunded {
        match self.status {
            RefundStatus::Pending => Refunded::Pending,
            RefundStatus::Succeeded => Refunded::Succeeded,
            RefundStatus::Failed => {
                Refunded::Refused { reason: "the provider could not pay it back".to_owned() }
            }
        }
    }
}
