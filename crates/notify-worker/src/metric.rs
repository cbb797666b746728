//! The metrics of this worker. No ids as labels.

use common::metric::{Metric, counter, histogram};

pub(crate) const SENT: &str = "boxoffice_notify_sent_total";
pub(crate) const FAILED: &str = "boxoffice_notify_failed_total";
pub(crate) const RETRIED: &str = "boxoffice_notify_retried_total";
pub(crate) const DELIVERY_SECONDS: &str = "boxoffice_notify_delivery_seconds";
pub(crate) const LEFT_TO_SWEEPER: &str = "boxoffice_notify_calls_left_to_sweeper_total";
pub(crate) const SWEPT: &str = "boxoffice_notify_calls_swept_total";

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    counter(SENT, "Notifications that their channel (label) has taken"),
    counter(FAILED, "Deliveries that can never succeed, by channel"),
    counter(RETRIED, "Deliveries that failed for the moment, by channel"),
    histogram(DELIVERY_SECONDS, "How long a channel (label) took for one delivery"),
    counter(LEFT_TO_SWEEPER, "Deliveries that a full queue left to the sweeper, by channel"),
    counter(SWEPT, "Deliveries that the sweeper claimed, by channel"),
];
