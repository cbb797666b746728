use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Outbox, Row};
use crate::backoff::Backoff;
use crate::bus::{PublishError, Publisher};
use crate::config::OutboxConfig;
use crate::crash::{self, Boundary};
use crate::metric;
use crate::readiness::Dependency;

/// Published batches that wait to be marked; publishing pauses beyond that.
const MARKS_MAX: usize = 1_024;
/// Rows that are marked without waiting for more.
const MARK_BATCH_MAX: usize = 1_024;

/// Its name among the points where a process can die.
const PLACE: &str = "relay";

/// Publishes rows that their writers hand over, in batches, then marks them.
#[derive(Clone)]
pub struct Relay {
    queue: mpsc::Sender<Leased>,
    lease: Duration,
    closing: CancellationToken,
    tasks: TaskTracker,
}

struct Leased {
    row: Row,
    /// After this the sweeper may have claimed it: it is not ours to publish any more.
    until: Instant,
}

/// What the relay's tasks share.
struct Shared {
    publisher: Arc<dyn Publisher>,
    pool: PgPool,
    outbox: Outbox,
    producer: String,
    broker: Dependency,
    config: OutboxConfig,
    queue: Mutex<mpsc::Receiver<Leased>>,
    closing: CancellationToken,
}

impl Relay {
    /// Starts `config.publishers` publishing tasks. `producer` is this worker's name/version.
    pub fn start(
        publisher: Arc<dyn Publisher>,
        pool: PgPool,
        outbox: Outbox,
        producer: String,
        broker: Dependency,
        config: &OutboxConfig,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(config.relay_queue_max);
        let closing = CancellationToken::new();
        let shared = Arc::new(Shared {
            publisher,
            pool,
            outbox,
            producer,
            broker,
            config: config.clone(),
            queue: Mutex::new(receiver),
            closing: closing.clone(),
        });
        let tasks = TaskTracker::new();
        let (sent, marks) = mpsc::channel(MARKS_MAX);
        for _ in 0..config.publishers {
            tasks.spawn(run(shared.clone(), sent.clone()));
        }
        tasks.spawn(mark_together(shared, marks));
        tasks.close();
        Self { queue, lease: Duration::from_millis(config.lease_ms), closing, tasks }
    }

    /// How long rows are leased to this relay; rows are inserted with it.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Takes committed rows; never waits. What does not fit is left to the sweeper.
    pub fn hand_over(&self, rows: Vec<Row>, committed_at: Instant) {
        // Half of the lease: a publish that starts just before the limit still ends inside it.
        let until = committed_at + self.lease / 2;
        let mut left_over = 0_u64;
        for row in rows {
            if self.queue.try_send(Leased { row, until }).is_err() {
                left_over += 1;
            }
        }
        if left_over > 0 {
            metrics::counter!(metric::OUTBOX_LEFT_TO_SWEEPER).increment(left_over);
        }
    }

    /// Takes rows that the sweeper claimed; waits for room.
    pub(super) async fn take(&self, rows: Vec<Row>, claimed_at: Instant) {
        let until = claimed_at + self.lease / 2;
        for row in rows {
            if self.queue.send(Leased { row, until }).await.is_err() {
                return;
            }
        }
    }

    /// Publishes what is in the queue, then ends. What can't be published is the sweeper's.
    pub async fn flush(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

async fn run(shared: Arc<Shared>, marks: mpsc::Sender<Vec<Uuid>>) {
    let mut batch = Vec::with_capacity(shared.config.publish_batch_max);
    while next_batch(&shared, &mut batch).await {
        let sent = publish(&shared, std::mem::take(&mut batch), &marks).await;
        to_be_marked(sent, &marks).await;
    }
}

/// Fills `batch` with what is there; false when the relay is closing and the queue is empty.
async fn next_batch(shared: &Shared, batch: &mut Vec<Leased>) -> bool {
    let mut queue = shared.queue.lock().await;
    let limit = shared.config.publish_batch_max;
    tokio::select! {
        biased;
        count = queue.recv_many(batch, limit) => count > 0,
        () = shared.closing.cancelled() => {
            while batch.len() < limit {
                match queue.try_recv() {
                    Ok(leased) => batch.push(leased),
                    Err(_) => break,
                }
            }
            !batch.is_empty()
        }
    }
}

/// Publishes until each row is sent, refused, or no longer leased to us; answers what was sent.
async fn publish(
    shared: &Shared,
    mut batch: Vec<Leased>,
    marks: &mpsc::Sender<Vec<Uuid>>,
) -> Vec<Uuid> {
    let mut sent = Vec::with_capacity(batch.len());
    let mut backoff = Backoff::new(
        Duration::from_millis(shared.config.backoff_min_ms),
        Duration::from_millis(shared.config.backoff_max_ms),
    );
    loop {
        let now = Instant::now();
        batch.retain(|leased| leased.until > now);
        if batch.is_empty() {
            return sent;
        }
        let messages = batch.iter().map(|leased| leased.row.to_message(&shared.producer)).collect();
        crash::at(Boundary::Publishing, PLACE);
        let answers = shared.publisher.publish(messages).await;
        crash::at(Boundary::Published, PLACE);
        let mut away = Vec::new();
        let mut reason = None;
        for (leased, answer) in batch.into_iter().zip(answers) {
            match answer {
                Ok(()) => sent.push(leased.row.event_id),
                Err(PublishError::Refused(why)) => bury(shared, &leased.row, &why).await,
                Err(PublishError::Away(why)) => {
                    reason = Some(why);
                    away.push(leased);
                }
            }
        }
        let Some(reason) = reason else {
            shared.broker.up();
            return sent;
        };
        shared.broker.away(reason);
        if shared.closing.is_cancelled() {
            return sent;
        }
        to_be_marked(std::mem::take(&mut sent), marks).await;
        batch = away;
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn to_be_marked(sent: Vec<Uuid>, marks: &mpsc::Sender<Vec<Uuid>>) {
    if sent.is_empty() {
        return;
    }
    metrics::counter!(metric::OUTBOX_PUBLISHED).increment(sent.len() as u64);
    metrics::histogram!(metric::OUTBOX_PUBLISH_BATCH).record(sent.len() as f64);
    // Its other end lives as long as this one.
    let _ = marks.send(sent).await;
}

/// Marks what was published a moment later, so that one transaction marks several batches.
async fn mark_together(shared: Arc<Shared>, mut marks: mpsc::Receiver<Vec<Uuid>>) {
    // A row is to be marked long before the sweeper may claim it.
    let Shared { outbox, pool, config, .. } = &*shared;
    let wait = Duration::from_millis(config.mark_interval_ms.min(config.lease_ms / 4));
    while let Some(mut sent) = marks.recv().await {
        let more = async {
            while sent.len() < MARK_BATCH_MAX
                && let Some(more) = marks.recv().await
            {
                sent.extend(more);
            }
        };
        let _ = tokio::time::timeout(wait, more).await;
        if let Err(error) = outbox.mark_sent(pool, &sent).await {
            // They stay pending and the sweeper publishes them again: the inbox absorbs it.
            let rows = sent.len();
            tracing::warn!(error = %error, rows, "published events could not be marked");
        }
    }
}

async fn bury(shared: &Shared, row: &Row, reason: &str) {
    metrics::counter!(metric::OUTBOX_DEAD).increment(1);
    tracing::error!(
        event.id = %row.event_id, order.no = %row.key, tag = %row.tag, reason,
        "the broker refuses this event for good; its outbox row is marked dead"
    );
    if let Err(error) = shared.outbox.mark_dead(&shared.pool, row.event_id, reason).await {
        tracing::warn!(error = %error, event.id = %row.event_id, "a dead event could not be marked");
    }
}
