use std::sync::Arc;

use async_trait::async_trait;
use common::readiness::{Need, Readiness};
use futures::FutureExt as _;
use tokio::sync::SemaphorePermit;

use super::config::{GatewayKind, MethodConfig, PaymentConfig};
use super::{Instant, Sandbox, answer};
use crate::domain::{Call, CallKind, Captured, Message};

/// A payment provider. Each call is idempotent by our ids: made again it finds what it did.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Makes the payment known, under `call.payment_id`.
    ///
    /// # Errors
    /// See [`GatewayError`].
    async fn open(&self, call: &Call) -> Result<Opened, GatewayError>;

    /// Asks that no money is taken under `call.payment_id` any more, known or not.
    ///
    /// # Errors
    /// See [`GatewayError`].
    async fn close(&self, call: &Call) -> Result<Closed, GatewayError>;

    /// Gives `call.amount` back, under `call.refund_id`; asked again, says how it went.
    ///
    /// # Errors
    /// See [`GatewayError`].
    async fn refund(&self, call: &Call) -> Result<Refunded, GatewayError>;

    /// Whether every answer follows from the call alone and nobody outside is asked: then it is
    /// decided in the transaction that would have recorded the call.
    fn is_in_process(&self) -> bool {
        false
    }

    /// Waits until one more call may be made; the call's time starts after that.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        None
    }

    /// Whether it answers at all.
    ///
    /// # Errors
    /// [`GatewayError::Unknown`] when not.
    async fn probe(&self) -> Result<(), GatewayError> {
        Ok(())
    }
}

/// What became of an open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The provider waits for the buyer, and will call back.
    Waiting {
        provider_payment_id: String,
    },
    Captured(Captured),
    Failed {
        reason: String,
    },
    /// It was closed before.
    Closed,
}

/// What became of a close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    Closed,
    /// Too late: the money is here.
    Captured(Captured),
}

/// What became of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refunded {
    Succeeded,
    /// Under way: ask again.
    Pending,
    /// Never; an operator must act.
    Refused {
        reason: String,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Nobody knows whether it happened (time-out, connection, 5xx): ask again, by the same id.
    #[error("{0}")]
    Unknown(String),
    /// The provider will never take this call as it is.
    #[error("refused: {0}")]
    Refused(String),
}

/// Which gateway serves which method. Clones share them.
#[derive(Clone)]
pub struct Gateways {
    methods: Arc<[(MethodConfig, Arc<dyn Gateway>)]>,
}

impl std::fmt::Debug for Gateways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.methods.iter().map(|(method, _)| method)).finish()
    }
}

impl Gateways {
    /// The configured ones; an HTTP provider is the degraded dependency `gateway`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(config: &PaymentConfig, readiness: &Readiness) -> Result<Self, reqwest::Error> {
        let instant: Arc<dyn Gateway> = Arc::new(Instant);
        let served = |kind| config.methods.iter().any(|method| method.gateway == kind);
        let sandbox: Option<Arc<dyn Gateway>> = if served(GatewayKind::Sandbox) {
            let dependency = readiness.dependency("gateway", Need::Degraded);
            Some(Arc::new(Sandbox::new(&config.sandbox, dependency)?))
        } else {
            None
        };
        let of = |kind| match kind {
            GatewayKind::Instant => Some(&instant),
            GatewayKind::Sandbox => sandbox.as_ref(),
        };
        let methods = config
            .methods
            .iter()
            .filter_map(|method| Some((method.clone(), of(method.gateway)?.clone())))
            .collect();
        Ok(Self { methods })
    }

    /// One gateway for every method.
    #[cfg(test)]
    pub(super) fn only(gateway: Arc<dyn Gateway>) -> Self {
        let any = MethodConfig { method: "*".to_owned(), gateway: GatewayKind::Instant };
        Self { methods: Arc::new([(any, gateway)]) }
    }

    /// Who serves `method`, if anybody does.
    pub fn of(&self, method: &str) -> Option<&Arc<dyn Gateway>> {
        self.methods.iter().find(|(known, _)| known.fits(method)).map(|(_, gateway)| gateway)
    }

    /// The answer of a gateway in this process; none of one that has to be asked.
    pub fn answer_at_once(&self, call: &Call) -> Option<Message> {
        let gateway = self.of(&call.method).filter(|gateway| gateway.is_in_process())?;
        match call.kind {
            CallKind::Open => answer::opened(call, gateway.open(call).now_or_never()?.ok()?),
            CallKind::Close => answer::closed(call, gateway.close(call).now_or_never()?.ok()?),
            CallKind::Refund => answer::refunded(call, gateway.refund(call).now_or_never()?.ok()?),
        }
    }

    /// The accepted methods, as they are configured.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|(known, _)| known.method.as_str())
    }

    /// Asks each whether it answers, so that its readiness is known without a payment.
    pub async fn probe(&self) {
        for (_, gateway) in self.methods.iter() {
            if let Err(error) = gateway.probe().await {
                tracing::debug!(%error, "a payment gateway does not answer");
            }
        }
    }
}
