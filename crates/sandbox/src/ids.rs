//! Ids and currency codes, parsed once at the edge.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id that the provider accepts, in bytes.
const ID_MAX_BYTES: usize = 64;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub(crate) struct InvalidText {
    pub(crate) what: &'static str,
    pub(crate) rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(Arc<str>);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                let fits = (1..=ID_MAX_BYTES).contains(&text.len());
                if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidText { what: $what, rule: "1 to 64 visible ASCII characters" })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Who is paid, in the merchant's own words.
    MerchantId, "merchantId"
}
text_id! {
    /// The merchant's id of a payment, and its idempotency key.
    PaymentId, "paymentId"
}
text_id! {
    /// The merchant's id of a refund, and its idempotency key.
    RefundId, "refundId"
}
text_id! {
    /// The merchant's order that a payment is for.
    OrderNo, "orderNo"
}
text_id! {
    /// The provider's own id of a payment.
    ProviderPaymentId, "providerPaymentId"
}
text_id! {
    /// The id of one event; it stays the same through every attempt to deliver it.
    EventId, "eventId"
}

impl ProviderPaymentId {
    pub(crate) fn fresh() -> Self {
        Self(format!("sbx_{}", Uuid::now_v7().simple()).into())
    }
}

impl EventId {
    pub(crate) fn fresh() -> Self {
        Self(format!("evt_{}", Uuid::now_v7().simple()).into())
    }
}

/// An ISO 4217 code by its form: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Currency([u8; 3]);

impl Currency {
    /// The last code there can be, for a page that starts behind all currencies of an order.
    pub(crate) const LAST: Self = Self(*b"ZZZ");

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only capital ASCII letters are let in")
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(InvalidText { what: "currency", rule: "three capital letters" }),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
