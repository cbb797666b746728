//! Pulls one queue for as long as it is ours.

#![expect(deprecated, reason = "the lite pull consumer drops what waits; see the crate's head")]

use std::sync::Arc;
use std::time::Duration;

use rocketmq_client_rust::{
    DefaultMQPullConsumer as PullConsumer, MessageSelector, PullOptions, PullResult, PullStatus,
};
use rocketmq_model::common::message::MessageConst;
use tokio_util::sync::CancellationToken;

use super::Backoff;
use super::buffer::{Pulled, Stored};
use super::frames::Packer;
use super::progress::Queue;
use super::session::Member;
use crate::errors;

/// The client waits this much longer than the broker holds a pull, which it ends every 5 s.
const SUSPEND_GRACE: Duration = Duration::from_secs(7);

/// Pulls until told to stop; outages are waited for.
pub(super) async fn pull(member: Arc<Member>, queue: Arc<Queue>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = pull_for_ever(&member, &queue, &stop) => {}
    }
}

async fn pull_for_ever(member: &Member, queue: &Arc<Queue>, stop: &CancellationToken) {
    let Some(mut offset) = first_offset(member, queue, stop).await else { return };
    queue.start(offset);
    let mut backoff = Backoff::new(member.backoff_max);
    let mut client = member.client();
    let mut send = Send::default();
    loop {
        member.buffer.room().await;
        let now = client.borrow_and_update().clone();
        let pulled = tokio::select! {
            pulled = pull_once(member, &now.consumer, queue, offset, !send.is_begun()) => pulled,
            // This pull may hang on a dead connection.
            Ok(()) = client.changed() => continue,
        };
        match pulled {
            Ok(result) => {
                backoff.reset();
                member.health.pulled();
                offset = take_in(member, &now.packer, queue, offset, result, &mut send);
            }
            Err(problem) => {
                member.buffer.push(send.end());
                tracing::debug!(queue = %queue.name, offset, problem, "can't pull; trying again");
                member.health.failed_to_pull();
                if !backoff.wait(stop).await {
                    return;
                }
            }
        }
    }
}

/// Where the group is with the queue: its committed offset, or the first one for a new group.
async fn first_offset(member: &Member, queue: &Queue, stop: &CancellationToken) -> Option<i64> {
    let mut backoff = Backoff::new(member.backoff_max);
    loop {
        let now = member.client().borrow().clone();
        let problem = match Box::pin(now.consumer.fetch_consume_offset(&queue.name, true)).await {
            Ok(offset) if offset >= 0 => return Some(offset),
            Ok(_) => match Box::pin(now.consumer.min_offset(&queue.name)).await {
                Ok(offset) => return Some(offset.max(0)),
                Err(error) => errors::describe(&error),
            },
            Err(error) => errors::describe(&error),
        };
        tracing::debug!(queue = %queue.name, problem, "can't read the group's offset");
        member.health.failed_to_pull();
        if !backoff.wait(stop).await {
            return None;
        }
    }
}

async fn pull_once(
    member: &Member,
    client: &PullConsumer,
    queue: &Queue,
    offset: i64,
    wait: bool,
) -> Result<PullResult, String> {
    let selector = MessageSelector::by_tag(member.tags(queue.name.topic_str()));
    let options = PullOptions::new(queue.name.clone(), selector, offset, member.pull_batch_max)
        .map_err(|error| errors::describe(&error))?
        .block_if_not_found(wait)
        .broker_suspend_timeout(member.pull_suspend)
        .timeout(member.pull_suspend + SUSPEND_GRACE);
    let pulling = Box::pin(client.pull_with_options(options));
    pulling.await.map_err(|error| errors::describe(&error))
}

/// Puts what a pull brought into the buffer, or with the `send` whose rest is to be pulled first;
/// returns the offset to go on from.
fn take_in(
    member: &Member,
    packer: &Packer,
    queue: &Arc<Queue>,
    offset: i64,
    result: PullResult,
    send: &mut Send,
) -> i64 {
    let next = i64::try_from(result.next_begin_offset()).unwrap_or(offset);
    if *result.pull_status() == PullStatus::OffsetIllegal {
        tracing::warn!(queue = %queue.name, offset, next, "the broker corrected the offset");
    }
    let found = stored(member, packer, queue, result);
    queue.pulled(found.iter().map(|(offset, _)| *offset), next);
    let brought = found.len();
    for (offset, stored) in found {
        if let Stored::Frame(frame) = &stored {
            send.ends_at = send.ends_at.max(frame.send_ends_at());
        }
        send.begun.push(Pulled { queue: Arc::clone(queue), offset, stored, given_back: 0 });
    }
    let is_full = send.begun.len() >= usize::try_from(member.pull_batch_max).unwrap_or(0);
    if next > send.ends_at || is_full || brought == 0 {
        member.buffer.push(send.end());
    }
    next
}

/// What was pulled of a send before the rest of it was there.
#[derive(Default)]
struct Send {
    begun: Vec<Pulled>,
    /// The offset of its last message.
    ends_at: i64,
}

impl Send {
    fn is_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    fn end(&mut self) -> Vec<Pulled> {
        std::mem::take(self).begun
    }
}

/// The messages that are for us, each with its offset: the broker filters by hash of the tag, so some
/// may only have looked alike. The client has dropped such of those that it has read.
fn stored(
    member: &Member,
    packer: &Packer,
    queue: &Queue,
    result: PullResult,
) -> Vec<(i64, Stored)> {
    let messages = result.msg_found_list().unwrap_or_default();
    if let [packed] = messages
        && let Some(frames) = packer.unpack(packed)
    {
        let topic = queue.name.topic_str();
        let wanted = frames.into_iter().filter(|frame| {
            let tag = frame.properties().get(MessageConst::PROPERTY_TAGS);
            member.wants(topic, tag.unwrap_or_default())
        });
        return wanted.map(|frame| (frame.offset(), Stored::Frame(frame))).collect();
    }
    let offsets: Vec<i64> = messages.iter().map(|wire| wire.queue_offset()).collect();
    let result = Arc::new(result);
    let found = |(place, offset)| (offset, Stored::Found(Arc::clone(&result), place));
    offsets.into_iter().enumerate().map(found).collect()
}
