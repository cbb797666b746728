//! Whether this process can do its work, and if not, why not and since when.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::Instant;

use crate::{clock, metric};

/// The reason of a dependency that nobody has reported on.
const NOT_YET: &str = "not connected yet";

/// What it means for the worker when a dependency is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// The worker is not ready.
    Required,
    /// The worker does less, but is ready.
    Degraded,
}

/// The dependencies of one worker. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    worker: String,
    draining: AtomicBool,
    dependencies: Mutex<Vec<Dependency>>,
}

/// One dependency, reported by whoever uses it. Clones share the state.
#[derive(Debug, Clone)]
pub struct Dependency(Arc<State>);

#[derive(Debug)]
struct State {
    name: String,
    need: Need,
    /// Read without the lock, so that reporting "still up" costs nothing.
    up: AtomicBool,
    condition: Mutex<Condition>,
}

#[derive(Debug)]
struct Condition {
    /// `None` while up.
    reason: Option<String>,
    since: DateTime<Utc>,
    /// When somebody last said that it is away.
    failed_at: Option<Instant>,
}

/// What `/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub worker: String,
    pub ready: bool,
    pub draining: bool,
    pub dependencies: Vec<DependencySnapshot>,
}

/// One dependency in a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencySnapshot {
    pub name: String,
    pub need: Need,
    pub up: bool,
    /// Why it is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it came or went.
    pub since: DateTime<Utc>,
}

impl Readiness {
    /// No dependencies yet.
    pub fn new(worker: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            worker: worker.into(),
            draining: AtomicBool::new(false),
            dependencies: Mutex::new(Vec::new()),
        }))
    }

    /// Adds a dependency, away until it is reported up; an existing one of that name is shared.
    pub fn dependency(&self, name: impl Into<String>, need: Need) -> Dependency {
        let name = name.into();
        let mut dependencies = lock(&self.0.dependencies);
        if let Some(known) = dependencies.iter().find(|known| known.0.name == name) {
            return known.clone();
        }
        metrics::gauge!(metric::DEPENDENCY_UP, "dependency" => name.clone()).set(0.0);
        let dependency = Dependency(Arc::new(State {
            name,
            need,
            up: AtomicBool::new(false),
            condition: Mutex::new(Condition {
                reason: Some(NOT_YET.to_owned()),
                since: clock::now(),
                failed_at: None,
            }),
        }));
        dependencies.push(dependency.clone());
        dependency
    }

    /// From now on not ready: no new work should come here.
    pub fn draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether every required dependency is up and the worker is not draining.
    pub fn is_ready(&self) -> bool {
        !self.0.draining.load(Ordering::Acquire)
            && lock(&self.0.dependencies)
                .iter()
                .all(|dependency| dependency.is_up() || dependency.0.need == Need::Degraded)
    }

    /// Everything at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let ready = self.is_ready();
        metrics::gauge!(metric::WORKER_READY).set(if ready { 1.0 } else { 0.0 });
        Snapshot {
            worker: self.0.worker.clone(),
            ready,
            draining: self.0.draining.load(Ordering::Acquire),
            dependencies: lock(&self.0.dependencies).iter().map(Dependency::snapshot).collect(),
        }
    }
}

impl Dependency {
    /// It answers. Costs one atomic read when that is no news.
    pub fn up(&self) {
        if self.is_up() {
            return;
        }
        let mut condition = lock(&self.0.condition);
        if condition.reason.take().is_none() {
            return;
        }
        condition.since = clock::now();
        self.0.up.store(true, Ordering::Release);
        self.gauge(1.0);
        tracing::info!(dependency = %self.0.name, "{} is up", self.0.name);
    }

    /// It answers a question, which is less than doing its work: as [`Dependency::up`], unless
    /// somebody has found it away within the last `doubt`.
    pub fn answers(&self, doubt: Duration) {
        let failed_at = lock(&self.0.condition).failed_at;
        if failed_at.is_none_or(|failed_at| failed_at.elapsed() >= doubt) {
            self.up();
        }
    }

    /// It does not answer, and why. Logged once per change, not once per failure.
    pub fn away(&self, reason: impl Display) {
        let reason = reason.to_string();
        let mut condition = lock(&self.0.condition);
        let was_up = condition.reason.is_none();
        let first_failure = !was_up && condition.reason.as_deref() == Some(NOT_YET);
        if was_up {
            condition.since = clock::now();
            self.0.up.store(false, Ordering::Release);
            self.gauge(0.0);
        }
        if was_up || first_failure {
            tracing::warn!(dependency = %self.0.name, %reason, "{} is away: {reason}", self.0.name);
        }
        condition.reason = Some(reason);
        condition.failed_at = Some(Instant::now());
    }

    /// Whether the last report was "up".
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn gauge(&self, value: f64) {
        metrics::gauge!(metric::DEPENDENCY_UP, "dependency" => self.0.name.clone()).set(value);
    }

    fn snapshot(&self) -> DependencySnapshot {
        let condition = lock(&self.0.condition);
        DependencySnapshot {
            name: self.0.name.clone(),
            need: self.0.need,
            up: condition.reason.is_none(),
            reason: condition.reason.clone(),
            since: condition.since,
        }
    }
}

/// Nothing panics while it holds these locks; if it did, the state would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_dependency_is_away_until_it_is_reported_up() {
        let readiness = Readiness::new("test-worker");
        let database = readiness.dependency("postgresql", Need::Required);
        let snapshot = readiness.snapshot();
        assert!(!snapshot.ready);
        assert_eq!(snapshot.dependencies[0].reason.as_deref(), Some("not connected yet"));
        database.up();
        assert!(readiness.snapshot().ready);
        assert_eq!(readiness.snapshot().dependencies[0].reason, None);
    }

    #[test]
    fn a_degraded_dependency_does_not_fail_readiness_but_is_listed() {
        let readiness = Readiness::new("test-worker");
        let broker = readiness.dependency("broker", Need::Degraded);
        broker.away("connection refused");
        let snapshot = readiness.snapshot();
        assert!(snapshot.ready);
        assert_eq!(snapshot.dependencies[0].reason.as_deref(), Some("connection refused"));
    }

    #[test]
    fn since_moves_only_when_the_state_changes() {
        let readiness = Readiness::new("test-worker");
        let database = readiness.dependency("postgresql", Need::Required);
        database.up();
        let up_since = readiness.snapshot().dependencies[0].since;
        database.up();
        assert_eq!(readiness.snapshot().dependencies[0].since, up_since);
        database.away("gone");
        let away_since = readiness.snapshot().dependencies[0].since;
        database.away("still gone");
        let snapshot = readiness.snapshot();
        assert_eq!(snapshot.dependencies[0].since, away_since);
        assert_eq!(snapshot.dependencies[0].reason.as_deref(), Some("still gone"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_is_doubted_for_a_while_after_it_failed_to_work() {
        const DOUBT: Duration = Duration::from_secs(3);
        let readiness = Readiness::new("test-worker");
        let broker = readiness.dependency("broker", Need::Required);
        broker.answers(DOUBT);
        assert!(broker.is_up(), "nobody has said anything else");
        broker.away("it takes no message");
        tokio::time::advance(DOUBT / 2).await;
        broker.answers(DOUBT);
        assert!(!broker.is_up());
        tokio::time::advance(DOUBT / 2).await;
        broker.answers(DOUBT);
        assert!(broker.is_up());
        broker.away("it takes no message");
        broker.up();
        assert!(broker.is_up(), "it has done its work");
    }

    #[test]
    fn a_draining_worker_is_not_ready() {
        let readiness = Readiness::new("test-worker");
        readiness.dependency("postgresql", Need::Required).up();
        readiness.draining();
        assert!(!readiness.is_ready());
        assert!(readiness.snapshot().draining);
    }
}
