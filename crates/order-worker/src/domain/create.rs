//! Creation: the sale's rules, checked early. stock-worker has the last word.

use common::decision::Undecided;
use contracts::{Amount, CancelReason, Currency, RejectReason, ShowId};

use super::decide::{Decided, Decision, changed, notify};
use super::event::{Event, Notice, Reply};
use super::facts::{Facts, Sale};
use super::message::{NewOrder, Origin};
use super::order::{Line, Order, Status};

/// A business "no", for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RejectReason,
    /// One sentence for people.
    pub detail: String,
    /// Of the request, as a path: `items[0].quantity`.
    pub field: String,
    /// The limit that the field is beyond.
    pub limit: Option<i32>,
}

impl Refusal {
    fn new(reason: RejectReason, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), field: field.into(), limit: None }
    }

    fn limit(self, limit: i32) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Checks a new order against the sale; answers its priced lines.
pub(super) fn check(new: &NewOrder, facts: &Facts) -> Result<(Vec<Line>, Amount), Refusal> {
    let Some(sale) = facts.sales.get(&new.session_id) else {
        return Err(Refusal::new(
            RejectReason::UnknownSession,
            "sessionId",
            format!("session {} is not known", new.session_id),
        ));
    };
    if !sale.is_open_at(facts.now) {
        return Err(Refusal::new(
            RejectReason::SaleClosed,
            "sessionId",
            format!("the sale of session {} is not open", new.session_id),
        ));
    }
    if new.currency.is_some_and(|currency| currency != sale.currency) {
        return Err(Refusal::new(
            RejectReason::Currency,
            "currency",
            format!("session {} is sold in {}", new.session_id, sale.currency),
        ));
    }
    price(new, sale)
}

fn price(new: &NewOrder, sale: &Sale) -> Result<(Vec<Line>, Amount), Refusal> {
    let mut lines = Vec::with_capacity(new.lines.len());
    let mut total = Amount::ZERO;
    let mut tickets = 0;
    for (index, line) in new.lines.iter().enumerate() {
        let Some(ticket) = sale.tickets.get(&line.ticket_id) else {
            return Err(Refusal::new(
                RejectReason::UnknownTicket,
                format!("items[{index}].ticketId"),
                format!("ticket type {} is not sold in this session", line.ticket_id),
            ));
        };
        let quantity = line.quantity.get();
        if let Some(limit) = ticket.per_order_limit.filter(|limit| quantity > *limit) {
            let detail = format!("at most {limit} of ticket type {} per order", line.ticket_id);
            let field = format!("items[{index}].quantity");
            return Err(Refusal::new(RejectReason::OrderLimit, field, detail).limit(limit));
        }
        if line.unit_price.is_some_and(|price| price != ticket.unit_price) {
            return Err(Refusal::new(
                RejectReason::PriceChanged,
                format!("items[{index}].unitPrice"),
                format!("the price is {}", ticket.unit_price),
            ));
        }
        if ticket.sold_out {
            return Err(Refusal::new(
                RejectReason::SoldOut,
                format!("items[{index}].ticketId"),
                format!("ticket type {} is sold out", line.ticket_id),
            ));
        }
        tickets += quantity;
        total = ticket
            .unit_price
            .checked_mul(line.quantity)
            .and_then(|sum| total.checked_add(sum))
            .ok_or_else(|| {
                Refusal::new(RejectReason::OrderLimit, "items", "the total is too large")
            })?;
        lines.push(Line {
            ticket_id: line.ticket_id,
            quantity: line.quantity,
            unit_price: ticket.unit_price,
        });
    }
    if let Some(limit) = sale.per_user_limit.filter(|limit| tickets > *limit) {
        let detail = format!("at most {limit} tickets per buyer");
        return Err(Refusal::new(RejectReason::UserLimit, "items", detail).limit(limit));
    }
    if new.total.is_some_and(|believed| believed != total) {
        let detail = format!("the total is {total}");
        return Err(Refusal::new(RejectReason::PriceChanged, "totalAmount", detail));
    }
    Ok((lines, total))
}

/// A creation that found no order under its key.
pub(super) fn create(new: &NewOrder, facts: &Facts) -> Decided {
    if new.origin == Origin::Message && !facts.sales.contains_key(&new.session_id) {
        // SALE_CHANGED travels on another topic and may still be on its way.
        return Err(Undecided::Retry(format!("session {} is not known yet", new.session_id)));
    }
    Ok(match check(new, facts) {
        Ok((lines, total)) => {
            let order = build(new, lines, total, facts);
            let reply = Reply::Accepted {
                order_no: order.order_no.clone(),
                status: Status::Pending,
                expires_at: order.expires_at,
                replayed: false,
            };
            changed(order, reply).publish(Event::Created)
        }
        Err(refusal) => match new.origin {
            Origin::Request => Decision::unchanged(Reply::Refused(refusal)),
            Origin::Message => refuse_message(new, refusal, facts),
        },
    })
}

fn refuse_message(new: &NewOrder, refusal: Refusal, facts: &Facts) -> Decision {
    let lines = new
        .lines
        .iter()
        .map(|line| Line {
            ticket_id: line.ticket_id,
            quantity: line.quantity,
            unit_price: line.unit_price.unwrap_or(Amount::ZERO),
        })
        .collect();
    let mut order = build(new, lines, new.total.unwrap_or(Amount::ZERO), facts);
    order.status = Status::Rejected;
    order.reason = Some(refusal.reason.to_string());
    order.closed_at = Some(facts.now);
    let notices = notify(&order, Notice::Rejected);
    changed(order, Reply::Refused(refusal))
        .publish(Event::Cancelled { reason: CancelReason::Refused })
        .publish_all(notices)
}

fn build(new: &NewOrder, lines: Vec<Line>, total: Amount, facts: &Facts) -> Order {
    let sale = facts.sales.get(&new.session_id);
    let policy = &facts.policy;
    let hold = sale.and_then(|sale| sale.hold).unwrap_or(policy.hold);
    let expires_at = facts.now + hold;
    let channels = if new.channels.is_empty() {
        policy.default_channels.clone()
    } else {
        new.channels.clone()
    };
    Order {
        order_no: new.order_no.clone(),
        session_id: new.session_id,
        show_id: sale.map_or(ShowId(0), |sale| sale.show_id),
        user_id: new.user_id,
        caller: new.caller.clone(),
        idempotency_key: new.idempotency_key.clone(),
        request_hash: new.request_hash,
        lines,
        currency: sale
            .map(|sale| sale.currency)
            .or(new.currency)
            .unwrap_or_else(|| Currency::new("XXX").expect("ISO 4217: no currency")),
        total,
        status: Status::Pending,
        version: 0,
        reason: None,
        payment_method: new.payment_method.clone(),
        channels,
        created_at: facts.now,
        expires_at,
        deadline_at: expires_at + policy.grace + jitter(new, policy.jitter),
        reserved_at: None,
        paid_at: None,
        confirmed_at: None,
        closed_at: None,
        payments: Vec::new(),
        refunds: Vec::new(),
    }
}

/// Spreads deadlines evenly; the request's hash is as good as a random number.
fn jitter(new: &NewOrder, span: chrono::TimeDelta) -> chrono::TimeDelta {
    let fraction = i32::from(new.request_hash[0]) * 256 + i32::from(new.request_hash[1]);
    span * fraction / 65_536
}

/// A creation that found an order under its key, or under its number.
pub(super) fn repeat(order: &Order, new: &NewOrder) -> Decided {
    let same_key = order.session_id == new.session_id
        && order.caller == new.caller
        && order.idempotency_key == new.idempotency_key;
    if same_key && order.request_hash == new.request_hash {
        return Ok(Decision::unchanged(Reply::Accepted {
            order_no: order.order_no.clone(),
            status: order.status,
            expires_at: order.expires_at,
            replayed: true,
        }));
    }
    match new.origin {
        Origin::Request => {
            Ok(Decision::unchanged(Reply::KeyReused { order_no: order.order_no.clone() }))
        }
        Origin::Message => {
            Err(Undecided::Dead(format!("orderNo: {} is taken by another order", order.order_no)))
        }
    }
}
