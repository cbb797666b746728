//! Orders as the API shows them. Amounts are strings, so that no reader takes them for floats.

use chrono::{DateTime, Utc};
use common::outbox::Past;
use contracts::{OrderNo, OrderStatus};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Line, Order, Payment, Refund};

/// What a command has led to, and where to look for more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    #[schema(example = "01KAHR5T1Z3GQ8W6Y0NJ4XKD2M")]
    order_no: String,
    #[schema(example = "PENDING")]
    status: &'static str,
    /// Until when tickets are held for the buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    /// The attempt to pay, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
    pub(super) links: Links,
}

/// Where to go from here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    /// The order.
    #[serde(rename = "self")]
    pub(super) this: String,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView {
    order_no: String,
    #[schema(example = "CONFIRMED")]
    status: &'static str,
    /// The status as Java services number it: 0 pending, 1 paid, 2 cancelled, more in the docs.
    status_code: i32,
    /// Why it ended as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    version: i64,
    session_id: i64,
    show_id: i64,
    user_id: i64,
    items: Vec<LineView>,
    currency: String,
    #[schema(example = "199.00")]
    total_amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    channels: Vec<&'static str>,
    created_at: DateTime<Utc>,
    /// Until when tickets are held for the buyer.
    expires_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<DateTime<Utc>>,
    payments: Vec<PaymentView>,
    refunds: Vec<RefundView>,
    /// What the order has said to the world, oldest first, as long as it is kept.
    history: Vec<EventView>,
    links: Links,
}

/// One line, with the price at creation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LineView {
    ticket_id: i64,
    quantity: i32,
    #[schema(example = "99.50")]
    unit_price: String,
}

/// One attempt to pay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PaymentView {
    payment_id: String,
    method: String,
    /// CREATED, PENDING, CAPTURED, FAILED or CLOSED.
    status: &'static str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_payment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Money on its way back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefundView {
    refund_id: String,
    payment_id: String,
    amount: String,
    /// REQUESTED, SUCCEEDED or MANUAL.
    status: &'static str,
    reason: String,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EventView {
    event_id: Uuid,
    /// The message's tag.
    #[serde(rename = "type")]
    #[schema(example = "ORDER_CREATED")]
    kind: String,
    occurred_at: DateTime<Utc>,
    /// The order's version that it tells of.
    version: i64,
    /// Absent while it waits to be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<DateTime<Utc>>,
}

impl Accepted {
    pub(super) fn new(
        order_no: &OrderNo,
        status: OrderStatus,
        expires_at: Option<DateTime<Utc>>,
        payment_id: Option<String>,
    ) -> Self {
        Self {
            order_no: order_no.to_string(),
            status: status.as_str(),
            expires_at,
            payment_id,
            links: Links::of(order_no),
        }
    }
}

impl Links {
    fn of(order_no: &OrderNo) -> Self {
        Self { this: format!("/v1/orders/{order_no}") }
    }
}

impl OrderView {
    pub(super) fn new(order: &Order, history: &[Past]) -> Self {
        Self {
            order_no: order.order_no.to_string(),
            status: order.status.as_str(),
            status_code: order.status.code(),
            reason: order.reason.clone(),
            version: order.version,
            session_id: order.session_id.get(),
            show_id: order.show_id.get(),
            user_id: order.user_id.get(),
            items: order.lines.iter().map(LineView::from).collect(),
            currency: order.currency.to_string(),
            total_amount: order.total.to_string(),
            payment_method: order.payment_method.clone(),
            channels: order.channels.iter().map(|channel| channel.as_str()).collect(),
            created_at: order.created_at,
            expires_at: order.expires_at,
            reserved_at: order.reserved_at,
            paid_at: order.paid_at,
            confirmed_at: order.confirmed_at,
            closed_at: order.closed_at,
            payments: order.payments.iter().map(PaymentView::from).collect(),
            refunds: order.refunds.iter().map(RefundView::from).collect(),
            history: history.iter().map(EventView::from).collect(),
            links: Links::of(&order.order_no),
        }
    }
}

impl From<&Line> for LineView {
    fn from(line: &Line) -> Self {
        Self {
            ticket_id: line.ticket_id.get(),
            quantity: line.quantity.get(),
            unit_price: line.unit_price.to_string(),
        }
    }
}

impl From<&Payment> for PaymentView {
    fn from(payment: &Payment) -> Self {
        Self {
            payment_id: payment.payment_id.clone(),
            method: payment.method.clone(),
            status: payment.status.as_str(),
            amount: payment.amount.to_string(),
            captured_amount: payment.captured.map(|amount| amount.to_string()),
            provider_payment_id: payment.provider_payment_id.clone(),
            reason: payment.reason.clone(),
        }
    }
}

impl From<&Refund> for RefundView {
    fn from(refund: &Refund) -> Self {
        Self {
            refund_id: refund.refund_id.clone(),
            payment_id: refund.payment_id.clone(),
            amount: refund.amount.to_string(),
            status: refund.status.as_str(),
            reason: refund.reason.clone(),
        }
    }
}

impl From<&Past> for EventView {
    fn from(past: &Past) -> Self {
        Self {
            event_id: past.row.event_id,
            kind: past.row.tag.to_string(),
            occurred_at: past.row.occurred_at,
            version: past.row.aggregate_version,
            published_at: past.sent_at,
        }
    }
}
