//! The books for an auditor: what was captured and refunded, per payment and per order.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{Context, request};
use crate::books::{OrderMoney, Page, PaymentView, Totals};
use crate::callbacks::StatsView;
use crate::ids::{OrderNo, PaymentId};

const PAGE_DEFAULT: usize = 1_000;
const PAGE_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// The answer of `GET /v1/books`.
#[derive(Debug, Serialize)]
pub(super) struct BooksView {
    totals: Totals,
    callbacks: StatsView,
    payments: Page<PaymentView, PaymentId>,
}

pub(super) async fn payments(
    State(context): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<BooksView>, Problem> {
    let after: Option<PaymentId> = query.after.as_deref().map(request::id).transpose()?;
    let limit = query.limit()?;
    let (totals, payments) =
        context.ledger.read(|books| (books.totals(), books.payments_page(after.as_ref(), limit)));
    Ok(Json(BooksView { totals, callbacks: context.stats.view(), payments }))
}

pub(super) async fn orders(
    State(context): State<Arc<Context>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OrderMoney, OrderNo>>, Problem> {
    let after: Option<OrderNo> = query.after.as_deref().map(request::id).transpose()?;
    let limit = query.limit()?;
    Ok(Json(context.ledger.read(|books| books.orders_page(after.as_ref(), limit))))
}

impl PageQuery {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            limit @ 1..=PAGE_MAX => Ok(limit),
            _ => Err(Problem::invalid(format!("limit must be between 1 and {PAGE_MAX}"))),
        }
    }
}
