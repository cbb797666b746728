//! Which call is made when: many at once, those of one payment in turn.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::{Desk, Job};
use crate::domain::CallKind;

/// The calls in hand. All run in one task: none is spawned for a call.
pub(super) struct Driver {
    desk: Desk,
    running: FuturesUnordered<BoxFuture<'static, Job>>,
    /// Payments with a call under way, and what waits behind it.
    payments: HashMap<String, VecDeque<Job>>,
    /// Their ids: a call that the sweeper finds again is not made twice.
    in_hand: HashSet<String>,
}

impl Driver {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk,
            running: FuturesUnordered::new(),
            payments: HashMap::new(),
            in_hand: HashSet::new(),
        }
    }

    /// Makes calls until `stop`, then those that were handed over before.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
        let max = self.desk.config.calls_in_hand_max;
        let mut batch = Vec::new();
        loop {
            let room = max.saturating_sub(self.in_hand.len());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.next() => self.finish(&done),
                taken = jobs.recv_many(&mut batch, room), if room > 0 => {
                    if taken == 0 {
                        break;
                    }
                    self.take(&mut batch);
                }
            }
        }
        jobs.close();
        loop {
            while self.in_hand.len() + batch.len() < max
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            self.take(&mut batch);
            match self.running.next().await {
                Some(done) => self.finish(&done),
                None => return,
            }
        }
    }

    fn take(&mut self, batch: &mut Vec<Job>) {
        let closing: HashSet<String> = batch
            .iter()
            .filter(|job| job.call.kind == CallKind::Close)
            .map(|job| job.call.payment_id.clone())
            .collect();
        for job in batch.drain(..) {
            let superseded = job.call.kind == CallKind::Open
                && !closing.is_empty()
                && closing.contains(&job.call.payment_id);
            if !superseded {
                self.admit(job);
            }
        }
    }

    fn admit(&mut self, job: Job) {
        if !self.in_hand.insert(job.call.call_id.clone()) {
            return;
        }
        let Some(waiting) = self.payments.get_mut(&job.call.payment_id) else {
            self.payments.insert(job.call.payment_id.clone(), VecDeque::new());
            self.start(job);
            return;
        };
        if job.call.kind == CallKind::Close {
            // An open that was not sent need not be: the close's answer ends it, too.
            waiting.retain(|other| {
                let keep = other.call.kind != CallKind::Open;
                if !keep {
                    self.in_hand.remove(&other.call.call_id);
                }
                keep
            });
        }
        waiting.push_back(job);
    }

    fn start(&self, job: Job) {
        self.running.push(Box::pin(self.desk.clone().attempt(job)));
    }

    fn finish(&mut self, done: &Job) {
        self.in_hand.remove(&done.call.call_id);
        let next = self.payments.get_mut(&done.call.payment_id).and_then(VecDeque::pop_front);
        match next {
            Some(job) => self.start(job),
            None => {
                self.payments.remove(&done.call.payment_id);
            }
        }
    }
}
