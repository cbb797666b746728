use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Outcome;

/// An order that is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewOrder<'a> {
    pub(super) session_id: i64,
    pub(super) user_id: i64,
    pub(super) items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_method: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) channels: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) ticket_id: i64,
    pub(super) quantity: u32,
}

#[derive(Serialize)]
pub(super) struct Pay<'a> {
    pub(super) method: &'a str,
}

/// The answer to a creation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    pub(super) order_no: String,
}

/// Why it was refused.
#[derive(Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
}

/// The order, as far as a buyer looks.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) reserved_at: Option<DateTime<Utc>>,
    pub(super) paid_at: Option<DateTime<Utc>>,
    pub(super) confirmed_at: Option<DateTime<Utc>>,
}

impl View {
    pub(super) fn is_pending(&self) -> bool {
        self.status == "PENDING"
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.status == "RESERVED"
    }

    /// How it ended; `None` while it has not.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match (self.status.as_str(), self.reason.as_deref()) {
            ("CONFIRMED", _) => Some(Outcome::Confirmed),
            ("REJECTED", Some("sold_out")) => Some(Outcome::SoldOut),
            ("REJECTED", _) => Some(Outcome::RejectedOther),
            ("CANCELLED", _) => Some(Outcome::Cancelled),
            ("EXPIRED", _) => Some(Outcome::Expired),
            ("REFUNDED", _) => Some(Outcome::Refunded),
            _ => None,
        }
    }

    /// For how long tickets are held.
    pub(super) fn hold(&self) -> std::time::Duration {
        between(self.created_at, self.expires_at)
    }
}

/// By one clock, the database's; nothing when they are the wrong way round.
pub(super) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> std::time::Duration {
    to.signed_duration_since(from).max(TimeDelta::zero()).to_std().unwrap_or_default()
}
