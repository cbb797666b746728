//! The rehearsal's control: how the provider behaves.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

use super::Context;
use super::problem::Problem;
use crate::behaviour::Behaviour;

pub(super) async fn show(State(context): State<Arc<Context>>) -> Json<Arc<Behaviour>> {
    Json(context.ledger.behaviour())
}

pub(super) async fn change(
    State(context): State<Arc<Context>>,
    body: Bytes,
) -> Result<Json<Arc<Behaviour>>, Problem> {
    Ok(Json(context.ledger.set_behaviour(&body)??))
}
