//! A time as Java's `LocalDateTime` writes and reads it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::read::{FromField, Written, mismatch};
use crate::{Invalid, ReadError};

/// The length of `2026-11-21T07:12`, in bytes.
const UP_TO_MINUTES_BYTES: usize = 16;
/// The most decimals of a second that Java reads.
const DECIMALS_MAX: usize = 9;
/// The longest text with nine decimals and an offset, in bytes.
const TEXT_MAX_BYTES: usize = 35;

/// A time in UTC, written without an offset ("2026-11-21T07:12:19.553003312").
///
/// Read with or without an offset; one without is UTC. A space in place of the `T` is refused,
/// because Java refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LocalTime(DateTime<Utc>);

impl LocalTime {
    const EXPECTED: &'static str = "a local date-time like 2026-11-21T07:00:00";

    /// Checks a time: years 1 to 9999, no leap second, because Java has no other way to write them.
    pub fn new(time: DateTime<Utc>) -> Result<Self, Invalid> {
        if (1..=9999).contains(&time.year()) && time.nanosecond() < 1_000_000_000 {
            Ok(Self(time))
        } else {
            Err(Invalid { expected: Self::EXPECTED })
        }
    }

    /// The instant.
    pub const fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl FromStr for LocalTime {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or(Invalid { expected: Self::EXPECTED }).and_then(Self::new)
    }
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    let shape = b"0000-00-00T00:00";
    let bytes = text.as_bytes();
    let fits = |(found, expected): (&u8, &u8)| match expected {
        b'0' => found.is_ascii_digit(),
        _ => found == expected,
    };
    let length_fits = (UP_TO_MINUTES_BYTES..=TEXT_MAX_BYTES).contains(&bytes.len());
    if !length_fits || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let after_minutes = &bytes[UP_TO_MINUTES_BYTES..];
    let after_point = after_minutes.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    if after_point.iter().take_while(|byte| byte.is_ascii_digit()).count() > DECIMALS_MAX {
        return None;
    }
    if after_minutes.is_empty() {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok()?;
        return Some(time.and_utc());
    }
    if after_minutes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.')) {
        return Some(text.parse::<NaiveDateTime>().ok()?.and_utc());
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ISO 8601, with as many groups of three decimals as it takes.
        fmt::Debug::fmt(&self.0.naive_utc(), f)
    }
}

impl TryFrom<String> for LocalTime {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<LocalTime> for String {
    fn from(time: LocalTime) -> Self {
        time.to_string()
    }
}

impl TryFrom<DateTime<Utc>> for LocalTime {
    type Error = Invalid;

    fn try_from(time: DateTime<Utc>) -> Result<Self, Invalid> {
        Self::new(time)
    }
}

impl FromField for LocalTime {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let time = value.text().and_then(|text| text.parse().ok());
        time.ok_or_else(|| mismatch(Self::EXPECTED, value))
    }
}
