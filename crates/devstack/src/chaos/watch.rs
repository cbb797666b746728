//! What `/ready` says during a fault.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::workers::Kind;
use crate::{Stack, http};

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Looks at every worker again and again; ends when it is dropped.
pub(super) struct Watch {
    started: Instant,
    looks: Vec<Look>,
    watching: JoinHandle<()>,
    noted: Arc<Mutex<Vec<Option<Duration>>>>,
}

#[derive(Clone)]
struct Look {
    address: String,
    name: &'static str,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Until the last of those who use the part had said that it is away; none when one never did.
    pub(super) said_after: Option<Duration>,
    /// From the part's return until every worker had all that it uses.
    pub(super) ready_after: Option<Duration>,
}

impl Watch {
    pub(super) fn start(stack: &Stack, kinds: &[Kind], name: &'static str) -> Self {
        let workers = stack.workers.as_ref().expect("all parts were started");
        let address =
            |kind: &Kind| workers.get(*kind).admin.trim_start_matches("http://").to_owned();
        let looks: Vec<Look> =
            kinds.iter().map(|kind| Look { address: address(kind), name }).collect();
        let noted = Arc::new(Mutex::new(vec![None; looks.len()]));
        let started = Instant::now();
        let watching = tokio::spawn(note(looks.clone(), noted.clone(), started));
        Self { started, looks, watching, noted }
    }

    /// Waits until all of them are ready again, at most so long.
    pub(super) async fn until_ready(self, limit: Duration) -> Seen {
        let back = Instant::now();
        let mut ready_after = None;
        while ready_after.is_none() && back.elapsed() < limit {
            let mut all = true;
            for look in &self.looks {
                all &= http::missing(&look.address).await.is_some_and(|missing| missing.is_empty());
            }
            if all {
                ready_after = Some(back.elapsed());
            } else {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
        let until_back = back - self.started;
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        // What is said after the part's return is said too late.
        let said = noted.iter().map(|noted| noted.filter(|after| *after <= until_back));
        let said_after = said.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        Seen { said_after, ready_after }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Notes when each worker first says that the part is away.
async fn note(looks: Vec<Look>, noted: Arc<Mutex<Vec<Option<Duration>>>>, started: Instant) {
    loop {
        for (place, Look { address, name }) in looks.iter().enumerate() {
            let missing = http::missing(address).await.unwrap_or_default();
            if missing.iter().any(|missing| missing == name) {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted[place].get_or_insert_with(|| started.elapsed());
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
