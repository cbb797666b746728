//! Calls to a worker's HTTP API.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::failure::{Failure, Problem, chain};
use super::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(30);

/// One worker.
pub(super) struct Api<'a> {
    client: reqwest::Client,
    base: &'a str,
    token: &'a str,
}

impl<'a> Api<'a> {
    pub(super) fn new(base: &'a str, settings: &'a Settings) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| Failure::Usage(chain(&error)))?;
        Ok(Self { client, base: base.trim_end_matches('/'), token: settings.token() })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.call(Method::POST, path, body).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(method.clone(), &url);
        let request = if self.token.is_empty() { request } else { request.bearer_auth(self.token) };
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let away = |error: reqwest::Error| match error.is_builder() {
            true => Failure::Usage(format!("{url}: {}", chain(&error))),
            false => Failure::Away(format!("{method} {url}: {}", chain(&error.without_url()))),
        };
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(away)?;
        if !status.is_success() {
            return Err(refused(status, &bytes, &format!("{method} {url}")));
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::Away(format!("{method} {url}: the answer is not JSON: {error}"))
        })
    }
}

/// A problem document, or an answer that is none (a proxy's).
fn refused(status: StatusCode, body: &[u8], call: &str) -> Failure {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) if status.is_server_error() => {
            let detail = problem.detail.unwrap_or(problem.title);
            Failure::Away(format!("{call}: {}: {detail}", status.as_u16()))
        }
        Ok(problem) => Failure::Refused(Box::new(problem)),
        Err(_) if status.is_server_error() => Failure::Away(format!("{call}: {status}")),
        Err(_) => Failure::Refused(Box::new(Problem {
            code: String::new(),
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Refused").to_owned(),
            detail: Some(format!("{call} was answered by something that is no worker")),
            field: None,
            limit: None,
        })),
    }
}

/// A part of a path that came from outside.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let escaped = |byte: u8| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}
