//! The load generator: buyers who arrive at times that are fixed in advance.
//!
//! It is open-loop: nobody waits for the buyer before, and every wait is measured from the moment
//! a buyer was to arrive, so that a slow system can't hide behind fewer requests. Demo, bench and
//! chaos use the same one.
//!
//! A buyer is a small state machine: an order, what the behaviour does with it, sparse looks at it
//! until it has ended. Every buyer ends in exactly one counted outcome. How long the order's steps
//! took is read from the order's own timestamps, so looks can be few.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

mod buyer;
mod client;
mod lag;
mod outcome;
mod plan;
mod progress;
mod report;
mod stats;
mod view;

pub use self::lag::Lag;
pub use self::outcome::Outcome;
pub use self::plan::{Arrivals, Behaviour, Methods, Plan, TicketChoice};
pub use self::progress::{Phase, Progress};
pub use self::report::{Report, Step};

use self::buyer::Buyer;
use self::client::Client;
use self::stats::Stats;

/// How often the caller hears of the progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Why no buyer was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("orders_url: {reason}")]
    Url { reason: String },
    #[error("token: it can't be sent in a header")]
    Token,
    #[error("{field}: {reason}")]
    Plan { field: &'static str, reason: String },
}

/// What every buyer shares.
struct Shared {
    plan: Plan,
    client: Client,
    stats: Stats,
    started: Instant,
    lag: watch::Receiver<Lag>,
}

/// Sends all buyers, or those who come until `closed` is ready, and waits until each of them has
/// ended; `on_progress` hears of them meanwhile.
///
/// When the future is dropped, the buyers stop.
///
/// # Errors
/// The plan can't be carried out; nobody was sent.
pub async fn run<F, Heard>(
    plan: Plan,
    closed: impl Future<Output = ()> + Send + 'static,
    mut on_progress: F,
) -> Result<Report, Error>
where
    F: FnMut(Progress) -> Heard,
    Heard: Future<Output = ()>,
{
    plan.check()?;
    let client = Client::new(&plan)?;
    let mut watching = JoinSet::new();
    let lag = lag::watch(&plan.admin_urls, &mut watching)?;
    let schedule = plan.schedule();
    let (stats, started) = (Stats::new(), Instant::now());
    let shared = Arc::new(Shared { plan, client, stats, started, lag });
    // In a task of its own, so that a slow listener delays no arrival.
    let mut sending = JoinSet::new();
    sending.spawn(send(shared.clone(), schedule, closed));
    let mut ticker = tokio::time::interval(PROGRESS_EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let came = loop {
        tokio::select! {
            came = sending.join_next() => break came.and_then(Result::ok),
            _ = ticker.tick() => on_progress(shared.progress()).await,
        }
    };
    on_progress(shared.progress()).await;
    // Where sending itself broke, those who are missing are missed.
    let buyers = came.unwrap_or(shared.plan.buyers);
    Ok(shared.report(buyers))
}

/// Lets each buyer go when it is due, until `closed`; once this returns, all have ended. Answers
/// how many came.
async fn send(
    shared: Arc<Shared>,
    schedule: Vec<Duration>,
    closed: impl Future<Output = ()>,
) -> u64 {
    let mut closed = pin!(closed);
    let mut came = 0;
    let mut buyers = JoinSet::new();
    for (number, due) in (0_u64..).zip(schedule) {
        let due = shared.started + due;
        tokio::select! {
            biased;
            () = &mut closed => break,
            () = tokio::time::sleep_until(due) => {}
        }
        came += 1;
        shared.stats.arrived(due.elapsed());
        buyers.spawn(Buyer::new(shared.clone(), number, due).live());
        while let Some(ended) = buyers.try_join_next() {
            shared.count_panic(ended);
        }
    }
    while let Some(ended) = buyers.join_next().await {
        shared.count_panic(ended);
    }
    came
}

impl Shared {
    /// A buyer that broke is a buyer whose outcome is unknown.
    fn count_panic(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.stats.ended(&Outcome::Unknown(format!("the buyer broke: {error}")));
        }
    }

    /// When whoever has not ended is given up.
    fn deadline(&self) -> Instant {
        self.started + self.plan.deadline
    }
}
