//! Logs and metrics. Personal data is in neither.

use std::io;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogConfig, LogFormat};
use crate::metric;

/// Bounds of histograms whose name ends with `_seconds`.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Bounds of histograms that count things: whose name ends with `_size`, and batches.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts to log to standard error. A second call changes nothing.
///
/// # Errors
/// The filter can't be read.
pub fn init_logs(config: &LogConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| ConfigError::invalid(format!("log.filter: {error}")))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    // An error means that a subscriber is there already: a test's, say.
    let _ = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Starts to record metrics; a second call answers the same handle.
pub fn init_metrics() -> PrometheusHandle {
    METRICS
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)
                })
                .and_then(|builder| {
                    let batch = Matcher::Full(metric::BATCH_MESSAGES.to_owned());
                    builder.set_buckets_for_metric(batch, SIZES)
                })
                .expect("the bounds are not empty")
                .build_recorder();
            let handle = recorder.handle();
            // An error means that another recorder is there already; ours then stays empty.
            let _ = metrics::set_global_recorder(recorder);
            metric::describe(metric::ALL);
            handle
        })
        .clone()
}
