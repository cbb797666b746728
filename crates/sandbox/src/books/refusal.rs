//! Why the provider says no.

use super::{Account, PaymentView};
use crate::ids::Currency;
use crate::money::Sum;

/// A refusal. Nothing was written, and the same call gets the same answer while the books stay so;
/// only [`BooksFull`](Self::BooksFull) and [`NotWritten`](Self::NotWritten) may pass by themselves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the payment is not known")]
    UnknownPayment,
    #[error("the refund is not known")]
    UnknownRefund,
    #[error("the idempotency key was used with another body")]
    KeyReused,
    #[error("the payment's status does not allow it")]
    Conflict(Box<PaymentView>),
    #[error("the payment is not captured")]
    NotCaptured,
    #[error("the payment's currency is {expected}")]
    OtherCurrency { expected: Currency },
    #[error("{left} can still be refunded")]
    MoreThanCaptured { left: Sum },
    #[error("the books are full")]
    BooksFull,
    #[error("the journal could not be written")]
    NotWritten,
}

impl Refusal {
    pub(crate) fn conflict(account: &Account) -> Self {
        Self::Conflict(Box::new(account.view()))
    }
}
