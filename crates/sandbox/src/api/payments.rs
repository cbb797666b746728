//! The merchant's calls about payments.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::problem::Problem;
use super::{Context, request};
use crate::books::{Answer, CallbackUrl, Method, PaymentView, Terms};
use crate::ids::{Currency, MerchantId, OrderNo, PaymentId};
use crate::money::Amount;

/// The body of `POST /v1/payments`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenPayment {
    merchant_id: MerchantId,
    payment_id: PaymentId,
    order_no: OrderNo,
    amount: Amount,
    currency: Currency,
    method: Method,
    callback_url: CallbackUrl,
}

pub(super) async fn open(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<PaymentView>), Problem> {
    let request: OpenPayment = request::json(&body)?;
    request::check_key(&headers, request.payment_id.as_ref())?;
    let (id, terms) = request.split();
    let slow = terms.method == Method::Slow;
    let (answer, mut payment) = context
        .ledger
        .change(|books, now| books.open(id.clone(), terms, now), |books| books.payment_view(&id))?;
    if slow && answer == Answer::Changed {
        let wait_ms = context.ledger.behaviour().slow_answer_ms;
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        payment = context.ledger.read(|books| books.payment_view(&id))?;
    }
    let status = match answer {
        Answer::Changed => StatusCode::CREATED,
        Answer::Found => StatusCode::OK,
    };
    Ok((status, Json(payment)))
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    Path(payment_id): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let id: PaymentId = request::id(&payment_id)?;
    Ok(Json(context.ledger.read(|books| books.payment_view(&id))?))
}

pub(super) async fn close(
    State(context): State<Arc<Context>>,
    Path(payment_id): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let id: PaymentId = request::id(&payment_id)?;
    let (_, payment) = context
        .ledger
        .change(|books, now| books.close(&id, now), |books| books.payment_view(&id))?;
    Ok(Json(payment))
}

impl OpenPayment {
    fn split(self) -> (PaymentId, Terms) {
        let terms = Terms {
            merchant_id: self.merchant_id,
            order_no: self.order_no,
            amount: self.amount,
            currency: self.currency,
            method: self.method,
            callback_url: self.callback_url,
        };
        (self.payment_id, terms)
    }
}
