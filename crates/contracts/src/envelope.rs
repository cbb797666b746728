//! What travels beside every body, as RocketMQ user properties.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Body, ReadError, Subject, properties};

/// The version of the contracts that this build writes unless it is told otherwise.
///
/// A build that brings a newer version reads it first and writes it only after the rollout.
pub const WRITE_VERSION: u32 = 1;
/// The newest version of the contracts that this build reads.
pub const NEWEST_READ_VERSION: u32 = 1;
/// The environment variable by which a build with debug assertions reads as new a version as the
/// next release will: so a test can run both side by side.
pub const NEWEST_READ_VARIABLE: &str = "BOXOFFICE_NEWEST_READ_VERSION";

/// The largest time that fits a UUIDv7, in milliseconds since 1970.
const UUID_MAX_MS: u64 = (1 << 48) - 1;

/// The version of messages that come without an envelope.
const FOREIGN_VERSION: u32 = 1;
/// The producer of messages that come without an envelope.
const FOREIGN_PRODUCER: &str = "unknown";

/// Who said it, when, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The order number; empty for what is about no order.
    pub key: String,
    pub event_id: Uuid,
    pub schema_version: u32,
    /// The version of the order or stock record.
    pub aggregate_version: i64,
    pub occurred_at: DateTime<Utc>,
    /// name/version
    pub producer: String,
    pub causation_id: Option<Uuid>,
    pub traceparent: Option<String>,
}

impl Envelope {
    /// The envelope of a message that came without one: the same for each redelivery.
    pub fn derived(topic: &str, message: &impl Body, body: &[u8]) -> Self {
        let Subject { order_no, event_type, event_time } = message.subject();
        Self {
            key: order_no.to_owned(),
            event_id: derived_event_id(topic, order_no, event_type, body, event_time),
            schema_version: FOREIGN_VERSION,
            aggregate_version: 0,
            occurred_at: event_time.unwrap_or_default(),
            producer: FOREIGN_PRODUCER.to_owned(),
            causation_id: None,
            traceparent: None,
        }
    }

    /// Writes the envelope as user properties.
    pub fn to_properties(&self) -> BTreeMap<String, String> {
        let occurred_at = self.occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let present = [
            (properties::EVENT_ID, self.event_id.to_string()),
            (properties::SCHEMA_VERSION, self.schema_version.to_string()),
            (properties::AGGREGATE_VERSION, self.aggregate_version.to_string()),
            (properties::OCCURRED_AT, occurred_at),
            (properties::PRODUCER, self.producer.clone()),
        ];
        let optional = [
            (properties::KEYS, Some(self.key.clone()).filter(|key| !key.is_empty())),
            (properties::CAUSATION_ID, self.causation_id.map(|id| id.to_string())),
            (properties::TRACEPARENT, self.traceparent.clone()),
        ];
        let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let named = |(name, value): (&str, String)| (name.to_owned(), value);
        present.into_iter().chain(optional).map(named).collect()
    }

    /// Reads the envelope; a message without an event id has none (a Java service's).
    ///
    /// # Errors
    /// Names the property that is missing or malformed, or a version that this build can't read.
    pub fn read(properties: &BTreeMap<String, String>) -> Result<Option<Self>, ReadError> {
        Self::find(|name| properties.get(name).map(String::as_str))
    }

    /// As [`Envelope::read`], wherever the properties are: `get` finds one by its name.
    ///
    /// # Errors
    /// As [`Envelope::read`].
    pub fn find<'p>(get: impl Fn(&str) -> Option<&'p str>) -> Result<Option<Self>, ReadError> {
        let schema_version = read_version(&get)?;
        let Some(event_id) = parse(&get, properties::EVENT_ID, "a UUID")? else {
            return Ok(None);
        };
        let required = ReadError::required;
        let text = |name| get(name).map(str::to_owned);
        Ok(Some(Self {
            key: text(properties::KEYS).unwrap_or_default(),
            event_id,
            schema_version: schema_version.ok_or_else(|| required(properties::SCHEMA_VERSION))?,
            aggregate_version: parse(&get, properties::AGGREGATE_VERSION, "an integer")?
                .unwrap_or_default(),
            occurred_at: parse(&get, properties::OCCURRED_AT, "an RFC 3339 time")?
                .map(|time: DateTime<chrono::FixedOffset>| time.with_timezone(&Utc))
                .ok_or_else(|| required(properties::OCCURRED_AT))?,
            producer: text(properties::PRODUCER).unwrap_or_default(),
            causation_id: parse(&get, properties::CAUSATION_ID, "a UUID")?,
            traceparent: text(properties::TRACEPARENT),
        }))
    }
}

/// The newest version that this process reads: [`NEWEST_READ_VERSION`], but for tests.
pub fn newest_read_version() -> u32 {
    #[cfg(debug_assertions)]
    {
        static NEWEST: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
            let told = std::env::var(NEWEST_READ_VARIABLE).ok();
            told.and_then(|version| version.parse().ok()).unwrap_or(NEWEST_READ_VERSION)
        });
        *NEWEST
    }
    #[cfg(not(debug_assertions))]
    NEWEST_READ_VERSION
}

fn read_version<'p>(get: &impl Fn(&str) -> Option<&'p str>) -> Result<Option<u32>, ReadError> {
    let version = parse(get, properties::SCHEMA_VERSION, "a version number")?;
    let newest = newest_read_version();
    match version {
        Some(unknown) if !(1..=newest).contains(&unknown) => {
            let problem = format!("version {unknown} is unknown, this build reads 1 to {newest}");
            Err(ReadError::new(properties::SCHEMA_VERSION, problem))
        }
        known => Ok(known),
    }
}

fn parse<'p, T: FromStr>(
    get: &impl Fn(&str) -> Option<&'p str>,
    name: &'static str,
    expected: &str,
) -> Result<Option<T>, ReadError> {
    let Some(text) = get(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let found = crate::read::mismatch_of(expected, &text.into());
        found.under(name)
    })
}

/// The event id of a message that came without one: the same for each redelivery.
///
/// It is shaped like a UUIDv7: the milliseconds of `event_time` (0 without one), then bits of a
/// SHA-256 over everything that makes the message what it is.
pub fn derived_event_id(
    topic: &str,
    order_no: &str,
    event_type: &str,
    body: &[u8],
    event_time: Option<DateTime<Utc>>,
) -> Uuid {
    let mut hash = Sha256::new();
    for part in [topic.as_bytes(), order_no.as_bytes(), event_type.as_bytes(), body] {
        // The length keeps "ab" + "c" apart from "a" + "bc".
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut bits = [0; 10];
    bits.copy_from_slice(&hash[..10]);
    let millis = event_time.map_or(0, |time| time.timestamp_millis());
    let millis = u64::try_from(millis).unwrap_or(0).min(UUID_MAX_MS);
    uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid()
}
