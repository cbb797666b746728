use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Request;

/// `None`: there is no row.
pub type State = Option<Notification>;

/// A notification as its row has it, without what is needed only to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub version: i64,
    pub status: Status,
    /// The delivery attempt that is under way, or was the last; a new request starts at 1.
    pub attempt: u32,
    pub valid_until: Option<DateTime<Utc>>,
    /// Why the last attempt failed. No address, no text.
    pub last_error: Option<String>,
    /// Only when a message of this batch has brought it: it is written to the row.
    pub request: Option<Arc<Request>>,
}

/// Where a notification stands: `none -> PENDING -> SENT | FAILED | SUPPRESSED | EXPIRED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// To be delivered: there is a call.
    Pending,
    /// The channel has taken it.
    Sent,
    /// It can't be delivered; its dead letter may be replayed.
    Failed,
    /// The person does not want it.
    Suppressed,
    /// Nobody wants to hear it any more.
    Expired,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Sent, Self::Failed, Self::Suppressed, Self::Expired];

    /// The word in the row.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Suppressed => "SUPPRESSED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| format!("unknown status {text:?}"))
    }
}

/// What can happen to a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks for it.
    Request(Arc<Request>),
    /// A delivery has ended.
    Answer(Answer),
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which attempt it was.
    pub attempt: u32,
    pub outcome: Outcome,
    /// What was to be delivered.
    pub request: Arc<Request>,
}

/// How a delivery ended. Reasons hold no address and no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel has taken it.
    Delivered,
    /// Failed for the moment.
    Later { reason: String },
    /// Can't ever be delivered.
    Never { reason: String },
    /// The worker's clock says that nobody wants it any more; the database's clock decides.
    Overdue,
}
