//! Which queues are whose: every member works it out alone, from the same lists.
//!
//! RocketMQ's client does that only for consumers that pull in its way. The rule is its own
//! averaging one, so that members that use another client agree with us.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use rocketmq_model::common::message::message_queue::MessageQueue;
use tokio::time::Instant;

use super::session::Member;
use crate::{Shared, errors};

/// How often we look whether the broker knows us, until it does.
const JOINING_INTERVAL: Duration = Duration::from_millis(50);

/// Watches the group's members and the topics' queues.
pub(super) struct Shares {
    topics: [String; 2],
    /// The end of our client id; the client puts its address before it.
    instance: String,
    queues: Vec<Vec<MessageQueue>>,
    queues_read_at: Option<Instant>,
    is_member: bool,
    told: String,
}

impl Shares {
    pub(super) fn new(topics: [String; 2], instance: String) -> Self {
        Self {
            topics,
            instance,
            queues: Vec::new(),
            queues_read_at: None,
            is_member: false,
            told: String::new(),
        }
    }

    /// Our queues, looked up again after a while; while nobody answers they stay what they were.
    ///
    /// Dropping the future half-way loses nothing.
    pub(super) async fn next(&mut self, shared: &Shared, member: &Member) -> HashSet<MessageQueue> {
        loop {
            let pause = match self.is_member {
                true => Duration::from_millis(shared.config.rebalance_interval_ms),
                false => JOINING_INTERVAL,
            };
            tokio::time::sleep(pause).await;
            match self.work_out(shared, member).await {
                Ok(Some(ours)) => {
                    self.is_member = true;
                    self.told.clear();
                    return ours;
                }
                Ok(None) => self.is_member = false,
                Err(problem) if self.told == problem => {}
                Err(problem) => {
                    let group = &member.group;
                    tracing::debug!(group, problem, "can't see the group's members");
                    self.told = problem;
                }
            }
        }
    }

    async fn work_out(
        &mut self,
        shared: &Shared,
        member: &Member,
    ) -> Result<Option<HashSet<MessageQueue>>, String> {
        let refresh = Duration::from_millis(shared.config.heartbeat_interval_ms.into());
        if self.queues_read_at.is_none_or(|read_at| read_at.elapsed() >= refresh) {
            self.queues = self.read_queues(member).await?;
            self.queues_read_at = Some(Instant::now());
        }
        let admin = shared.admin().await.map_err(|error| error.to_string())?;
        let members = admin.members(&member.group).await.map_err(|error| error.to_string())?;
        let me = members.iter().position(|id| id.ends_with(&self.instance));
        Ok(me.map(|me| {
            let shares = self.queues.iter().flat_map(|queues| share(members.len(), me, queues));
            shares.cloned().collect()
        }))
    }

    async fn read_queues(&self, member: &Member) -> Result<Vec<Vec<MessageQueue>>, String> {
        let mut all = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let reading = Box::pin(member.client.fetch_subscribe_message_queues(topic));
            let mut queues = reading.await.map_err(|error| errors::describe(&error))?;
            queues.sort_by_key(|queue| (queue.broker_name().to_string(), queue.queue_id()));
            if self.queues_read_at.is_none()
                && let Some(queue) = queues.first()
            {
                // Any question connects to the broker, and connecting sends the first heartbeat.
                let _ = Box::pin(member.client.min_offset(queue)).await;
            }
            all.push(queues);
        }
        Ok(all)
    }
}

/// The part of a topic's queues that falls to the member at place `me`.
fn share(members: usize, me: usize, queues: &[MessageQueue]) -> &[MessageQueue] {
    let (each, spare) = (queues.len() / members, queues.len() % members);
    let first = me * each + me.min(spare);
    &queues[first..first + each + usize::from(me < spare)]
}

/// The ids of a group's members, in the order that all of them count by.
pub(crate) type Members = BTreeSet<String>;

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: i32) -> Vec<MessageQueue> {
        (0..count).map(|id| MessageQueue::from_parts("TOPIC", "broker", id)).collect()
    }

    #[test]
    fn every_queue_is_exactly_one_members() {
        for (queue_count, members) in [(16, 1), (16, 3), (16, 16), (1, 4), (7, 20), (0, 2)] {
            let queues = queues(queue_count);
            let shares: Vec<_> =
                (0..members).flat_map(|me| share(members, me, &queues)).cloned().collect();
            assert_eq!(shares, queues, "{queue_count} queues, {members} members");
        }
    }

    #[test]
    fn shares_differ_by_one_at_most() {
        let queues = queues(16);
        let sizes = [0, 1, 2].map(|me| share(3, me, &queues).len());
        assert_eq!(sizes, [6, 5, 5]);
    }
}
