//! HTTP: what the archive holds, and what an operator decides about it.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use common::auth::{Caller, Scope, Tokens, protect};
use common::config::ApiConfig;
use common::pipeline::StoreError;
use common::problem::{self, Problem, ProblemJson};
use uuid::Uuid;

use crate::domain::{Refusal, Status};
use crate::metric;
use crate::replay::Replayer;
use crate::store::{Answer, Filter, Store};

mod request;
mod view;

use request::{Discard, ListQuery};
use view::{Discarded, FullView, Page, Replaying, SummaryView};

/// Codes of this worker's problems; each has a page in `docs/errors/`.
pub mod code {
    /// The dead letter's status does not allow it.
    pub const WRONG_STATUS: &str = "dead_letter_wrong_status";
    /// The consumer's inbox might have forgotten the event.
    pub const REPLAY_TOO_OLD: &str = "replay_too_old";
    /// Nothing says where the message was first published.
    pub const ORIGIN_UNKNOWN: &str = "replay_origin_unknown";

    /// All of them.
    pub const ALL: &[&str] = &[WRONG_STATUS, REPLAY_TOO_OLD, ORIGIN_UNKNOWN];
}

#[derive(Clone)]
struct Context {
    store: Store,
    replayer: Replayer,
}

/// The routes, guarded by `tokens`. A body may hold personal data: it takes `dlq:read` to see it.
pub fn router(store: Store, replayer: Replayer, tokens: &Tokens, config: &ApiConfig) -> Router {
    let read = Router::new()
        .route("/v1/dead-letters", get(list))
        .route("/v1/dead-letters/{id}", get(show));
    let write = Router::new()
        .route("/v1/dead-letters/{id}/replay", post(replay))
        .route("/v1/dead-letters/{id}/discard", post(discard));
    let read = protect(read, tokens, Scope::DlqRead);
    let write = protect(write, tokens, Scope::DlqWrite);
    problem::api(read.merge(write), config).with_state(Context { store, replayer })
}

/// `GET`: dead letters, the newest first, a page at a time.
async fn list(
    State(context): State<Context>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) =
        query.map_err(|rejection| Problem::invalid_field("query").detail(rejection.body_text()))?;
    let filter: Filter = query.check()?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let found = context.store.list(&filter).await.map_err(unavailable)?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id);
    Ok(Json(Page { dead_letters: found.iter().map(SummaryView::new).collect(), next }))
}

/// `GET`: everything about one dead letter.
async fn show(
    State(context): State<Context>,
    Path(id): Path<String>,
) -> Result<Json<FullView>, Problem> {
    let found = context.store.find(dead_letter_id(&id)?).await.map_err(unavailable)?;
    found.map(|full| Json(FullView::new(full))).ok_or_else(not_found)
}

/// `POST`: to its one group again. `202`: the replay is committed and will be sent.
async fn replay(
    State(context): State<Context>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Replaying>), Problem> {
    let id = dead_letter_id(&id)?;
    match context.replayer.start(id, caller.name()).await.map_err(unavailable)? {
        Answer::Done(started) => {
            let view = Replaying {
                id,
                replay_id: started.replay_id,
                group: started.group,
                status: Status::Replaying.as_str(),
            };
            Ok((StatusCode::ACCEPTED, Json(view)))
        }
        Answer::Refused(refusal) => Err(refused(refusal)),
        Answer::NotFound => Err(not_found()),
    }
}

/// `POST`: given up, for a reason.
async fn discard(
    State(context): State<Context>,
    caller: Caller,
    Path(id): Path<String>,
    ProblemJson(body): ProblemJson<Discard>,
) -> Result<Json<Discarded>, Problem> {
    let id = dead_letter_id(&id)?;
    let (reason, by) = (body.check()?, caller.name().to_owned());
    match context.store.discard(id, reason, by).await.map_err(unavailable)? {
        Answer::Done(()) => {
            metrics::counter!(metric::DISCARDED).increment(1);
            tracing::info!(
                dead_letter.id = %id, by = caller.name(), "dead letter {id} is discarded"
            );
            Ok(Json(Discarded { id, status: Status::Discarded.as_str() }))
        }
        Answer::Refused(refusal) => Err(refused(refusal)),
        Answer::NotFound => Err(not_found()),
    }
}

fn dead_letter_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::invalid_field("id").detail("expected a UUID"))
}

fn not_found() -> Problem {
    Problem::not_found().detail("there is no dead letter with this id")
}

fn refused(refusal: Refusal) -> Problem {
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title).detail(refusal);
    match refusal {
        Refusal::Status(status) => {
            conflict(code::WRONG_STATUS, "The dead letter's status does not allow it")
                .with("status", status.as_str())
        }
        Refusal::TooOld { max_hours, .. } => {
            conflict(code::REPLAY_TOO_OLD, "The event is too old to be replayed").limit(max_hours)
        }
        Refusal::OriginUnknown => {
            conflict(code::ORIGIN_UNKNOWN, "The message's first topic is not known")
        }
    }
}

fn unavailable(error: StoreError) -> Problem {
    match error {
        StoreError::Away { dependency, reason } => {
            tracing::debug!(dependency, reason, "a request found a dependency away");
            Problem::unavailable(format!("{dependency} is away"))
        }
        StoreError::Data(reason) => {
            tracing::error!(reason, "a request was refused by the database");
            Problem::internal()
        }
    }
}
