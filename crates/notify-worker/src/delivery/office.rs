use std::sync::Arc;
use std::time::Duration;

use common::backoff::Backoff;
use common::clock;
use common::crash::{self, Boundary};
use common::pipeline::{CallError, LocalQueue, StoreError};
use common::readiness::{Dependency, Need, Readiness};
use futures::StreamExt as _;
use futures::stream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::written::Written;
use super::{Leased, count, timed};
use crate::channels::{Addressing, Channel, Letter, NotDelivered};
use crate::config::DeliveryConfig;
use crate::domain::{Answer, Content, Message, Outcome, Request};
use crate::handlers::Notifications;
use crate::store::{Recipient, Store};
use crate::templates::Templates;

/// What the offices of all channels share.
#[derive(Clone)]
pub struct Shared {
    pub store: Store,
    pub templates: Templates,
    /// Where the outcomes are decided.
    pub answers: Arc<LocalQueue<Notifications>>,
    pub readiness: Readiness,
}

/// Makes the deliveries of one channel.
pub struct Office {
    name: contracts::Channel,
    channel: Arc<dyn Channel>,
    shared: Shared,
    /// The channel's own, if it can be away.
    dependency: Option<Dependency>,
    database: Dependency,
    in_flight_max: usize,
    backoff_min: Duration,
    backoff_max: Duration,
}

/// How one try ended.
enum Tried {
    Ended(Outcome),
    /// Something that all letters need does not answer: this one is tried again.
    Away,
}

impl Office {
    /// The office of `name`, which `channel` serves, at most `in_flight_max` letters at once.
    pub fn new(
        name: contracts::Channel,
        channel: Arc<dyn Channel>,
        shared: Shared,
        in_flight_max: usize,
        config: &DeliveryConfig,
    ) -> Self {
        let readiness = &shared.readiness;
        let dependency =
            channel.dependency().map(|name| readiness.dependency(name, Need::Degraded));
        let database = readiness.dependency("postgresql", Need::Required);
        Self {
            name,
            channel,
            shared,
            dependency,
            database,
            in_flight_max,
            backoff_min: Duration::from_millis(config.backoff_min_ms),
            backoff_max: Duration::from_millis(config.backoff_max_ms),
        }
    }

    /// Delivers what comes through `counter`; after `stop` what is there already, then ends.
    pub(crate) async fn run(
        self: Arc<Self>,
        counter: mpsc::Receiver<Leased>,
        stop: CancellationToken,
    ) {
        let letters = stream::unfold((counter, stop.clone()), |(mut counter, stop)| async move {
            let leased = tokio::select! {
                biased;
                leased = counter.recv() => leased,
                () = stop.cancelled() => {
                    counter.close();
                    counter.recv().await
                }
            };
            leased.map(|leased| (leased, (counter, stop)))
        });
        letters.for_each_concurrent(self.in_flight_max, |leased| self.handle(leased, &stop)).await;
    }

    /// Asks the channel for its health until it answers, and again whenever it is away.
    pub(crate) async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let Some(dependency) = &self.dependency else { return };
        let mut backoff = self.backoff();
        loop {
            if !dependency.is_up() {
                match self.channel.probe().await {
                    Ok(()) => dependency.up(),
                    Err(reason) => dependency.away(reason),
                }
            }
            let pause = if dependency.is_up() {
                backoff.reset();
                self.backoff_max
            } else {
                backoff.next_delay()
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_min, self.backoff_max)
    }

    async fn handle(&self, leased: Leased, stop: &CancellationToken) {
        let Leased { attempt, request, until } = leased;
        let mut backoff = self.backoff();
        let outcome = loop {
            if Instant::now() >= until {
                // Not ours any more: the sweeper claims it.
                return;
            }
            // Our clock only schedules; the database's decides whether it is over.
            if request.valid_until.is_some_and(|limit| limit <= clock::now()) {
                break Outcome::Overdue;
            }
            crash::at(Boundary::Calling, self.name.as_str());
            let tried = self.attempt(&request).await;
            crash::at(Boundary::Called, self.name.as_str());
            match tried {
                Tried::Ended(outcome) => break outcome,
                Tried::Away => {
                    let pause = tokio::time::sleep(backoff.next_delay());
                    if stop.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        };
        count(self.name, &outcome);
        self.answer(Answer { attempt, outcome, request }, until, stop).await;
    }

    async fn attempt(&self, request: &Request) -> Tried {
        let recipient = match self.look_up(request).await {
            Ok(recipient) => recipient,
            Err(StoreError::Away { reason, .. }) => {
                self.database.away(reason);
                return Tried::Away;
            }
            Err(StoreError::Data(reason)) => return Tried::Ended(Outcome::Later { reason }),
        };
        match Written::new(&self.shared.templates, request, recipient.as_ref()) {
            Ok(written) => self.deliver(&written.letter(request)).await,
            Err(reason) => Tried::Ended(Outcome::Never { reason }),
        }
    }

    /// Where the person can be reached, if the channel has to know and the message does not say.
    async fn look_up(&self, request: &Request) -> Result<Option<Recipient>, StoreError> {
        match (&request.content, request.user_id, self.channel.addressing()) {
            (Content::Template { .. }, Some(user), Addressing::Needed) => {
                self.shared.store.recipient(user).await
            }
            (Content::Template { .. } | Content::Finished { .. }, _, _) => Ok(None),
        }
    }

    async fn deliver(&self, letter: &Letter<'_>) -> Tried {
        let delivered = timed(self.name, self.channel.deliver(letter)).await;
        match delivered {
            Err(NotDelivered::Away { reason }) => {
                if let Some(dependency) = &self.dependency {
                    dependency.away(reason);
                }
                Tried::Away
            }
            Err(NotDelivered::Later { reason }) => Tried::Ended(Outcome::Later { reason }),
            Err(NotDelivered::Never { reason }) => Tried::Ended(Outcome::Never { reason }),
            Ok(()) => {
                if let Some(dependency) = &self.dependency {
                    dependency.up();
                }
                Tried::Ended(Outcome::Delivered)
            }
        }
    }

    /// Has the answer decided and committed. One that can't be, before the lease has run out, is
    /// lost: then the delivery is made again, under the same id.
    async fn answer(&self, answer: Answer, until: Instant, stop: &CancellationToken) {
        let mut backoff = self.backoff();
        let id = answer.request.id.clone();
        loop {
            let message = Message::Answer(answer.clone());
            match self.shared.answers.call_patiently(id.clone(), message).await {
                Ok(()) | Err(CallError::Draining) => return,
                Err(CallError::Failed(cause)) => {
                    tracing::error!(
                        notification.id = %id, cause, "the outcome of a delivery was not stored"
                    );
                    return;
                }
                Err(CallError::Away { .. } | CallError::Overloaded) => {
                    let pause = tokio::time::sleep(backoff.next_delay());
                    if Instant::now() >= until || stop.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }
}
