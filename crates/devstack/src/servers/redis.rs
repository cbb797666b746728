use std::fs;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Context;
use crate::process::{Process, Spec};
use crate::{Error, ports};

const READY_MAX: Duration = Duration::from_secs(15);
const PONG: &[u8; 7] = b"+PONG\r\n";

/// As in production: nothing is ever evicted, and a crash loses at most a second.
const SETTINGS: [(&str, &str); 7] = [
    ("bind", "127.0.0.1"),
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("maxmemory-policy", "noeviction"),
    ("save", ""),
    ("daemonize", "no"),
    ("tcp-backlog", "128"),
];

#[derive(Debug)]
pub(super) struct Redis {
    pub(super) url: String,
    pub(super) process: Process,
}

pub(super) async fn start(context: Context<'_>) -> Result<Redis, Error> {
    let since = Instant::now();
    let data = context.run.path().join("redis");
    fs::create_dir_all(&data).map_err(Error::io(format!("make {}", data.display())))?;
    let port = ports::free()?;
    let mut spec = Spec::new("redis", &context.tools.redis_server, &data)
        .arguments(["--port".to_owned(), port.to_string()]);
    for (key, value) in SETTINGS {
        spec = spec.arguments([format!("--{key}"), value.to_owned()]);
    }
    let process = Process::start(spec, context.paths, context.run).await?;
    process.ready(READY_MAX, || async move { answers(port).await.unwrap_or(false) }).await?;
    let url = format!("redis://127.0.0.1:{port}");
    context.ready("Redis", &url, since);
    Ok(Redis { url, process })
}

/// Whether it takes commands: while it loads its data it answers, but not this.
pub(crate) async fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer == *PONG)
}
