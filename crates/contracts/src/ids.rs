//! Ids: one type per kind of thing, so that none is taken for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::read::{FromField, Written, mismatch};
use crate::{Invalid, ReadError};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// The number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text.parse().map(Self).map_err(|_| Invalid { expected: "a 64-bit integer" })
            }
        }

        impl FromField for $name {
            fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
                i64::from_field(value).map(Self)
            }
        }
    };
}

number_id!(
    /// A buyer.
    UserId
);
number_id!(
    /// A show: what is played.
    ShowId
);
number_id!(
    /// A session: one evening of a show.
    SessionId
);
number_id!(
    /// A ticket type of one session.
    TicketId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters it may have.
            pub const MAX_CHARS: usize = $max;
            const EXPECTED: &'static str = $expected;

            /// Checks a text; cloning the result is cheap.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Invalid> {
                let text = text.as_ref();
                let fits = (1..=Self::MAX_CHARS).contains(&text.len());
                if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
                    Ok(Self(text.into()))
                } else {
                    Err(Invalid { expected: Self::EXPECTED })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl FromField for $name {
            fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
                let id = value.text().and_then(|text| Self::new(text).ok());
                id.ok_or_else(|| mismatch(Self::EXPECTED, value))
            }
        }
    };
}

text_id!(
    /// An order number. Ours have 26 characters, other services' may be shorter or longer.
    OrderNo,
    64,
    "an order number of 1 to 64 visible ASCII characters"
);
text_id!(
    /// A notification's id; the same one is delivered once.
    NotificationId,
    96,
    "an id of 1 to 96 visible ASCII characters"
);
