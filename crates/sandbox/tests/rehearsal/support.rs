//! A merchant: calls the provider, and listens for its callbacks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use clap::Parser;
use reqwest::{Method, Response};
use sandbox::signature::{self, Rejected, Secret};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const MERCHANT_KEY: &str = "merchant-key";
pub(crate) const CALLBACK_SECRET: &str = "callback-secret";
/// Far above what anything here takes: it only ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A callback as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
    pub(crate) verified: Result<(), Rejected>,
}

/// A provider in this process, and a merchant that talks to it.
pub(crate) struct Rehearsal {
    pub(crate) merchant: Merchant,
    pub(crate) _sandbox: Sandbox,
}

/// A merchant's side: an HTTP client and a receiver of callbacks.
pub(crate) struct Merchant {
    client: reqwest::Client,
    pub(crate) provider: String,
    pub(crate) callback_url: String,
    answers: Answers,
    callbacks: mpsc::UnboundedReceiver<Received>,
}

type Answers = Arc<Mutex<VecDeque<u16>>>;

#[derive(Clone)]
struct Receiver {
    answers: Answers,
    received: mpsc::UnboundedSender<Received>,
}

impl Rehearsal {
    /// A provider in memory, with this behaviour.
    pub(crate) async fn start(control: Value) -> Self {
        let control = control.to_string();
        let secrets = format!("{CALLBACK_SECRET},next-secret");
        let options = Options::parse_from([
            "sandbox",
            "--merchant-key",
            MERCHANT_KEY,
            "--callback-secret",
            &secrets,
            "--control",
            &control,
        ]);
        let sandbox = Sandbox::start(options).await.unwrap();
        let merchant = Merchant::start(&sandbox.address().to_string()).await;
        Self { merchant, _sandbox: sandbox }
    }
}

impl Merchant {
    pub(crate) async fn start(provider: &str) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let (received, callbacks) = mpsc::unbounded_channel();
        let answers = Answers::default();
        let receiver = Receiver { answers: Arc::clone(&answers), received };
        let router = axum::Router::new().route("/callback", post(receive)).with_state(receiver);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_url = format!("http://{}/callback", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { client, provider: provider.to_owned(), callback_url, answers, callbacks }
    }

    /// How the next callbacks are answered; all behind them with 200.
    pub(crate) fn answer_callbacks(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// The next callback, whatever it is worth.
    pub(crate) async fn callback(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.callbacks.recv()).await.expect("no callback").unwrap()
    }

    /// The next callback's body, which must be signed by the provider.
    pub(crate) async fn notice(&mut self) -> Value {
        let received = self.callback().await;
        assert_eq!(received.verified, Ok(()), "{received:?}");
        serde_json::from_slice(&received.body).unwrap()
    }

    pub(crate) fn payment(&self, id: &str, method: &str) -> Value {
        json!({
            "merchantId": "boxoffice", "paymentId": id, "orderNo": format!("O-{id}"),
            "amount": "199.00", "currency": "EUR", "method": method,
            "callbackUrl": self.callback_url,
        })
    }

    pub(crate) async fn open(&self, id: &str, method: &str) -> (u16, Value) {
        self.post("/v1/payments", id, self.payment(id, method)).await
    }

    pub(crate) async fn close(&self, id: &str) -> (u16, Value) {
        self.post(&format!("/v1/payments/{id}/close"), id, json!({})).await
    }

    pub(crate) async fn buyer(&self, id: &str, act: &str) -> (u16, Value) {
        self.post(&format!("/v1/buyer/payments/{id}/{act}"), id, json!({})).await
    }

    pub(crate) async fn refund(&self, id: &str, payment: &str, amount: &str) -> (u16, Value) {
        let body = json!({
            "refundId": id, "paymentId": payment, "amount": amount, "currency": "EUR",
        });
        self.post("/v1/refunds", id, body).await
    }

    pub(crate) async fn control(&self, patch: Value) -> (u16, Value) {
        self.post("/v1/control", "control", patch).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: Value) -> (u16, Value) {
        let request = self.request(Method::POST, path).header("Idempotency-Key", key);
        read(request.body(body.to_string()).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.provider))
            .bearer_auth(MERCHANT_KEY)
    }

    /// Asks until the answer is as expected; the callbacks are how a merchant would know.
    pub(crate) async fn get_until(&self, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let (_, body) = self.get(path).await;
                if expected(&body) {
                    return body;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("it never came to that")
    }
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = headers.get(signature::SIGNATURE_HEADER).unwrap().to_str().unwrap().to_owned();
    let secret: Secret = CALLBACK_SECRET.parse().unwrap();
    let verified = signature::verify(&[secret], &header, &body, signed_at(&header));
    let answer = match verified {
        Ok(()) => receiver.answers.lock().unwrap().pop_front().unwrap_or(200),
        Err(_) => 401,
    };
    receiver.received.send(Received { signature: header, body, verified }).ok();
    StatusCode::from_u16(answer).unwrap()
}

/// The time in the header; whether it is fresh is the signature's own test.
fn signed_at(header: &str) -> i64 {
    let text = header.strip_prefix("t=").and_then(|rest| rest.split(',').next());
    text.unwrap().parse().unwrap()
}
