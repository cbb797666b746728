//! Where batches come from: the bus, or the process itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::local::{LocalEntry, Slot};
use super::{Aggregate, Decoded, GiveBack, Handler, LocalQueue, Unreadable};
use crate::bus::{AckHandle, Consumer, IncomingMessage, Subscription};

/// One message in hand.
pub(super) struct Item<A: Aggregate> {
    pub(super) key: A::Key,
    pub(super) message: A::Message,
    pub(super) origin: Origin<A>,
}

pub(super) enum Origin<A: Aggregate> {
    Bus { incoming: Box<IncomingMessage>, event_id: Uuid, traceparent: Option<Arc<str>> },
    Local(Slot<A::Reply>),
}

impl<A: Aggregate> Item<A> {
    pub(super) fn event_id(&self) -> Option<Uuid> {
        match &self.origin {
            Origin::Bus { event_id, .. } => Some(*event_id),
            Origin::Local(_) => None,
        }
    }

    pub(super) fn traceparent(&self) -> Option<Arc<str>> {
        match &self.origin {
            Origin::Bus { traceparent, .. } => traceparent.clone(),
            Origin::Local(_) => None,
        }
    }
}

/// A batch, and what ends it.
pub(super) struct Intake<A: Aggregate> {
    pub(super) items: Vec<Item<A>>,
    /// Unreadable messages: to the dead-letter queue at once.
    pub(super) dead: Vec<GiveBack>,
    pub(super) acks: Vec<AckHandle>,
}

pub(super) enum Source<A: Aggregate> {
    Bus { subscription: Subscription, consumer: Consumer, handlers: Vec<Handler<A>> },
    Local(Arc<LocalQueue<A>>),
}

/// How much to gather.
#[derive(Clone, Copy)]
pub(super) struct Gather {
    pub(super) batch_max: usize,
    /// How long to wait for more while other batches are in flight; never when idle.
    pub(super) wait: Duration,
}

impl<A: Aggregate> Source<A> {
    pub(super) fn stop(&self) {
        match self {
            Self::Bus { consumer, .. } => consumer.stop(),
            Self::Local(queue) => queue.stop(),
        }
    }

    pub(super) fn subscription(&self) -> Option<&Subscription> {
        match self {
            Self::Bus { subscription, .. } => Some(subscription),
            Self::Local(_) => None,
        }
    }

    /// The next batch; `None` once stopped and empty.
    pub(super) async fn next(&self, gather: Gather, busy: &AtomicUsize) -> Option<Intake<A>> {
        match self {
            Self::Bus { consumer, handlers, .. } => {
                from_bus(consumer, handlers, gather, busy).await
            }
            Self::Local(queue) => from_queue(queue, gather, busy).await,
        }
    }
}

async fn from_bus<A: Aggregate>(
    consumer: &Consumer,
    handlers: &[Handler<A>],
    gather: Gather,
    busy: &AtomicUsize,
) -> Option<Intake<A>> {
    let mut intake = Intake { items: Vec::new(), dead: Vec::new(), acks: Vec::new() };
    let mut count = 0;
    let mut delivery = consumer.next().await?;
    let mut waited = gather.wait.is_zero() || busy.load(Ordering::Relaxed) == 0;
    loop {
        let (messages, ack) = delivery.into_parts();
        count += messages.len();
        intake.acks.push(ack);
        for incoming in messages {
            take(handlers, incoming, &mut intake);
        }
        if count >= gather.batch_max {
            return Some(intake);
        }
        delivery = match consumer.try_next() {
            Some(delivery) => delivery,
            None if waited => return Some(intake),
            None => {
                waited = true;
                tokio::time::sleep(gather.wait).await;
                match consumer.try_next() {
                    Some(delivery) => delivery,
                    None => return Some(intake),
                }
            }
        };
    }
}

fn take<A: Aggregate>(handlers: &[Handler<A>], incoming: IncomingMessage, into: &mut Intake<A>) {
    let decoded = handlers
        .iter()
        .find(|handler| handler.tag == &*incoming.tag)
        .ok_or_else(|| Unreadable(format!("tag: no handler for {:?}", incoming.tag)))
        .and_then(|handler| (handler.decode)(&incoming));
    match decoded {
        Ok(Decoded { key, message, event_id, traceparent }) => into.items.push(Item {
            key,
            message,
            origin: Origin::Bus { incoming: Box::new(incoming), event_id, traceparent },
        }),
        Err(unreadable) => into.dead.push(GiveBack::dead(incoming, unreadable.to_string())),
    }
}

async fn from_queue<A: Aggregate>(
    queue: &LocalQueue<A>,
    gather: Gather,
    busy: &AtomicUsize,
) -> Option<Intake<A>> {
    let mut entries: Vec<LocalEntry<A>> = Vec::new();
    let mut receiver = queue.receiver.lock().await;
    tokio::select! {
        biased;
        _ = receiver.recv_many(&mut entries, gather.batch_max) => {}
        () = queue.stop.cancelled() => {
            while entries.len() < gather.batch_max {
                match receiver.try_recv() {
                    Ok(entry) => entries.push(entry),
                    Err(_) => break,
                }
            }
        }
    }
    if entries.is_empty() {
        return None;
    }
    if entries.len() < gather.batch_max
        && !gather.wait.is_zero()
        && busy.load(Ordering::Relaxed) > 0
    {
        tokio::time::sleep(gather.wait).await;
        while entries.len() < gather.batch_max {
            match receiver.try_recv() {
                Ok(entry) => entries.push(entry),
                Err(_) => break,
            }
        }
    }
    drop(receiver);
    let items = entries
        .into_iter()
        .map(|LocalEntry { key, message, slot }| Item { key, message, origin: Origin::Local(slot) })
        .collect();
    Some(Intake { items, dead: Vec::new(), acks: Vec::new() })
}
