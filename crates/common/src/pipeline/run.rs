//! The loop around a batch.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument;

use super::fold::{Answer, Folded};
use super::intake::{Intake, Item, Origin, Source};
use super::pace::Pace;
use super::recent::Guessing;
use super::{
    Aggregate, Applied, CallError, Change, GiveBack, LocalQueue, Registration, Runtime, StoreError,
};
use crate::bus::{Bus, BusError, Subscription};
use crate::crash::{self, Boundary};
use crate::decision::Undecided;
use crate::ids;
use crate::life::Tasks;
use crate::metric;

mod decide;

/// How often one batch may be decided again because states moved on, before it pauses like for
/// a dependency that is away (something then writes these keys in a tight loop).
const ROUNDS_MAX: u32 = 64;

/// One subscription (or local queue) of one aggregate, worked on by several tasks.
pub struct Pipeline<A: Aggregate> {
    aggregate: Arc<A>,
    group: Arc<str>,
    source: Source<A>,
    runtime: Runtime,
    pace: Pace,
    guessing: Guessing,
}

/// Where a batch stands.
struct Progress<A: Aggregate> {
    pending: BTreeMap<A::Key, Vec<Item<A>>>,
    /// PostgreSQL's refusals, which replace the gate's answer when decided again.
    forced: HashMap<A::Key, A::Gate>,
    /// Keys whose messages are decided one at a time, to find the one that fails.
    singly: HashSet<A::Key>,
    /// Keys whose guessed states were wrong, or could not be shown to be right.
    look_up: HashSet<A::Key>,
    backs: Vec<GiveBack>,
}

impl<A: Aggregate> Pipeline<A> {
    /// Subscribes on the bus.
    ///
    /// # Errors
    /// A subscribed tag without a handler, or what the bus refuses for good.
    pub async fn subscribe(
        aggregate: Arc<A>,
        registration: Registration<A>,
        bus: &dyn Bus,
        runtime: Runtime,
    ) -> Result<Arc<Self>, BusError> {
        registration.check().map_err(BusError::Misconfigured)?;
        let Registration { subscription, handlers } = registration;
        let group = subscription.group.clone();
        let consumer = bus.subscribe(subscription.clone()).await?;
        let source = Source::Bus { subscription, consumer, handlers };
        let pace = runtime.pace();
        let guessing = Guessing::default();
        Ok(Arc::new(Self { aggregate, group, source, runtime, pace, guessing }))
    }

    /// Works on the process's own queue; `name` stands where a consumer group would.
    pub fn local(
        aggregate: Arc<A>,
        name: &str,
        queue: Arc<LocalQueue<A>>,
        runtime: Runtime,
    ) -> Arc<Self> {
        let source = Source::Local(queue);
        let pace = runtime.pace();
        let guessing = Guessing::default();
        Arc::new(Self { aggregate, group: name.into(), source, runtime, pace, guessing })
    }

    /// Starts `in_flight_max` tasks; they end after [`Pipeline::stop`] when all is done.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        for _ in 0..self.runtime.config.in_flight_max {
            let this = self.clone();
            let span = tracing::info_span!("pipeline", group = %self.group);
            tasks.spawn("pipeline", async move { this.run().await }.instrument(span));
        }
    }

    /// Takes no more; what is in hand is finished.
    pub fn stop(&self) {
        self.source.stop();
    }

    /// What it takes from the bus; `None` for the process's own queue.
    pub fn subscription(&self) -> Option<&Subscription> {
        self.source.subscription()
    }

    async fn run(&self) {
        loop {
            if let Source::Bus { consumer, .. } = &self.source {
                tokio::select! {
                    () = self.aggregate.ready(&self.group) => {}
                    // What is in hand is finished, ready or not.
                    () = consumer.stopping() => {}
                }
            }
            let Some(intake) = self.source.next(&self.pace).await else { return };
            self.process(intake).await;
        }
    }

    /// Takes a batch to its end. Returning without acknowledging means: it comes again.
    async fn process(&self, intake: Intake<A>) {
        let started = Instant::now();
        let count = intake.items.len();
        let Intake { items, dead, acks } = intake;
        let mut progress = Progress::<A> {
            pending: BTreeMap::new(),
            forced: HashMap::new(),
            singly: HashSet::new(),
            look_up: HashSet::new(),
            backs: dead,
        };
        for item in items {
            progress.pending.entry(item.key.clone()).or_default().push(item);
        }
        let mut backoff = self.runtime.backoff();
        let mut rounds = 0;
        while !progress.pending.is_empty() {
            rounds += 1;
            let result = self.round(&mut progress).await;
            let error = match result {
                Ok(()) if rounds % ROUNDS_MAX != 0 => continue,
                Ok(()) => StoreError::Away {
                    dependency: "postgresql",
                    reason: "the same rows change in every round".to_owned(),
                },
                Err(error) => error,
            };
            if matches!(self.source, Source::Local(_)) {
                answer_all(std::mem::take(&mut progress.pending), &error);
                self.runtime.pause(&mut backoff, &error).await;
            } else if !self.runtime.pause(&mut backoff, &error).await {
                return;
            }
        }
        if !self.runtime.give_back(&self.group, progress.backs).await {
            return;
        }
        crash::at(Boundary::Acknowledging, &self.group);
        for ack in acks {
            ack.ack();
        }
        self.pace.took(started.elapsed());
        let group = self.group.to_string();
        metrics::histogram!(metric::BATCH_MESSAGES, "group" => group.clone()).record(count as f64);
        metrics::histogram!(metric::BATCH_SECONDS, "group" => group.clone())
            .record(started.elapsed().as_secs_f64());
        metrics::counter!(metric::MESSAGES_CONSUMED, "group" => group).increment(count as u64);
    }

    /// Loads, consults, decides and applies everything pending, once.
    async fn round(&self, progress: &mut Progress<A>) -> Result<(), StoreError> {
        let keys: Vec<A::Key> = progress.pending.keys().cloned().collect();
        let mut subsets = vec![keys];
        while let Some(keys) = subsets.pop() {
            match self.round_of(progress, &keys).await {
                Ok(()) => {}
                // Loading fails on some key's data: halve until it stands alone.
                Err(StoreError::Data(cause)) if keys.len() == 1 => {
                    self.fail_first(progress, &keys[0], &cause);
                }
                Err(StoreError::Data(_)) => {
                    let (left, right) = keys.split_at(keys.len() / 2);
                    subsets.push(left.to_vec());
                    subsets.push(right.to_vec());
                }
                Err(away) => return Err(away),
            }
        }
        Ok(())
    }

    async fn round_of(
        &self,
        progress: &mut Progress<A>,
        keys: &[A::Key],
    ) -> Result<(), StoreError> {
        let (folded, facts) = self.decide(progress, keys).await?;
        crash::at(Boundary::Decided, &self.group);
        let mut changes = Vec::with_capacity(folded.len());
        let mut answers = HashMap::with_capacity(folded.len());
        let mut done = Vec::new();
        for folded in folded {
            if folded.is_guessed && !folded.shows_its_base() {
                progress.look_up.insert(folded.change.key);
            } else if folded.change.is_empty() {
                done.push(folded);
            } else {
                answers.insert(folded.change.key.clone(), folded.answers);
                changes.push(folded.change);
            }
        }
        let committed_at = Instant::now();
        let results = self.apply(changes).await?;
        crash::at(Boundary::Committed, &self.group);
        let mut failed = Vec::new();
        for (change, result) in results {
            match result {
                Ok(Applied::Applied) => {
                    let answers = answers.remove(&change.key).expect("each key has one change");
                    done.push(Folded { change, answers, is_guessed: false });
                }
                Ok(Applied::Missed) => {
                    metrics::counter!(metric::PIPELINE_MISSES).increment(1);
                    self.guessing.missed();
                    progress.forced.remove(&change.key);
                    progress.look_up.insert(change.key);
                }
                Ok(Applied::Refused(gate)) => {
                    progress.look_up.insert(change.key.clone());
                    progress.forced.insert(change.key, gate);
                }
                Ok(Applied::StaleEpoch) => {
                    progress.forced.remove(&change.key);
                    progress.look_up.insert(change.key);
                }
                Err(cause) => failed.push((change.key, cause)),
            }
        }
        let settled = self.finish(progress, done, &facts, committed_at).await;
        for (key, cause) in failed {
            self.fail_first(progress, &key, &cause);
        }
        settled
    }

    /// Applies in one transaction; when some change's data fails it, halves to find that one.
    async fn apply(
        &self,
        changes: Vec<Change<A>>,
    ) -> Result<Vec<(Change<A>, Result<Applied<A::Gate>, String>)>, StoreError> {
        let mut results = Vec::with_capacity(changes.len());
        let mut parts = vec![changes];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let batch_id = ids::event_id();
            for row in part.iter_mut().flat_map(|change| &mut change.rows) {
                row.batch_id = batch_id;
            }
            let part = Arc::new(part);
            let applied = self.aggregate.apply(&self.group, part.clone()).await;
            let mut part = Arc::into_inner(part).expect("the transaction has let its changes go");
            match applied {
                Ok(applied) => results.extend(part.into_iter().zip(applied.into_iter().map(Ok))),
                Err(StoreError::Data(cause)) if part.len() == 1 => {
                    results.extend(part.into_iter().map(|change| (change, Err(cause.clone()))));
                }
                Err(StoreError::Data(_)) => {
                    let right = part.split_off(part.len() / 2);
                    parts.push(right);
                    parts.push(part);
                }
                // What an earlier part committed is found by its inbox entries next time.
                Err(away) => return Err(away),
            }
        }
        Ok(results)
    }

    /// After the commit: publish, answer the callers, settle the gate.
    async fn finish(
        &self,
        progress: &mut Progress<A>,
        mut done: Vec<Folded<A>>,
        facts: &A::Facts,
        committed_at: Instant,
    ) -> Result<(), StoreError> {
        // All at once, so that they leave together.
        let rows = done.iter_mut().flat_map(|done| std::mem::take(&mut done.change.rows)).collect();
        self.runtime.relay.hand_over(rows, committed_at);
        let mut changes = Vec::with_capacity(done.len());
        for Folded { mut change, answers, .. } in done {
            self.answer(progress, &change.key, answers);
            self.aggregate.committed(&mut change);
            changes.push(change);
        }
        crash::at(Boundary::Settling, &self.group);
        let pairs: Vec<_> = changes
            .iter()
            .map(|change| (&change.key, change.next.as_ref().unwrap_or(&change.base)))
            .collect();
        let mut backoff = self.runtime.backoff();
        while let Err(error) = self.aggregate.settle(facts, &pairs).await {
            if !self.runtime.pause(&mut backoff, &error).await {
                return Err(error);
            }
        }
        drop(pairs);
        for Change { key, next, .. } in changes {
            if let Some(next) = next {
                self.aggregate.remember(key, next);
            }
        }
        Ok(())
    }

    /// Takes a key's decided messages out of what is pending.
    fn answer(&self, progress: &mut Progress<A>, key: &A::Key, answers: Vec<Answer<A::Reply>>) {
        let Some(items) = progress.pending.get_mut(key) else { return };
        let rest = items.split_off(answers.len());
        let decided = std::mem::replace(items, rest);
        if items.is_empty() {
            progress.pending.remove(key);
        }
        progress.forced.remove(key);
        let mut repeated = 0;
        for (item, answer) in decided.into_iter().zip(answers) {
            match (item.origin, answer) {
                (Origin::Local(slot), Answer::Decided(reply)) => {
                    // A caller that has gone away polls or asks again.
                    let _ = slot.send(Ok(reply));
                }
                (Origin::Local(slot), Answer::Undecided(undecided)) => {
                    let _ = slot.send(Err(CallError::Failed(undecided.to_string())));
                }
                (Origin::Bus { incoming, .. }, Answer::Undecided(undecided)) => {
                    progress.backs.push(match undecided {
                        Undecided::Dead(cause) => GiveBack::dead(*incoming, cause),
                        Undecided::Retry(cause) => self.runtime.retry(*incoming, cause),
                    });
                }
                (Origin::Bus { .. }, Answer::Known) => repeated += 1,
                (Origin::Local(_), Answer::Known) | (Origin::Bus { .. }, Answer::Decided(_)) => {}
            }
        }
        if repeated > 0 {
            metrics::counter!(metric::MESSAGES_REPEATED, "group" => self.group.to_string())
                .increment(repeated);
        }
    }

    /// The key's change can't be written: its only message is given back; of several, the first
    /// is tried alone next.
    fn fail_first(&self, progress: &mut Progress<A>, key: &A::Key, cause: &str) {
        let Some(items) = progress.pending.get_mut(key) else { return };
        if items.len() > 1 && progress.singly.insert(key.clone()) {
            return;
        }
        let item = items.remove(0);
        if items.is_empty() {
            progress.pending.remove(key);
        }
        match item.origin {
            Origin::Local(slot) => {
                tracing::error!(key = %key, cause, "a request could not be written");
                let _ = slot.send(Err(CallError::Failed(cause.to_owned())));
            }
            Origin::Bus { incoming, .. } => {
                progress.backs.push(self.runtime.retry(*incoming, cause.to_owned()));
            }
        }
    }
}

fn answer_all<A: Aggregate>(pending: BTreeMap<A::Key, Vec<Item<A>>>, error: &StoreError) {
    for item in pending.into_values().flatten() {
        if let Origin::Local(slot) = item.origin {
            let answer = match error {
                StoreError::Away { dependency, reason } => {
                    CallError::Away { dependency, reason: reason.clone() }
                }
                StoreError::Data(cause) => CallError::Failed(cause.clone()),
            };
            let _ = slot.send(Err(answer));
        }
    }
}
