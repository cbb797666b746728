//! Apache RocketMQ, PostgreSQL and Redis, private to one run.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::Error;
use crate::console::Console;
use crate::install::Tools;
use crate::links::{Links, Wiring};
use crate::paths::Paths;
use crate::process::Process;
use crate::run_dir::RunDir;

mod postgres;
pub(crate) mod redis;
mod remoting;
pub(crate) mod rocketmq;
pub(crate) mod user;

pub(crate) use postgres::DATABASE;

/// Another server may take a port in the moment between its choice and its use.
const START_TRIES: usize = 3;

/// The servers of a run, each ready.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `postgres://boxoffice@127.0.0.1:<port>/postgres`: a superuser's.
    pub postgres_admin_url: String,
    /// The database of the workers, in the same server.
    pub postgres_url: String,
    pub redis_url: String,
    /// `127.0.0.1:<port>`.
    pub name_server: String,
    /// `127.0.0.1:<port>`, where the broker itself listens.
    pub broker_address: String,
    /// Between the workers and the servers, when there are any.
    pub links: Option<Arc<Links>>,
    pub postgres: Process,
    pub redis: Process,
    pub namesrv: Process,
    pub broker: Process,
}

impl Servers {
    /// Starts all of them at once and waits until each answers.
    ///
    /// # Errors
    /// The first one that does not come up; the others are ended.
    pub(crate) async fn start(context: Context<'_>) -> Result<Self, Error> {
        let (postgres, redis, rocketmq) = tokio::try_join!(
            tries(|| Box::pin(postgres::start(context))),
            tries(|| Box::pin(redis::start(context))),
            tries(|| Box::pin(rocketmq::start(context))),
        )?;
        let mut servers = Self {
            postgres_admin_url: postgres.url("postgres"),
            postgres_url: postgres.url(DATABASE),
            redis_url: redis.url,
            name_server: rocketmq.name_server,
            broker_address: rocketmq.broker_address,
            links: None,
            postgres: postgres.process,
            redis: redis.process,
            namesrv: rocketmq.namesrv,
            broker: rocketmq.broker,
        };
        if context.wiring == Wiring::Proxied {
            servers.links = Some(Arc::new(Links::start(&servers).await?));
        }
        Ok(servers)
    }

    /// Where the workers find PostgreSQL, Redis and the name server.
    pub(crate) fn seen_by_workers(&self) -> Seen {
        let Self { postgres_url, redis_url, name_server, links, .. } = self;
        match links {
            None => Seen {
                postgres_url: postgres_url.clone(),
                redis_url: redis_url.clone(),
                name_server: name_server.clone(),
            },
            Some(links) => Seen {
                postgres_url: postgres::url(links.postgres.address().port(), DATABASE),
                redis_url: format!("redis://{}", links.redis.address()),
                name_server: links.name_server.address().to_string(),
            },
        }
    }

    /// The processes, by the names of their logs.
    pub fn processes(&self) -> [&Process; 4] {
        [&self.postgres, &self.redis, &self.namesrv, &self.broker]
    }

    /// Ends all of them.
    pub async fn stop(&self) {
        tokio::join!(
            self.postgres.stop(),
            self.redis.stop(),
            self.namesrv.stop(),
            self.broker.stop(),
        );
    }
}

/// The servers' addresses, as the workers are told them.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) postgres_url: String,
    pub(crate) redis_url: String,
    pub(crate) name_server: String,
}

/// What starting a server needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) paths: &'a Paths,
    pub(crate) run: &'a RunDir,
    pub(crate) console: &'a Console,
    pub(crate) wiring: Wiring,
    /// See [`Options::postgres_data`](crate::Options::postgres_data).
    pub(crate) postgres_data: Option<&'a Path>,
}

impl Context<'_> {
    fn ready(self, part: &str, address: &str, since: Instant) {
        self.console.ready(part, address, since.elapsed());
    }
}

/// Starts again, with other ports, what ended before it was ready.
async fn tries<T, R: Future<Output = Result<T, Error>>>(
    mut start: impl FnMut() -> R,
) -> Result<T, Error> {
    let mut left = START_TRIES;
    loop {
        left -= 1;
        match start().await {
            Err(Error::Ended { tail, .. }) if left > 0 && is_port_taken(&tail) => {}
            other => return other,
        }
    }
}

fn is_port_taken(tail: &str) -> bool {
    tail.to_ascii_lowercase().contains("address already in use")
}
