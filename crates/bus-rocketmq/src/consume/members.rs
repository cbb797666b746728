//! Which queues are whose: every member works it out alone, from the same lists.
//!
//! RocketMQ's client does that only for consumers that pull in its way. The rule is its own
//! averaging one, so that members that use another client agree with us.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rocketmq_model::common::message::message_queue::MessageQueue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::session::{Client, Member};
use crate::{Shared, errors};

/// Between a member's name and the turn of its client.
const TURN: char = '#';
/// How often we look whether the broker knows us, until it does.
const JOINING_INTERVAL: Duration = Duration::from_millis(50);

/// Watches the group's members and the topics' queues.
pub(super) struct Shares {
    member: Arc<Member>,
    topics: [String; 2],
    queues: Vec<Vec<MessageQueue>>,
    queues_read_at: Option<Instant>,
    /// The client that has introduced itself to the broker.
    introduced: Option<Arc<Client>>,
}

impl Shares {
    pub(super) fn new(member: Arc<Member>, topics: [String; 2]) -> Self {
        Self { member, topics, queues: Vec::new(), queues_read_at: None, introduced: None }
    }

    /// Tells our queues again and again; while nobody answers they stay what they were.
    pub(super) async fn tell(mut self, shared: Arc<Shared>, ours: mpsc::Sender<Queues>) {
        let mut pause = JOINING_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            match self.work_out(&shared).await {
                Ok(answer) => {
                    self.member.health.looked();
                    pause = match answer {
                        Some(_) => Duration::from_millis(shared.config.rebalance_interval_ms),
                        None => JOINING_INTERVAL,
                    };
                    if let Some(queues) = answer
                        && ours.send(queues).await.is_err()
                    {
                        return;
                    }
                }
                Err(problem) => {
                    let group = &self.member.group;
                    tracing::debug!(group, problem, "can't see the group's members");
                    self.member.health.failed_to_look();
                    pause = Duration::from_millis(shared.config.rebalance_interval_ms);
                }
            }
        }
    }

    /// `None` while the broker does not know us yet.
    async fn work_out(&mut self, shared: &Shared) -> Result<Option<Queues>, String> {
        let client = self.member.client().borrow().clone();
        if !self.introduced.as_ref().is_some_and(|before| Arc::ptr_eq(before, &client)) {
            self.queues_read_at = None;
        }
        let refresh = Duration::from_millis(shared.config.heartbeat_interval_ms.into());
        if self.queues_read_at.is_none_or(|read_at| read_at.elapsed() >= refresh) {
            self.queues = self.read_queues(&client).await?;
            self.queues_read_at = Some(Instant::now());
            self.introduced = Some(Arc::clone(&client));
        }
        let admin = shared.admin().await.map_err(|error| error.to_string())?;
        let Some(members) = admin.members(&self.member.group).await.map_err(|e| e.to_string())?
        else {
            return Ok(None);
        };
        let Some(me) = members.iter().find(|id| id.ends_with(&client.instance)) else {
            return Ok(None);
        };
        let members: BTreeSet<&str> = members.iter().map(|id| without_turn(id)).collect();
        let me = members.iter().position(|id| *id == without_turn(me));
        Ok(me.map(|me| {
            let shares = self.queues.iter().flat_map(|queues| share(members.len(), me, queues));
            shares.cloned().collect()
        }))
    }

    async fn read_queues(&self, client: &Client) -> Result<Vec<Vec<MessageQueue>>, String> {
        let mut all = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let reading = Box::pin(client.consumer.fetch_subscribe_message_queues(topic));
            let mut queues = reading.await.map_err(|error| errors::describe(&error))?;
            queues.sort_by_key(|queue| (queue.broker_name().to_string(), queue.queue_id()));
            if self.queues_read_at.is_none()
                && let Some(queue) = queues.first()
            {
                // Any question connects to the broker, and connecting sends the first heartbeat.
                let _ = Box::pin(client.consumer.min_offset(queue)).await;
            }
            all.push(queues);
        }
        Ok(all)
    }
}

/// The instance of a member's client: each one has its turn. The broker counts a client that was given
/// up as a member for two minutes when it did not hear of it, so the turns of one member count as one.
pub(super) fn instance(member: &str, turn: u32) -> String {
    format!("{member}{TURN}{turn}")
}

/// The id of the member, whichever turn of it this is.
fn without_turn(id: &str) -> &str {
    match id.rsplit_once(TURN) {
        Some((member, turn)) if turn.parse::<u32>().is_ok() => member,
        _ => id,
    }
}

/// The queues of a member, of all its topics.
pub(super) type Queues = HashSet<MessageQueue>;

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
    fn the_turns_of_a_member_are_one_member() {
        let ids = ["10.0.0.1@a-1#0", "10.0.0.1@a-1#1", "10.0.0.1@a-2#0", "10.0.0.1@DEFAULT#x"];
        let members: BTreeSet<&str> = ids.into_iter().map(without_turn).collect();
        let expected = BTreeSet::from(["10.0.0.1@a-1", "10.0.0.1@a-2", "10.0.0.1@DEFAULT#x"]);
        assert_eq!(members, expected);
        assert_eq!(without_turn(&instance("a-1", 7)), "a-1");
    }

    #[test]
    fn shares_differ_by_one_at_most() {
        let queues = queues(16);
        let sizes = [0, 1, 2].map(|me| share(3, me, &queues).len());
        assert_eq!(sizes, [6, 5, 5]);
    }
}
