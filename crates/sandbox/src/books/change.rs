//! What a call, a timer or a delivery changes: one line of the journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Event, Payment, Refund, Refusal};
use crate::behaviour::Behaviour;
use crate::ids::EventId;

/// A decision on the books: what to change, or nothing when it is done already.
pub(crate) type Decision = Result<Option<Change>, Refusal>;

/// One change, whole: a row and the event it causes are written together or not at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    /// A payment as it is from now on.
    Payment { payment: Payment, event: Option<Arc<Event>> },
    /// A refund as it is from now on.
    Refund { refund: Refund, event: Option<Arc<Event>> },
    /// An event needs no more callbacks.
    #[serde(rename_all = "camelCase")]
    Ended { event_id: EventId, how: Ending },
    /// The behaviour from now on.
    Behaviour(Arc<Behaviour>),
}

/// How the delivery of an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ending {
    Delivered,
    GaveUp,
    Dropped,
}
