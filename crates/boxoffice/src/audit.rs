//! The auditor: every invariant of the design, asked of the live system.
//!
//! It shares no code with the workers. It knows the tables, the record format in Redis and the
//! books of the payment provider from their documentation, and only reads: all SQL runs in one
//! `REPEATABLE READ READ ONLY` transaction over all schemas, so a role that may only `SELECT` is
//! enough.
//!
//! S1 to S8 hold at every moment. Q1 to Q6 hold when all is quiet; asked of a system that moves,
//! they would call work in progress a violation, so they are asked only with [`Quiet::Assumed`] or
//! [`Quiet::Within`]. What is compared with Redis and with the provider is not of the snapshot: a
//! difference counts only when a few looks in a row find it.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

mod always;
mod books;
mod check;
mod counts;
mod in_flight;
mod quiet;
mod record;
mod redis_keys;
mod report;
mod tables;

pub use self::in_flight::InFlight;
pub use self::report::{Finding, Outcome, Report, SAMPLES_MAX, Sample};

use self::check::Check;

/// How often it is asked whether all is quiet.
const QUIET_POLL: Duration = Duration::from_millis(250);
/// So often in a row nothing may be in flight: what is settled after a commit has then landed.
const QUIET_LOOKS: u32 = 2;
/// A difference between PostgreSQL and another system counts when this many looks find it.
const LOOKS_MAX: u32 = 4;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// What is audited.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `postgres://…`; a role that may `SELECT` in all schemas is enough.
    pub database_url: String,
    /// `redis://…`; without it Q2 is not checked.
    pub redis_url: Option<String>,
    /// In front of every key, as stock-worker's `gate.prefix`.
    pub redis_prefix: String,
    /// The payment provider; without it Q3 is checked in our own tables only.
    pub gateway: Option<Gateway>,
}

/// The sandbox's books.
#[derive(Clone)]
pub struct Gateway {
    /// `http://host:port`.
    pub url: String,
    /// The merchant key, sent as a bearer token.
    pub key: String,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Whether the Q checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Quiet {
    /// The system moves: only S1 to S8.
    #[default]
    Moving,
    /// Nothing is in flight, the caller says.
    Assumed,
    /// Waits until nothing is in flight, at most so long; then checks all, quiet or not: what
    /// never comes to rest is a violation.
    Within(Duration),
}

/// Whether holds may belong to orders that order-worker does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ForeignOrders {
    /// Every hold has an order in `orders.orders`.
    #[default]
    Refused,
    /// Other services use our stock, too.
    Allowed,
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub quiet: Quiet,
    pub foreign_orders: ForeignOrders,
}

/// What the auditor is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Waiting(InFlight),
    Checking(&'static str),
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("PostgreSQL can't be asked ({doing})")]
    Postgres { doing: &'static str, source: sqlx::Error },
    #[error("the database lacks {}: was it migrated, and is it the right one?", missing.join(", "))]
    Tables { missing: Vec<String> },
    #[error("Redis can't be asked")]
    Redis(#[from] redis::RedisError),
    #[error("the payment provider's books can't be read ({doing})")]
    Gateway { doing: String, source: reqwest::Error },
    #[error("the payment provider's books can't be read: {0}")]
    Books(String),
}

impl Error {
    fn postgres(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Postgres { doing, source }
    }
}

/// Audits the system; `on_step` hears what is being done.
///
/// # Errors
/// Something can't be asked; a violation is no error.
pub async fn run(
    target: &Target,
    options: &Options,
    mut on_step: impl FnMut(Step),
) -> Result<Report, Error> {
    let started = Instant::now();
    let mut connection =
        PgConnection::connect(&target.database_url).await.map_err(Error::postgres("connect"))?;
    tables::require(&mut connection).await?;
    let in_flight = match options.quiet {
        Quiet::Moving | Quiet::Assumed => None,
        Quiet::Within(limit) => Some(settle(&mut connection, limit, &mut on_step).await?),
    };
    begin(&mut connection).await?;
    let mut report = Report { in_flight, ..Report::default() };
    for check in always::checks() {
        on_step(Step::Checking(check.id));
        report.findings.push(check.run(&mut connection).await?);
    }
    for check in quiet::checks(options.foreign_orders) {
        if options.quiet == Quiet::Moving {
            report.findings.push(Finding::skipped(&check, "the system moves"));
            continue;
        }
        on_step(Step::Checking(check.id));
        let mut finding = check.run(&mut connection).await?;
        match check.id {
            quiet::Q2 => finding = redis_finding(target, &check).await?,
            quiet::Q3 => finding.add(books_samples(target).await?),
            _ => {}
        }
        report.findings.push(finding);
    }
    report.counts = counts::read(&mut connection).await?;
    end(&mut connection).await?;
    report.took = started.elapsed();
    Ok(report)
}

/// Waits until nothing is in flight; answers what still is.
async fn settle(
    connection: &mut PgConnection,
    limit: Duration,
    on_step: &mut impl FnMut(Step),
) -> Result<InFlight, Error> {
    let deadline = Instant::now() + limit;
    let mut quiet_looks = 0;
    loop {
        let in_flight = in_flight::look(connection).await?;
        quiet_looks = if in_flight.is_nothing() { quiet_looks + 1 } else { 0 };
        if quiet_looks >= QUIET_LOOKS || Instant::now() >= deadline {
            return Ok(in_flight);
        }
        on_step(Step::Waiting(in_flight));
        tokio::time::sleep(QUIET_POLL).await;
    }
}

async fn redis_finding(target: &Target, check: &Check) -> Result<Finding, Error> {
    let Some(url) = &target.redis_url else {
        return Ok(Finding::skipped(check, "no address of Redis was given"));
    };
    let mut finding = Finding::clean(check);
    finding.add(lasting(|| redis_keys::differences(target, url)).await?);
    Ok(finding)
}

async fn books_samples(target: &Target) -> Result<Vec<Sample>, Error> {
    match &target.gateway {
        None => Ok(Vec::new()),
        Some(gateway) => lasting(|| books::differences(target, gateway)).await,
    }
}

/// Looks again while there are differences; answers those that every look has found.
async fn lasting<Looking>(look: impl Fn() -> Looking) -> Result<Vec<Sample>, Error>
where
    Looking: Future<Output = Result<Vec<Sample>, Error>>,
{
    let mut found = look().await?;
    for _ in 1..LOOKS_MAX {
        if found.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        let now: std::collections::HashSet<String> =
            look().await?.into_iter().map(|sample| sample.subject).collect();
        found.retain(|sample| now.contains(&sample.subject));
    }
    Ok(found)
}

/// Opens the snapshot.
async fn begin(connection: &mut PgConnection) -> Result<(), Error> {
    execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "begin").await
}

async fn end(connection: &mut PgConnection) -> Result<(), Error> {
    execute(connection, "ROLLBACK", "end").await
}

async fn execute(
    connection: &mut PgConnection,
    sql: &'static str,
    doing: &'static str,
) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(connection).await.map_err(Error::postgres(doing))?;
    Ok(())
}

/// A snapshot of its own, for a look that is compared with another system.
async fn snapshot(database_url: &str) -> Result<PgConnection, Error> {
    let mut connection =
        PgConnection::connect(database_url).await.map_err(Error::postgres("connect"))?;
    begin(&mut connection).await?;
    Ok(connection)
}
