//! The connection to Redis: one, multiplexed, made when it is needed, and again when it broke or
//! nothing came back on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisFuture, RedisResult, Value};
use tokio_util::sync::CancellationToken;

use crate::backoff::{self, Backoff};
use crate::config::RedisConfig;
use crate::readiness::Dependency;

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that all clones share. One that stays silent is given up for a new one: the client
/// itself notices only that a connection is closed.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    client: Client,
    settings: ConnectionManagerConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    number: u64,
}

/// A connection that is made on first use. Calls fail while Redis is away; they don't wait for it.
pub fn connect(config: &RedisConfig) -> Connection {
    let settings = ConnectionManagerConfig::new()
        .set_min_delay(RECONNECT_MIN)
        .set_max_delay(RECONNECT_MAX)
        .set_number_of_retries(0)
        .set_connection_timeout(Some(Duration::from_millis(config.connect_timeout_ms)))
        .set_response_timeout(Some(Duration::from_millis(config.response_timeout_ms)));
    let client = config.url.client();
    let manager = manager(&client, &settings);
    let current = Mutex::new(Current { manager, number: 0 });
    Connection(Arc::new(Shared { client, settings, current }))
}

fn manager(client: &Client, settings: &ConnectionManagerConfig) -> ConnectionManager {
    ConnectionManager::new_lazy_with_config(client.clone(), settings.clone())
        .expect("the address was checked when the configuration was read")
}

impl Connection {
    fn current(&self) -> Current {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a connection that was silent; who else waits on it keeps it until the time is up.
    fn heard<T>(&self, number: u64, answer: &RedisResult<T>) {
        if !answer.as_ref().is_err_and(redis::RedisError::is_timeout) {
            return;
        }
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            let manager = manager(&self.0.client, &self.0.settings);
            *current = Current { manager, number: number + 1 };
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let Current { mut manager, number } = self.current();
            let answer = manager.req_packed_command(command).await;
            self.heard(number, &answer);
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let Current { mut manager, number } = self.current();
            let answer = manager.req_packed_commands(commands, offset, count).await;
            self.heard(number, &answer);
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.current().manager.get_db()
    }
}

/// Asks Redis about its health until `stop`, and keeps `dependency` up to date.
pub async fn probe(mut connection: Connection, dependency: Dependency, stop: CancellationToken) {
    let mut backoff = Backoff::new(RECONNECT_MIN, RECONNECT_MAX);
    loop {
        let answer: RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
        let pause = match answer {
            Ok(_) => {
                dependency.up();
                backoff.reset();
                backoff::jitter(PROBE_INTERVAL)
            }
            Err(error) => {
                dependency.away(error);
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
