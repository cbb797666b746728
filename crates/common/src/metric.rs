//! The metrics of the runtime, each with its description. No ids as labels.

/// A metric's kind decides how it is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric's name, kind and description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub description: &'static str,
}

pub const DEPENDENCY_UP: &str = "boxoffice_dependency_up";
pub const WORKER_READY: &str = "boxoffice_worker_ready";
pub const HTTP_REQUEST_SECONDS: &str = "boxoffice_http_request_seconds";
pub const TASK_PANICS: &str = "boxoffice_task_panics_total";

pub const OUTBOX_PUBLISHED: &str = "boxoffice_outbox_published_total";
pub const OUTBOX_PUBLISH_BATCH: &str = "boxoffice_outbox_publish_batch_size";
pub const OUTBOX_LEFT_TO_SWEEPER: &str = "boxoffice_outbox_left_to_sweeper_total";
pub const OUTBOX_SWEPT: &str = "boxoffice_outbox_swept_total";
pub const OUTBOX_DEAD: &str = "boxoffice_outbox_dead_total";

/// `boxoffice load` reads it by this name, with its label `group`.
pub const MESSAGES_WAITING: &str = "boxoffice_messages_waiting";
pub const MESSAGES_CONSUMED: &str = "boxoffice_messages_consumed_total";
pub const MESSAGES_REPEATED: &str = "boxoffice_messages_repeated_total";
pub const MESSAGES_RETRIED: &str = "boxoffice_messages_retried_total";
pub const MESSAGES_DEAD: &str = "boxoffice_messages_dead_total";
pub const BATCH_MESSAGES: &str = "boxoffice_batch_messages";
pub const BATCH_SECONDS: &str = "boxoffice_batch_seconds";
pub const PIPELINE_PAUSES: &str = "boxoffice_pipeline_pauses_total";
pub const PIPELINE_GUESSES: &str = "boxoffice_pipeline_guesses_total";
pub const PIPELINE_MISSES: &str = "boxoffice_pipeline_misses_total";

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    gauge(DEPENDENCY_UP, "1 while the dependency (label) answers, 0 while it is away"),
    gauge(WORKER_READY, "1 while /ready answers 200"),
    histogram(HTTP_REQUEST_SECONDS, "Time until an API call is answered, by route and status"),
    counter(TASK_PANICS, "Background tasks that panicked; the process then ends with code 70"),
    counter(OUTBOX_PUBLISHED, "Events published from the outbox"),
    histogram(OUTBOX_PUBLISH_BATCH, "Events per publish"),
    counter(OUTBOX_LEFT_TO_SWEEPER, "Events that a full relay left to the sweeper"),
    counter(OUTBOX_SWEPT, "Events that the sweeper found unpublished and handed over"),
    counter(OUTBOX_DEAD, "Events that the broker refused for good"),
    gauge(MESSAGES_WAITING, "Messages that wait, retries that are due too, by consumer group"),
    counter(MESSAGES_CONSUMED, "Messages taken to their end, by consumer group"),
    counter(MESSAGES_REPEATED, "Messages that had their effect before, by consumer group"),
    counter(MESSAGES_RETRIED, "Messages given back to be tried again, by consumer group"),
    counter(MESSAGES_DEAD, "Messages sent to the dead-letter queue, by consumer group"),
    histogram(BATCH_MESSAGES, "Messages per batch, by consumer group"),
    histogram(BATCH_SECONDS, "Seconds from gathering a batch to acknowledging it, by group"),
    counter(PIPELINE_PAUSES, "Pauses because a dependency was away"),
    counter(PIPELINE_GUESSES, "States that were guessed instead of looked up"),
    counter(PIPELINE_MISSES, "Changes decided again because their state had moved on"),
];

/// Describes metrics to the recorder; each crate calls it with its own list.
pub fn describe(all: &[Metric]) {
    for metric in all {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.description),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.description),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.description),
        }
    }
}

/// A counter for a list like [`ALL`].
pub const fn counter(name: &'static str, description: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, description }
}

/// A gauge for a list like [`ALL`].
pub const fn gauge(name: &'static str, description: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, description }
}

/// A histogram for a list like [`ALL`]; names end with their unit.
pub const fn histogram(name: &'static str, description: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, description }
}
