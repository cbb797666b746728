//! Messages without a machine: decoded and stored by an upsert that absorbs duplicates.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::Instrument;
use uuid::Uuid;

use super::{GiveBack, Runtime, StoreError, Unreadable};
use crate::bus::{Bus, BusError, Consumer, IncomingMessage, Subscription};
use crate::crash::{self, Boundary};
use crate::life::Tasks;
use crate::metric;

/// Stores records; the same record twice, or an older version of it, changes nothing.
#[async_trait]
pub trait Sink: Send + Sync + Sized + 'static {
    type Record: Send + Sync;

    /// Stores all, and their inbox entries, in one transaction.
    async fn store(
        &self,
        group: &str,
        records: &[Recorded<Self::Record>],
    ) -> Result<(), StoreError>;
}

/// A record and the event that brought it.
#[derive(Debug, Clone)]
pub struct Recorded<Record> {
    pub event_id: Uuid,
    pub record: Record,
}

/// How the messages of a [`Sink`]'s subscription are read.
pub type SinkHandler<Record> = fn(&IncomingMessage) -> Result<Recorded<Record>, Unreadable>;

/// One subscription of one sink.
pub struct SinkPipeline<S: Sink> {
    sink: Arc<S>,
    subscription: Subscription,
    consumer: Consumer,
    read: SinkHandler<S::Record>,
    runtime: Runtime,
}

impl<S: Sink> SinkPipeline<S> {
    /// Subscribes on the bus.
    ///
    /// # Errors
    /// What the bus refuses for good.
    pub async fn subscribe(
        sink: Arc<S>,
        subscription: Subscription,
        read: SinkHandler<S::Record>,
        bus: &dyn Bus,
        runtime: Runtime,
    ) -> Result<Arc<Self>, BusError> {
        let consumer = bus.subscribe(subscription.clone()).await?;
        Ok(Arc::new(Self { sink, subscription, consumer, read, runtime }))
    }

    /// Starts one task; it ends after [`SinkPipeline::stop`] when all is done.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let this = self.clone();
        let span = tracing::info_span!("sink", group = %self.subscription.group);
        tasks.spawn("sink", async move { this.run().await }.instrument(span));
    }

    /// Takes no more; what is in hand is finished.
    pub fn stop(&self) {
        self.consumer.stop();
    }

    /// What it takes.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    async fn run(&self) {
        while let Some(delivery) = self.consumer.next().await {
            let (messages, ack) = delivery.into_parts();
            let count = messages.len() as u64;
            if self.process(messages).await {
                crash::at(Boundary::Acknowledging, &self.subscription.group);
                ack.ack();
                let group = self.subscription.group.to_string();
                metrics::counter!(metric::MESSAGES_CONSUMED, "group" => group).increment(count);
            }
        }
    }

    /// False when the drain's time is up: the messages come again.
    async fn process(&self, messages: Vec<IncomingMessage>) -> bool {
        let group = &self.subscription.group;
        let mut records = Vec::with_capacity(messages.len());
        let mut origins = Vec::with_capacity(messages.len());
        let mut backs = Vec::new();
        for incoming in messages {
            match (self.read)(&incoming) {
                Ok(record) => {
                    records.push(record);
                    origins.push(incoming);
                }
                Err(unreadable) => backs.push(GiveBack::dead(incoming, unreadable.to_string())),
            }
        }
        let mut parts: Vec<_> = std::iter::once(0..records.len()).collect();
        let mut backoff = self.runtime.backoff();
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            crash::at(Boundary::Decided, group);
            match self.sink.store(group, &records[part.clone()]).await {
                Ok(()) => crash::at(Boundary::Committed, group),
                Err(StoreError::Data(cause)) if part.len() == 1 => {
                    backs.push(self.runtime.retry(origins[part.start].clone(), cause));
                }
                Err(StoreError::Data(_)) => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Err(away) => {
                    parts.push(part);
                    if !self.runtime.pause(&mut backoff, &away).await {
                        return false;
                    }
                }
            }
        }
        self.runtime.give_back(group, backs).await
    }
}
