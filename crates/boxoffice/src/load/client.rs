//! The buyers' HTTP: kept-alive connections, as many as requests are allowed at once.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::{Error, Plan};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

pub(super) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    /// `http://host:port`, without a slash at the end.
    base: String,
    authorization: HeaderValue,
    requests: Semaphore,
    polls: Semaphore,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Url { reason };
        let url = url::Url::parse(&plan.orders_url).map_err(|error| refuse(error.to_string()))?;
        if url.scheme() != "http" || url.host().is_none() {
            return Err(refuse(format!("expected http://host:port, found {}", plan.orders_url)));
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", plan.token)).map_err(|_| Error::Token)?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(plan.requests_in_flight_max)
            .build(connector);
        Ok(Self {
            pool,
            base: plan.orders_url.trim_end_matches('/').to_owned(),
            authorization,
            requests: Semaphore::new(plan.requests_in_flight_max),
            polls: Semaphore::new(plan.polls_in_flight_max),
        })
    }

    /// `POST`s JSON, under an idempotency key where there is one.
    pub(super) async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(Method::POST).uri(self.uri(path));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, &self.authorization)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        self.send(request).await
    }

    /// A look, which waits until few others look.
    pub(super) async fn look(&self, path: &str) -> Result<Answer, String> {
        let _few = self.polls.acquire().await.expect("the semaphore is never closed");
        let request = Request::builder()
            .uri(self.uri(path))
            .header(AUTHORIZATION, &self.authorization)
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        self.send(request).await
    }

    fn uri(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let _one = self.requests.acquire().await.expect("the semaphore is never closed");
        let exchange = async {
            let answer = self.pool.request(request).await.map_err(|error| chain(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES);
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer { status, body })
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
