//! `PUT /v1/shows/{showId}`: the same show twice changes nothing.

use axum::Json;
use axum::extract::{Path, State};
use common::problem::{Problem, ProblemJson};
use contracts::ShowId;
use serde::Serialize;
use tokio::time::Instant;

use super::show_body::ShowBody;
use super::{Api, problems};
use crate::metric;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutAnswer {
    show_id: i64,
    sessions: Vec<SessionAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionAnswer {
    session_id: i64,
    version: i64,
    changed: bool,
    /// Whether it was loaded into Redis again, because its totals had changed.
    reloaded: bool,
}

pub(super) async fn put_show(
    State(api): State<Api>,
    Path(show_id): Path<String>,
    ProblemJson(body): ProblemJson<ShowBody>,
) -> Result<Json<PutAnswer>, Problem> {
    let show_id: ShowId =
        show_id.parse().map_err(|error| Problem::invalid_field("showId").detail(error))?;
    let show = body.into_show(show_id)?;
    let stored = api.store.put_show(show).await.map_err(|error| problems::database(&error))?;
    let outcome = stored.map_err(|error| problems::put(&error))?;
    metrics::counter!(metric::SALES_PUBLISHED, "cause" => "show")
        .increment(outcome.rows.len() as u64);
    api.relay.hand_over(outcome.rows, Instant::now());
    let mut sessions = Vec::with_capacity(outcome.sessions.len());
    for session in outcome.sessions {
        // The show is stored whatever happens now; the same call again mends it.
        let loaded = api.loader.catch_up(session.session_id, session.epoch).await;
        let reloaded = loaded.map_err(|error| {
            problems::load(&error).detail(format_args!(
                "the show is stored, but session {} must be loaded again: {}",
                session.session_id,
                common::life::chain(&error)
            ))
        })?;
        sessions.push(SessionAnswer {
            session_id: session.session_id.get(),
            version: session.version,
            changed: session.changed,
            reloaded: reloaded.is_some(),
        });
    }
    Ok(Json(PutAnswer { show_id: show_id.get(), sessions }))
}
