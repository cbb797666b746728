//! Where the time goes under `saga`.

use std::path::Path;
use std::process::{ExitCode, Stdio};

use devstack::console::answer;
use devstack::run_dir::Data;
use devstack::{Binaries, Console, Error, command};
use tokio::process::Command;

use super::rig::{Rig, failed};
use super::scenario::Scenario;
use super::warm_up::warm_up;
use super::{Overrides, flat, overrides, saga_at, table};

/// Linux's own profiler; Debian's package is `linux-perf`.
const PERF: &str = "perf";
const SAMPLES_PER_S: &str = "499";
/// The statements that are shown.
const STATEMENTS: &str = "SELECT round(total_exec_time::numeric) AS ms, calls, rows, \
    round((mean_exec_time * 1000)::numeric) AS us_per_call, \
    round((1000 * total_exec_time / greatest(rows, 1))::numeric, 1) AS us_per_row, \
    left(regexp_replace(query, '\\s+', ' ', 'g'), 150) AS statement \
    FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 25";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Profile {
    /// Orders a second
    #[arg(long, default_value_t = 3_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// The lines that are shown of each process
    #[arg(long, default_value_t = 40)]
    lines: usize,
    /// As of `bench`
    #[arg(long = "set", value_name = "WORKER:SECTION.KEY=VALUE", value_parser = overrides)]
    overrides: Vec<Overrides>,
    /// Leaves the samples where they are, for `perf report` and flame graphs
    #[arg(long)]
    keep: bool,
}

/// Profiles every process of the stack at once, under one load.
pub(in crate::cli) async fn profile(order: Profile, console: &Console) -> Result<ExitCode, Error> {
    let data = if order.keep { Data::Keep } else { Data::Remove };
    let rig = Rig::start(
        Scenario::Saga,
        Some(Binaries::Release),
        data,
        flat(&order.overrides),
        None,
        console,
    )
    .await?;
    warm_up(&rig, saga_at(order.rate, order.seconds), console).await?;
    psql(&rig, "SELECT pg_stat_statements_reset()").await?;
    let names = ["order-worker", "stock-worker", "notify-worker", "postgres", "redis"];
    let mut recorders = Vec::new();
    for process in rig.stack.processes() {
        if names.contains(&process.name()) {
            let file = rig.stack.run.path().join(format!("{}.perf", process.name()));
            let mut pids = process.pid().to_string();
            if process.name() == "postgres" {
                pids = with_children(process.pid());
            }
            recorders.push((process.name(), record(&file, &pids)?, file));
        }
    }
    let run = rig.drive(saga_at(order.rate, order.seconds)).await?;
    for (name, mut recorder, file) in recorders {
        if let Some(pid) = recorder.id() {
            let mut interrupt = Command::new("kill");
            command::run("kill", interrupt.args(["-INT", &pid.to_string()])).await?;
        }
        let ended = recorder.wait().await;
        ended.map_err(|source| Error::Io { what: "wait for perf".to_owned(), source })?;
        answer(&format!("--- {name}: share of its CPU time, by function"));
        answer(&top(&file, order.lines).await?);
    }
    answer("--- PostgreSQL: time by statement");
    answer(&psql(&rig, STATEMENTS).await?);
    table::trial(console, Scenario::Saga, order.rate, &run, run.driven.decided);
    rig.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn record(file: &Path, pids: &str) -> Result<tokio::process::Child, Error> {
    let mut perf = Command::new(PERF);
    perf.args(["record", "--quiet", "-F", SAMPLES_PER_S, "-g", "-e", "cpu-clock"]);
    perf.args(["-p", pids, "-o"]).arg(file);
    perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    perf.spawn().map_err(|source| Error::Io {
        what: "start perf (Debian: apt-get install linux-perf)".to_owned(),
        source,
    })
}

/// The processes of a server that has one for each connection.
fn with_children(pid: i32) -> String {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    // perf gives up when one of them has ended, and these end any moment.
    let stays = |child: &&str| {
        let title = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        !title.is_empty() && !String::from_utf8_lossy(&title).contains("autovacuum worker")
    };
    let all = std::iter::once(pid.to_string());
    let children = children.split_whitespace().filter(stays).map(str::to_owned);
    all.chain(children).collect::<Vec<_>>().join(",")
}

async fn top(file: &Path, lines: usize) -> Result<String, Error> {
    let mut perf = Command::new(PERF);
    perf.args(["report", "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.3"]);
    perf.args(["--sort", "dso,symbol", "-i"]).arg(file);
    let text = command::output("perf report", &mut perf).await?;
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .take(lines)
        .collect();
    if shown.is_empty() {
        return Err(failed(format!("perf found no samples in {}", file.display())));
    }
    Ok(shown.join("\n"))
}

async fn psql(rig: &Rig, sql: &str) -> Result<String, Error> {
    // The extension is in the server's own database; it counts for all.
    rig.psql(&rig.stack.servers.postgres_admin_url, sql).await
}
