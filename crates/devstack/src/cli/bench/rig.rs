//! A stack with a show on sale, and one run of the load generator against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use devstack::run_dir::Data;
use devstack::workers::{Kind, Override};
use devstack::{Binaries, Console, Error, Options, Stack, command, http};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::super::demo;
use super::aged::Aged;
use super::driven::{Bought, Run};
use super::machine::Machine;
use super::scenario::{Drive, SOLD_OUT, Scenario, Wish};
use super::usage::{Usage, peak_memory_mb};

/// How long the first sale takes to reach order-worker.
const READY_MAX: Duration = Duration::from_secs(30);
/// Everything has been decided and delivered by then, or something is wrong.
const QUIET_MAX_S: &str = "120";
/// How often the sold-out show is tried until everybody is refused.
const REFUSED_TRIES: u32 = 20;

const SHOW: &str = r#"
showId = 1
name = "Bench"

[[sessions]]
sessionId = 1
name = "Plenty"
currency = "EUR"
holdSeconds = 3600
[[sessions.ticketTypes]]
ticketId = 11
name = "Any"
unitPrice = "49.50"
total = 10000000

[[sessions]]
sessionId = 2
name = "Sold out"
currency = "EUR"
holdSeconds = 3600
[[sessions.ticketTypes]]
ticketId = 21
name = "Any"
unitPrice = "49.50"
total = 1

[[sessions]]
sessionId = 3
name = "Too few"
currency = "EUR"
holdSeconds = 3600
[[sessions.ticketTypes]]
ticketId = 31
name = "Any"
unitPrice = "49.50"
total = 1
"#;
const SESSIONS: [&str; 3] = ["1", "2", "3"];
/// Writes what a checkpoint then leaves as files to write to again, as on a server that has run for
/// a while: to make a new one, PostgreSQL fills it with zeros while commits wait.
const USED_WAL: [&str; 2] = [
    "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 8000000))) \
     FROM generate_series(1, 520)",
    "CHECKPOINT",
];
/// One run's load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) drive: Drive,
    pub(super) wish: Wish,
    pub(super) method: Option<&'static str>,
    pub(super) rate: f64,
    pub(super) seconds: u64,
    pub(super) seed: u64,
}

pub(super) struct Rig {
    pub(super) stack: Stack,
    /// Before anything was started.
    pub(super) machine: Machine,
    console: Console,
}

impl Rig {
    /// Starts everything and opens the sale.
    pub(super) async fn start(
        scenario: Scenario,
        binaries: Option<Binaries>,
        data: Data,
        set: Vec<Override>,
        aged: Option<&Aged>,
        console: &Console,
    ) -> Result<Self, Error> {
        let mut overrides = match scenario {
            Scenario::Mixed => demo::overrides(),
            _ => Vec::new(),
        };
        overrides.extend(set);
        let options = Options {
            data,
            console: Console::quiet(),
            overrides,
            replicas: scenario.replicas(),
            binaries,
            postgres_data: aged.map(|aged| aged.directory().to_owned()),
            ..Options::default()
        };
        let machine = Machine::now().await?;
        machine.tell(console);
        let stack = Stack::start(options).await?;
        let rig = Self { stack, machine, console: console.clone() };
        if let Some(aged) = aged {
            rig.age(aged).await?;
        }
        for sql in USED_WAL {
            rig.psql(&rig.stack.servers.postgres_url, sql).await?;
        }
        match scenario {
            Scenario::Mixed => {
                let show = rig.stack.paths.workspace.join(demo::SHOW);
                rig.open_sale(&show, &[demo::SESSION]).await?;
            }
            _ => {
                let show = rig.stack.run.path().join("bench-show.toml");
                let what = format!("write {}", show.display());
                fs::write(&show, SHOW).map_err(|source| Error::Io { what, source })?;
                rig.open_sale(&show, &SESSIONS).await?;
            }
        }
        if scenario == Scenario::Refuse {
            rig.sell_out().await?;
        }
        Ok(rig)
    }

    async fn open_sale(&self, show: &Path, sessions: &[&str]) -> Result<(), Error> {
        command::run("boxoffice show load", self.boxoffice().args(["show", "load"]).arg(show))
            .await?;
        for session in sessions {
            let mut open = self.boxoffice();
            command::run("boxoffice sale open", open.args(["sale", "open", session])).await?;
        }
        let Some(workers) = &self.stack.workers else { return Ok(()) };
        for order in workers.all(Kind::Order) {
            let address = order.admin.trim_start_matches("http://");
            order.process.ready(READY_MAX, || http::is_ok(address, "/ready")).await?;
        }
        Ok(())
    }

    /// Buys the only ticket, until everybody else is refused at the door.
    async fn sell_out(&self) -> Result<(), Error> {
        let load = Load {
            drive: Drive::Open,
            wish: SOLD_OUT,
            method: Some("instant"),
            rate: 20.0,
            seconds: 1,
            seed: 1,
        };
        for _ in 0..REFUSED_TRIES {
            let run = self.drive(load).await?;
            if run.driven.accepted == 0 && run.driven.answers.contains_key("409 sold_out") {
                return Ok(());
            }
        }
        Err(failed("the only ticket was sold, but nobody is told so".to_owned()))
    }

    /// The operator's command line, told where everything is.
    pub(super) fn boxoffice(&self) -> Command {
        let mut command = Command::new(self.stack.paths.binary("boxoffice"));
        command.envs(self.stack.operator_environment());
        command
    }

    /// Runs the load generator to its end.
    pub(super) async fn drive(&self, load: Load) -> Result<Run, Error> {
        let mut command = Command::new(self.stack.paths.binary("bench"));
        command.envs(self.stack.operator_environment());
        if let Some(workers) = &self.stack.workers {
            let urls: Vec<&str> =
                workers.all(Kind::Order).iter().map(|worker| worker.api.as_str()).collect();
            command.env("BOXOFFICE_ORDER_URL", urls.join(","));
        }
        let Wish { session, ticket, quantity } = load.wish;
        command.args(["--session", &session.to_string(), "--ticket", &ticket.to_string()]);
        command.args(["--quantity", &quantity.to_string(), "--seed", &load.seed.to_string()]);
        command.args(["--seconds", &load.seconds.to_string()]);
        if let Some(method) = load.method {
            command.args(["--payment-method", method]);
        }
        match load.drive {
            Drive::Open => command.args(["open", "--rate", &load.rate.to_string()]),
            Drive::Messages => command.args(["messages", "--rate", &load.rate.to_string()]),
            Drive::Closed { callers } => {
                command.args(["closed", "--connections", &callers.to_string()])
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let batches_before = self.batches().await;
        let before = Usage::now(&self.stack, None);
        let cannot = |what: &str| {
            let what = format!("{what} the load generator");
            move |source| Error::Io { what, source }
        };
        let mut child = command.spawn().map_err(cannot("start"))?;
        let pid = child.id();
        let output = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        // The first line says that all is decided: what follows is reading tables.
        let first = lines.next_line().await.map_err(cannot("read"))?;
        let used = Usage::now(&self.stack, pid).since(&before);
        let batches = average(&batches_before, &self.batches().await);
        let report = lines.next_line().await.map_err(cannot("read"))?;
        let status = child.wait().await.map_err(cannot("wait for"))?;
        let (Some(_), Some(report)) = (first, report) else {
            let what = "the load generator".to_owned();
            return Err(Error::Command { what, status, output: String::new() });
        };
        let driven = serde_json::from_str(&report)
            .map_err(|error| failed(format!("the load generator's answer: {error}")))?;
        Ok(Run { driven, used, batches, peak_memory_mb: peak_memory_mb(&self.stack) })
    }

    /// Fills the tables with finished orders.
    async fn age(&self, aged: &Aged) -> Result<(), Error> {
        let database = &self.stack.servers.postgres_url;
        let filled = "SELECT 'filled' FROM stock.sessions WHERE session_id = 9";
        if !self.psql(database, filled).await?.contains("filled") {
            self.console.line("  filling the tables with finished orders");
            self.psql(database, &aged.filling()).await?;
        }
        // Without statistics of what it has just got, the planner guesses.
        self.psql(database, "VACUUM ANALYZE").await.map(drop)
    }

    /// The demo's buyers, `rate` a second; none when some are not accounted for.
    pub(super) async fn mixed(&self, rate: f64, seconds: u64) -> Result<Option<Run>, Error> {
        let batches_before = self.batches().await;
        let before = Usage::now(&self.stack, None);
        let mut load = self.boxoffice();
        let buyers = (rate * seconds as f64) as u64;
        demo::buyers(load.arg("--json"), buyers, seconds);
        let output = load
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| Error::Io { what: "start boxoffice load".to_owned(), source })?;
        let used = Usage::now(&self.stack, None).since(&before);
        if !output.status.success() {
            self.console.line(String::from_utf8_lossy(&output.stdout));
            return Ok(None);
        }
        let report: Bought = serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("boxoffice load's answer: {error}")))?;
        Ok(Some(Run {
            driven: report.driven(seconds),
            used,
            batches: average(&batches_before, &self.batches().await),
            peak_memory_mb: peak_memory_mb(&self.stack),
        }))
    }

    /// True when the audit finds nothing.
    pub(super) async fn audit(&self) -> Result<bool, Error> {
        let mut audit = self.boxoffice();
        audit.args(["audit", "--wait-quiet", QUIET_MAX_S]).stdin(Stdio::null());
        let done = audit
            .output()
            .await
            .map_err(|source| Error::Io { what: "start boxoffice audit".to_owned(), source })?;
        if !done.status.success() {
            self.console.line(String::from_utf8_lossy(&done.stdout));
            self.console.line(String::from_utf8_lossy(&done.stderr));
        }
        Ok(done.status.success())
    }

    /// What `psql` answers, in one of the server's databases.
    pub(super) async fn psql(&self, url: &str, sql: &str) -> Result<String, Error> {
        let mut psql = Command::new(self.stack.tools.postgres_binaries.join("psql"));
        psql.args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "--command", sql]);
        command::output("psql", psql.arg(url)).await
    }

    /// Sums and counts of the batch histograms of all workers.
    async fn batches(&self) -> BTreeMap<String, (f64, f64)> {
        let mut all: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        let Some(workers) = &self.stack.workers else { return all };
        for worker in Kind::ALL.into_iter().flat_map(|kind| workers.all(kind)) {
            let address = worker.admin.trim_start_matches("http://");
            // A worker that does not answer shows in the audit; its batches are missing here.
            let text = http::text(address, "/metrics").await.unwrap_or_default();
            for line in text.lines() {
                let Some((name, value)) = line.rsplit_once(' ') else { continue };
                let Ok(value) = value.parse::<f64>() else { continue };
                let of = |metric: &str| {
                    let rest = name.strip_prefix(metric)?;
                    let group = rest.split('"').nth(1);
                    Some(group.map_or_else(|| worker.process.name().to_owned(), str::to_owned))
                };
                let publish = |name: String| format!("publish {name}");
                if let Some(group) = of("boxoffice_batch_messages_sum") {
                    all.entry(group).or_default().0 += value;
                } else if let Some(group) = of("boxoffice_batch_messages_count") {
                    all.entry(group).or_default().1 += value;
                } else if let Some(worker) = of("boxoffice_outbox_publish_batch_size_sum") {
                    all.entry(publish(worker)).or_default().0 += value;
                } else if let Some(worker) = of("boxoffice_outbox_publish_batch_size_count") {
                    all.entry(publish(worker)).or_default().1 += value;
                }
            }
        }
        all
    }

    pub(super) async fn stop(self) {
        self.stack.stop().await;
    }
}

/// Of what came between the two; groups without a batch are left out.
fn average(
    before: &BTreeMap<String, (f64, f64)>,
    after: &BTreeMap<String, (f64, f64)>,
) -> BTreeMap<String, f64> {
    after
        .iter()
        .filter_map(|(group, (sum, count))| {
            let (earlier_sum, earlier_count) = before.get(group).copied().unwrap_or_default();
            let count = count - earlier_count;
            (count > 0.0).then(|| (group.clone(), (sum - earlier_sum) / count))
        })
        .collect()
}

pub(super) fn failed(text: String) -> Error {
    Error::Io { what: "bench".to_owned(), source: std::io::Error::other(text) }
}
