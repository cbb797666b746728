//! What every body can do: be read, be checked against its tag, be written.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::read::Fields;
use crate::{ReadError, Tag};

/// The largest body that is sent or read, in bytes: RocketMQ's default limit, 4 MiB.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Most bodies of ours fit.
const BODY_USUAL_BYTES: usize = 512;

/// A message's body: JSON with names in camelCase.
pub trait Body: Serialize + Sized {
    /// Takes the body's fields and keeps those it does not know.
    fn from_fields(fields: Fields<'_>) -> Result<Self, ReadError>;

    /// Checks what a message with this tag must have, beyond its shape.
    fn check(&self, tag: Tag) -> Result<(), ReadError>;

    /// What the message is about, for those that come without an envelope.
    fn subject(&self) -> Subject<'_>;

    /// Reads a body and checks it against its tag.
    ///
    /// # Errors
    /// Names the first field that breaks the contract; the message can never be read.
    fn read(tag: Tag, body: &[u8]) -> Result<Self, ReadError> {
        if body.len() > MAX_BODY_BYTES {
            let problem = format!("{} bytes, but at most {MAX_BODY_BYTES} are read", body.len());
            return Err(ReadError::new("body", problem));
        }
        let message = Self::from_fields(Fields::of(body)?)?;
        message.check(tag)?;
        Ok(message)
    }

    /// Writes the body as it is sent.
    ///
    /// # Errors
    /// Refuses what the broker would refuse.
    fn to_body(&self) -> Result<Vec<u8>, WriteError> {
        let mut body = Vec::with_capacity(BODY_USUAL_BYTES);
        serde_json::to_writer(&mut body, self).map_err(WriteError::Json)?;
        match body.len() {
            ..=MAX_BODY_BYTES => Ok(body),
            bytes => Err(WriteError::TooLarge { bytes }),
        }
    }
}

/// What a message says about itself in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The order number; empty for what is about no order.
    pub order_no: &'a str,
    /// The event type or the operation; empty where the tag alone says it.
    pub event_type: &'a str,
    pub event_time: Option<DateTime<Utc>>,
}

/// A body that can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Larger than the broker takes.
    #[error("the body has {bytes} bytes, but at most {MAX_BODY_BYTES} are sent")]
    TooLarge {
        /// The body's size.
        bytes: usize,
    },
    /// Not expressible in JSON.
    #[error("the body can't be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Lets plain serde read the body's shape (without the checks of a tag).
macro_rules! deserialize_from_fields {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let object = serde_json::Map::deserialize(from)?;
                let body = serde_json::to_vec(&object).map_err(serde::de::Error::custom)?;
                let fields = $crate::read::Fields::of(&body).map_err(serde::de::Error::custom)?;
                <Self as $crate::Body>::from_fields(fields).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use deserialize_from_fields;
