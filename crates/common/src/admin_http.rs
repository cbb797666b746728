//! The admin port: health, readiness, metrics, and what a worker adds for its operators.

use std::io;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;
use crate::readiness::Readiness;

mod ports;

pub use ports::Ports;

/// Connections that wait to be accepted at most; the kernel's own limit (`net.core.somaxconn`) may be
/// lower. A caller beyond it tries again after a second: a sale begins with more of them than
/// `TcpListener`'s 1,024.
const BACKLOG: u32 = 4_096;

/// A port that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't {what}")]
pub struct BindError {
    what: String,
    source: std::io::Error,
}

/// `/live`, `/ready` and `/metrics`, open to all; workers merge their operator calls into it.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/live", get(async || "alive\n"))
        .route("/ready", get(ready).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics))
        .fallback(async || Problem::not_found())
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let snapshot = readiness.snapshot();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot)).into_response()
}

async fn render(State(metrics): State<PrometheusHandle>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, metrics.render()).into_response()
}

/// Serves `router` on `listen` (port 0 takes any) until `shutdown`, then finishes what it has.
///
/// Answers the bound address; the task ends when the last request has its answer.
///
/// # Errors
/// The port can't be listened on.
pub async fn serve(
    listen: &str,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), BindError> {
    let refuse = |source| BindError { what: format!("listen on {listen}"), source };
    let listener = bind(listen).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    let listener = listener.tap_io(|stream| {
        // Without it small answers wait for the acknowledgement of the last one.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
    });
    // Made once: a bare router is copied for each connection, some 9 KB.
    let service = router.into_make_service();
    let server = axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned());
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server on {address} ended");
        }
    });
    Ok((address, task))
}

/// As [`TcpListener::bind`] does, but for the backlog.
async fn bind(listen: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in lookup_host(listen).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let listening = socket.and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        });
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests;
