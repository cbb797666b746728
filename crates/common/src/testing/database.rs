use sha2::{Digest as _, Sha256};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;

use crate::config::PostgresConfig;
use crate::postgres;

/// Any number, the same for all tests: making a template is done by one at a time.
const TEMPLATE_LOCK: i64 = 0x0b0_0f1c_e7e5;

/// A database of one test's own; dropped with the guard.
#[derive(Debug)]
pub struct TestDatabase {
    pub url: String,
    /// As a worker's: with its time limits.
    pub pool: postgres::Pool,
    name: String,
}

/// A database in which `migrator` was applied to `schema`, copied from a template that is made
/// once for each set of migrations.
///
/// # Panics
/// When the server can't be reached, or a migration fails.
pub async fn postgres_database(migrator: &Migrator, schema: &'static str) -> TestDatabase {
    let mut server = connect(&super::postgres_url()).await;
    let template = template(&mut server, migrator, schema).await;
    let name = super::unique("test");
    execute(&mut server, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    let _ = server.close().await;
    let url = url_of(&name);
    let pool = postgres::pool(&postgres_config(&url), "test");
    TestDatabase { url, pool, name }
}

/// A worker's configuration of the database at `url`.
///
/// # Panics
/// When `url` is not one of PostgreSQL.
pub fn postgres_config(url: &str) -> PostgresConfig {
    let url = url.parse().expect("a URL of PostgreSQL");
    PostgresConfig { url, pool_max: 5, ..PostgresConfig::default() }
}

/// The name of the migrated template, made now unless it is there.
async fn template(server: &mut PgConnection, migrator: &Migrator, schema: &'static str) -> String {
    let mut hash = Sha256::new();
    for migration in migrator.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    let name = format!("template_{schema}_{}", &hex::encode(hash.finalize())[..16]);
    lock(server, "pg_advisory_lock").await;
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut *server)
            .await
            .expect("the server's databases can be read");
    if !there {
        // Under another name until it is whole: a test that died here leaves no half template.
        let unfinished = super::unique("unfinished");
        execute(server, format!("CREATE DATABASE {unfinished}")).await;
        let pool = postgres::pool(&postgres_config(&url_of(&unfinished)), "test template");
        postgres::migrate(&pool, migrator, schema).await.expect("the migrations apply");
        pool.close().await;
        execute(server, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
    }
    lock(server, "pg_advisory_unlock").await;
    name
}

async fn lock(server: &mut PgConnection, function: &str) {
    execute(server, format!("SELECT {function}({TEMPLATE_LOCK})")).await;
}

fn url_of(database: &str) -> String {
    let mut url = Url::parse(&super::postgres_url()).expect("a URL");
    url.set_path(database);
    url.to_string()
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the tests' PostgreSQL answers: cargo stack test")
}

async fn execute(connection: &mut PgConnection, sql: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(connection).await;
    if let Err(error) = done {
        panic!("{sql}: {error}");
    }
}

impl Drop for TestDatabase {
    /// Drops the database, in a thread of its own: a destructor can't wait for the test's runtime.
    fn drop(&mut self) {
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    if let Ok(mut server) = PgConnection::connect(&super::postgres_url()).await {
                        let _ = sqlx::raw_sql(AssertSqlSafe(drop_it)).execute(&mut server).await;
                    }
                });
            }
        });
        let _ = dropping.join();
    }
}
