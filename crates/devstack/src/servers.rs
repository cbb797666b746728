//! Apache RocketMQ, PostgreSQL and Redis, private to one run.

use std::time::Instant;

use crate::Error;
use crate::console::Console;
use crate::install::Tools;
use crate::paths::Paths;
use crate::process::Process;
use crate::run_dir::RunDir;

mod postgres;
mod redis;
mod remoting;
mod rocketmq;
pub(crate) mod user;

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
    pub async fn start(
        tools: &Tools,
        paths: &Paths,
        run: &RunDir,
        console: &Console,
    ) -> Result<Self, Error> {
        let context = Context { tools, paths, run, console };
        let (postgres, redis, rocketmq) = tokio::try_join!(
            tries(|| Box::pin(postgres::start(context))),
            tries(|| Box::pin(redis::start(context))),
            tries(|| Box::pin(rocketmq::start(context))),
        )?;
        Ok(Self {
            postgres_admin_url: postgres.url("postgres"),
            postgres_url: postgres.url(postgres::DATABASE),
            redis_url: redis.url,
            name_server: rocketmq.name_server,
            postgres: postgres.process,
            redis: redis.process,
            namesrv: rocketmq.namesrv,
            broker: rocketmq.broker,
        })
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

/// What starting a server needs.
#[derive(Debug, Clone, Copy)]
struct Context<'a> {
    tools: &'a Tools,
    paths: &'a Paths,
    run: &'a RunDir,
    console: &'a Console,
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
