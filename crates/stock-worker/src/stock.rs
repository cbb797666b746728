//! Holds as the pipeline sees them: how they are loaded, asked about, decided, said and written.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use common::outbox;
use common::pipeline::{
    Aggregate, Applied, Ask, Change, Decided, Load, Loaded, Recent, Stamp, StoreError,
};
use common::postgres::Heard;
use common::readiness::{Need, Readiness};
use contracts::{OrderNo, SessionId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{
    self, Event, Extent, Facts, GateAnswer, Hold, Keeper, LineState, Message, RedisView, Work,
};
use crate::gate::Gate;
use crate::handlers::Key;
use crate::metric;
use crate::store::{Planned, Store, Verdict};

mod compare;
mod consult;
mod say;
mod settle;
mod waiting;

pub use compare::Comparer;
use compare::Comparison;
pub use consult::{order as reserve_order, read as reserve_answer};
pub use settle::{lines as settle_lines, order as settle_order};
use waiting::Waiting;

/// How Redis is called in readiness and in errors.
pub const REDIS: &str = "redis";
/// How sessions that are not loaded are called there.
pub const SESSIONS: &str = "sessions";

/// All holds.
pub struct Stock {
    store: Store,
    gate: Gate,
    /// Where facts go.
    topic: Arc<str>,
    waiting: Waiting,
    comparisons: mpsc::Sender<Comparison>,
    /// Holds that are expected to change again.
    recent: Recent<OrderNo, Hold>,
    facts: Heard<Facts>,
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").finish_non_exhaustive()
    }
}

impl Stock {
    /// Facts go to `topic`; `recent_max` holds are remembered. The [`Comparer`] does what SYNC asks
    /// for, until it is dropped.
    pub fn new(
        store: Store,
        gate: Gate,
        topic: Arc<str>,
        recent_max: usize,
        readiness: &Readiness,
    ) -> (Self, Comparer) {
        let sessions = readiness.dependency(SESSIONS, Need::Degraded);
        sessions.up();
        let (comparisons, comparer) = compare::channel(store.clone(), gate.clone());
        let waiting = Waiting::new(sessions);
        let recent = Recent::new(recent_max);
        let facts = Heard::default();
        (Self { store, gate, topic, waiting, comparisons, recent, facts }, comparer)
    }

    /// Facts of the last second, for a batch that only sells or gives back what is known to be
    /// held. It is not decided by them; Redis is told by them, and if it has been filled since,
    /// it says so.
    fn known_facts(&self, request: &Load<'_, Self>) -> Option<Facts> {
        let ends = |message: &Message| matches!(message, Message::Confirm(_) | Message::Release(_));
        if !request.keys.is_empty() || !request.events.is_empty() || !request.messages().all(ends) {
            return None;
        }
        let (mut facts, age) = self.facts.recent()?;
        let is_loaded = |hold: &Hold| {
            facts.sessions.get(&hold.session_id).is_some_and(|session| session.epoch > 0)
        };
        let mut states = request.guessed.iter().map(|guess| guess.state.as_ref());
        if !states.all(|hold| hold.is_some_and(is_loaded)) {
            return None;
        }
        facts.now += age;
        Some(facts)
    }
}

#[async_trait]
impl Aggregate for Stock {
    type Key = Key;
    type State = Option<Hold>;
    type Message = Message;
    type Facts = Facts;
    type Gate = GateAnswer;
    type Event = Event;
    type Call = Work;
    type Reply = ();

    fn guess(&self, key: &Key, messages: &[&Message]) -> Option<Self::State> {
        let order_no = key.order_no()?;
        match messages {
            [Message::Reserve(reserve)] if reserve.extent == Extent::Whole => Some(None),
            _ => self.recent.take(order_no).map(Some),
        }
    }

    fn remember(&self, _key: Key, state: Self::State) {
        // Only what is held is expected to change again.
        if let Some(hold) = state.filter(|hold| hold.state() == LineState::Held) {
            // As it would be read: the gate was asked for this batch, not for a later one.
            let hold = Hold { granted_epoch: None, redis: RedisView::Unsure, ..hold };
            self.recent.put(hold.order_no.clone(), hold);
        }
    }

    async fn load(&self, request: Load<'_, Self>) -> Result<Loaded<Self>, StoreError> {
        if let Some(facts) = self.known_facts(&request) {
            return Ok(Loaded { states: HashMap::new(), known: HashSet::new(), facts });
        }
        let orders: Vec<&str> = request
            .keys
            .iter()
            .filter_map(|(key, _)| key.order_no())
            .map(|order_no| order_no.as_str())
            .collect();
        let guessed = request.guessed.iter().filter_map(|guess| guess.state.as_ref());
        let named = request.messages().filter_map(|message| message.session_id());
        let mut sessions: Vec<i64> =
            named.chain(guessed.map(|hold| hold.session_id)).map(SessionId::get).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let mut tickets: Vec<i64> = request
            .messages()
            .flat_map(|message| message.tickets())
            .map(|ticket| ticket.get())
            .collect();
        tickets.sort_unstable();
        tickets.dedup();
        let asked = Instant::now();
        let mut snapshot =
            self.store.load(request.group, &orders, &sessions, &tickets, request.events).await?;
        self.facts.hear(snapshot.facts.clone(), asked);
        let states: HashMap<Key, Option<Hold>> = request
            .keys
            .iter()
            .map(|(key, _)| {
                let hold = key.order_no().and_then(|order_no| snapshot.holds.remove(order_no));
                ((*key).clone(), hold)
            })
            .collect();
        Ok(Loaded { states, known: snapshot.known, facts: snapshot.facts })
    }

    async fn consult(
        &self,
        facts: &Facts,
        asks: &[Ask<'_, Self>],
    ) -> Result<Vec<Option<GateAnswer>>, StoreError> {
        self.ask_gate(facts, asks).await
    }

    fn decide(
        &self,
        state: &Self::State,
        message: &Message,
        gate: Option<&GateAnswer>,
        facts: &Facts,
    ) -> Decided<Self> {
        domain::decide(state.as_ref(), message, gate, facts)
    }

    fn raise_version(&self, state: &mut Self::State) -> i64 {
        let Some(hold) = state else { return 0 };
        hold.version += 1;
        hold.version
    }

    fn version(&self, state: &Self::State) -> i64 {
        state.as_ref().map_or(0, |hold| hold.version)
    }

    fn record(&self, state: &Self::State, event: &Event, stamp: Stamp) -> outbox::Row {
        let hold = state.as_ref().expect("a fact is always about a hold");
        say::row(&self.topic, hold, event, stamp)
    }

    /// A session that is not loaded holds up only its own reservations: they are withheld until
    /// nothing else of the batch is left, and only then is a dependency away.
    async fn apply(
        &self,
        group: &str,
        changes: Arc<Vec<Change<Self>>>,
    ) -> Result<Vec<Applied<GateAnswer>>, StoreError> {
        let withheld: Vec<_> = changes.iter().map(awaited).collect();
        if let Some(Some((session_id, why))) = withheld.first()
            && withheld.iter().all(Option::is_some)
        {
            let reason = format!("session {session_id} is {why}");
            return Err(StoreError::Away { dependency: SESSIONS, reason });
        }
        let ready = changes.iter().zip(&withheld).filter(|(_, awaited)| awaited.is_none());
        let planned = ready.map(|(change, _)| plan(change)).collect();
        let mut verdicts = self.store.apply(self.store.plan(group, planned)).await?.into_iter();
        let applied = withheld.iter().map(|awaited| match awaited {
            Some(_) => Applied::StaleEpoch,
            None => answer(verdicts.next().expect("one verdict for each planned change")),
        });
        Ok(applied.collect())
    }

    async fn settle(
        &self,
        facts: &Facts,
        states: &[(&Key, &Self::State)],
    ) -> Result<(), StoreError> {
        self.tell_gate(facts, states).await
    }

    fn committed(&self, change: &mut Change<Self>) {
        for work in std::mem::take(&mut change.calls) {
            match work {
                Work::Repair(repair) => {
                    let kind = repair.as_str();
                    metrics::counter!(metric::REPAIRS, "kind" => kind).increment(1);
                    tracing::error!(
                        order.no = %change.key, kind,
                        "order {} needs an operator: {kind}", change.key
                    );
                }
                Work::Compare { session_id, tickets } => {
                    // Its row in `repairs` stays when too many wait.
                    let _ = self.comparisons.try_send(Comparison { session_id, tickets });
                }
                Work::AwaitLoad { .. } => {}
            }
        }
    }
}

/// The session that must be loaded before this change can be decided.
fn awaited(change: &Change<Stock>) -> Option<(SessionId, &'static str)> {
    change.calls.iter().find_map(|work| match work {
        &Work::AwaitLoad { session_id, why } => Some((session_id, why)),
        Work::Repair(_) | Work::Compare { .. } => None,
    })
}

fn plan(change: &Change<Stock>) -> Planned {
    let order_no = change.key.order_no().map(ToString::to_string);
    let next = change.next.as_ref().and_then(Option::as_ref);
    let base = change.base.as_ref();
    let mut planned =
        Planned::new(order_no, base, next, change.entries.clone(), change.rows.clone());
    let session_id = base.map(|hold| hold.session_id);
    for work in &change.calls {
        match work {
            Work::Repair(repair) => planned.repair(*repair, session_id),
            Work::Compare { session_id, tickets } => {
                let tickets: Vec<String> = tickets.iter().map(ToString::to_string).collect();
                let detail = format!("ticket types {}", tickets.join(", "));
                planned.note("comparison_requested", *session_id, detail);
            }
            Work::AwaitLoad { .. } => {}
        }
    }
    planned
}

fn answer(verdict: Verdict) -> Applied<GateAnswer> {
    match verdict {
        Verdict::Applied => Applied::Applied,
        Verdict::Missed => Applied::Missed,
        Verdict::StaleEpoch => Applied::StaleEpoch,
        Verdict::Refused(reason) => {
            metrics::counter!(metric::REFUSED_BY_DATABASE).increment(1);
            Applied::Refused(GateAnswer::Refused { reason, by: Keeper::PostgreSql })
        }
    }
}
