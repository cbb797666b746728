//! `?wait=`: the answer comes when the order has got somewhere, or at the limit.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use common::problem::Problem;
use serde::Deserialize;

use crate::waiting::Goal;

/// How long is waited when the caller does not say.
const WAIT_DEFAULT_MS: u64 = 5_000;
/// What is left of the request's own time limit for the answer.
const MARGIN: Duration = Duration::from_millis(500);

/// What the caller waits for, and how long; nothing without `wait`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait(pub(super) Option<(Goal, Duration)>);

#[derive(Debug, Deserialize)]
struct Parameters {
    wait: Option<String>,
    wait_ms: Option<String>,
}

impl Wait {
    /// Never longer than a request may take.
    pub(super) fn at_most(self, request_timeout: Duration) -> Self {
        let longest = request_timeout.saturating_sub(MARGIN);
        Self(self.0.map(|(goal, limit)| (goal, limit.min(longest))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_none() {
            return Ok(Self(None));
        }
        let Query(parameters) = Query::<Parameters>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid_field("wait").detail("the query can't be read"))?;
        let goal = match parameters.wait.as_deref() {
            None => None,
            Some("reserved") => Some(Goal::Reserved),
            Some("confirmed") => Some(Goal::Confirmed),
            Some(_) => {
                let problem = Problem::invalid_field("wait");
                return Err(problem.detail("expected reserved or confirmed"));
            }
        };
        let limit_ms = match &parameters.wait_ms {
            None => WAIT_DEFAULT_MS,
            Some(text) => text.parse().map_err(|_| {
                Problem::invalid_field("wait_ms").detail("expected a number of milliseconds")
            })?,
        };
        Ok(Self(goal.map(|goal| (goal, Duration::from_millis(limit_ms)))))
    }
}
