//! Money: exact decimals, written as strings.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::ids::InvalidText;

/// The most decimal places of an amount.
const SCALE_MAX: u32 = 4;
/// The fewest decimal places that an amount is written with.
const SCALE_SHOWN_MIN: u32 = 2;
/// Amounts are below this, so that sums over all payments stay exact.
const AMOUNT_LIMIT: i64 = 1_000_000_000_000_000;

/// An amount that is asked for: more than zero, with at most four decimal places.
///
/// Two amounts are equal when they are worth the same: `"199.0"` is `"199.00"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Amount(Decimal);

impl Amount {
    pub(crate) fn as_sum(self) -> Sum {
        Sum(self.0)
    }

    /// Twice the amount: what a forged callback claims.
    pub(crate) fn doubled(self) -> Self {
        Self(self.0 + self.0)
    }
}

impl TryFrom<String> for Amount {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        const RULE: &str =
            "a decimal string above 0 and below 1000000000000000 with at most 4 decimal places";
        let invalid = InvalidText { what: "amount", rule: RULE };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match Decimal::from_str_exact(&text) {
            Ok(value)
                if plain
                    && value > Decimal::ZERO
                    && value < Decimal::from(AMOUNT_LIMIT)
                    && value.scale() <= SCALE_MAX =>
            {
                Ok(Self(value))
            }
            _ => Err(invalid),
        }
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.as_sum().to_string()
    }
}

/// What amounts add up to; zero when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub(crate) struct Sum(Decimal);

impl Sum {
    pub(crate) const ZERO: Self = Self(Decimal::ZERO);
}

impl std::ops::Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Sum {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        sum.to_string()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        if value.scale() < SCALE_SHOWN_MIN {
            value.rescale(SCALE_SHOWN_MIN);
        }
        write!(f, "{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_written_with_two_places_at_least() {
        for (text, shown) in [("199.00", "199.00"), ("5", "5.00"), ("0.1234", "0.1234")] {
            assert_eq!(String::from(Amount::try_from(text.to_owned()).unwrap()), shown);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let refused =
            ["", "0", "0.00", "-1", "+1", "1e3", "1_000", "0.12345", "1000000000000000", "NaN"];
        for text in refused {
            assert!(Amount::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
