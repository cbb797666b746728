//! The tables of all four workers, a session in Redis and the books of a provider: clean, until a
//! test plants something.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use boxoffice::audit::{self, Gateway, Options, Quiet, Report, Target};
use common::testing::{self, TestDatabase};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;

pub(crate) struct World {
    database: TestDatabase,
    redis: MultiplexedConnection,
    prefix: String,
    pub(crate) books: Arc<Mutex<Books>>,
    gateway_url: String,
}

/// What the provider says.
#[derive(Default)]
pub(crate) struct Books {
    /// Order, captured, refunded.
    pub(crate) orders: Vec<(&'static str, &'static str, &'static str)>,
    pub(crate) forgeries_believed: u64,
}

impl World {
    /// A system in which every invariant holds.
    pub(crate) async fn clean() -> Self {
        let database = all_schemas().await;
        execute(&database, include_str!("clean.sql")).await;
        let client = redis::Client::open(testing::redis_url()).expect("an address");
        let mut redis =
            client.get_multiplexed_async_connection().await.expect("the tests' Redis answers");
        let prefix = testing::unique("audit:");
        for command in CLEAN_REDIS {
            run(&mut redis, &prefix, command).await;
        }
        let books = Arc::new(Mutex::new(Books {
            orders: vec![("A", "20.00", "0.00"), ("F", "10", "10"), ("G", "20.0000", "10.0000")],
            forgeries_believed: 0,
        }));
        let gateway_url = serve(books.clone()).await;
        Self { database, redis, prefix, books, gateway_url }
    }

    /// Changes rows behind everybody's back.
    pub(crate) async fn sql(&self, sql: &str) {
        execute(&self.database, sql).await;
    }

    /// Changes Redis: a command whose `@` is the session's keys.
    pub(crate) async fn redis(&mut self, command: &str) {
        run(&mut self.redis, &self.prefix, command).await;
    }

    /// The session as it was in the beginning.
    pub(crate) async fn reset_redis(&mut self) {
        self.redis("DEL @:epoch @:stock @:hold @:user").await;
        for command in CLEAN_REDIS {
            self.redis(command).await;
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            database_url: self.database.url.clone(),
            redis_url: Some(testing::redis_url()),
            redis_prefix: self.prefix.clone(),
            gateway: Some(Gateway { url: self.gateway_url.clone(), key: "key".to_owned() }),
        }
    }

    pub(crate) async fn audit(&self, quiet: Quiet) -> Report {
        let options = Options { quiet, ..Options::default() };
        audit::run(&self.target(), &options, |_| {}).await.expect("an audit")
    }

    /// What is broken, with Q1 to Q6.
    pub(crate) async fn broken(&self) -> Vec<&'static str> {
        self.audit(Quiet::Assumed).await.broken()
    }
}

const CLEAN_REDIS: &[&str] = &[
    "SET @:epoch 1",
    "HSET @:stock 70 96",
    "HSET @:user 1 2 2 1 7 1",
    "HSET @:hold A 1|1|29500000|70x2S B 1|2|29500000|70x1H C 1|3|29500000|70x1R",
    "HSET @:hold D 1|4|29500000|70x1R F 1|6|29500000|70x1R G 1|7|29500000|70x1S",
];

async fn run(redis: &mut MultiplexedConnection, prefix: &str, command: &str) {
    let mut words = command.split(' ');
    let mut call = redis::cmd(words.next().expect("a command"));
    for word in words {
        call.arg(word.replace('@', &format!("{prefix}{{s:7}}")));
    }
    call.exec_async(redis).await.expect(command);
}

/// The migrations of every worker, as they lie in the repository.
async fn all_schemas() -> TestDatabase {
    let migrator = Migrator::new(migrations("order-worker")).await.expect("migrations");
    let database = testing::postgres_database(&migrator, "orders").await;
    for (worker, schema) in
        [("stock-worker", "stock"), ("notify-worker", "notify"), ("dlq-handler", "dlq")]
    {
        execute(&database, &format!("CREATE SCHEMA {schema}")).await;
        let migrator = Migrator::new(migrations(worker)).await.expect("migrations");
        for migration in migrator.iter() {
            execute(&database, migration.sql.as_str()).await;
        }
    }
    database
}

fn migrations(worker: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(worker).join("migrations")
}

async fn execute(database: &TestDatabase, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&database.pool).await;
    if let Err(error) = done {
        panic!("{sql}: {error}");
    }
}

async fn serve(books: Arc<Mutex<Books>>) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let router = Router::new()
        .route("/v1/books", get(totals))
        .route("/v1/books/orders", get(orders))
        .with_state(books);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn totals(State(books): State<Arc<Mutex<Books>>>) -> Json<Value> {
    let believed = books.lock().expect("books").forgeries_believed;
    Json(json!({ "callbacks": { "forgeriesBelieved": believed } }))
}

/// One order a page, so that pages are followed.
async fn orders(
    State(books): State<Arc<Mutex<Books>>>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Json<Value> {
    let query = query.unwrap_or_default();
    let after = query.split("after=%").nth(1).map(|hex| u8::from_str_radix(hex, 16));
    let after = after.map(|byte| char::from(byte.expect("hex")).to_string()).unwrap_or_default();
    let books = books.lock().expect("books");
    let mut rest = books.orders.iter().filter(|(order_no, _, _)| **order_no > *after);
    let items: Vec<Value> = rest
        .next()
        .map(|(order_no, captured, refunded)| {
            json!({ "orderNo": order_no, "currency": "EUR", "captured": captured,
                "refunding": "0.00", "refunded": refunded })
        })
        .into_iter()
        .collect();
    let has_more = rest.next().is_some();
    match items.first().filter(|_| has_more) {
        Some(item) => Json(json!({ "next": item["orderNo"], "items": items })),
        None => Json(json!({ "items": items })),
    }
}
