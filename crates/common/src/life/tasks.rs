use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metric;

/// The background tasks of a process, so that it can wait for them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    /// Cancelled when the process is asked to end.
    pub stop: CancellationToken,
    tracker: TaskTracker,
    failed: Arc<OnceLock<&'static str>>,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` beside everything else. When it panics the process drains and ends with code
    /// 70: a worker without one of its loops would look alive and do nothing.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.tracker.spawn(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                metrics::counter!(metric::TASK_PANICS).increment(1);
                tracing::error!(task = name, "task {name} panicked: the process ends");
                // Only the first one matters.
                let _ = failed.set(name);
                stop.cancel();
            }
        })
    }

    /// Waits until all tasks have ended; they end by themselves once `stop` is cancelled.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// The task that panicked, if one did.
    pub fn failed(&self) -> Option<&'static str> {
        self.failed.get().copied()
    }
}
