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
    let mut begun = Begun::default();
    loop {
        member.buffer.room().await;
        let now = client.borrow_and_update().clone();
        let pulled = tokio::select! {
            pulled = pull_once(member, &now.consumer, queue, offset, begun.count()) => pulled,
            // This pull may hang on a dead connection.
            Ok(()) = client.changed() => {
                member.buffer.push(begun.end());
                continue;
            }
        };
        match pulled {
            Ok(result) => {
                backoff.reset();
                member.health.pulled();
                offset = take_in(member, &now.packer, queue, offset, result, &mut begun);
            }
            Err(problem) => {
                member.buffer.push(begun.end());
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

/// Pulls as many as there may be with the `begun` ones that are here; with none here, the broker may
/// wait until there is one.
async fn pull_once(
    member: &Member,
    client: &PullConsumer,
    queue: &Queue,
    offset: i64,
    begun: usize,
) -> Result<PullResult, String> {
    let selector = MessageSelector::by_tag(member.tags(queue.name.topic_str()));
    let count_max = i32::try_from(member.pull_batch_max - begun).unwrap_or(i32::MAX);
    let options = PullOptions::new(queue.name.clone(), selector, offset, count_max)
        .map_err(|error| errors::describe(&error))?
        .block_if_not_found(begun == 0)
        .broker_suspend_timeout(member.pull_suspend)
        .timeout(member.pull_suspend + SUSPEND_GRACE);
    let pulling = Box::pin(client.pull_with_options(options));
    pulling.await.map_err(|error| errors::describe(&error))
}

/// Puts what a pull brought into the buffer, or with the `begun` ones whose rest is to be pulled
/// first; returns the offset to go on from.
fn take_in(
    member: &Member,
    packer: &Packer,
    queue: &Arc<Queue>,
    offset: i64,
    result: PullResult,
    begun: &mut Begun<Pulled>,
) -> i64 {
    let next = i64::try_from(result.next_begin_offset()).unwrap_or(offset);
    if *result.pull_status() == PullStatus::OffsetIllegal {
        tracing::warn!(queue = %queue.name, offset, next, "the broker corrected the offset");
    }
    let found = stored(member, packer, queue, result);
    queue.pulled(found.iter().map(|(offset, _)| *offset), next);
    let brought = found.into_iter().map(|(offset, stored)| {
        let send_ends_at = match &stored {
            Stored::Frame(frame) => frame.send_ends_at(),
            Stored::Found(..) => offset,
        };
        (Pulled { queue: Arc::clone(queue), offset, stored, given_back: 0 }, send_ends_at)
    });
    member.buffer.push(begun.with(brought, next, member.pull_batch_max));
    next
}

/// What was pulled of a send before the rest of it was there. It waits for that rest alone, and only
/// as long as every pull brings some of it.
struct Begun<Message> {
    messages: Vec<Message>,
    /// The offset of the send's last message.
    ends_at: i64,
}

impl<Message> Default for Begun<Message> {
    fn default() -> Self {
        Self { messages: Vec::new(), ends_at: 0 }
    }
}

impl<Message> Begun<Message> {
    fn count(&self) -> usize {
        self.messages.len()
    }

    fn end(&mut self) -> Vec<Message> {
        std::mem::take(self).messages
    }

    /// Adds what a pull brought, each with the offset at which its send ends; the next pull is from
    /// `next`. Returns what is to wait no longer.
    fn with(
        &mut self,
        brought: impl IntoIterator<Item = (Message, i64)>,
        next: i64,
        count_max: usize,
    ) -> Vec<Message> {
        let before = self.count();
        for (message, send_ends_at) in brought {
            // Of sends that begin later none is waited for, or there might be no end to it.
            if before == 0 {
                self.ends_at = self.ends_at.max(send_ends_at);
            }
            self.messages.push(message);
        }
        let is_rest_missing = next <= self.ends_at && self.count() < count_max;
        if is_rest_missing && self.count() > before { Vec::new() } else { self.end() }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A pull brought the messages of these offsets; each belongs to a send that ends at `ends_at`.
    fn brings(begun: &mut Begun<i64>, offsets: &[i64], ends_at: i64, next: i64) -> Vec<i64> {
        begun.with(offsets.iter().map(|offset| (*offset, ends_at)), next, 5)
    }

    #[test]
    fn a_send_is_handed_on_when_its_last_message_is_here() {
        let mut begun = Begun::default();
        assert_eq!(brings(&mut begun, &[3], 3, 4), [3], "it is alone");
        assert!(brings(&mut begun, &[4, 5], 7, 6).is_empty());
        assert_eq!(begun.count(), 2);
        assert_eq!(brings(&mut begun, &[6, 7], 7, 8), [4, 5, 6, 7]);
        assert_eq!(brings(&mut begun, &[8], 8, 9), [8], "nothing of the last one is left");
    }

    #[test]
    fn what_is_here_does_not_wait_when_nothing_comes_of_the_rest() {
        let mut begun = Begun::default();
        assert!(brings(&mut begun, &[4], 7, 5).is_empty());
        assert_eq!(brings(&mut begun, &[], 0, 5), [4]);
        assert!(brings(&mut begun, &[5], 7, 6).is_empty());
        assert_eq!(begun.end(), [5], "the client was renewed, or can't pull");
        assert_eq!(begun.count(), 0);
    }

    #[test]
    fn no_send_is_waited_for_that_begins_after_the_first_pull() {
        let mut begun = Begun::default();
        assert!(brings(&mut begun, &[0], 2, 1).is_empty());
        assert_eq!(brings(&mut begun, &[1, 2, 3], 9, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn no_more_is_held_than_one_pull_may_bring() {
        let mut begun = Begun::default();
        assert!(brings(&mut begun, &[0, 1, 2], 9, 3).is_empty());
        assert_eq!(brings(&mut begun, &[3, 4], 9, 5), [0, 1, 2, 3, 4]);
    }
}
