//! The metrics of order-worker, each with its description. No ids as labels.

use common::metric::{Metric, counter};

pub const DEADLINES_PASSED: &str = "boxoffice_order_deadlines_passed_total";
pub const ORDERS_TURNED_AWAY: &str = "boxoffice_orders_turned_away_total";

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    counter(DEADLINES_PASSED, "Orders whose deadline the sweep found behind the clock"),
    counter(ORDERS_TURNED_AWAY, "Orders refused with 503 because of the backlog behind the door"),
];
