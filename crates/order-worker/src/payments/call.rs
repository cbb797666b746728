//! One attempt at one call: ask the provider, tell the order.

use std::sync::Arc;
use std::time::Duration;

use common::backoff;
use common::crash::{self, Boundary};
use common::pipeline::CallError;

use super::config::PaymentConfig;
use super::gateway::{Gateway, GatewayError, Gateways};
use super::ledger::Ledger;
use super::{answer, metric};
use crate::domain::{Call, CallKind, Message, RefundOutcome, Reply};

/// A call to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) call: Call,
    /// Attempts that failed before.
    pub(super) attempts: u32,
}

/// What an attempt has brought.
enum Outcome {
    /// The provider's answer, or that we give up: either ends the call.
    Answer(Message),
    /// No answer yet.
    Later { reason: String },
}

/// What attempts need. Clones share it.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) gateways: Gateways,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) config: Arc<PaymentConfig>,
}

impl Desk {
    /// Makes one attempt and records what came of it; gives the job back when it is done with.
    ///
    /// When the order can't be told (the database is away), nothing is recorded: the lease runs
    /// out, and the provider is asked again under the same id.
    pub(super) async fn attempt(self, job: Job) -> Job {
        crash::at(Boundary::Calling, name(job.call.kind));
        let outcome = match self.gateways.of(&job.call.method) {
            Some(gateway) => self.ask(gateway.as_ref(), &job).await,
            None => {
                let reason = format!("no gateway serves the method {:?}", job.call.method);
                self.conclude(&job, Err(GatewayError::Unknown(reason)))
            }
        };
        crash::at(Boundary::Called, name(job.call.kind));
        match outcome {
            Outcome::Answer(message) => self.tell(&job, message).await,
            Outcome::Later { reason } => self.put_off(&job, &reason).await,
        }
        job
    }

    async fn ask(&self, gateway: &dyn Gateway, job: &Job) -> Outcome {
        let limit = Duration::from_millis(self.config.call_timeout_ms);
        let call = &job.call;
        let _turn = gateway.turn().await;
        let answer = tokio::time::timeout(limit, async {
            match call.kind {
                CallKind::Open => {
                    gateway.open(call).await.map(|answer| answer::opened(call, answer))
                }
                CallKind::Close => {
                    gateway.close(call).await.map(|answer| answer::closed(call, answer))
                }
                CallKind::Refund => {
                    gateway.refund(call).await.map(|answer| answer::refunded(call, answer))
                }
            }
        });
        let answer = answer.await.unwrap_or_else(|_| {
            Err(GatewayError::Unknown(format!("no answer within {} ms", limit.as_millis())))
        });
        self.conclude(job, answer)
    }

    fn conclude(&self, job: &Job, answer: Result<Option<Message>, GatewayError>) -> Outcome {
        let last = job.attempts.saturating_add(1) >= self.config.call_attempts_max;
        match (answer, job.call.kind) {
            (Ok(Some(message)), _) => Outcome::Answer(message),
            (Ok(None), _) => Outcome::Later { reason: "under way".to_owned() },
            (Err(GatewayError::Refused(reason)), kind) => {
                Outcome::Answer(ended_without(&job.call, kind, reason))
            }
            (Err(GatewayError::Unknown(reason)), CallKind::Refund) => {
                if last {
                    self.refund_is_stuck(job, &reason);
                }
                Outcome::Later { reason }
            }
            (Err(GatewayError::Unknown(reason)), kind @ (CallKind::Open | CallKind::Close)) => {
                if !last {
                    return Outcome::Later { reason };
                }
                metrics::counter!(metric::CALLS_GAVE_UP, "kind" => name(kind)).increment(1);
                tracing::error!(
                    call.id = %job.call.call_id, order.no = %job.call.order_no, %reason,
                    attempts = job.attempts + 1,
                    "gave up on call {}: the order goes on without its answer", job.call.call_id
                );
                Outcome::Answer(ended_without(&job.call, kind, reason))
            }
        }
    }

    /// Counted at every attempt beyond the limit, logged at the first.
    fn refund_is_stuck(&self, job: &Job, reason: &str) {
        metrics::counter!(metric::REFUNDS_STUCK).increment(1);
        if job.attempts.saturating_add(1) == self.config.call_attempts_max {
            tracing::error!(
                call.id = %job.call.call_id, order.no = %job.call.order_no, %reason,
                attempts = job.attempts + 1,
                "refund {} has no answer; it is tried on and on", job.call.call_id
            );
        }
    }

    async fn tell(&self, job: &Job, message: Message) {
        let call = &job.call;
        metrics::counter!(metric::CALLS, "kind" => name(call.kind)).increment(1);
        match self.ledger.decide(call.order_no.clone(), message).await {
            Ok(Reply::UnknownOrder | Reply::UnknownPayment) => {
                tracing::error!(
                    call.id = %call.call_id, order.no = %call.order_no,
                    "call {} is about a payment that its order does not know", call.call_id
                );
                self.put_off(job, "its order does not know it").await;
            }
            Ok(_) => {}
            Err(CallError::Failed(reason)) => {
                tracing::error!(
                    call.id = %call.call_id, order.no = %call.order_no, %reason,
                    "the answer to call {} can't be written", call.call_id
                );
                self.put_off(job, &reason).await;
            }
            Err(error) => {
                tracing::debug!(call.id = %call.call_id, %error, "the call will be made again");
            }
        }
    }

    async fn put_off(&self, job: &Job, reason: &str) {
        let call = &job.call;
        metrics::counter!(metric::CALLS_PUT_OFF, "kind" => name(call.kind)).increment(1);
        let delay = self.delay(call.kind, job.attempts);
        tracing::debug!(
            call.id = %call.call_id, order.no = %call.order_no, reason,
            delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "call {} is put off", call.call_id
        );
        if let Err(error) = self.ledger.put_off_call(&call.call_id, delay).await {
            tracing::debug!(call.id = %call.call_id, %error, "its lease puts the call off");
        }
    }

    fn delay(&self, kind: CallKind, attempts: u32) -> Duration {
        let max_ms = match kind {
            CallKind::Open | CallKind::Close => self.config.backoff_max_ms,
            CallKind::Refund => self.config.refund_backoff_max_ms,
        };
        let steps = 2_u64.saturating_pow(attempts);
        let delay_ms = self.config.backoff_min_ms.saturating_mul(steps).min(max_ms);
        backoff::jitter(Duration::from_millis(delay_ms))
    }
}

/// The call ends, and the provider did not do it (or nobody knows).
fn ended_without(call: &Call, kind: CallKind, reason: String) -> Message {
    let payment_id = call.payment_id.clone();
    match kind {
        CallKind::Open => Message::OpenGaveUp { payment_id, reason },
        CallKind::Close => Message::CloseGaveUp { payment_id, reason },
        CallKind::Refund => Message::RefundEnded {
            refund_id: refund_id(call),
            outcome: RefundOutcome::Refused(reason),
        },
    }
}

pub(super) fn refund_id(call: &Call) -> String {
    call.refund_id.clone().unwrap_or_default()
}

fn name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Open => "open",
        CallKind::Close => "close",
        CallKind::Refund => "refund",
    }
}
