//! How many tickets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::read::{FromField, Written, mismatch};
use crate::{Invalid, ReadError};

/// A number of tickets on one line, 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
pub struct Quantity(i32);

impl Quantity {
    /// The least quantity.
    pub const MIN: Self = Self(1);
    /// The largest quantity the contract allows; a sale's own limit is a business rule.
    pub const MAX: Self = Self(1_000);
    const EXPECTED: &'static str = "a quantity from 1 to 1000";

    /// Checks a number.
    pub const fn new(number: i32) -> Result<Self, Invalid> {
        if number >= Self::MIN.0 && number <= Self::MAX.0 {
            Ok(Self(number))
        } else {
            Err(Invalid { expected: Self::EXPECTED })
        }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Quantity {
    type Error = Invalid;

    fn try_from(number: i32) -> Result<Self, Invalid> {
        Self::new(number)
    }
}

impl From<Quantity> for i32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromField for Quantity {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let quantity = value.json().parse().ok().and_then(|number| Self::new(number).ok());
        quantity.ok_or_else(|| mismatch(Self::EXPECTED, value))
    }
}
