use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::{Channel, Extra, NotificationId, OrderNo, Personal, UserId};

/// Somebody asks that a person shall hear something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// However often it is asked for, it is delivered once.
    pub id: NotificationId,
    pub channel: Channel,
    /// 0 when the message names none.
    pub session_id: i64,
    pub order_no: Option<OrderNo>,
    pub user_id: Option<UserId>,
    /// A BCP 47 language tag.
    pub locale: Option<String>,
    /// After this moment nobody wants to hear it.
    pub valid_until: Option<DateTime<Utc>>,
    pub content: Content,
    pub original: Original,
}

/// What the person shall hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A template to fill in; the address is looked up.
    Template { name: String, params: Extra },
    /// Another service's finished text and address, delivered as they are.
    Finished { address: Personal, subject: Option<Personal>, text: Personal },
}

impl Request {
    /// The template's name, if it is one.
    pub fn template(&self) -> Option<&str> {
        match &self.content {
            Content::Template { name, .. } => Some(name),
            Content::Finished { .. } => None,
        }
    }
}

/// The message as it came, for its row and its dead letter. Never shown: it may be personal.
#[derive(Clone, PartialEq, Eq)]
pub struct Original(pub Bytes);

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}
