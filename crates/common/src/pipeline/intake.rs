//! Where batches come from: the bus, or the process itself.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::local::{LocalEntry, Slot};
use super::pace::{Pace, Turn};
use super::{Aggregate, Decoded, GiveBack, Handler, LocalQueue, Unreadable};
use crate::bus::{AckHandle, Consumer, Delivery, IncomingMessage, Subscription};

/// One message in hand; it is large, and handed on in a box.
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
    pub(super) items: Vec<Box<Item<A>>>,
    /// Unreadable messages: to the dead-letter queue at once.
    pub(super) dead: Vec<GiveBack>,
    pub(super) acks: Vec<AckHandle>,
}

pub(super) enum Source<A: Aggregate> {
    Bus { subscription: Subscription, consumer: Consumer, handlers: Vec<Handler<A>> },
    Local(Arc<LocalQueue<A>>),
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
    pub(super) async fn next(&self, pace: &Pace) -> Option<Intake<A>> {
        let turn = pace.turn().await;
        let mut intake = Intake { items: Vec::new(), dead: Vec::new(), acks: Vec::new() };
        if !self.first(&mut intake, turn.batch_max()).await {
            return None;
        }
        let until = turn.wait_until();
        while intake.count() < turn.batch_max()
            && until.is_some_and(|until| Instant::now() < until)
            && self.more(&mut intake, &turn).await
        {}
        turn.end(intake.count());
        Some(intake)
    }

    /// Waits for messages, and takes what is there; false once stopped and empty.
    async fn first(&self, intake: &mut Intake<A>, batch_max: usize) -> bool {
        match self {
            Self::Bus { consumer, handlers, .. } => {
                let Some(delivery) = consumer.next().await else { return false };
                intake.take(handlers, delivery);
                while intake.count() < batch_max
                    && let Some(delivery) = consumer.try_next()
                {
                    intake.take(handlers, delivery);
                }
                true
            }
            Self::Local(queue) => {
                let entries = queue.next(batch_max).await;
                intake.take_local(entries);
                intake.count() > 0
            }
        }
    }

    /// Takes what comes next; false when nothing comes for a while.
    async fn more(&self, intake: &mut Intake<A>, turn: &Turn<'_>) -> bool {
        match self {
            Self::Bus { consumer, handlers, .. } => {
                match tokio::time::timeout(turn.gap(), consumer.next()).await {
                    Ok(Some(delivery)) => intake.take(handlers, delivery),
                    Ok(None) | Err(_) => return false,
                }
                true
            }
            Self::Local(queue) => {
                tokio::time::sleep(turn.gap()).await;
                let before = intake.count();
                intake.take_local(queue.waiting(turn.batch_max() - before).await);
                intake.count() > before
            }
        }
    }
}

impl<A: Aggregate> Intake<A> {
    fn count(&self) -> usize {
        self.items.len() + self.dead.len()
    }

    fn take(&mut self, handlers: &[Handler<A>], delivery: Delivery) {
        let (messages, ack) = delivery.into_parts();
        self.acks.push(ack);
        for incoming in messages {
            take(handlers, incoming, self);
        }
    }

    fn take_local(&mut self, entries: Vec<LocalEntry<A>>) {
        self.items.extend(entries.into_iter().map(|entry| entry.item));
    }
}

fn take<A: Aggregate>(handlers: &[Handler<A>], incoming: IncomingMessage, into: &mut Intake<A>) {
    let decoded = handlers
        .iter()
        .find(|handler| handler.tag == &*incoming.tag)
        .ok_or_else(|| Unreadable(format!("tag: no handler for {:?}", incoming.tag)))
        .and_then(|handler| (handler.decode)(&incoming));
    match decoded {
        Ok(Decoded { key, message, event_id, traceparent }) => into.items.push(Box::new(Item {
            key,
            message,
            origin: Origin::Bus { incoming: Box::new(incoming), event_id, traceparent },
        })),
        Err(unreadable) => into.dead.push(GiveBack::dead(incoming, unreadable.to_string())),
    }
}
