//! The loop around a batch.

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

/// One key of a batch.
struct Case<A: Aggregate> {
    key: A::Key,
    /// Its messages that are not decided yet, in the order in which they came.
    pending: Vec<Box<Item<A>>>,
    /// PostgreSQL's refusal, which replaces the gate's answer when decided again.
    forced: Option<A::Gate>,
    /// Messages are decided one at a time, to find the one that fails.
    singly: bool,
    /// The guessed state was wrong, or could not be shown to be right.
    look_up: bool,
}

/// Where a batch stands.
struct Progress<A: Aggregate> {
    /// In the order of their keys.
    cases: Vec<Case<A>>,
    backs: Vec<GiveBack>,
}

impl<A: Aggregate> Progress<A> {
    fn of(mut items: Vec<Box<Item<A>>>, backs: Vec<GiveBack>) -> Self {
        items.sort_by(|a, b| a.key.cmp(&b.key));
        let mut cases: Vec<Case<A>> = Vec::with_capacity(items.len());
        for item in items {
            match cases.last_mut().filter(|case| case.key == item.key) {
                Some(case) => case.pending.push(item),
                None => cases.push(Case {
                    key: item.key.clone(),
                    pending: vec![item],
                    forced: None,
                    singly: false,
                    look_up: false,
                }),
            }
        }
        Self { cases, backs }
    }

    /// The cases that have undecided messages.
    fn pending(&self) -> Vec<usize> {
        let numbered = self.cases.iter().enumerate();
        numbered.filter(|(_, case)| !case.pending.is_empty()).map(|(number, _)| number).collect()
    }
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
        let pace = runtime.local_pace();
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
        let mut progress = Progress::of(items, dead);
        let mut backoff = self.runtime.backoff();
        let mut rounds = 0;
        loop {
            let pending = progress.pending();
            if pending.is_empty() {
                break;
            }
            rounds += 1;
            let result = self.round(&mut progress, pending).await;
            let error = match result {
                Ok(()) if rounds % ROUNDS_MAX != 0 => continue,
                Ok(()) => StoreError::Away {
                    dependency: "postgresql",
                    reason: "the same rows change in every round".to_owned(),
                },
                Err(error) => error,
            };
            if matches!(self.source, Source::Local(_)) {
                answer_all(std::mem::take(&mut progress.cases), &error);
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
    async fn round(
        &self,
        progress: &mut Progress<A>,
        pending: Vec<usize>,
    ) -> Result<(), StoreError> {
        let mut subsets = vec![pending];
        while let Some(mut cases) = subsets.pop() {
            // Some are done when what follows the commit has failed.
            cases.retain(|&case| !progress.cases[case].pending.is_empty());
            match self.round_of(progress, &cases).await {
                Ok(()) => {}
                // Loading fails on some key's data: halve until it stands alone.
                Err(StoreError::Data(cause)) if cases.len() == 1 => {
                    self.fail_first(progress, cases[0], &cause);
                }
                Err(StoreError::Data(_)) => {
                    let (left, right) = cases.split_at(cases.len() / 2);
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
        cases: &[usize],
    ) -> Result<(), StoreError> {
        let (folded, facts) = self.decide(progress, cases).await?;
        crash::at(Boundary::Decided, &self.group);
        let mut changes = Vec::with_capacity(folded.len());
        // Of each change.
        let mut answers = Vec::with_capacity(folded.len());
        let mut done = Vec::with_capacity(folded.len());
        for folded in folded {
            if folded.is_guessed && !folded.shows_its_base() {
                progress.cases[folded.case].look_up = true;
            } else if folded.change.is_empty() {
                done.push(folded);
            } else {
                answers.push((folded.case, folded.answers));
                changes.push(folded.change);
            }
        }
        let committed_at = Instant::now();
        let results = self.apply(changes).await?;
        crash::at(Boundary::Committed, &self.group);
        let mut failed = Vec::new();
        for ((change, result), (number, answers)) in results.into_iter().zip(answers) {
            let case = &mut progress.cases[number];
            case.look_up |= !matches!(result, Ok(Applied::Applied) | Err(_));
            match result {
                Ok(Applied::Applied) => {
                    done.push(Folded { case: number, change, answers, is_guessed: false });
                }
                Ok(Applied::Missed) => {
                    metrics::counter!(metric::PIPELINE_MISSES).increment(1);
                    self.guessing.missed();
                    case.forced = None;
                }
                Ok(Applied::Refused(gate)) => case.forced = Some(gate),
                Ok(Applied::StaleEpoch) => case.forced = None,
                Err(cause) => failed.push((number, cause)),
            }
        }
        let settled = self.finish(progress, done, &facts, committed_at).await;
        for (case, cause) in failed {
            self.fail_first(progress, case, &cause);
        }
        settled
    }

    /// Applies in one transaction; when some change's data fails it, halves to find that one.
    /// Answers in the same order.
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
                Arc::make_mut(row).batch_id = batch_id;
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
        let rows = done.iter_mut().flat_map(|done| std::mem::take(&mut done.change.rows));
        self.runtime.relay.hand_over(rows, committed_at);
        let mut changes = Vec::with_capacity(done.len());
        for Folded { case, mut change, answers, .. } in done {
            self.answer(progress, case, answers);
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

    /// Takes a case's decided messages out of what is pending.
    fn answer(&self, progress: &mut Progress<A>, case: usize, answers: Vec<Answer<A::Reply>>) {
        let Progress { cases, backs } = progress;
        let case = &mut cases[case];
        case.forced = None;
        let mut repeated = 0;
        for (item, answer) in case.pending.drain(..answers.len()).zip(answers) {
            match (item.origin, answer) {
                (Origin::Local(slot), Answer::Decided(reply)) => {
                    // A caller that has gone away polls or asks again.
                    let _ = slot.send(Ok(reply));
                }
                (Origin::Local(slot), Answer::Undecided(undecided)) => {
                    let _ = slot.send(Err(CallError::Failed(undecided.to_string())));
                }
                (Origin::Bus { incoming, .. }, Answer::Undecided(undecided)) => {
                    backs.push(match undecided {
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

    /// The case's change can't be written: its only message is given back; of several, the first
    /// is tried alone next.
    fn fail_first(&self, progress: &mut Progress<A>, case: usize, cause: &str) {
        let case = &mut progress.cases[case];
        if case.pending.len() > 1 && !case.singly {
            case.singly = true;
            return;
        }
        if case.pending.is_empty() {
            return;
        }
        let item = case.pending.remove(0);
        match item.origin {
            Origin::Local(slot) => {
                tracing::error!(key = %case.key, cause, "a request could not be written");
                let _ = slot.send(Err(CallError::Failed(cause.to_owned())));
            }
            Origin::Bus { incoming, .. } => {
                progress.backs.push(self.runtime.retry(*incoming, cause.to_owned()));
            }
        }
    }
}

fn answer_all<A: Aggregate>(cases: Vec<Case<A>>, error: &StoreError) {
    for item in cases.into_iter().flat_map(|case| case.pending) {
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
