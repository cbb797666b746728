//! The few requests that need no HTTP client.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Error;

const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_MAX_BYTES: u64 = 1024 * 1024;

/// Whether `GET path` at `address` is answered 200.
pub async fn is_ok(address: &str, path: &str) -> bool {
    let answer = tokio::time::timeout(TIMEOUT, get(address, path)).await;
    matches!(answer, Ok(Ok(text)) if text.starts_with("HTTP/1.1 200"))
}

/// What `GET path` at `address` answers, its head included; none when nobody answers.
pub async fn text(address: &str, path: &str) -> Option<String> {
    tokio::time::timeout(TIMEOUT, get(address, path)).await.ok()?.ok()
}

/// Whether `GET /ready` names nothing that is needed and away, other than `but_for`.
pub async fn is_ready(address: &str, but_for: &str) -> bool {
    let Some(text) = text(address, "/ready").await else { return false };
    if text.starts_with("HTTP/1.1 200") {
        return true;
    }
    let Some(dependencies) = dependencies(&text) else { return false };
    dependencies.iter().all(|known| known.up || known.need != "required" || known.name == but_for)
}

/// The dependencies that `GET /ready` says are away, needed or not; none when nobody answers.
pub async fn missing(address: &str) -> Option<Vec<String>> {
    let known = dependencies(&text(address, "/ready").await?)?;
    Some(known.into_iter().filter(|known| !known.up).map(|known| known.name).collect())
}

fn dependencies(answer: &str) -> Option<Vec<Known>> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str::<Snapshot>(body).ok().map(|snapshot| snapshot.dependencies)
}

/// What `/ready` answers, as far as it matters here.
#[derive(serde::Deserialize)]
struct Snapshot {
    dependencies: Vec<Known>,
}

#[derive(serde::Deserialize)]
struct Known {
    name: String,
    need: String,
    up: bool,
}

/// `POST path` with a JSON body and a bearer token; the answer must be a 2xx.
///
/// # Errors
/// Nobody answers, or not with a 2xx.
pub async fn post(address: &str, path: &str, token: &str, body: &str) -> Result<(), Error> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let what = || format!("POST http://{address}{path}");
    let asked = tokio::time::timeout(TIMEOUT, exchange(address, &(head + body))).await;
    let answer = asked
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        .map_err(|source| Error::Io { what: what(), source })?;
    if answer.starts_with("HTTP/1.1 2") {
        return Ok(());
    }
    let source = std::io::Error::other(answer.lines().next().unwrap_or_default().to_owned());
    Err(Error::Io { what: what(), source })
}

/// The answer as text, its head first.
async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, &request).await
}

async fn exchange(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
