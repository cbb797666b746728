//! The workers as child processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::links::{loopback, port_of};
use crate::paths::Paths;
use crate::process::{Process, Spec};
use crate::run_dir::RunDir;
use crate::servers::Servers;
use crate::tokens::Tokens;
use crate::worker_config::{self, Surroundings};
use crate::{Console, Error, allocator, command, http, ports};

const READY_MAX: Duration = Duration::from_secs(60);
/// Longer than a worker's own limit of its drain.
const STOP_MAX: Duration = Duration::from_secs(25);

const TOKENS_FILE: &str = "tokens.toml";
/// As `common::crash` calls it.
const CRASH_VARIABLE: &str = "BOXOFFICE_CRASH_DIR";

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Order,
    Stock,
    Notify,
    Dlq,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Order, Self::Stock, Self::Notify, Self::Dlq];

    /// The name of its package, its program and its process.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order-worker",
            Self::Stock => "stock-worker",
            Self::Notify => "notify-worker",
            Self::Dlq => "dlq-handler",
        }
    }
}

/// Sets one key of a worker's configuration to something else.
#[derive(Debug, Clone)]
pub struct Override {
    pub worker: Kind,
    /// `section.key`.
    pub key: String,
    pub value: String,
}

/// A worker that is ready. Its addresses stay the same when it is started again.
#[derive(Debug, Clone)]
pub struct Worker {
    pub process: Process,
    /// `http://127.0.0.1:<port>`.
    pub api: String,
    pub admin: String,
}

/// All workers of a run, and the payment provider.
#[derive(Debug, Clone)]
pub struct Workers {
    pub order: Worker,
    pub stock: Worker,
    pub notify: Worker,
    pub dlq: Worker,
    /// Its admin address is its API's.
    pub sandbox: Worker,
    /// Further members, where more than one of each was asked for.
    pub more: Vec<(Kind, Worker)>,
}

/// What starting workers needs.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub servers: &'a Servers,
    pub tokens: &'a Tokens,
    pub paths: &'a Paths,
    pub run: &'a RunDir,
    pub console: &'a Console,
    pub overrides: &'a [Override],
    /// Of each worker.
    pub replicas: usize,
    /// Whether they can be told where to die.
    pub can_die: bool,
}

impl Workers {
    /// Migrates the database and starts all at once; they have been built. Once this returns,
    /// each is ready.
    ///
    /// # Errors
    /// The first one that does not come up; the others are ended.
    pub async fn start(context: Context<'_>) -> Result<Self, Error> {
        let tokens_file = context.run.path().join(TOKENS_FILE);
        write(&tokens_file, &context.tokens.file())?;
        let sandbox_port = ports::free()?;
        let links = context.servers.links.as_ref();
        let front = links.map(|links| links.orders.address());
        let worker = |kind: Kind| {
            let to =
                Provider { port: sandbox_port, callback_port: front.map(|front| front.port()) };
            Box::pin(start_worker(context, kind, kind.name(), &tokens_file, to))
        };
        let (sandbox, order, stock, notify, dlq) = tokio::try_join!(
            Box::pin(start_sandbox(context, sandbox_port)),
            worker(Kind::Order),
            worker(Kind::Stock),
            worker(Kind::Notify),
            worker(Kind::Dlq),
        )?;
        let mut workers = Self { order, stock, notify, dlq, sandbox, more: Vec::new() };
        if let Some(links) = links {
            links.orders.lead_to(loopback(port_of(&workers.order.api)));
        }
        for _ in 1..context.replicas {
            for kind in Kind::ALL {
                workers.add(context, kind).await?;
            }
        }
        Ok(workers)
    }

    /// Starts another member of the worker's groups.
    pub(crate) async fn add(&mut self, context: Context<'_>, kind: Kind) -> Result<(), Error> {
        let name = self.free_name(kind);
        let tokens_file = context.run.path().join(TOKENS_FILE);
        let callback_port = match &context.servers.links {
            Some(links) => links.orders.address().port(),
            None => port_of(&self.order.api),
        };
        let callback_port = Some(callback_port);
        let to = Provider { port: port_of(&self.sandbox.api), callback_port };
        let start = start_worker(context, kind, &name, &tokens_file, to);
        self.more.push((kind, Box::pin(start).await?));
        Ok(())
    }

    /// The name of another member: each has its own directory and log.
    fn free_name(&self, kind: Kind) -> String {
        let taken: Vec<&str> = self.all(kind).iter().map(|worker| worker.process.name()).collect();
        let numbered = (2..).map(|number| format!("{}-{number}", kind.name()));
        let all = std::iter::once(kind.name().to_owned()).chain(numbered);
        all.into_iter().find(|name| !taken.contains(&name.as_str())).expect("numbers don't end")
    }

    /// All members of a group.
    pub fn all(&self, kind: Kind) -> Vec<&Worker> {
        let more = self.more.iter().filter(|(other, _)| *other == kind).map(|(_, worker)| worker);
        std::iter::once(self.get(kind)).chain(more).collect()
    }

    /// One of them.
    pub fn get(&self, kind: Kind) -> &Worker {
        match kind {
            Kind::Order => &self.order,
            Kind::Stock => &self.stock,
            Kind::Notify => &self.notify,
            Kind::Dlq => &self.dlq,
        }
    }

    /// One of them, to be replaced.
    pub fn get_mut(&mut self, kind: Kind) -> &mut Worker {
        match kind {
            Kind::Order => &mut self.order,
            Kind::Stock => &mut self.stock,
            Kind::Notify => &mut self.notify,
            Kind::Dlq => &mut self.dlq,
        }
    }

    /// Their processes, the payment provider's last.
    pub fn processes(&self) -> Vec<&Process> {
        let workers = Kind::ALL.into_iter().flat_map(|kind| self.all(kind));
        workers.chain([&self.sandbox]).map(|worker| &worker.process).collect()
    }

    /// Drains and ends all of them.
    pub async fn stop(&self) {
        let mut stopping = tokio::task::JoinSet::new();
        for process in self.processes() {
            let process = process.clone();
            stopping.spawn(async move { process.stop().await });
        }
        stopping.join_all().await;
    }
}

/// How a worker and the payment provider find each other.
#[derive(Debug, Clone, Copy)]
struct Provider {
    port: u16,
    /// The worker's own without one.
    callback_port: Option<u16>,
}

async fn start_worker(
    context: Context<'_>,
    kind: Kind,
    name: &str,
    tokens_file: &Path,
    provider: Provider,
) -> Result<Worker, Error> {
    let since = Instant::now();
    let Context { servers, tokens, paths, run, .. } = context;
    let directory = make_directory(run, name)?;
    let port_file = directory.join("ports.json");
    let config = directory.join("config.toml");
    let (api_port, admin_port) = (ports::free()?, ports::free()?);
    let around = Surroundings {
        servers,
        tokens,
        tokens_file,
        port_file: &port_file,
        api_port,
        callback_port: provider.callback_port.unwrap_or(api_port),
        admin_port,
        sandbox_port: provider.port,
    };
    write(&config, &worker_config::text(kind, around))?;
    let mut spec = Spec::new(name, paths.binary(kind.name()), &directory)
        .arguments([Path::new("--config"), &config]);
    for Override { key, value, .. } in context.overrides.iter().filter(|set| set.worker == kind) {
        spec = spec.arguments(["--set".to_owned(), format!("{key}={value}")]);
    }
    spec.stop_max = STOP_MAX;
    spec.environment.extend(allocator::environment());
    if context.can_die {
        spec.environment.push((CRASH_VARIABLE.to_owned(), directory.clone().into()));
    }
    let mut migrate = Command::new(&spec.program);
    migrate.args(&spec.arguments).arg("migrate").current_dir(&directory);
    command::run(&format!("{name} migrate"), &mut migrate).await?;
    let process = Process::start(spec, paths, run).await?;
    let worker = Worker { process, api: url(api_port), admin: url(admin_port) };
    wait_until_ready(&worker, &port_file).await?;
    context.console.ready(name, &worker.api, since.elapsed());
    Ok(worker)
}

async fn start_sandbox(context: Context<'_>, port: u16) -> Result<Worker, Error> {
    let since = Instant::now();
    let name = "sandbox";
    let directory = make_directory(context.run, name)?;
    let port_file = directory.join("ports.json");
    let mut spec = Spec::new(name, context.paths.binary(name), &directory)
        .arguments(["--listen".to_owned(), format!("127.0.0.1:{port}")])
        .arguments([Path::new("--port-file"), &port_file])
        .arguments([Path::new("--journal"), &directory.join("journal")]);
    let tokens = context.tokens;
    spec.environment = vec![
        ("SANDBOX_MERCHANT_KEY".to_owned(), tokens.merchant_key.clone().into()),
        ("SANDBOX_CALLBACK_SECRET".to_owned(), tokens.callback_secret.clone().into()),
    ];
    spec.stop_max = STOP_MAX;
    let process = Process::start(spec, context.paths, context.run).await?;
    let worker = Worker { process, api: url(port), admin: url(port) };
    wait_until_ready(&worker, &port_file).await?;
    context.console.ready(name, &worker.api, since.elapsed());
    Ok(worker)
}

/// Once the port file is there, `/ready` decides. That order-worker knows no sale yet is no
/// reason to wait: nobody has loaded one.
async fn wait_until_ready(worker: &Worker, port_file: &Path) -> Result<(), Error> {
    let address = worker.admin.trim_start_matches("http://");
    let is_ready = || async { port_file.is_file() && http::is_ready(address, "sale").await };
    worker.process.ready(READY_MAX, is_ready).await
}

fn make_directory(run: &RunDir, name: &str) -> Result<PathBuf, Error> {
    let directory = run.path().join(name);
    fs::create_dir_all(&directory).map_err(Error::io(format!("make {}", directory.display())))?;
    Ok(directory)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
