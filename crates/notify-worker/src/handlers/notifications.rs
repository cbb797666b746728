use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use common::bus::Destination;
use common::decision::Undecided;
use common::outbox;
use common::pipeline::{Aggregate, Applied, Change, Decided, Load, Loaded, Stamp, StoreError};
use contracts::{Channel, NotificationId, OrderNo, UserId, properties};

use crate::delivery::{AtOnce, Dispatch};
use crate::domain::{self, Dead, Deliver, Facts, Message, Policy, State, Status};
use crate::store::{Store, Write};

/// The notifications, as the pipelines see them.
pub struct Notifications {
    pub store: Store,
    pub policy: Policy,
    pub at_once: AtOnce,
    pub dispatch: Dispatch,
    pub route: Route,
}

/// Where dead letters go, and who says so.
#[derive(Debug, Clone)]
pub struct Route {
    pub topic: Arc<str>,
    pub sms_group: Arc<str>,
    pub email_group: Arc<str>,
    pub push_group: Arc<str>,
    /// Name/version.
    pub worker: Arc<str>,
}

impl Route {
    fn dead_letters(&self, channel: Channel) -> Destination {
        let group = match channel {
            Channel::Sms => &self.sms_group,
            Channel::Email => &self.email_group,
            Channel::Push => &self.push_group,
        };
        Destination::Dead { group: group.clone(), topic: self.topic.clone() }
    }
}

#[async_trait]
impl Aggregate for Notifications {
    type Key = NotificationId;
    type State = State;
    type Message = Message;
    type Facts = Facts;
    type Gate = ();
    type Event = Dead;
    type Call = Deliver;
    type Reply = ();

    fn guess(&self, _key: &NotificationId, messages: &[&Message]) -> Option<State> {
        // What is asked for is new; an answer is about what is there.
        matches!(messages, [Message::Request(_)]).then_some(None)
    }

    async fn load(&self, request: Load<'_, Self>) -> Result<Loaded<Self>, StoreError> {
        let ids: Vec<&NotificationId> = request.keys.iter().map(|(id, _)| *id).collect();
        let users: Vec<UserId> = request
            .messages()
            .filter_map(|message| match message {
                Message::Request(request) => request.user_id,
                Message::Answer(_) => None,
            })
            .collect();
        let mut snapshot = self.store.load(request.group, &ids, &users, request.events).await?;
        let states =
            ids.into_iter().map(|id| (id.clone(), snapshot.notifications.remove(id))).collect();
        Ok(Loaded { states, known: snapshot.known, facts: snapshot.facts })
    }

    fn decide(
        &self,
        state: &State,
        message: &Message,
        _gate: Option<&()>,
        facts: &Facts,
    ) -> Decided<Self> {
        Ok::<_, Undecided>(domain::decide(&self.policy, state, message, facts))
    }

    fn answer_at_once(&self, call: &Deliver) -> Option<Message> {
        self.at_once.deliver(call).map(Message::Answer)
    }

    fn raise_version(&self, state: &mut State) -> i64 {
        if let Some(notification) = state {
            notification.version += 1;
        }
        self.version(state)
    }

    fn version(&self, state: &State) -> i64 {
        state.as_ref().map_or(0, |notification| notification.version)
    }

    fn record(&self, _state: &State, event: &Dead, stamp: Stamp) -> outbox::Row {
        let Dead { attempt, cause, request } = event;
        let key = request.order_no.as_ref().map_or(request.id.as_str(), OrderNo::as_str);
        let properties = BTreeMap::from([
            (properties::ATTEMPT.to_owned(), attempt.to_string()),
            (properties::ERROR.to_owned(), format!("{attempt}: {cause}")),
            (properties::WORKER.to_owned(), self.route.worker.to_string()),
        ]);
        outbox::Row {
            batch_id: stamp.event_id,
            event_id: stamp.event_id,
            session_id: request.session_id,
            key: key.into(),
            destination: self.route.dead_letters(request.channel),
            tag: request.channel.tag().as_str().into(),
            body: request.original.0.clone(),
            aggregate_version: stamp.aggregate_version,
            occurred_at: stamp.occurred_at,
            causation_id: stamp.causation_id,
            traceparent: stamp.traceparent,
            properties,
        }
    }

    async fn apply(
        &self,
        group: &str,
        changes: Arc<Vec<Change<Self>>>,
    ) -> Result<Vec<Applied<()>>, StoreError> {
        let writes = changes.iter().map(write_of).collect();
        let hits = self.store.apply(group, writes).await?;
        let answer = |hit| if hit { Applied::Applied } else { Applied::Missed };
        Ok(hits.into_iter().map(answer).collect())
    }

    fn committed(&self, change: &mut Change<Self>) {
        if let Some(deliver) = due(change) {
            self.dispatch.hand_over(deliver);
        }
    }
}

fn write_of(change: &Change<Notifications>) -> Write {
    let is_pending = change.next.as_ref().is_some_and(is_pending);
    Write {
        id: change.key.clone(),
        base: change.base.as_ref().map(|notification| notification.version),
        next: change.next.clone().flatten(),
        deliver: change.calls.last().filter(|_| is_pending).cloned(),
        entries: change.entries.clone(),
        rows: change.rows.clone(),
    }
}

/// Of a folded change only the last call counts, and only when it is still to be delivered.
fn due(change: &mut Change<Notifications>) -> Option<Deliver> {
    change.next.as_ref().is_some_and(is_pending).then(|| change.calls.pop()).flatten()
}

fn is_pending(state: &State) -> bool {
    state.as_ref().is_some_and(|notification| notification.status == Status::Pending)
}
