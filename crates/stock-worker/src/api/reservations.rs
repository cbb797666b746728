//! `GET /v1/reservations/{orderNo}`: what an order holds or has bought.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use common::problem::Problem;
use contracts::{Amount, OrderNo, UserId};
use serde::Serialize;

use super::{Api, problems};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReservationAnswer {
    order_no: String,
    session_id: i64,
    user_id: Option<i64>,
    status: &'static str,
    hold: i32,
    version: i64,
    currency: Option<String>,
    reason: Option<&'static str>,
    lines: Vec<LineAnswer>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LineAnswer {
    ticket_id: i64,
    quantity: u32,
    state: &'static str,
    unit_price: Option<Amount>,
}

pub(super) async fn reservation(
    State(api): State<Api>,
    Path(order_no): Path<String>,
) -> Result<Json<ReservationAnswer>, Problem> {
    let order_no =
        OrderNo::new(&order_no).map_err(|error| Problem::invalid_field("orderNo").detail(error))?;
    let found = api.store.reservation(&order_no).await;
    let found = found
        .map_err(|error| problems::database(&error))?
        .ok_or_else(|| problems::unknown_reservation(&order_no))?;
    let hold = found.hold;
    let line = |line: &crate::domain::Line| LineAnswer {
        ticket_id: line.ticket_id.get(),
        quantity: line.quantity,
        state: line.state.as_str(),
        unit_price: line.unit_price,
    };
    Ok(Json(ReservationAnswer {
        order_no: order_no.to_string(),
        session_id: hold.session_id.get(),
        user_id: hold.user_id.map(UserId::get),
        status: hold.state().as_str(),
        hold: hold.hold,
        version: hold.version,
        currency: hold.currency.map(|currency| currency.to_string()),
        reason: hold.reason.map(contracts::RejectReason::as_str),
        lines: hold.lines.iter().map(line).collect(),
        created_at: found.created_at,
        updated_at: found.updated_at,
    }))
}
