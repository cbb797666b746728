use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::table::{Batch, Claimed, batches_of};
use super::{Outbox, Row};
use crate::backoff::Backoff;
use crate::bus::{PublishError, Publisher};
use crate::config::OutboxConfig;
use crate::crash::{self, Boundary};
use crate::metric;
use crate::postgres::Pool;
use crate::readiness::Dependency;

/// Batches of which all is published that wait to be marked; publishing pauses beyond that.
const MARKS_MAX: usize = 1_024;
/// Batches that are marked without waiting for more.
const MARK_BATCH_MAX: usize = 1_024;

/// Its name among the points where a process can die.
const PLACE: &str = "relay";

/// Publishes rows that their writers hand over, then marks the batches that they were written in.
#[derive(Clone)]
pub struct Relay {
    queue: mpsc::Sender<Leased>,
    lease: Duration,
    closing: CancellationToken,
    tasks: TaskTracker,
}

struct Leased {
    row: Arc<Row>,
    batch: Arc<Open>,
    /// After this the sweeper may have claimed it: it is not ours to publish any more.
    until: Instant,
}

/// A batch that is being published.
struct Open {
    batch: Batch,
    /// Rows that the broker has neither taken nor refused yet.
    left: AtomicUsize,
}

impl Open {
    /// One row is done; answers the batch if it was the last one.
    fn done(&self) -> Option<Batch> {
        (self.left.fetch_sub(1, Ordering::AcqRel) == 1).then_some(self.batch)
    }
}

/// What the relay's tasks share.
struct Shared {
    publisher: Arc<dyn Publisher>,
    pool: Pool,
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
        pool: Pool,
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

    /// Takes committed rows, all that were written in their transaction; never waits. What does
    /// not fit is left to the sweeper.
    pub fn hand_over(
        &self,
        rows: impl IntoIterator<Item = impl Into<Arc<Row>>>,
        committed_at: Instant,
    ) {
        let rows: Vec<Arc<Row>> = rows.into_iter().map(Into::into).collect();
        if rows.is_empty() {
            return;
        }
        match self.queue.try_reserve_many(rows.len()) {
            Ok(places) => {
                let batches = batches_of(rows.iter().map(AsRef::as_ref));
                let batches = batches.into_iter().map(|batch| (batch, self.lease));
                for (place, leased) in places.zip(leased(batches, rows, committed_at)) {
                    place.send(leased);
                }
            }
            Err(_) => {
                metrics::counter!(metric::OUTBOX_LEFT_TO_SWEEPER).increment(rows.len() as u64);
            }
        }
    }

    /// Takes what the sweeper claimed; waits for room.
    pub(super) async fn take(&self, claimed: Claimed, claimed_at: Instant) {
        let rows = claimed.rows.into_iter().map(Arc::new).collect();
        for leased in leased(claimed.batches, rows, claimed_at) {
            if self.queue.send(leased).await.is_err() {
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

/// `rows` are all rows of `batches` that are to be published; a batch is leased for so long from
/// `from` on.
fn leased(
    batches: impl IntoIterator<Item = (Batch, Duration)>,
    rows: Vec<Arc<Row>>,
    from: Instant,
) -> impl Iterator<Item = Leased> {
    let left: HashMap<Uuid, usize> = batches_of(rows.iter().map(AsRef::as_ref))
        .into_iter()
        .map(|batch| (batch.id, batch.events))
        .collect();
    let open: HashMap<Uuid, (Arc<Open>, Instant)> = batches
        .into_iter()
        .map(|(batch, lease)| {
            let left = AtomicUsize::new(left.get(&batch.id).copied().unwrap_or_default());
            // Half of the lease: a publish that starts just before the limit still ends inside it.
            (batch.id, (Arc::new(Open { batch, left }), from + lease / 2))
        })
        .collect();
    rows.into_iter().map(move |row| {
        let (batch, until) = open[&row.batch_id].clone();
        Leased { row, batch, until }
    })
}

async fn run(shared: Arc<Shared>, marks: mpsc::Sender<Vec<Batch>>) {
    let mut batch = Vec::with_capacity(shared.config.publish_batch_max);
    while next_batch(&shared, &mut batch).await {
        publish(&shared, std::mem::take(&mut batch), &marks).await;
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

/// Publishes until each row is sent, refused, or no longer leased to us.
async fn publish(shared: &Shared, mut rows: Vec<Leased>, marks: &mpsc::Sender<Vec<Batch>>) {
    let mut backoff = Backoff::new(
        Duration::from_millis(shared.config.backoff_min_ms),
        Duration::from_millis(shared.config.backoff_max_ms),
    );
    loop {
        let now = Instant::now();
        rows.retain(|leased| leased.until > now);
        if rows.is_empty() {
            return;
        }
        let version = shared.config.write_version;
        let to_message = |leased: &Leased| leased.row.to_message(&shared.producer, version);
        let messages = rows.iter().map(to_message).collect();
        crash::at(Boundary::Publishing, PLACE);
        let answers = shared.publisher.publish(messages).await;
        crash::at(Boundary::Published, PLACE);
        let mut sent: u32 = 0;
        let mut ended = Vec::new();
        let mut away = Vec::new();
        let mut reason = None;
        for (leased, answer) in rows.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    sent += 1;
                    ended.extend(leased.batch.done());
                }
                Err(PublishError::Refused(why)) => {
                    if bury(shared, &leased.row, &why).await {
                        ended.extend(leased.batch.done());
                    }
                }
                Err(PublishError::Away(why)) => {
                    reason = Some(why);
                    away.push(leased);
                }
            }
        }
        if sent > 0 {
            metrics::counter!(metric::OUTBOX_PUBLISHED).increment(u64::from(sent));
            metrics::histogram!(metric::OUTBOX_PUBLISH_BATCH).record(f64::from(sent));
        }
        if !ended.is_empty() {
            // Its other end lives as long as this one.
            let _ = marks.send(ended).await;
        }
        let Some(reason) = reason else {
            shared.broker.up();
            return;
        };
        shared.broker.away(reason);
        if shared.closing.is_cancelled() {
            return;
        }
        rows = away;
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Marks what was published a moment later, so that one transaction marks several batches.
async fn mark_together(shared: Arc<Shared>, mut marks: mpsc::Receiver<Vec<Batch>>) {
    // A batch is to be marked long before the sweeper may claim it.
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
            let batches = sent.len();
            tracing::warn!(error = %error, batches, "published events could not be marked");
        }
    }
}

/// Whether the row is marked; if not, the sweeper tries it again.
async fn bury(shared: &Shared, row: &Row, reason: &str) -> bool {
    metrics::counter!(metric::OUTBOX_DEAD).increment(1);
    tracing::error!(
        event.id = %row.event_id, order.no = %row.key, tag = %row.tag, reason,
        "the broker refuses this event for good; its outbox row is marked dead"
    );
    let marked = shared.outbox.mark_dead(&shared.pool, row, reason).await;
    if let Err(error) = &marked {
        tracing::warn!(error = %error, event.id = %row.event_id, "a dead event could not be marked");
    }
    marked.is_ok()
}
