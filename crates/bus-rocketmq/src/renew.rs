//! Clients that are replaced when they seem stuck.
//!
//! RocketMQ's client (1.0.0) refuses to connect for 30 s after five failures, and does not notice
//! that a connection with requests under way is gone. A fresh one connects at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A client is given this long before it is replaced.
pub(crate) const RENEWAL_MIN_INTERVAL: Duration = Duration::from_secs(2);

/// A client that is made when it is needed first, and again when it was suspected.
pub(crate) struct Renewable<T> {
    current: Mutex<Option<Made<T>>>,
    suspected: AtomicBool,
}

struct Made<T> {
    client: Arc<T>,
    at: Instant,
}

/// The client to use, and the one that it replaced, to be shut down.
pub(crate) struct Renewed<T> {
    pub(crate) client: Arc<T>,
    pub(crate) replaced: Option<Arc<T>>,
}

impl<T> Renewable<T> {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::new(None), suspected: AtomicBool::new(false) }
    }

    /// Nobody answered the client: another one may do better.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn get<E>(
        &self,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<Renewed<T>, E> {
        let mut current = self.current.lock().await;
        if let Some(made) = &*current {
            let suspected = self.suspected.load(Ordering::Relaxed);
            if !suspected || made.at.elapsed() < RENEWAL_MIN_INTERVAL {
                return Ok(Renewed { client: Arc::clone(&made.client), replaced: None });
            }
        }
        let client = Arc::new(make.await?);
        let made = Made { client: Arc::clone(&client), at: Instant::now() };
        self.suspected.store(false, Ordering::Relaxed);
        let replaced = current.replace(made).map(|made| made.client);
        Ok(Renewed { client, replaced })
    }

    /// Takes the client away for good, to be shut down.
    pub(crate) async fn take(&self) -> Option<Arc<T>> {
        self.current.lock().await.take().map(|made| made.client)
    }
}
