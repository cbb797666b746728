//! Makes deliveries out of what was pulled, and hears how they end.

use std::sync::Arc;

use common::bus::Delivery;
use tokio::sync::mpsc;

use super::buffer::Pulled;
use super::session::Member;

/// Delivers until nobody receives any more.
pub(super) async fn deliver(member: Arc<Member>, deliveries: mpsc::Sender<Delivery>) {
    loop {
        let Ok(permit) = Arc::clone(&member.in_flight).acquire_owned().await else { return };
        let Ok(slot) = deliveries.reserve().await else { return };
        let batch = member.buffer.take(member.subscription.batch_max).await;
        let messages = batch
            .iter()
            .map(|pulled| pulled.message(&member.names, &member.subscription))
            .collect();
        let (delivery, acked) = Delivery::new(messages);
        let member = Arc::clone(&member);
        tokio::spawn(async move {
            let acknowledged = tokio::select! {
                // What was acknowledged before the bus was closed is done.
                biased;
                answer = acked => answer.is_ok(),
                () = member.closed.cancelled() => false,
            };
            if acknowledged {
                batch.iter().for_each(|pulled| pulled.queue.finish(pulled.offset));
            } else {
                give_back(&member, batch).await;
            }
            drop(permit);
        });
        slot.send(delivery);
    }
}

/// Nothing is done: the messages come again, unless we are stopping; then whoever is next gets them.
async fn give_back(member: &Member, mut batch: Vec<Pulled>) {
    tokio::select! {
        () = member.stop.cancelled() => return,
        () = tokio::time::sleep(member.redelivery_delay) => {}
    }
    batch.retain(|pulled| !pulled.queue.is_revoked());
    for pulled in &mut batch {
        pulled.given_back += 1;
    }
    member.buffer.give_back(batch);
}
