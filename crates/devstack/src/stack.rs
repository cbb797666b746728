use std::process::ExitStatus;

use crate::install::{self, Tools};
use crate::paths::Paths;
use crate::process::{self, Process};
use crate::run_dir::{Data, RunDir};
use crate::servers::Servers;
use crate::tokens::Tokens;
use crate::workers::{Context, Kind, Override, Workers};
use crate::{Console, Error, build};

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: Parts::default(),
            data: Data::default(),
            console: Console::stderr(),
            overrides: Vec::new(),
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
        let Options { parts, data, console, overrides } = options;
        let paths = Paths::find()?;
        let tools = install::ensure(&paths, &console).await?;
        if parts == Parts::All {
            build::workers(&paths).await?;
        }
        let run = RunDir::create(&paths.devstack, data, &console)?;
        console.line(format!("starting in {}", run.path().display()));
        let servers = Servers::start(&tools, &paths, &run, &console).await?;
        let tokens = Tokens::generate();
        let context = Context {
            servers: &servers,
            tokens: &tokens,
            paths: &paths,
            run: &run,
            console: &console,
            overrides: &overrides,
        };
        let workers = match parts {
            Parts::Servers => None,
            Parts::All => Some(Workers::start(context).await?),
        };
        Ok(Self { workers, servers, tokens, paths, tools, run })
    }

    /// All processes: workers first, then servers.
    pub fn processes(&self) -> Vec<&Process> {
        let workers = self.workers.iter().flat_map(Workers::processes);
        workers.chain(self.servers.processes()).collect()
    }

    /// What tests read, as names and values of environment variables.
    pub fn environment_pairs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BOXOFFICE_TEST_POSTGRES", self.servers.postgres_admin_url.clone()),
            ("BOXOFFICE_TEST_REDIS", self.servers.redis_url.clone()),
            ("BOXOFFICE_TEST_NAMESRV", self.servers.name_server.clone()),
            ("BOXOFFICE_BIN_DIR", self.paths.binaries.display().to_string()),
        ]
    }

    /// What a person's shell needs, as lines of `NAME=value`: where tests find the servers, and
    /// where the workers are.
    pub fn environment(&self) -> Vec<String> {
        let tests = self.environment_pairs();
        let mut pairs: Vec<_> =
            tests.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(workers) = &self.workers {
            for kind in Kind::ALL {
                let name = kind.name().to_ascii_uppercase().replace('-', "_");
                pairs.push((format!("{name}_API"), workers.get(kind).api.clone()));
                pairs.push((format!("{name}_ADMIN"), workers.get(kind).admin.clone()));
            }
            pairs.push(("SANDBOX_API".to_owned(), workers.sandbox.api.clone()));
            pairs.push(("BOXOFFICE_TOKEN".to_owned(), self.tokens.operator.clone()));
        }
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
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
