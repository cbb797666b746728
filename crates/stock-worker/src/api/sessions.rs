//! A session's sale and stock.

use axum::Json;
use axum::extract::{Path, State};
use common::problem::Problem;
use contracts::{SaleState, SessionId};
use serde::Serialize;
use tokio::time::Instant;

use super::{Api, problems};
use crate::metric;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SaleAnswer {
    session_id: i64,
    state: &'static str,
    version: i64,
    changed: bool,
}

/// `POST /v1/sessions/{sessionId}/open`
pub(super) async fn open(
    State(api): State<Api>,
    Path(session_id): Path<String>,
) -> Result<Json<SaleAnswer>, Problem> {
    set_state(&api, &session_id, SaleState::Open).await
}

/// `POST /v1/sessions/{sessionId}/close`
pub(super) async fn close(
    State(api): State<Api>,
    Path(session_id): Path<String>,
) -> Result<Json<SaleAnswer>, Problem> {
    set_state(&api, &session_id, SaleState::Closed).await
}

async fn set_state(
    api: &Api,
    session_id: &str,
    state: SaleState,
) -> Result<Json<SaleAnswer>, Problem> {
    let session_id = read_id(session_id)?;
    let update = api.store.set_state(session_id, state).await;
    let update = update
        .map_err(|error| problems::database(&error))?
        .ok_or_else(|| problems::unknown_session(session_id))?;
    let changed = update.row.is_some();
    if let Some(row) = update.row {
        metrics::counter!(metric::SALES_PUBLISHED, "cause" => "state").increment(1);
        api.relay.hand_over([row], Instant::now());
    }
    Ok(Json(SaleAnswer {
        session_id: session_id.get(),
        state: update.state.as_str(),
        version: update.version,
        changed,
    }))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoadAnswer {
    session_id: i64,
    epoch: i64,
    ticket_types: usize,
    records: usize,
    users: usize,
    took_ms: u64,
}

/// `POST /v1/sessions/{sessionId}/load`
pub(super) async fn load(
    State(api): State<Api>,
    Path(session_id): Path<String>,
) -> Result<Json<LoadAnswer>, Problem> {
    let session_id = read_id(&session_id)?;
    // In a task of its own: a caller that goes away must not leave Redis half filled.
    let loader = api.loader.clone();
    let loading = tokio::spawn(async move { loader.load(session_id).await });
    let loaded = loading.await.map_err(|_| Problem::internal())?;
    let loaded = loaded.map_err(|error| problems::load(&error))?;
    Ok(Json(LoadAnswer {
        session_id: session_id.get(),
        epoch: loaded.epoch,
        ticket_types: loaded.ticket_types,
        records: loaded.records,
        users: loaded.users,
        took_ms: u64::try_from(loaded.took.as_millis()).unwrap_or(u64::MAX),
    }))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StockAnswer {
    session_id: i64,
    show_id: i64,
    name: String,
    state: &'static str,
    version: i64,
    epoch: i64,
    redis: RedisAnswer,
    ticket_types: Vec<TicketTypeAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RedisAnswer {
    /// Whether it answers for the epoch that PostgreSQL has.
    loaded: bool,
    epoch: Option<i64>,
    records: u64,
    users: u64,
    /// Why it could not be asked.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketTypeAnswer {
    ticket_id: i64,
    name: String,
    unit_price: contracts::Amount,
    total: i64,
    reserved: i64,
    sold: i64,
    available: i64,
    /// What Redis thinks is free; it may be a batch ahead.
    redis_available: Option<i64>,
    sold_out: bool,
}

/// `GET /v1/sessions/{sessionId}/stock`: PostgreSQL's counters beside Redis's.
pub(super) async fn stock(
    State(api): State<Api>,
    Path(session_id): Path<String>,
) -> Result<Json<StockAnswer>, Problem> {
    let session_id = read_id(&session_id)?;
    let view = api.store.stock(session_id).await.map_err(|error| problems::database(&error))?;
    let view = view.ok_or_else(|| problems::unknown_session(session_id))?;
    let (redis, free) = match api.gate.snapshot(session_id).await {
        Ok(snapshot) => {
            let epoch = snapshot.epoch.map(|epoch| epoch.0);
            let loaded = epoch == Some(view.epoch);
            let (records, users) = (snapshot.records, snapshot.users);
            (RedisAnswer { loaded, epoch, records, users, error: None }, snapshot.stock)
        }
        Err(error) => {
            let error = Some(common::life::chain(&error));
            let redis = RedisAnswer { loaded: false, epoch: None, records: 0, users: 0, error };
            (redis, std::collections::BTreeMap::new())
        }
    };
    let ticket_types = view
        .ticket_types
        .into_iter()
        .map(|row| TicketTypeAnswer {
            ticket_id: row.ticket_id.get(),
            unit_price: row.unit_price,
            total: row.total,
            reserved: row.reserved,
            sold: row.sold,
            available: row.available(),
            redis_available: free.get(&row.ticket_id).copied(),
            sold_out: row.available() <= 0,
            name: row.name,
        })
        .collect();
    Ok(Json(StockAnswer {
        session_id: session_id.get(),
        show_id: view.show_id.get(),
        name: view.name,
        state: view.state.as_str(),
        version: view.version,
        epoch: view.epoch,
        redis,
        ticket_types,
    }))
}

fn read_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|error| Problem::invalid_field("sessionId").detail(error))
}
