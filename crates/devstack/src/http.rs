//! The one request that readiness needs.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// Whether `GET path` at `address` is answered 200.
pub(crate) async fn is_ok(address: &str, path: &str) -> bool {
    let answer = tokio::time::timeout(TIMEOUT, get(address, path)).await;
    matches!(answer, Ok(Ok(text)) if text.starts_with("HTTP/1.1 200"))
}

/// The answer as text, its head first.
async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
