//! The load generator beside a fault.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};

use super::fault::Fault;
use crate::{Error, Stack};

/// Buyers come so much longer than a fault should last: on a slow machine all of it takes longer.
const SLACK: Duration = Duration::from_secs(60);
/// From the last buyer's arrival until whoever has no answer is given up.
const PATIENCE: Duration = Duration::from_secs(90);
const BEHAVIOURS: [&str; 4] = ["pay-at-once:7", "pay-later:1", "cancel-reserved:1", "decline:1"];

/// Buyers who are under way.
pub(super) struct Buyers(Child);

/// The part of the load generator's answer that is worked with.
#[derive(Debug, Deserialize)]
pub(super) struct Bought {
    pub(super) buyers: u64,
    pub(super) accepted: u64,
    pub(super) retries: u64,
    pub(super) outcomes: BTreeMap<String, u64>,
    pub(super) unknown: Vec<String>,
}

impl Buyers {
    /// They come until [`Buyers::end`], which is to be called in about `lasts`.
    pub(super) fn start(
        stack: &Stack,
        fault: Fault,
        rate: f64,
        lasts: Duration,
    ) -> Result<Self, Error> {
        let lasts = lasts + SLACK;
        let mut load = Command::new(stack.paths.binary("boxoffice"));
        load.envs(stack.operator_environment()).args(["--json", "load"]);
        let [plenty, few] = fault.tickets();
        load.args(["--session", &fault.session().to_string()]);
        load.args(["--ticket", &format!("{plenty}:9:2"), "--ticket", &format!("{few}:1:1")]);
        for behaviour in BEHAVIOURS {
            load.args(["--behaviour", behaviour]);
        }
        let buyers = (rate * lasts.as_secs_f64()) as u64;
        load.args(["--buyers", &buyers.to_string(), "--rate", &rate.to_string()]);
        load.args(["--deadline", &(lasts + PATIENCE).as_secs().to_string()]);
        load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        load.spawn().map(Self).map_err(Error::io("start boxoffice load"))
    }

    /// Nobody else comes; waits until each buyer has ended.
    pub(super) async fn end(self) -> Result<Bought, Error> {
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let interrupted = kill_process(pid, Signal::INT);
            interrupted.map_err(|error| Error::io("close the doors")(error.into()))?;
        }
        let done = self.0.wait_with_output().await.map_err(Error::io("wait for boxoffice load"))?;
        // When it has found something wrong, it says so after its report.
        let mut answers = serde_json::Deserializer::from_slice(&done.stdout).into_iter();
        let report = answers.next().unwrap_or_else(|| {
            let nothing = format!("boxoffice load ended with {}", done.status);
            Err(serde::de::Error::custom(nothing))
        });
        report.map_err(|error: serde_json::Error| Error::Io {
            what: "read boxoffice load".into(),
            source: error.into(),
        })
    }
}

impl Bought {
    /// Nobody who was accepted has an order that came to no end.
    pub(super) fn lost(&self) -> Option<String> {
        let counted: u64 = self.outcomes.values().sum();
        let unknown = self.outcomes.get("unknown").copied().unwrap_or_default();
        let missing = self.buyers.saturating_sub(counted);
        (unknown + missing > 0)
            .then(|| format!("{unknown} buyers ended unknown, {missing} not: {:?}", self.unknown))
    }
}
