//! The HTTP provider. Its protocol is in `crates/sandbox/README.md`.
//!
//! A call whose answer was lost is asked about by our own id, never made under a new one.

use std::time::Duration;

use async_trait::async_trait;
use common::readiness::Dependency;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::wire::{Payment, Problem, Refund};
use super::config::SandboxConfig;
use super::gateway::{Closed, Gateway, GatewayError, Opened, Refunded};
use crate::domain::Call;

mod wire;

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// The provider, seen from here.
#[derive(Debug)]
pub struct Sandbox {
    client: Client,
    config: SandboxConfig,
    base: String,
    turns: Semaphore,
    dependency: Dependency,
}

/// An answer that was read to its end.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

/// A request that brought no answer.
enum Lost {
    /// It may have been carried out.
    Unknown(String),
    /// It never left.
    NotSent(String),
}

impl Sandbox {
    /// A client with a pool of kept connections.
    ///
    /// # Errors
    /// It can't be built.
    pub fn new(config: &SandboxConfig, dependency: Dependency) -> Result<Self, reqwest::Error> {
        // An error means that somebody else in this process has installed one, which will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(config.requests_max)
            .pool_idle_timeout(IDLE_CONNECTION)
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .build()?;
        Ok(Self {
            client,
            base: config.url.trim_end_matches('/').to_owned(),
            turns: Semaphore::new(config.requests_max),
            config: config.clone(),
            dependency,
        })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    fn post(&self, path: &str, key: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base)).header("Idempotency-Key", key)
    }

    /// Sends, and reads the whole answer: only then can the connection be used again.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Lost> {
        let sent = async {
            let response = request.bearer_auth(self.config.merchant_key.expose()).send().await?;
            let status = response.status();
            let body = response.bytes().await?.to_vec();
            Ok::<_, reqwest::Error>(Answer { status, body })
        };
        let lost = match sent.await {
            Ok(answer) if is_an_answer(answer.status) => {
                self.dependency.up();
                return Ok(answer);
            }
            Ok(answer) => Lost::Unknown(format!("answered {}", answer.status.as_u16())),
            Err(error) => {
                let not_sent = error.is_connect();
                let reason = common::life::chain(&error.without_url());
                if not_sent { Lost::NotSent(reason) } else { Lost::Unknown(reason) }
            }
        };
        let (Lost::Unknown(reason) | Lost::NotSent(reason)) = &lost;
        self.dependency.away(reason);
        Err(lost)
    }

    /// What the provider knows of a payment whose call's answer was lost.
    async fn query(&self, call: &Call, lost: Lost) -> Result<Payment, GatewayError> {
        let reason = match lost {
            Lost::NotSent(reason) => return Err(GatewayError::Unknown(reason)),
            Lost::Unknown(reason) => reason,
        };
        let path = format!("/v1/payments/{}", call.payment_id);
        match self.send(self.get(&path)).await {
            Ok(answer) if answer.status.is_success() => payment(&answer, call),
            _ => Err(GatewayError::Unknown(reason)),
        }
    }
}

#[async_trait]
impl Gateway for Sandbox {
    async fn open(&self, call: &Call) -> Result<Opened, GatewayError> {
        let body = json!({
            "merchantId": self.config.merchant_id,
            "paymentId": call.payment_id,
            "orderNo": call.order_no,
            "amount": call.amount,
            "currency": call.currency,
            "method": call.method,
            "callbackUrl": self.config.callback_url,
        });
        let request = self.post("/v1/payments", &call.payment_id).json(&body);
        let payment = match self.send(request).await {
            Ok(answer) if answer.status.is_success() => payment(&answer, call)?,
            // It was closed before it was opened.
            Ok(answer) if answer.status == StatusCode::CONFLICT => payment(&answer, call)?,
            Ok(answer) => return Err(refused(&answer)),
            Err(lost) => self.query(call, lost).await?,
        };
        payment.opened()
    }

    async fn close(&self, call: &Call) -> Result<Closed, GatewayError> {
        let path = format!("/v1/payments/{}/close", call.payment_id);
        let payment = match self.send(self.post(&path, &call.call_id)).await {
            Ok(answer) if answer.status.is_success() => payment(&answer, call)?,
            // It is captured.
            Ok(answer) if answer.status == StatusCode::CONFLICT => payment(&answer, call)?,
            Ok(answer) => return Err(refused(&answer)),
            Err(lost) => self.query(call, lost).await?,
        };
        payment.closed()
    }

    async fn refund(&self, call: &Call) -> Result<Refunded, GatewayError> {
        let refund_id = call.refund_id.as_deref().unwrap_or_default();
        let body = json!({
            "refundId": refund_id,
            "paymentId": call.payment_id,
            "amount": call.amount,
            "currency": call.currency,
        });
        let refund: Refund = match self.send(self.post("/v1/refunds", refund_id).json(&body)).await
        {
            Ok(answer) if answer.status.is_success() => read(&answer)?,
            Ok(answer) => return Err(refused(&answer)),
            Err(Lost::NotSent(reason)) => return Err(GatewayError::Unknown(reason)),
            Err(Lost::Unknown(reason)) => {
                let path = format!("/v1/refunds/{refund_id}");
                match self.send(self.get(&path)).await {
                    Ok(answer) if answer.status.is_success() => read(&answer)?,
                    _ => return Err(GatewayError::Unknown(reason)),
                }
            }
        };
        Ok(refund.outcome())
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Asks only while the provider is away, or was never asked.
    async fn probe(&self) -> Result<(), GatewayError> {
        if self.dependency.is_up() {
            return Ok(());
        }
        // Any answer to a merchant's call will do, and there is no such payment.
        match self.send(self.get("/v1/payments/probe")).await {
            Ok(_) => Ok(()),
            Err(Lost::Unknown(reason) | Lost::NotSent(reason)) => {
                Err(GatewayError::Unknown(reason))
            }
        }
    }
}

/// Whether the provider has decided; otherwise it may later, or somebody must mend our access.
fn is_an_answer(status: StatusCode) -> bool {
    const MEND_ACCESS: [StatusCode; 4] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    (status.is_success() || status.is_client_error()) && !MEND_ACCESS.contains(&status)
}

fn payment(answer: &Answer, call: &Call) -> Result<Payment, GatewayError> {
    let payment: Payment = read(answer)?;
    if payment.payment_id == call.payment_id {
        return Ok(payment);
    }
    Err(GatewayError::Unknown(format!("answered about payment {:?}", payment.payment_id)))
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, GatewayError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        GatewayError::Unknown(format!("{}: unreadable answer: {error}", answer.status.as_u16()))
    })
}

fn refused(answer: &Answer) -> GatewayError {
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap_or_default();
    GatewayError::Refused(format!("{} {}", answer.status.as_u16(), problem.code))
}
