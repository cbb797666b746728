use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::install::{self, Tools};
use crate::links::Wiring;
use crate::paths::Paths;
use crate::process::{self, Process};
use crate::run_dir::{Data, RunDir};
use crate::servers::{self, Servers};
use crate::tokens::Tokens;
use crate::workers::{Context, Kind, Override, Workers};
use crate::{Console, Error, build};

/// Set while the workspace's tests run: the workers were built together with them.
pub const BUILT_VARIABLE: &str = "BOXOFFICE_BUILT";

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parts {
    /// RocketMQ, PostgreSQL and Redis.
    Servers,
    /// These, the payment provider and the workers, which are built first.
    #[default]
    All,
}

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct Options {
    pub parts: Parts,
    pub data: Data,
    pub console: Console,
    /// Changes of the workers' configuration.
    pub overrides: Vec<Override>,
    /// How many of each worker are started.
    pub replicas: usize,
    /// Where the workers' programs are; built there first. None: those of this build.
    pub binaries: Option<Binaries>,
    /// The workers can be told where to die: see `common::crash`, whose directory is theirs.
    pub can_die: bool,
    pub wiring: Wiring,
    /// A directory with PostgreSQL's data that outlives the run; made when it is not there. None:
    /// one of the run's own.
    pub postgres_data: Option<PathBuf>,
}

/// Programs of another build than this one.
#[derive(Debug, Clone)]
pub enum Binaries {
    /// This checkout's, optimised: built first.
    Release,
    /// Somebody else's, as they are.
    In(PathBuf),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: Parts::default(),
            data: Data::default(),
            console: Console::stderr(),
            overrides: Vec::new(),
            replicas: 1,
            binaries: None,
            can_die: false,
            wiring: Wiring::default(),
            postgres_data: None,
        }
    }
}

/// A process that ended without being asked to.
#[derive(Debug)]
pub struct Crash {
    pub name: String,
    pub status: ExitStatus,
    /// The last lines of its log.
    pub tail: String,
}

impl std::fmt::Display for Crash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CRASH: {} ended by itself ({})", self.name, self.status)?;
        self.tail.lines().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// A private stack that is up. When it is dropped its processes are ended at once and its data
/// is removed; [`Stack::stop`] ends it in order.
#[derive(Debug)]
pub struct Stack {
    /// None when only servers were asked for.
    pub workers: Option<Workers>,
    pub servers: Servers,
    pub tokens: Tokens,
    pub paths: Paths,
    pub tools: Tools,
    /// Dropped last, when nothing uses the directory any more.
    pub run: RunDir,
}

impl Stack {
    /// Installs what is missing, builds what was asked for, and starts it; once this returns,
    /// every part is ready.
    ///
    /// # Errors
    /// Something can't be installed, built or started; nothing is left running.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { parts, data, console, overrides, replicas, binaries, can_die, .. } = options;
        let mut paths = Paths::find()?;
        let tools = install::ensure(&paths, &console).await?;
        let mut is_built = env::var_os(BUILT_VARIABLE).is_some();
        match binaries {
            None => {}
            Some(Binaries::Release) => {
                paths = paths.release();
                is_built = false;
            }
            Some(Binaries::In(directory)) => {
                paths.binaries = directory;
                is_built = true;
            }
        }
        if parts == Parts::All && !is_built {
            build::workers(&paths).await?;
        }
        let run = RunDir::create(&paths.devstack, data, &console)?;
        console.line(format!("starting in {}", run.path().display()));
        let servers = servers::Context {
            tools: &tools,
            paths: &paths,
            run: &run,
            console: &console,
            wiring: options.wiring,
            postgres_data: options.postgres_data.as_deref(),
        };
        let servers = Box::pin(Servers::start(servers)).await?;
        let tokens = Tokens::generate();
        let context = Context {
            servers: &servers,
            tokens: &tokens,
            paths: &paths,
            run: &run,
            console: &console,
            overrides: &overrides,
            replicas,
            can_die,
        };
        let workers = match parts {
            Parts::Servers => None,
            Parts::All => Some(Box::pin(Workers::start(context)).await?),
        };
        Ok(Self { workers, servers, tokens, paths, tools, run })
    }

    /// Starts another member of the worker's groups; once this returns, it is ready.
    ///
    /// # Errors
    /// It does not come up.
    ///
    /// # Panics
    /// Without workers.
    pub async fn add(&mut self, kind: Kind) -> Result<(), Error> {
        let context = Context {
            servers: &self.servers,
            tokens: &self.tokens,
            paths: &self.paths,
            run: &self.run,
            console: &Console::quiet(),
            overrides: &[],
            replicas: 1,
            can_die: false,
        };
        let workers = self.workers.as_mut().expect("a stack with workers");
        Box::pin(workers.add(context, kind)).await
    }

    /// Drains and ends the member that was added last; answers how it ended.
    ///
    /// # Panics
    /// When none was added.
    pub async fn remove(&mut self, kind: Kind) -> ExitStatus {
        let more = &mut self.workers.as_mut().expect("a stack with workers").more;
        let place = more.iter().rposition(|(other, _)| *other == kind).expect("one was added");
        let (_, worker) = more.remove(place);
        worker.process.stop().await;
        worker.process.exited().await
    }

    /// All processes: workers first, then servers.
    pub fn processes(&self) -> Vec<&Process> {
        let workers = self.workers.iter().flat_map(Workers::processes);
        workers.chain(self.servers.processes()).collect()
    }

    /// What tests read, as names and values of environment variables.
    pub fn test_environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BOXOFFICE_TEST_POSTGRES", self.servers.postgres_admin_url.clone()),
            ("BOXOFFICE_TEST_REDIS", self.servers.redis_url.clone()),
            ("BOXOFFICE_TEST_NAMESRV", self.servers.name_server.clone()),
            ("BOXOFFICE_BIN_DIR", self.paths.binaries.display().to_string()),
        ]
    }

    /// What the `boxoffice` program reads; nothing without workers.
    pub fn operator_environment(&self) -> Vec<(&'static str, String)> {
        let Some(workers) = &self.workers else { return Vec::new() };
        // One of each: all members of a group export its lag.
        let admin_urls = Kind::ALL.map(|kind| workers.get(kind).admin.as_str());
        vec![
            ("BOXOFFICE_ADMIN_URLS", admin_urls.join(",")),
            ("BOXOFFICE_ORDER_URL", self.orders_url()),
            ("BOXOFFICE_STOCK_URL", workers.stock.api.clone()),
            ("BOXOFFICE_NOTIFY_URL", workers.notify.api.clone()),
            ("BOXOFFICE_DLQ_URL", workers.dlq.api.clone()),
            ("BOXOFFICE_TOKEN", self.tokens.operator.clone()),
            ("BOXOFFICE_DATABASE_URL", self.servers.postgres_url.clone()),
            ("BOXOFFICE_REDIS_URL", self.servers.redis_url.clone()),
            ("BOXOFFICE_NAME_SERVER", self.servers.name_server.clone()),
            ("BOXOFFICE_GATEWAY_URL", workers.sandbox.api.clone()),
            ("BOXOFFICE_GATEWAY_KEY", self.tokens.merchant_key.clone()),
        ]
    }

    fn orders_url(&self) -> String {
        match (&self.servers.links, &self.workers) {
            (Some(links), _) => format!("http://{}", links.orders.address()),
            (None, Some(workers)) => workers.order.api.clone(),
            (None, None) => String::new(),
        }
    }

    /// Writes both environments as a file that a shell can read.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write_environment_file(&self) -> Result<PathBuf, Error> {
        let path = self.run.path().join("env");
        let all = self.test_environment().into_iter().chain(self.operator_environment());
        let text: String = all.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// Returns when a process has ended that nobody asked to; `known` are those that were told
    /// before.
    pub async fn crash(&self, known: &[String]) -> Crash {
        let mut watched = tokio::task::JoinSet::new();
        for process in self.processes() {
            if !known.iter().any(|name| name == process.name()) {
                let process = process.clone();
                watched.spawn(async move { (process.exited().await, process) });
            }
        }
        match watched.join_next().await {
            Some(Ok((status, process))) => Crash {
                name: process.name().to_owned(),
                status,
                tail: process::tail(process.log()),
            },
            _ => std::future::pending().await,
        }
    }

    /// Drains the workers, then ends the servers; removes the data.
    pub async fn stop(self) {
        if let Some(workers) = &self.workers {
            workers.stop().await;
        }
        self.servers.stop().await;
    }
}
