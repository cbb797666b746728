//! The database as the runtime uses it, on a real PostgreSQL.

use std::time::Duration;

use common::config::PostgresConfig;
use common::inbox::{Entry, Inbox, Outcome};
use common::postgres::{
    self, Bind as _, Class, Whole, classify, is_timeout, spoils_connection, transact,
};
use common::readiness::{Need, Readiness};
use common::testing::{self, Door, TestDatabase, until};
use futures::FutureExt as _;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ONE_TABLE: &str = "CREATE TABLE one.counters (id int PRIMARY KEY, n int NOT NULL \
                         CONSTRAINT n_is_small CHECK (n < 10));
                         INSERT INTO one.counters VALUES (1, 0), (2, 0);";

fn migrator(steps: &[&'static str]) -> Migrator {
    let migrations = (1..).zip(steps).map(|(version, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, "step".into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

async fn database() -> TestDatabase {
    testing::postgres_database(&migrator(&[ONE_TABLE]), "one").await
}

async fn show(pool: &postgres::Pool, setting: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(setting)
        .fetch_one(pool)
        .await
        .expect("a setting")
}

async fn execute(pool: &postgres::Pool, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(pool).await.map(|_| ())
}

async fn count(pool: &postgres::Pool, id: i32) -> i32 {
    sqlx::query_scalar("SELECT n FROM one.counters WHERE id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .expect("a row")
}

#[tokio::test]
async fn every_connection_has_the_limits_of_the_configuration() {
    let database = database().await;
    let config = PostgresConfig {
        statement_timeout_ms: 1_500,
        lock_timeout_ms: 700,
        idle_in_transaction_timeout_ms: 900,
        ..testing::postgres_config(&database.url)
    };
    let pool = postgres::pool(&config, "limits");
    assert_eq!(show(&pool, "statement_timeout").await, "1500ms");
    assert_eq!(show(&pool, "lock_timeout").await, "700ms");
    assert_eq!(show(&pool, "idle_in_transaction_session_timeout").await, "900ms");
    assert_eq!(show(&pool, "application_name").await, "limits");
    assert_eq!(show(&pool, "enable_seqscan").await, "on");

    let hot = postgres::hot_pool(&config, "limits");
    assert_eq!(show(&hot, "statement_timeout").await, "1500ms");
    assert_eq!(show(&hot, "plan_cache_mode").await, "force_generic_plan");
    for off in ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"] {
        assert_eq!(show(&hot, off).await, "off");
    }
}

#[tokio::test]
async fn workers_migrate_their_own_schemas_in_one_database() {
    let database = database().await;
    let two = migrator(&["CREATE TABLE two.things (id int)"]);
    for _ in 0..2 {
        postgres::migrate(&database.pool, &two, "two").await.expect("the second time does nothing");
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT schemaname || '.' || tablename FROM pg_tables \
         WHERE schemaname IN ('one', 'two', 'public') ORDER BY 1",
    )
    .fetch_all(&database.pool)
    .await
    .expect("tables");
    assert_eq!(
        tables,
        ["one._sqlx_migrations", "one.counters", "two._sqlx_migrations", "two.things"]
    );
}

#[tokio::test]
async fn an_old_build_accepts_a_newer_schema_but_not_a_changed_migration() {
    let database = database().await;
    let newer = migrator(&[ONE_TABLE, "ALTER TABLE one.counters ADD note text"]);
    postgres::migrate(&database.pool, &newer, "one").await.expect("expanded");
    let older = migrator(&[ONE_TABLE]);
    postgres::migrate(&database.pool, &older, "one").await.expect("nothing to do");
    let changed = migrator(&["CREATE TABLE one.other (id int)"]);
    postgres::migrate(&database.pool, &changed, "one").await.expect_err("a changed migration");
    let after = show(&database.pool, "statement_timeout").await;
    assert_ne!(after, "0", "the pool keeps its limits");
}

#[tokio::test]
async fn only_what_the_data_causes_is_data() {
    let database = database().await;
    let pool = &database.pool;
    let data = [
        ("INSERT INTO one.counters VALUES (1, 0)", "23505", Some("counters_pkey")),
        ("UPDATE one.counters SET n = 10", "23514", Some("n_is_small")),
        ("INSERT INTO one.counters VALUES (3, NULL)", "23502", None),
        ("SELECT 1 / (n - n) FROM one.counters", "22012", None),
        ("SELECT 'x'::text::int", "22P02", None),
    ];
    for (sql, code, constraint_name) in data {
        let error = execute(pool, sql).await.expect_err(sql);
        let Class::Data { sqlstate, constraint, .. } = classify(&error) else {
            panic!("{sql}: {:?}", classify(&error));
        };
        assert_eq!((&*sqlstate, constraint.as_deref()), (code, constraint_name), "{sql}");
        assert!(!spoils_connection(&error));
    }
    for sql in ["SELECT missing FROM one.counters", "SELECT * FROM one.missing", "SELEC"] {
        let error = execute(pool, sql).await.expect_err(sql);
        assert!(matches!(classify(&error), Class::Pause(_)), "{sql}: {:?}", classify(&error));
    }
}

#[tokio::test]
async fn a_slow_statement_is_ended_by_the_server_and_is_no_ones_fault() {
    let database = database().await;
    let config = PostgresConfig {
        statement_timeout_ms: 50,
        pool_max: 1,
        ..testing::postgres_config(&database.url)
    };
    let pool = postgres::pool(&config, "slow");
    let error = execute(&pool, "SELECT pg_sleep(30)").await.expect_err("too slow");
    assert!(matches!(classify(&error), Class::Away(_)), "{:?}", classify(&error));
    assert!(is_timeout(&error));
    execute(&pool, "SELECT 1").await.expect("the connection goes on");
}

#[tokio::test]
async fn a_lock_that_is_held_and_a_deadlock_are_no_ones_fault() {
    let database = database().await;
    let config = PostgresConfig { lock_timeout_ms: 50, ..testing::postgres_config(&database.url) };
    let pool = postgres::pool(&config, "locks");
    let mut holder = database.pool.begin().await.expect("begin");
    sqlx::query("UPDATE one.counters SET n = 1 WHERE id = 1")
        .execute(&mut *holder)
        .await
        .expect("locked");
    let error =
        execute(&pool, "UPDATE one.counters SET n = 2 WHERE id = 1").await.expect_err("locked");
    assert!(matches!(classify(&error), Class::Away(_)) && is_timeout(&error), "{error}");

    let mut other = database.pool.begin().await.expect("begin");
    sqlx::query("UPDATE one.counters SET n = 2 WHERE id = 2")
        .execute(&mut *other)
        .await
        .expect("locked");
    let (one, two) = tokio::join!(
        sqlx::query("UPDATE one.counters SET n = 3 WHERE id = 2").execute(&mut *holder),
        sqlx::query("UPDATE one.counters SET n = 3 WHERE id = 1").execute(&mut *other),
    );
    let error = one.and(two).expect_err("one of them is the victim");
    assert!(matches!(classify(&error), Class::Away(_)) && !is_timeout(&error), "{error}");
}

#[tokio::test]
async fn a_connection_to_a_server_that_only_reads_is_not_used_again() {
    let database = database().await;
    let config = PostgresConfig { pool_max: 1, ..testing::postgres_config(&database.url) };
    let pool = postgres::pool(&config, "read-only");
    // As after a fail-over: this session only reads, a new one would write.
    execute(&pool, "SET default_transaction_read_only = on").await.expect("set");
    let error = increment(&pool, 1).await.expect_err("read-only");
    assert!(matches!(classify(&error), Class::Away(_)), "{:?}", classify(&error));
    increment(&pool, 1).await.expect("a new connection");
    assert_eq!(count(&pool, 1).await, 1);
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_replaced() {
    let database = database().await;
    let config = PostgresConfig { pool_max: 1, ..testing::postgres_config(&database.url) };
    let pool = postgres::pool(&config, "ended");
    let error = transact(&pool, |connection| {
        async move {
            sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())").execute(connection).await
        }
        .boxed()
    })
    .await
    .expect_err("terminated");
    assert!(matches!(classify(&error), Class::Away(_)), "{:?}", classify(&error));
    increment(&pool, 1).await.expect("a new connection");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away() {
    let config = PostgresConfig {
        acquire_timeout_ms: 200,
        ..testing::postgres_config("postgres://x@127.0.0.1:1/x")
    };
    let error = increment(&postgres::pool(&config, "nowhere"), 1).await.expect_err("nobody there");
    assert!(matches!(classify(&error), Class::Away(_)), "{:?}", classify(&error));
}

#[tokio::test]
async fn whoever_comes_first_after_an_outage_does_not_notice_it() {
    const LONGER_THAN_BELIEVED: Duration = Duration::from_millis(1_100);
    let database = database().await;
    let mut url: url::Url = database.url.parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let door = Door::before(server).await;
    url.set_port(Some(door.address().port())).expect("a port");
    door.open();
    let pool = postgres::pool(&testing::postgres_config(url.as_str()), "outage");
    // Several connections, all of which break.
    let connections = futures::future::join_all((0..3).map(|_| pool.acquire())).await;
    drop(connections.into_iter().collect::<Result<Vec<_>, _>>().expect("connected"));
    door.shut();
    tokio::time::sleep(LONGER_THAN_BELIEVED).await;
    door.open();
    increment(&pool, 1).await.expect("a good connection");
    assert_eq!(count(&database.pool, 1).await, 1);
}

/// A pool of one connection, through a door.
async fn pool_behind_a_door(database: &TestDatabase) -> (Door, postgres::Pool) {
    let mut url: url::Url = database.url.parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let door = Door::before(server).await;
    url.set_port(Some(door.address().port())).expect("a port");
    door.open();
    let config = PostgresConfig {
        pool_max: 1,
        statement_timeout_ms: 200,
        lock_timeout_ms: 200,
        ..testing::postgres_config(url.as_str())
    };
    (door, postgres::pool(&config, "stranded"))
}

/// Strands the connection once it is back in the pool.
async fn strand(door: &Door, pool: &postgres::Pool) {
    until(|| pool.num_idle() == 1).await;
    door.strand();
}

/// That nobody answered, and that it took no longer than it may.
async fn assert_silent<T: std::fmt::Debug>(asked: impl Future<Output = Result<T, sqlx::Error>>) {
    const LIMIT: Duration = Duration::from_secs(5);
    let answer = tokio::time::timeout(LIMIT, asked).await.expect("it has a limit");
    let error = answer.expect_err("nobody answers");
    assert!(matches!(classify(&error), Class::Away(_)), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_silent_is_closed_and_the_next_one_works() {
    let database = database().await;
    let (door, pool) = pool_behind_a_door(&database).await;
    count(&pool, 1).await;
    strand(&door, &pool).await;
    assert_silent(sqlx::query("SELECT 1").fetch_all(&pool)).await;
    count(&pool, 1).await;
    strand(&door, &pool).await;
    assert_silent(sqlx::query("SELECT 1").fetch_optional(&pool)).await;
    increment(&pool, 1).await.expect("a new connection");
    strand(&door, &pool).await;
    assert_silent(increment(&pool, 1)).await;
    increment(&pool, 1).await.expect("a new connection");
    strand(&door, &pool).await;
    let mut whole = Whole::new();
    let sql = "UPDATE one.counters SET n = n + 1 WHERE id = $1 RETURNING 1";
    let _ = whole.part("a", sql).bind(1_i32);
    whole.expect_rows("a", 1);
    assert_silent(whole.run(&pool)).await;
    increment(&pool, 1).await.expect("a new connection");
    assert_eq!(count(&pool, 1).await, 3, "nothing was written on a silent connection");
}

#[tokio::test]
async fn a_connection_that_became_silent_while_nobody_used_it_is_not_used() {
    const LONGER_THAN_BELIEVED: Duration = Duration::from_millis(1_100);
    let database = database().await;
    let (door, pool) = pool_behind_a_door(&database).await;
    count(&pool, 1).await;
    strand(&door, &pool).await;
    tokio::time::sleep(LONGER_THAN_BELIEVED).await;
    increment(&pool, 1).await.expect("a new connection");
}

#[tokio::test]
async fn a_transaction_ends_whole_when_its_caller_is_dropped() {
    let database = database().await;
    let (started, is_started) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let (committed, is_committed) = oneshot::channel();
    let pool = database.pool.clone();
    let caller = tokio::spawn(async move {
        transact(&pool, |connection| {
            async move {
                sqlx::query("UPDATE one.counters SET n = n + 1 WHERE id = 1")
                    .execute(&mut *connection)
                    .await?;
                started.send(()).expect("the test waits");
                may_go_on.await.expect("the test says so");
                sqlx::query("UPDATE one.counters SET n = n + 1 WHERE id = 2")
                    .execute(connection)
                    .await?;
                committed.send(()).expect("the test waits");
                Ok(())
            }
            .boxed()
        })
        .await
    });
    is_started.await.expect("started");
    caller.abort();
    assert!(caller.await.expect_err("aborted").is_cancelled());
    go_on.send(()).expect("the transaction waits");
    is_committed.await.expect("it went on");
    // The commit follows at once; closing the pool waits for the connection to come back.
    database.pool.close().await;
    let pool = postgres::pool(&testing::postgres_config(&database.url), "after");
    assert_eq!((count(&pool, 1).await, count(&pool, 2).await), (1, 1));
}

#[tokio::test]
async fn a_transaction_that_fails_or_panics_writes_nothing_and_leaves_the_connection_usable() {
    let database = database().await;
    let config = PostgresConfig { pool_max: 1, ..testing::postgres_config(&database.url) };
    let pool = postgres::pool(&config, "fails");
    let failed = transact(&pool, |connection| {
        async move {
            sqlx::query("UPDATE one.counters SET n = 5").execute(&mut *connection).await?;
            sqlx::query("UPDATE one.counters SET n = 50").execute(connection).await
        }
        .boxed()
    });
    failed.await.expect_err("n is small");
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            transact::<(), _>(&pool, |connection| {
                async move {
                    sqlx::query("UPDATE one.counters SET n = 5").execute(connection).await?;
                    panic!("on purpose")
                }
                .boxed()
            })
            .await
        }
    });
    assert!(task.await.expect_err("panicked").is_panic());
    increment(&pool, 1).await.expect("the connection goes on");
    assert_eq!((count(&pool, 1).await, count(&pool, 2).await), (1, 0));
}

/// Adds 1 to each counter and expects as many to be there.
async fn add_whole(pool: &postgres::Pool, first: i32, second: i32, by: i32) -> bool {
    const ADD: &str = "UPDATE one.counters SET n = n + $2 WHERE id = $1 RETURNING n";
    let mut whole = Whole::new();
    let _ = whole.part("a", ADD).bind(first).bind(by);
    whole.expect_rows("a", 1);
    let _ = whole.part("b", ADD).bind(second).bind(by);
    whole.expect_rows("b", 1);
    whole.expect("(SELECT bool_and(n > 0) FROM b)");
    whole.run(pool).await.expect("the database answers")
}

#[tokio::test]
async fn a_whole_takes_effect_when_all_is_as_expected_and_else_not_at_all() {
    let database = database().await;
    let pool = &database.pool;
    let counts = async || (count(pool, 1).await, count(pool, 2).await);
    assert!(add_whole(pool, 1, 2, 1).await);
    assert_eq!(counts().await, (1, 1));
    assert!(!add_whole(pool, 1, 3, 1).await, "there is no third row");
    assert!(!add_whole(pool, 3, 1, 1).await, "there is no third row");
    assert!(!add_whole(pool, 1, 2, -1).await, "the condition does not hold");
    assert!(!add_whole(pool, 1, 2, 100).await, "a CHECK refuses it");
    assert_eq!(counts().await, (1, 1));
    assert!(Whole::new().run(pool).await.expect("nothing to do"), "nothing is as expected");
}

const INBOX: &str = "CREATE TABLE one.inbox (consumer_group text NOT NULL, event_id uuid NOT NULL, \
                     order_no text NOT NULL, outcome int2 NOT NULL, \
                     seen_at timestamptz NOT NULL DEFAULT now(), \
                     PRIMARY KEY (event_id, consumer_group));";

#[tokio::test]
async fn only_inbox_entries_that_were_written_long_ago_are_purged() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let database = testing::postgres_database(&migrator(&[ONE_TABLE, INBOX]), "one").await;
    let (pool, inbox) = (&database.pool, Inbox::new("one"));
    // An old event may have been replayed a moment ago.
    let [old, replayed, new] = [1_u128, 2, u128::MAX].map(Uuid::from_u128);
    let entries = [old, replayed, new].map(|id| Entry {
        event_id: id,
        key: "A1".into(),
        outcome: Outcome::Applied,
    });
    let mut whole = Whole::new();
    inbox.insert_with(&mut whole, "g", &entries.each_ref());
    assert!(whole.run(pool).await.expect("the database answers"));
    execute(
        pool,
        "UPDATE one.inbox SET seen_at = now() - interval '2 days' \
                   WHERE event_id = '00000000-0000-0000-0000-000000000001'",
    )
    .await
    .expect("it is old now");
    let before = Uuid::from_u128(u128::MAX / 2);
    let purged = async || inbox.purge(pool, before, DAY, 10).await.expect("the database answers");
    assert_eq!((purged().await, purged().await), (1, 0));
    let left: Vec<Uuid> = sqlx::query_scalar("SELECT event_id FROM one.inbox ORDER BY event_id")
        .fetch_all(pool)
        .await
        .expect("entries");
    assert_eq!(left, [replayed, new]);
}

#[tokio::test]
async fn the_probe_reports_a_database_that_comes_and_goes() {
    let database = database().await;
    let mut url: url::Url = database.url.parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let door = Door::before(server).await;
    url.set_port(Some(door.address().port())).expect("a port");

    let readiness = Readiness::new("test-worker");
    let dependency = readiness.dependency("postgresql", Need::Required);
    let stop = CancellationToken::new();
    let config = testing::postgres_config(url.as_str());
    let probe = tokio::spawn(postgres::probe(config, dependency.clone(), stop.clone()));
    until(|| readiness.snapshot().dependencies[0].reason.as_deref() != Some("not connected yet"))
        .await;
    assert!(!dependency.is_up());

    door.open();
    until(|| readiness.is_ready()).await;
    door.shut();
    until(|| !readiness.is_ready()).await;
    stop.cancel();
    probe.await.expect("ended");
}

async fn increment(pool: &postgres::Pool, id: i32) -> Result<(), sqlx::Error> {
    transact(pool, move |connection| {
        async move {
            sqlx::query("UPDATE one.counters SET n = n + 1 WHERE id = $1")
                .bind(id)
                .execute(connection)
                .await?;
            Ok(())
        }
        .boxed()
    })
    .await
}
