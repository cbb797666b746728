//! The database: pools with limits that the server enforces, and what its errors mean.
//!
//! A transaction is never dropped half-way: sqlx can leave a pooled connection inside an open
//! transaction when `begin` is cancelled. [`transact`] therefore runs it in a task of its own;
//! time limits are the server's. What can be said in one statement is a [`Whole`] instead.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::config::PostgresConfig;

mod classify;
mod heard;
mod pool;
mod probe;
mod transact;
mod whole;

pub use classify::{Class, classify, is_timeout, spoils_connection};
pub use heard::Heard;
pub use pool::Pool;
pub use probe::probe;
pub use transact::transact;
pub use whole::{Bind, Part, Whole};

/// How long an unused connection is believed to be good.
const UNTESTED_IDLE_MAX: Duration = Duration::from_secs(1);
/// How long such a test may take: there may be other connections, and a new one is quickly made.
const IDLE_TEST_MAX: Duration = Duration::from_millis(300);
/// How long a migration waits for a lock; a longer wait would hold up the sale behind it.
const MIGRATION_LOCK_TIMEOUT: &str = "SET statement_timeout = 0; SET lock_timeout = '10s'";

/// A pool that connects when it is needed. `application_name` is what operators see.
pub fn pool(config: &PostgresConfig, application_name: &str) -> Pool {
    build(config, options(config, application_name))
}

/// A pool for the batch statements of the hot path.
///
/// They always look some hundred keys up in large tables, so the plan is fixed: prepared once for
/// any parameters, and by index and nested loop whatever the statistics say. That a table is not
/// the outer side of a loop over it is up to the statement: keys by `= ANY` on the first column of
/// an index, or by `unnest` and a LATERAL subquery with a LIMIT or a lock, which is never turned
/// around. A plan that was made while a table was small would otherwise read all of it.
pub fn hot_pool(config: &PostgresConfig, application_name: &str) -> Pool {
    let fixed_plan = [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ];
    build(config, options(config, application_name).options(fixed_plan))
}

fn options(config: &PostgresConfig, application_name: &str) -> PgConnectOptions {
    config.url.options().application_name(application_name).options([
        ("statement_timeout", config.statement_timeout_ms),
        ("lock_timeout", config.lock_timeout_ms),
        ("idle_in_transaction_session_timeout", config.idle_in_transaction_timeout_ms),
    ])
}

fn build(config: &PostgresConfig, options: PgConnectOptions) -> Pool {
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_max)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        // It would cost a round trip for each use. What nobody used for a moment may have broken
        // meanwhile: after an outage the first caller is not to meet that.
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for < UNTESTED_IDLE_MAX {
                    return Ok(true);
                }
                let pong = timeout(IDLE_TEST_MAX, connection.ping()).await;
                Ok(pong.is_ok_and(|pong| pong.is_ok()))
            })
        })
        .connect_lazy_with(options);
    Pool::new(pool, config)
}

/// Brings `schema` up to date; its table of migrations is its own, so that workers can share a
/// database. Creates the schema first. What a newer build has applied is left alone.
///
/// # Errors
/// What PostgreSQL says, or a migration that was changed after it had been applied.
pub async fn migrate(
    pool: &Pool,
    migrator: &Migrator,
    schema: &'static str,
) -> Result<(), MigrateError> {
    let mut own = Migrator::with_migrations(migrator.iter().cloned().collect());
    own.dangerous_set_table_name(format!("{schema}._sqlx_migrations"));
    own.create_schema(schema);
    own.set_ignore_missing(true);
    // A connection of its own, closed afterwards: its settings must not reach the pool.
    let mut connection: PgConnection = pool.acquire().await?.detach();
    sqlx::raw_sql(MIGRATION_LOCK_TIMEOUT).execute(&mut connection).await?;
    let done = own.run(&mut connection).await;
    // Migrations may have failed half-way through a lock; closing the session frees it.
    let _ = connection.close().await;
    done
}
