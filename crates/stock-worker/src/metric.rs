//! The metrics of stock-worker, each with its description. No ids as labels.

use common::metric::{Metric, counter, gauge, histogram};

pub const GATE_ANSWERS: &str = "boxoffice_stock_gate_answers_total";
pub const REFUSED_BY_DATABASE: &str = "boxoffice_stock_refused_by_database_total";
pub const SLOW_APPLIES: &str = "boxoffice_stock_slow_applies_total";
pub const SESSIONS_WAITING: &str = "boxoffice_stock_sessions_waiting";
pub const REPAIRS: &str = "boxoffice_stock_repairs_total";
pub const COMPARED_DIFFERENCE: &str = "boxoffice_stock_compared_difference_tickets";
pub const COMPARISONS: &str = "boxoffice_stock_comparisons_total";
pub const LOAD_SECONDS: &str = "boxoffice_stock_load_seconds";
pub const SALES_PUBLISHED: &str = "boxoffice_stock_sales_published_total";

/// All metrics of this crate.
pub const ALL: &[Metric] = &[
    counter(GATE_ANSWERS, "Reservations that Redis answered, by answer"),
    counter(REFUSED_BY_DATABASE, "Reservations that Redis granted and PostgreSQL refused"),
    counter(SLOW_APPLIES, "Batches that were not written as a whole but decided order by order"),
    gauge(SESSIONS_WAITING, "Sessions whose reservations wait until they are loaded into Redis"),
    counter(REPAIRS, "Rows for operators in stock.repairs, by kind"),
    histogram(COMPARED_DIFFERENCE, "Tickets by which Redis and PostgreSQL differed when compared"),
    counter(COMPARISONS, "Comparisons of Redis with PostgreSQL, by outcome"),
    histogram(LOAD_SECONDS, "Seconds that loading a session into Redis took"),
    counter(SALES_PUBLISHED, "SALE_CHANGED events written, by cause"),
];
