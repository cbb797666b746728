use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Target;
use crate::http::Answer;
use crate::tables::{Counters, Rates, Tables};
use crate::times::{Quantiles, Times};

/// So many errors are told.
const ERRORS_TOLD_MAX: usize = 5;

/// What the load generator itself saw.
pub(crate) struct Sent {
    pub(crate) offered: u64,
    /// From when an order was due to its answer.
    answer: Times,
    /// From when an order was due to when it was sent.
    pub(crate) lateness: Times,
    /// Closed loop: from sending an order to hearing that it had come as far as was asked.
    pub(crate) whole: Times,
    /// By status, with the problem's code where there is one.
    answers: BTreeMap<String, u64>,
    accepted: u64,
    errors: Vec<String>,
    errors_count: u64,
    first: String,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    before: Counters,
    ended: Option<Instant>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    code: &'a str,
}

impl Sent {
    pub(crate) async fn begin(target: &Target, tables: &Tables) -> anyhow::Result<Self> {
        let before = tables.counters().await?;
        let first = tables.last_order_no().await?;
        let since = tables.now().await?;
        let window = TimeDelta::from_std(target.window())?;
        Ok(Self {
            offered: 0,
            answer: Times::new(),
            lateness: Times::new(),
            whole: Times::new(),
            answers: BTreeMap::new(),
            accepted: 0,
            errors: Vec::new(),
            errors_count: 0,
            first,
            since,
            until: since + window,
            before,
            ended: None,
        })
    }

    /// The last answer is here.
    pub(crate) fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// An HTTP request's end.
    pub(crate) fn answered(&mut self, answer: anyhow::Result<Answer>, took: Duration) {
        match answer {
            Ok(Answer { status, body }) => {
                self.answer.record(took);
                let kind = if status == 202 {
                    self.accepted += 1;
                    status.to_string()
                } else {
                    let code = serde_json::from_slice::<Problem<'_>>(&body);
                    format!("{status} {}", code.map_or("", |problem| problem.code))
                };
                *self.answers.entry(kind).or_default() += 1;
            }
            Err(error) => self.failed(&error),
        }
    }

    /// A message's end.
    pub(crate) fn published(&mut self, answer: anyhow::Result<()>, took: Duration) {
        match answer {
            Ok(()) => {
                self.answer.record(took);
                self.accepted += 1;
                *self.answers.entry("sent".to_owned()).or_default() += 1;
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &anyhow::Error) {
        self.errors_count += 1;
        if self.errors.len() < ERRORS_TOLD_MAX {
            self.errors.push(format!("{error:#}"));
        }
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// How long orders were offered, in seconds.
    window_s: u64,
    offered: u64,
    accepted: u64,
    answers: BTreeMap<String, u64>,
    errors: u64,
    errors_told: Vec<String>,
    /// From when an order was due to its answer, in ms.
    answer_ms: Quantiles,
    /// How late the generator itself was, in ms.
    lateness_ms: Quantiles,
    /// Closed loop: orders that came as far as was asked within the window, in ms.
    whole_ms: Quantiles,
    /// Within the window.
    within: Rates,
    /// When all was over.
    statuses: BTreeMap<String, i64>,
    /// Whether all was decided in time.
    decided: bool,
    /// From the last answer until everything was decided and told, in seconds.
    drain_s: f64,
    /// In ms, on the database's clock, from one decision to the other.
    steps: BTreeMap<&'static str, Quantiles>,
    commits: i64,
    rows_written: i64,
    wal_bytes: i64,
}

impl Report {
    pub(crate) async fn of(
        sent: Sent,
        target: &Target,
        tables: &Tables,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let is_paid = target.payment_method.is_some();
        let decided = tables.until_decided(&sent.first, sent.accepted, is_paid, limit).await?;
        // Whoever measures the machine does it now: what follows is reading tables.
        #[expect(clippy::print_stdout, reason = "what the program is asked for")]
        {
            println!("{{\"decided\":{decided}}}");
        }
        let drain_s = sent.ended.map_or(0.0, |ended| ended.elapsed().as_secs_f64());
        let after = tables.counters().await?;
        Ok(Self {
            window_s: target.seconds,
            offered: sent.offered,
            accepted: sent.accepted,
            answers: sent.answers,
            errors: sent.errors_count,
            errors_told: sent.errors,
            answer_ms: sent.answer.quantiles(),
            lateness_ms: sent.lateness.quantiles(),
            whole_ms: sent.whole.quantiles(),
            within: tables.rates(&sent.first, sent.since, sent.until).await?,
            statuses: tables.statuses(&sent.first).await?,
            decided,
            drain_s,
            steps: tables.steps(&sent.first).await?,
            commits: after.commits - sent.before.commits,
            rows_written: after.rows_written - sent.before.rows_written,
            wal_bytes: after.wal_bytes - sent.before.wal_bytes,
        })
    }
}
