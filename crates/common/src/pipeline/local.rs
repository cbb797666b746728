use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Aggregate;
use super::intake::{Item, Origin};

/// Why a local message was not decided; its source comes again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The queue is full: the caller is told to come later.
    #[error("too many requests are waiting")]
    Overloaded,
    /// A dependency is away.
    #[error("{dependency} is away: {reason}")]
    Away { dependency: &'static str, reason: String },
    /// The worker is shutting down.
    #[error("the worker is shutting down")]
    Draining,
    /// This message can't be decided or written.
    #[error("{0}")]
    Failed(String),
}

pub(super) type Slot<Reply> = oneshot::Sender<Result<Reply, CallError>>;

pub(super) struct LocalEntry<A: Aggregate> {
    pub(super) item: Box<Item<A>>,
    since: Instant,
}

impl<A: Aggregate> LocalEntry<A> {
    fn new(key: A::Key, message: A::Message, slot: Slot<A::Reply>) -> Self {
        let item = Box::new(Item { key, message, origin: Origin::Local(slot) });
        Self { item, since: Instant::now() }
    }
}

/// The in-process subscription: bounded, answers each caller after the commit.
pub struct LocalQueue<A: Aggregate> {
    sender: mpsc::Sender<LocalEntry<A>>,
    receiver: Mutex<mpsc::Receiver<LocalEntry<A>>>,
    stop: CancellationToken,
    /// How long the first one of those that were taken last had waited.
    waited_ms: AtomicU64,
}

impl<A: Aggregate> Debug for LocalQueue<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue").finish_non_exhaustive()
    }
}

impl<A: Aggregate> LocalQueue<A> {
    /// A queue that holds at most `queue_max` waiting messages.
    pub fn new(queue_max: usize) -> Self {
        let (sender, receiver) = mpsc::channel(queue_max);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            stop: CancellationToken::new(),
            waited_ms: AtomicU64::new(0),
        }
    }

    /// Decides `message` and answers once the decision has committed; never waits for room.
    ///
    /// # Errors
    /// [`CallError::Overloaded`] when the queue is full, [`CallError::Away`] when a dependency
    /// is, [`CallError::Failed`] when the message itself can't be decided or written. In each
    /// case nothing has changed, or (after a time-out of the database) it is found by its key.
    pub async fn call(&self, key: A::Key, message: A::Message) -> Result<A::Reply, CallError> {
        let answer = self.offer(key, message)?;
        answer.await.unwrap_or(Err(CallError::Draining))
    }

    /// Like [`LocalQueue::call`], but waits for room in the queue.
    ///
    /// # Errors
    /// As [`LocalQueue::call`], without `Overloaded`.
    pub async fn call_patiently(
        &self,
        key: A::Key,
        message: A::Message,
    ) -> Result<A::Reply, CallError> {
        let (slot, answer) = oneshot::channel();
        if self.stop.is_cancelled() {
            return Err(CallError::Draining);
        }
        self.sender
            .send(LocalEntry::new(key, message, slot))
            .await
            .map_err(|_| CallError::Draining)?;
        answer.await.unwrap_or(Err(CallError::Draining))
    }

    /// Puts the message into the queue; the answer arrives on the receiver.
    ///
    /// # Errors
    /// [`CallError::Overloaded`] or [`CallError::Draining`], at once.
    pub fn offer(
        &self,
        key: A::Key,
        message: A::Message,
    ) -> Result<oneshot::Receiver<Result<A::Reply, CallError>>, CallError> {
        let (slot, answer) = oneshot::channel();
        if self.stop.is_cancelled() {
            return Err(CallError::Draining);
        }
        self.sender
            .try_send(LocalEntry::new(key, message, slot))
            .map_err(|_| CallError::Overloaded)?;
        Ok(answer)
    }

    /// Takes no more; what is in the queue is still decided.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for messages and takes up to `limit`; none once stopped and empty.
    pub(super) async fn next(&self, limit: usize) -> Vec<LocalEntry<A>> {
        let mut entries = Vec::new();
        tokio::select! {
            biased;
            _ = async { self.receiver.lock().await.recv_many(&mut entries, limit).await } => {
                self.note(&entries);
                entries
            }
            () = self.stop.cancelled() => {
                let entries = self.waiting(limit).await;
                self.note(&entries);
                entries
            }
        }
    }

    /// Takes up to `limit` of the messages that are there; how long these have waited says nothing
    /// about how long one waits to be taken.
    pub(super) async fn waiting(&self, limit: usize) -> Vec<LocalEntry<A>> {
        let mut receiver = self.receiver.lock().await;
        let mut entries = Vec::new();
        while entries.len() < limit
            && let Ok(entry) = receiver.try_recv()
        {
            entries.push(entry);
        }
        entries
    }

    fn note(&self, entries: &[LocalEntry<A>]) {
        if let Some(first) = entries.first() {
            let waited = u64::try_from(first.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.waited_ms.store(waited, Ordering::Relaxed);
        }
    }

    /// How long a message waits until it is taken: as long as the last one did, not at all when
    /// none waits.
    pub fn wait(&self) -> Duration {
        match self.is_empty() {
            true => Duration::ZERO,
            false => Duration::from_millis(self.waited_ms.load(Ordering::Relaxed)),
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
