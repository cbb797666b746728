//! Money, exactly.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

use crate::read::{FromField, Written, mismatch, mismatch_of};
use crate::{Invalid, Quantity, ReadError};

/// The longest text that is looked at, in bytes.
const TEXT_MAX_BYTES: usize = 40;
/// The largest power of ten that a JSON number's exponent may name.
const EXPONENT_MAX: u32 = 18;

/// An amount of money that is not negative and fits `NUMERIC(19,4)`.
///
/// Written as a decimal string with at least two decimals ("199.00"), read from a string or a
/// number. It never passes through a float and is never rounded: what does not fit is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(Decimal);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::from_parts(0, 0, 0, false, Self::MIN_DECIMALS));
    /// The most digits after the point.
    pub const MAX_DECIMALS: u32 = 4;
    /// The fewest digits after the point that are written.
    pub const MIN_DECIMALS: u32 = 2;
    /// The first whole number that is too large, 10^15.
    const LIMIT: Decimal = Decimal::from_parts(0xA4C6_8000, 0x0003_8D7E, 0, false, 0);
    const EXPECTED: &'static str =
        "an amount from 0 with at most 15 digits before the point and 4 after it";

    /// Checks a decimal.
    pub fn new(value: Decimal) -> Result<Self, Invalid> {
        let mut value = value.normalize();
        let negative = value.is_sign_negative() && !value.is_zero();
        if negative || value.scale() > Self::MAX_DECIMALS || value >= Self::LIMIT {
            return Err(Invalid { expected: Self::EXPECTED });
        }
        if value.scale() < Self::MIN_DECIMALS {
            value.rescale(Self::MIN_DECIMALS);
        }
        Ok(Self(value))
    }

    /// The decimal, with the decimals that are written.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// The sum, unless it is too large.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?).ok()
    }

    /// This price for so many tickets, unless it is too large.
    pub fn checked_mul(self, quantity: Quantity) -> Option<Self> {
        Self::new(self.0.checked_mul(Decimal::from(quantity.get()))?).ok()
    }

    /// A JSON number or the text of one.
    fn parse(text: &str) -> Option<Decimal> {
        // Decimal's own parser takes `+1`, `1_000`, `.5` and `5.` too.
        if text.len() > TEXT_MAX_BYTES || !is_json_number(text) {
            return None;
        }
        let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
            return Decimal::from_str_exact(text).ok();
        };
        shift(Decimal::from_str_exact(digits).ok()?, exponent.parse().ok()?)
    }
}

fn is_json_number(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
        && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
}

/// value * 10^exponent, if that is exact.
fn shift(value: Decimal, exponent: i32) -> Option<Decimal> {
    let places = exponent.unsigned_abs();
    if places > EXPONENT_MAX {
        return None;
    }
    if exponent >= 0 {
        return value.checked_mul(Decimal::from(10_u64.pow(places)));
    }
    let value = value.normalize();
    Decimal::try_from_i128_with_scale(value.mantissa(), value.scale() + places).ok()
}

impl TryFrom<Decimal> for Amount {
    type Error = Invalid;

    fn try_from(value: Decimal) -> Result<Self, Invalid> {
        Self::new(value)
    }
}

impl From<Amount> for Decimal {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

impl FromStr for Amount {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text).ok_or(Invalid { expected: "a decimal" }).and_then(Self::new)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AmountVisitor)
    }
}

/// Takes text, whole numbers and `serde_json`'s numbers, which keep their digits; never a float.
struct AmountVisitor;

impl<'de> Visitor<'de> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal, as a string if the format knows only floats")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
        Amount::new(number.into()).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
        Amount::new(number.into()).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, number: A) -> Result<Amount, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(number))?;
        let digits = value.as_number().map(Number::as_str).unwrap_or_default();
        let wrong = |invalid: Invalid| mismatch_of(invalid.expected, &value).problem;
        digits.parse().map_err(|invalid| de::Error::custom(wrong(invalid)))
    }
}

impl FromField for Amount {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let digits = value.number().map(Into::into).or_else(|| value.text()).unwrap_or_default();
        digits.parse().map_err(|invalid: Invalid| mismatch(invalid.expected, value))
    }
}
