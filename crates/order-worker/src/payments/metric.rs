//! The metrics of payments, each with its description.

use common::metric::{Metric, counter};

pub const CALLS: &str = "boxoffice_payment_calls_total";
pub const CALLS_PUT_OFF: &str = "boxoffice_payment_calls_put_off_total";
pub const CALLS_GAVE_UP: &str = "boxoffice_payment_calls_gave_up_total";
pub const CALLS_LEFT_TO_SWEEPER: &str = "boxoffice_payment_calls_left_to_sweeper_total";
pub const REFUNDS_STUCK: &str = "boxoffice_refunds_stuck_total";
pub const REFUNDS_REFUSED: &str = "boxoffice_refunds_refused_total";
pub const CALLBACKS: &str = "boxoffice_payment_callbacks_total";
pub const EVENTS_ABANDONED: &str = "boxoffice_payment_events_abandoned_total";

/// All metrics of payments.
pub const ALL: &[Metric] = &[
    counter(CALLS, "Calls to payment providers that got an answer, by kind"),
    counter(CALLS_PUT_OFF, "Calls without an answer yet, to be made again, by kind"),
    counter(CALLS_GAVE_UP, "Opens and closes given up after the last attempt, by kind"),
    counter(CALLS_LEFT_TO_SWEEPER, "Calls that a full executor left to the sweeper"),
    counter(REFUNDS_STUCK, "Attempts at refunds that are beyond call_attempts_max: alert on it"),
    counter(REFUNDS_REFUSED, "Refunds that a provider refuses for good: an operator must act"),
    counter(CALLBACKS, "Callbacks of payment providers, by what became of them"),
    counter(EVENTS_ABANDONED, "Provider events that never found their order: alert on it"),
];
