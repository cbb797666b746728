//! The metrics of this worker. No ids as labels.

use common::metric::{Metric, counter, gauge};

pub(crate) const ARCHIVED: &str = "boxoffice_dlq_archived_total";
pub(crate) const DIED_AGAIN: &str = "boxoffice_dlq_died_again_total";
pub(crate) const DUPLICATES: &str = "boxoffice_dlq_duplicates_total";
pub(crate) const REPLAYS: &str = "boxoffice_dlq_replays_total";
pub(crate) const REPLAYS_REFUSED: &str = "boxoffice_dlq_replays_refused_total";
pub(crate) const DISCARDED: &str = "boxoffice_dlq_discarded_total";
pub(crate) const WAITING: &str = "boxoffice_dlq_waiting";

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    counter(ARCHIVED, "Dead letters that were not known before, by consumer group: alert on it"),
    counter(DIED_AGAIN, "Deaths of known dead letters (a failed replay), by consumer group"),
    counter(DUPLICATES, "Deaths that were delivered or published twice, by consumer group"),
    counter(REPLAYS, "Replays that operators started, by consumer group"),
    counter(REPLAYS_REFUSED, "Replays that were refused"),
    counter(DISCARDED, "Dead letters that operators gave up"),
    gauge(WAITING, "Dead letters that wait for an operator, by consumer group"),
];
