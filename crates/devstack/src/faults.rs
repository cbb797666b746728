//! What can happen to the parts of a running stack.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::links::{loopback, port_of};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::servers::rocketmq::FULL_DISK_BYTES;
use crate::servers::{DATABASE, redis};
use crate::stack::Stack;
use crate::workers::Kind;
use crate::{Error, Links, command};

const BACK_MAX: Duration = Duration::from_secs(60);

/// A server that everything depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Redis,
    Postgres,
    /// Of its connections, the name server's are a part.
    Broker,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Broker];

    /// Its name in `/ready`.
    pub fn dependency(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgresql",
            Self::Broker => "broker",
        }
    }

    /// Who uses it.
    pub fn used_by(self) -> &'static [Kind] {
        match self {
            Self::Redis => &[Kind::Stock],
            Self::Postgres | Self::Broker => &Kind::ALL,
        }
    }

    /// Orders are accepted without the broker: into the outbox.
    pub fn is_needed_by(self, kind: Kind) -> bool {
        self.used_by().contains(&kind) && (self, kind) != (Self::Broker, Kind::Order)
    }
}

impl Stack {
    /// The part's process.
    pub fn process(&mut self, part: Part) -> &mut Process {
        match part {
            Part::Redis => &mut self.servers.redis,
            Part::Postgres => &mut self.servers.postgres,
            Part::Broker => &mut self.servers.broker,
        }
    }

    /// `kill -9`, but for PostgreSQL, whose own immediate end is as sudden: killing its first
    /// process would leave the others.
    ///
    /// # Panics
    /// When it has not ended.
    pub async fn end_at_once(&mut self, part: Part) {
        let process = self.process(part);
        match part {
            Part::Redis | Part::Broker => process.kill().await,
            Part::Postgres => process.stop().await,
        }
        assert!(process.exit().is_some(), "{part:?} has ended");
    }

    /// Starts a part that has ended, with its data; once this returns, it answers.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_again(&mut self, part: Part) -> Result<(), Error> {
        let process = self.process(part).clone();
        let process = process.start_again(&self.paths, &self.run).await?;
        *self.process(part) = process.clone();
        process.ready(BACK_MAX, || self.answers(part)).await
    }

    async fn answers(&self, part: Part) -> bool {
        match part {
            Part::Postgres => {
                self.psql(&self.servers.postgres_admin_url, &["SELECT 1"]).await.is_ok()
            }
            Part::Redis => redis::answers(port_of(&self.servers.redis_url)).await.unwrap_or(false),
            Part::Broker => TcpStream::connect(&self.servers.broker_address).await.is_ok(),
        }
    }

    /// Removes what Redis would find when it is started; it must have ended.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn wipe_redis(&self) -> Result<(), Error> {
        let data = &self.servers.redis.spec().directory;
        let cannot = || Error::io(format!("empty {}", data.display()));
        fs::remove_dir_all(data).and_then(|()| fs::create_dir(data)).map_err(cannot())
    }

    /// PostgreSQL lets nobody into the workers' database, and closes who is there.
    ///
    /// # Errors
    /// It does not do so.
    pub async fn refuse_database(&self) -> Result<(), Error> {
        let refuse = format!("ALTER DATABASE {DATABASE} WITH ALLOW_CONNECTIONS false");
        let close = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
        );
        self.psql(&self.servers.postgres_admin_url, &[&refuse, &close]).await.map(drop)
    }

    /// Lets them in again.
    ///
    /// # Errors
    /// PostgreSQL does not do so.
    pub async fn admit_to_database(&self) -> Result<(), Error> {
        let admit = format!("ALTER DATABASE {DATABASE} WITH ALLOW_CONNECTIONS true");
        self.psql(&self.servers.postgres_admin_url, &[&admit]).await.map(drop)
    }

    /// The broker can't make a new file of its log, as on a full disk: what it has space for it
    /// still takes. (When no file may grow at all, RocketMQ 5.3.3 acknowledges messages that no
    /// consumer ever sees; its own guard, a limit of the disk's use, is there to prevent that.)
    ///
    /// # Errors
    /// The system refuses.
    pub fn fill_brokers_disk(&self) -> Result<(), Error> {
        self.limit_brokers_files(Some(FULL_DISK_BYTES))
    }

    /// Its files can grow again.
    ///
    /// # Errors
    /// The system refuses.
    pub fn empty_brokers_disk(&self) -> Result<(), Error> {
        self.limit_brokers_files(None)
    }

    fn limit_brokers_files(&self, bytes_max: Option<u64>) -> Result<(), Error> {
        let cannot = || Error::io("limit the size of the broker's files");
        let limit = |current| {
            let pid = Pid::from_raw(self.servers.broker.pid());
            prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None })
                .map_err(io::Error::from)
        };
        limit(bytes_max).map(drop).map_err(cannot())
    }

    /// The proxies before a part.
    ///
    /// # Panics
    /// In a stack without proxies.
    pub fn proxies(&self, part: Part) -> Vec<&Proxy> {
        let links = self.links();
        match part {
            Part::Redis => vec![&links.redis],
            Part::Postgres => vec![&links.postgres],
            Part::Broker => vec![&links.name_server, &links.broker],
        }
    }

    fn links(&self) -> &Arc<Links> {
        self.servers.links.as_ref().expect("a stack with proxies")
    }

    /// A new member of the worker's groups takes the place of the first one, which ends once the
    /// new one is ready: one step of a rolling update. Answers how long the old one took to end.
    ///
    /// # Errors
    /// The new one does not come up.
    ///
    /// # Panics
    /// Without workers, without proxies, or when the old one does not end in order.
    pub async fn replace(&mut self, kind: Kind) -> Result<Duration, Error> {
        self.add(kind).await?;
        let links = self.links().clone();
        let workers = self.workers.as_mut().expect("a stack with workers");
        let place = workers.more.iter().rposition(|(other, _)| *other == kind);
        let (_, new) = workers.more.remove(place.expect("it was just added"));
        let old = std::mem::replace(workers.get_mut(kind), new);
        if kind == Kind::Order {
            links.orders.lead_to(loopback(port_of(&workers.order.api)));
        }
        let asked = tokio::time::Instant::now();
        old.process.stop().await;
        let exit = old.process.exited().await;
        assert!(exit.success(), "{} ended with {exit}", old.process.name());
        Ok(asked.elapsed())
    }

    /// What `psql` answers, in one of the server's databases.
    ///
    /// # Errors
    /// PostgreSQL refuses a statement, or does not answer.
    pub async fn psql(&self, url: &str, statements: &[&str]) -> Result<String, Error> {
        let mut psql = Command::new(self.tools.postgres_binaries.join("psql"));
        psql.args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-At"]);
        for statement in statements {
            psql.args(["--command", statement]);
        }
        command::output("psql", psql.arg(url)).await
    }
}
