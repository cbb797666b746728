//! HTTP: where people can be reached.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, put};
use common::auth::{Scope, Tokens, protect};
use common::config::ApiConfig;
use common::pipeline::StoreError;
use common::problem::{self, Problem, ProblemJson};
use contracts::UserId;

use crate::store::{Recipient, Store};

mod recipient;

use recipient::{Masked, PutRecipient};

/// The routes, guarded by `tokens`.
pub fn router(store: Store, tokens: &Tokens, config: &ApiConfig) -> Router {
    const RECIPIENT: &str = "/v1/recipients/{userId}";
    let read = Router::new().route(RECIPIENT, get(get_recipient));
    let write = Router::new().route(RECIPIENT, put(put_recipient).delete(delete_recipient));
    let read = protect(read, tokens, Scope::NotifyRead);
    let write = protect(write, tokens, Scope::NotifyWrite);
    problem::api(read.merge(write), config).with_state(store)
}

/// `PUT`: the addresses in place of all that were known. `204`.
async fn put_recipient(
    State(store): State<Store>,
    Path(user): Path<String>,
    ProblemJson(body): ProblemJson<PutRecipient>,
) -> Result<StatusCode, Problem> {
    let user = user_id(&user)?;
    let recipient = body.check()?;
    store.put_recipient(user, &recipient).await.map_err(unavailable)?;
    tracing::info!(user.id = %user, "recipient {user} is stored");
    Ok(StatusCode::NO_CONTENT)
}

/// `GET`: which addresses are known, masked.
async fn get_recipient(
    State(store): State<Store>,
    Path(user): Path<String>,
) -> Result<Json<Masked>, Problem> {
    let user = user_id(&user)?;
    let found: Option<Recipient> = store.recipient(user).await.map_err(unavailable)?;
    found
        .map(|recipient| Json(Masked::new(user, &recipient)))
        .ok_or_else(|| Problem::not_found().detail("nothing is known of this user"))
}

/// `DELETE`: everything that is known is erased. `204`, also when nothing was.
async fn delete_recipient(
    State(store): State<Store>,
    Path(user): Path<String>,
) -> Result<StatusCode, Problem> {
    let user = user_id(&user)?;
    let erased = store.delete_recipient(user).await.map_err(unavailable)?;
    tracing::info!(user.id = %user, erased, "recipient {user} is erased");
    Ok(StatusCode::NO_CONTENT)
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|error: contracts::Invalid| {
        Problem::invalid_field("userId").detail(format!("expected {}", error.expected))
    })
}

fn unavailable(error: StoreError) -> Problem {
    match error {
        StoreError::Away { dependency, reason } => {
            tracing::debug!(dependency, reason, "a request found a dependency away");
            Problem::unavailable(format!("{dependency} is away"))
        }
        StoreError::Data(reason) => {
            tracing::error!(reason, "a recipient was refused by the database");
            Problem::internal()
        }
    }
}
