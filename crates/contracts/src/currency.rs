//! Which money.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::read::{FromField, Written, mismatch};
use crate::{Invalid, ReadError};

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    const EXPECTED: &'static str = "a currency code of three capital letters";

    /// Checks a code's shape; whether a sale uses it is the sale's business.
    pub fn new(code: &str) -> Result<Self, Invalid> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(Invalid { expected: Self::EXPECTED }),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters are UTF-8")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        Self::new(code)
    }
}

impl TryFrom<String> for Currency {
    type Error = Invalid;

    fn try_from(code: String) -> Result<Self, Invalid> {
        Self::new(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl FromField for Currency {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let currency = value.text().and_then(|code| Self::new(&code).ok());
        currency.ok_or_else(|| mismatch(Self::EXPECTED, value))
    }
}
