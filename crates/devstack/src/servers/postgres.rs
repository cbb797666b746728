use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::Context;
use super::user::{self, User};
use crate::guard::Stop;
use crate::process::{Process, Spec};
use crate::run_dir::Data;
use crate::{Error, command, ports};

/// The database of the workers.
pub(crate) const DATABASE: &str = "boxoffice";
const SUPERUSER: &str = "boxoffice";
/// It may have something to recover.
const READY_MAX: Duration = Duration::from_secs(60);
/// With data that is kept it ends in order, with a checkpoint.
const STOP_MAX: Duration = Duration::from_secs(60);

const BUFFERS_MIN_MB: u64 = 256;
const BUFFERS_MAX_MB: u64 = 4_096;

/// Durable as in production; sized for a small machine that runs everything.
const SETTINGS: [(&str, &str); 15] = [
    ("listen_addresses", "127.0.0.1"),
    // Its path would be too long for a socket; TCP on loopback will do.
    ("unix_socket_directories", ""),
    ("max_connections", "400"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("wal_buffers", "16MB"),
    ("min_wal_size", "4GB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "15min"),
    ("checkpoint_completion_target", "0.9"),
    ("jit", "off"),
    ("log_line_prefix", "%m [%p] %a "),
    ("log_checkpoints", "off"),
    ("timezone", "UTC"),
];

#[derive(Debug)]
pub(super) struct Postgres {
    port: u16,
    pub(super) process: Process,
}

impl Postgres {
    pub(super) fn url(&self, database: &str) -> String {
        url(self.port, database)
    }
}

pub(super) fn url(port: u16, database: &str) -> String {
    format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{database}")
}

pub(super) async fn start(context: Context<'_>) -> Result<Postgres, Error> {
    let since = Instant::now();
    let binaries = &context.tools.postgres_binaries;
    let user = user::unprivileged()?;
    let data = data_directory(context, user.as_ref())?;
    if !data.join("PG_VERSION").exists() {
        initialise(binaries, &data, user.as_ref()).await?;
    }
    let port = ports::free()?;
    let statistics = has_statistics(binaries).await;
    let mut spec = Spec::new("postgres", binaries.join("postgres"), &data)
        .arguments([Path::new("-D"), &data])
        .arguments(["-p".to_owned(), port.to_string()]);
    spec = spec.arguments(["-c".to_owned(), format!("shared_buffers={}MB", buffers_mb())]);
    for (key, value) in SETTINGS {
        spec = spec.arguments(["-c".to_owned(), format!("{key}={value}")]);
    }
    if statistics {
        spec = spec.arguments(["-c", "shared_preload_libraries=pg_stat_statements"]);
    }
    spec.user = user;
    spec.stop = match context.run.data() {
        Data::Remove if context.postgres_data.is_none() => Stop::Quit,
        Data::Remove | Data::Keep => Stop::Interrupt,
    };
    spec.stop_max = STOP_MAX;
    let process = Process::start(spec, context.paths, context.run).await?;
    let server = Postgres { port, process };
    server.process.ready(READY_MAX, || accepts(binaries, port)).await?;
    create_database(binaries, &server, statistics).await?;
    context.ready("PostgreSQL", &server.url(DATABASE), since);
    Ok(server)
}

/// An eighth of the machine's memory, as far as that is known: what a sale writes is not to be
/// written twice because it did not fit.
fn buffers_mb() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total_kb = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    total_kb.map_or(BUFFERS_MIN_MB, |kb| kb / 1024 / 8).clamp(BUFFERS_MIN_MB, BUFFERS_MAX_MB)
}

/// A directory that the server's user can reach: the one that is kept, or an empty one in the run,
/// or else where temporary files go.
fn data_directory(context: Context<'_>, user: Option<&User>) -> Result<PathBuf, Error> {
    let within = match context.postgres_data {
        Some(kept) => kept.to_owned(),
        None => context.run.path().join("pg"),
    };
    if context.postgres_data.is_none() || !within.exists() {
        make_private(&within, user)?;
    }
    let Some(user) = user else { return Ok(within) };
    if can_enter(user, &within) {
        return Ok(within);
    }
    let name = context.run.path().file_name().unwrap_or_default().to_string_lossy();
    let elsewhere = env::temp_dir().join(format!("boxoffice-{name}"));
    context.console.line(format!(
        "  {} can't be reached by user {}, so PostgreSQL's data is in {} (removed at the end)",
        within.display(),
        user.name,
        elsewhere.display()
    ));
    context.run.adopt(&elsewhere)?;
    make_private(&elsewhere, Some(user))?;
    Ok(elsewhere)
}

/// Makes an empty directory that only `user` can read; what an earlier try left is removed.
fn make_private(directory: &Path, user: Option<&User>) -> Result<(), Error> {
    let cannot = || Error::io(format!("make {}", directory.display()));
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(cannot())?;
    }
    fs::create_dir(directory).map_err(cannot())?;
    fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(cannot())?;
    if let Some(user) = user {
        chown(directory, Some(user.uid), Some(user.gid)).map_err(cannot())?;
    }
    Ok(())
}

/// Tried rather than derived from modes: that is what counts.
fn can_enter(user: &User, directory: &Path) -> bool {
    use std::os::unix::process::CommandExt as _;
    let mut try_it = std::process::Command::new("/bin/sh");
    try_it.args(["-c", "cd -- \"$0\" && test -w ."]).arg(directory);
    try_it.uid(user.uid).gid(user.gid).current_dir("/");
    try_it.output().is_ok_and(|output| output.status.success())
}

async fn initialise(binaries: &Path, data: &Path, user: Option<&User>) -> Result<(), Error> {
    let mut initdb = Command::new(binaries.join("initdb"));
    initdb.arg("--pgdata").arg(data).args(["--username", SUPERUSER, "--auth", "trust"]);
    initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]);
    initdb.current_dir(data);
    if let Some(user) = user {
        initdb.uid(user.uid).gid(user.gid);
    }
    command::run("initdb", &mut initdb).await
}

/// Whether the module for statement statistics is installed.
async fn has_statistics(binaries: &Path) -> bool {
    let mut pg_config = Command::new(binaries.join("pg_config"));
    let told = command::output("pg_config", pg_config.arg("--pkglibdir")).await;
    let libraries = told.map_or_else(|_| binaries.join("../lib"), |path| path.trim().into());
    libraries.join("pg_stat_statements.so").is_file()
}

async fn accepts(binaries: &Path, port: u16) -> bool {
    let mut pg_isready = Command::new(binaries.join("pg_isready"));
    pg_isready.args(["--quiet", "--host", "127.0.0.1", "--port", &port.to_string()]);
    pg_isready.kill_on_drop(true);
    pg_isready.status().await.is_ok_and(|status| status.success())
}

async fn create_database(
    binaries: &Path,
    server: &Postgres,
    statistics: bool,
) -> Result<(), Error> {
    let psql = |commands: &[&str]| {
        let mut psql = Command::new(binaries.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "-v", "ON_ERROR_STOP=1"]);
        psql.args(commands.iter().flat_map(|sql| ["--command", sql]));
        psql.arg(server.url("postgres"));
        psql
    };
    let named = format!("SELECT datname FROM pg_database WHERE datname = '{DATABASE}'");
    if command::output("psql", &mut psql(&[&named])).await?.trim().is_empty() {
        let create = format!("CREATE DATABASE {DATABASE}");
        command::run("psql", &mut psql(&[&create])).await?;
    }
    if statistics {
        let create = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
        command::run("psql", &mut psql(&[create])).await?;
    }
    Ok(())
}
