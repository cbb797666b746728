//! Makes deliveries out of what was pulled, and hears how they end.

use std::sync::Arc;

use common::bus::Delivery;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::buffer::Pulled;
use super::session::Member;

/// Delivers until nobody receives any more.
pub(super) async fn deliver(member: Arc<Member>, deliveries: mpsc::Sender<Delivery>) {
    loop {
        let Ok(permit) = Arc::clone(&member.in_flight).acquire_owned().await else { return };
        let Ok(slot) = deliveries.reserve().await else { return };
        let batch = member.buffer.take(member.subscription.batch_max).await;
        let messages = batch.iter().map(|pulled| pulled.message.clone()).collect();
        let (delivery, acked) = Delivery::new(messages);
        let member = Arc::clone(&member);
        tokio::spawn(async move {
            match acked.await {
                Ok(_) => finish(&member, batch, permit).await,
                Err(_) => give_back(&member, batch, permit).await,
            }
        });
        slot.send(delivery);
    }
}

/// All is done: progress moves on.
async fn finish(member: &Member, batch: Vec<Pulled>, permit: OwnedSemaphorePermit) {
    let mut queues = Vec::new();
    for pulled in batch {
        pulled.queue.finish(pulled.offset);
        if !queues.iter().any(|queue| Arc::ptr_eq(queue, &pulled.queue)) {
            queues.push(pulled.queue);
        }
    }
    // The next delivery need not wait for the bookkeeping.
    drop(permit);
    for queue in queues.iter().filter(|queue| !queue.is_revoked()) {
        member.note_progress(queue).await;
    }
}

/// Nothing is done: the messages come again, unless we are stopping; then whoever is next gets them.
async fn give_back(member: &Member, mut batch: Vec<Pulled>, permit: OwnedSemaphorePermit) {
    drop(permit);
    tokio::select! {
        () = member.stop.cancelled() => return,
        () = tokio::time::sleep(member.redelivery_delay) => {}
    }
    batch.retain(|pulled| !pulled.queue.is_revoked());
    for pulled in &mut batch {
        pulled.message.broker_attempts += 1;
    }
    member.buffer.give_back(batch);
}
