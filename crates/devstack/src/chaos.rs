//! A sale that runs while something happens to its parts, and what became of it.
//!
//! Each [`Fault`] has a session of its own on one stack. Buyers come at a steady rate (the load
//! generator of `boxoffice`, who ask again until they are answered and follow each order to its
//! end); the fault strikes, the part comes back, buyers still come. Then the tables say how long
//! nothing was confirmed, and the auditor says whether anything was lost or doubled.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::process::Command;

use crate::run_dir::Data;
use crate::workers::{Kind, Override};
use crate::{Binaries, Console, Error, Options, Stack, Wiring, command, http};

mod buyers;
mod fault;
mod outcome;
mod strike;
mod tables;
mod watch;

pub use fault::Fault;
pub use outcome::{GOES_ON_MAX, Outcome, STUCK_MAX};

use buyers::Buyers;
use watch::Watch;

/// How long the first sale takes to reach order-worker.
const READY_MAX: Duration = Duration::from_secs(30);
/// Everything has been decided and delivered by then, or something is wrong.
const QUIET_MAX_S: &str = "120";

/// How much and how long.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Buyers a second.
    pub rate: f64,
    /// The sale runs so long before the fault.
    pub before: Duration,
    /// A part is away so long.
    pub away: Duration,
    /// Connections are frozen or stranded so long.
    pub frozen: Duration,
    /// The sale runs so long after the part's return.
    pub after: Duration,
    /// How often each worker is killed.
    pub kills: usize,
}

impl Plan {
    /// As the product is measured by.
    pub const FULL: Self = Self {
        rate: 50.0,
        before: Duration::from_secs(10),
        away: Duration::from_secs(10),
        frozen: Duration::from_secs(30),
        after: Duration::from_secs(20),
        kills: 10,
    };
    /// For a look at every commit.
    pub const SHORT: Self = Self {
        rate: 50.0,
        before: Duration::from_secs(2),
        away: Duration::from_secs(3),
        frozen: Duration::from_secs(8),
        after: Duration::from_secs(6),
        kills: 1,
    };
}

/// A stack with a sale for each fault.
pub struct Chaos {
    pub stack: Stack,
    plan: Plan,
    console: Console,
}

impl Chaos {
    /// Starts a stack with proxies and opens the sales.
    ///
    /// # Errors
    /// The stack does not come up.
    pub async fn start(
        binaries: Option<Binaries>,
        data: Data,
        overrides: Vec<Override>,
        plan: Plan,
        console: &Console,
    ) -> Result<Self, Error> {
        let options = Options {
            data,
            console: Console::quiet(),
            overrides,
            binaries,
            wiring: Wiring::Proxied,
            ..Options::default()
        };
        let stack = Box::pin(Stack::start(options)).await?;
        let this = Self { stack, plan, console: console.clone() };
        this.load_show(&["--open"]).await?;
        let order = &this.stack.workers.as_ref().expect("all parts were started").order;
        let address = order.admin.trim_start_matches("http://").to_owned();
        order.process.ready(READY_MAX, || http::is_ok(&address, "/ready")).await?;
        Ok(this)
    }

    /// Lets one fault happen while its sale runs.
    ///
    /// # Errors
    /// The stack can't be driven: not what is wrong with the sale, which the outcome says.
    pub async fn run(&mut self, fault: Fault) -> Result<Outcome, Error> {
        let plan = self.plan;
        let lasts = plan.before + fault.lasts(&plan) + plan.after;
        let buyers = Buyers::start(&self.stack, fault, plan.rate, lasts)?;
        tokio::time::sleep(plan.before).await;
        let watch = fault.dependency().map(|name| Watch::start(&self.stack, fault.said_by(), name));
        let struck_at_s = unix_s();
        let struck = Instant::now();
        let done = Box::pin(self.strike(fault)).await?;
        let back_at_s = unix_s();
        let (back, away) = (Instant::now(), struck.elapsed());
        let seen = match watch {
            Some(watch) => watch.until_ready(plan.after).await,
            None => watch::Seen::default(),
        };
        tokio::time::sleep(plan.after.saturating_sub(back.elapsed())).await;
        let bought = buyers.end().await?;
        let tables = tables::read(&self.stack, fault, struck_at_s, back_at_s).await?;
        let audit = self.audit().await?;
        Ok(Outcome::of(fault, away, seen, done, bought, tables, audit))
    }

    /// Ends the stack.
    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// Stores the show and loads its sessions into Redis: what an operator does when Redis has
    /// lost them, too.
    pub(crate) async fn load_show(&self, more: &[&str]) -> Result<(), Error> {
        let file = self.stack.run.path().join("chaos-show.toml");
        let what = format!("write {}", file.display());
        fs::write(&file, fault::show()).map_err(|source| Error::Io { what, source })?;
        let mut load = self.boxoffice();
        load.args(["show", "load"]).arg(&file).args(more);
        command::run("boxoffice show load", &mut load).await
    }

    /// None when it is clean, else what it found.
    async fn audit(&self) -> Result<Option<String>, Error> {
        let mut audit = self.boxoffice();
        audit.args(["audit", "--wait-quiet", QUIET_MAX_S]);
        match command::output("boxoffice audit", &mut audit).await {
            Ok(_) => Ok(None),
            Err(Error::Command { output, .. }) => {
                self.console.line(&output);
                Ok(Some(output))
            }
            Err(error) => Err(error),
        }
    }

    fn boxoffice(&self) -> Command {
        let mut command = Command::new(self.stack.paths.binary("boxoffice"));
        command.envs(self.stack.operator_environment());
        command
    }

    fn first_address(&self, kind: Kind) -> String {
        let worker = self.stack.workers.as_ref().expect("all parts were started").get(kind);
        worker.admin.trim_start_matches("http://").to_owned()
    }
}

#[expect(clippy::disallowed_methods, reason = "the database's clock is this machine's")]
fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
