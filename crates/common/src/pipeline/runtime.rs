use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::{GiveBack, StoreError};
use crate::backoff::Backoff;
use crate::bus::{IncomingMessage, Publisher};
use crate::config::PipelineConfig;
use crate::metric;
use crate::outbox::Relay;
use crate::readiness::{Need, Readiness};

/// What all pipelines of a worker share.
#[derive(Clone)]
pub struct Runtime {
    pub publisher: Arc<dyn Publisher>,
    pub relay: Relay,
    pub readiness: Readiness,
    /// Name/version, stamped on what it gives back.
    pub worker: Arc<str>,
    pub config: PipelineConfig,
    /// Cancelled when the drain's time is up: what is in hand is left to redelivery.
    pub abandon: CancellationToken,
}

impl Runtime {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(
            Duration::from_millis(self.config.backoff_min_ms),
            Duration::from_millis(self.config.backoff_max_ms),
        )
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.config.batch_max, self.gather_max())
    }

    /// Of the process's own queue: each of its callers takes memory while it waits, so they wait
    /// half as long.
    pub(super) fn local_pace(&self) -> Pace {
        Pace::new(self.config.batch_max, self.gather_max() / 2)
    }

    fn gather_max(&self) -> Duration {
        Duration::from_micros(self.config.gather_us)
    }

    /// The message's next attempt, or its dead letter after the last one.
    pub(super) fn retry(&self, incoming: IncomingMessage, cause: String) -> GiveBack {
        let config = &self.config;
        let ladder: Vec<Duration> =
            config.retry_delays_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        GiveBack::retry(incoming, cause, config.attempts_max, &ladder)
    }

    /// Reports the error once per change, waits; false when there is no time left to try again.
    pub(super) async fn pause(&self, backoff: &mut Backoff, error: &StoreError) -> bool {
        if let StoreError::Away { dependency, reason } = error {
            self.readiness.dependency(*dependency, Need::Required).away(reason);
        }
        metrics::counter!(metric::PIPELINE_PAUSES).increment(1);
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => true,
            () = self.abandon.cancelled() => false,
        }
    }

    /// Publishes to retry and dead-letter queues until the broker has them all; false when the
    /// drain's time is up before that.
    pub(super) async fn give_back(&self, group: &str, mut backs: Vec<GiveBack>) -> bool {
        for back in &backs {
            report(group, back);
        }
        let mut backoff = self.backoff();
        while !backs.is_empty() {
            let messages =
                backs.iter().map(|back| back.to_message(group, &self.worker)).collect::<Vec<_>>();
            let answers = self.publisher.publish(messages).await;
            let mut rest = Vec::new();
            let mut last = None;
            for (back, answer) in backs.into_iter().zip(answers) {
                if let Err(error) = answer {
                    last = Some(error.to_string());
                    rest.push(back);
                }
            }
            backs = rest;
            if let Some(reason) = last {
                let error = StoreError::Away { dependency: "broker", reason };
                if !self.pause(&mut backoff, &error).await {
                    return false;
                }
            }
        }
        true
    }
}

fn report(group: &str, back: &GiveBack) {
    let incoming = back.incoming();
    if back.is_dead() {
        metrics::counter!(metric::MESSAGES_DEAD, "group" => group.to_owned()).increment(1);
        tracing::error!(
            group, tag = %incoming.tag, key = %incoming.key, message.id = %incoming.message_id,
            cause = back.cause(), "message goes to the dead-letter queue"
        );
    } else {
        metrics::counter!(metric::MESSAGES_RETRIED, "group" => group.to_owned()).increment(1);
        tracing::warn!(
            group, tag = %incoming.tag, key = %incoming.key, message.id = %incoming.message_id,
            cause = back.cause(), "message will be tried again"
        );
    }
}
