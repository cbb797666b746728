//! The merchant's calls about refunds.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use super::problem::Problem;
use super::{Context, request};
use crate::books::{Answer, RefundRequest, RefundView};
use crate::ids::RefundId;

pub(super) async fn request(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<RefundView>), Problem> {
    let request: RefundRequest = request::json(&body)?;
    request::check_key(&headers, request.refund_id.as_ref())?;
    let (answer, refund) = context.ledger.change(
        |books, now| books.request_refund(&request, now),
        |books| books.refund_view(&request.refund_id),
    )?;
    let status = match answer {
        Answer::Changed => StatusCode::CREATED,
        Answer::Found => StatusCode::OK,
    };
    Ok((status, Json(refund)))
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    Path(refund_id): Path<String>,
) -> Result<Json<RefundView>, Problem> {
    let id: RefundId = request::id(&refund_id)?;
    Ok(Json(context.ledger.read(|books| books.refund_view(&id))?))
}
