use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three significant digits up to ten minutes, in µs.
const HIGHEST_US: u64 = 600_000_000;
const DIGITS: u8 = 3;

/// Durations that were measured here.
#[derive(Debug)]
pub(crate) struct Times(Histogram<u64>);

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(HIGHEST_US, DIGITS).expect("the bounds are ones it takes"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Quantiles {
            count: self.0.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1e3,
        }
    }
}
