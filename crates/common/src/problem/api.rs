use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use futures::FutureExt as _;
use tokio::time::Instant;

use super::{Problem, code};
use crate::config::ApiConfig;
use crate::metric;

/// The largest body of a router's requests, so that a problem can name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit(pub(super) usize);

/// Finishes an API's router: a limit on bodies and on time, a metric, and problems instead of
/// panics, unknown paths and unknown methods.
pub fn api<S: Clone + Send + Sync + 'static>(router: Router<S>, config: &ApiConfig) -> Router<S> {
    let limit = Duration::from_millis(config.request_timeout_ms);
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                code::METHOD_NOT_ALLOWED,
                "The path does not take this method",
            )
        })
        // As one layer: axum boxes each.
        .layer((
            middleware::from_fn_with_state(limit, guard),
            Extension(BodyLimit(config.body_max_bytes)),
            DefaultBodyLimit::max(config.body_max_bytes),
        ))
}

/// Answers in time, whatever the handler does. What a handler started goes on without it: a
/// transaction runs in a task of its own.
async fn guard(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = AssertUnwindSafe(tokio::time::timeout(limit, next.run(request)));
    let response = match answer.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            let detail = format!("no answer within {} ms", limit.as_millis());
            Problem::unavailable(detail).into_response()
        }
        Err(_) => {
            let route = route.as_ref().map_or("", MatchedPath::as_str);
            tracing::error!(route, "the handler of {route} panicked");
            Problem::internal().into_response()
        }
    };
    if let Some(route) = route {
        let status = response.status().as_u16().to_string();
        let route = route.as_str().to_owned();
        metrics::histogram!(metric::HTTP_REQUEST_SECONDS, "route" => route, "status" => status)
            .record(started.elapsed().as_secs_f64());
    }
    response
}
