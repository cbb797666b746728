//! What a buyer does on the provider's page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};

use super::problem::Problem;
use super::{Context, request};
use crate::books::{Books, Decision, PaymentView};
use crate::ids::PaymentId;

type Act = fn(&Books, &PaymentId, DateTime<Utc>) -> Decision;

pub(super) async fn pay(
    State(context): State<Arc<Context>>,
    Path(payment_id): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    act(&context, &payment_id, Books::pay)
}

pub(super) async fn fail(
    State(context): State<Arc<Context>>,
    Path(payment_id): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    act(&context, &payment_id, Books::fail)
}

pub(super) async fn abandon(
    State(context): State<Arc<Context>>,
    Path(payment_id): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    act(&context, &payment_id, Books::abandon)
}

fn act(context: &Context, payment_id: &str, act: Act) -> Result<Json<PaymentView>, Problem> {
    let id: PaymentId = request::id(payment_id)?;
    let (_, payment) = context
        .ledger
        .change(|books, now| act(books, &id, now), |books| books.payment_view(&id))?;
    Ok(Json(payment))
}
