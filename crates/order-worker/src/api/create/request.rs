use axum::http::StatusCode;
use common::problem::{self, Problem};
use contracts::{Amount, Channel, Currency, MAX_LINES, Quantity, TicketId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::code;
use crate::domain::NewLine;

/// The longest name of a payment method, in characters.
pub(in crate::api) const METHOD_MAX_CHARS: usize = 64;

/// An order to be created. One line may stand in `ticketId` and `quantity`, instead of `items`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CreateOrder {
    #[schema(example = 7)]
    pub(super) session_id: i64,
    #[schema(example = 42)]
    pub(super) user_id: i64,
    /// 1 to 8 lines of one session, each ticket type once.
    #[schema(min_items = 1, max_items = 8)]
    items: Option<Vec<OrderLine>>,
    ticket_id: Option<i64>,
    #[schema(minimum = 1, maximum = 1000)]
    quantity: Option<i64>,
    /// What you believe it to be; another one is refused.
    #[schema(value_type = Option<String>, example = "EUR")]
    pub(super) currency: Option<Currency>,
    /// What you believe it to be; another one is refused.
    #[schema(value_type = Option<String>, example = "199.00")]
    pub(super) total_amount: Option<Amount>,
    /// Pay in this way as soon as stock is reserved.
    #[schema(max_length = 64)]
    payment_method: Option<String>,
    /// How the buyer is told of it.
    #[schema(value_type = Option<Vec<String>>, example = json!(["EMAIL"]))]
    channels: Option<Vec<Channel>>,
}

/// So many tickets of one type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderLine {
    #[schema(example = 1)]
    ticket_id: i64,
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i64,
    /// What you believe it to be; another one is refused.
    #[schema(value_type = Option<String>, example = "99.50")]
    unit_price: Option<Amount>,
    /// The order's session; lines of two sessions are refused.
    session_id: Option<i64>,
}

impl CreateOrder {
    /// The lines, wherever the request has them.
    pub(super) fn lines(&self) -> Result<Vec<NewLine>, Problem> {
        let Some(items) = &self.items else {
            let ticket_id = self.ticket_id.ok_or_else(|| missing("items"))?;
            let number = self.quantity.ok_or_else(|| missing("quantity"))?;
            let quantity = quantity(number, "quantity".to_owned())?;
            return Ok(vec![NewLine {
                ticket_id: TicketId(ticket_id),
                quantity,
                unit_price: None,
            }]);
        };
        for (name, given) in [("ticketId", self.ticket_id), ("quantity", self.quantity)] {
            if given.is_some() {
                let detail = format!("send items, or ticketId and quantity: not items and {name}");
                return Err(Problem::invalid_field(name).detail(detail));
            }
        }
        if !(1..=MAX_LINES).contains(&items.len()) {
            let detail = format!("expected 1 to {MAX_LINES} lines, found {}", items.len());
            return Err(Problem::invalid_field("items").detail(detail).limit(MAX_LINES));
        }
        let mut lines: Vec<NewLine> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let line = item.check(index, self.session_id)?;
            if lines.iter().any(|other| other.ticket_id == line.ticket_id) {
                return Err(named_twice(index, line.ticket_id));
            }
            lines.push(line);
        }
        Ok(lines)
    }

    pub(super) fn payment_method(&self) -> Result<Option<&str>, Problem> {
        self.payment_method
            .as_deref()
            .map(|method| check_method("paymentMethod", method))
            .transpose()
    }

    /// Each channel once, in a fixed order.
    pub(super) fn channels(&self) -> Vec<Channel> {
        let mut channels = self.channels.clone().unwrap_or_default();
        channels.sort_unstable();
        channels.dedup();
        channels
    }
}

impl OrderLine {
    fn check(&self, index: usize, session_id: i64) -> Result<NewLine, Problem> {
        if self.session_id.is_some_and(|other| other != session_id) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                code::LINES_OF_TWO_SESSIONS,
                "An order has lines of one session only",
            )
            .detail(format!("the order is for session {session_id}"))
            .field(format!("items[{index}].sessionId")));
        }
        Ok(NewLine {
            ticket_id: TicketId(self.ticket_id),
            quantity: quantity(self.quantity, format!("items[{index}].quantity"))?,
            unit_price: self.unit_price,
        })
    }
}

/// A name of 1 to 64 visible characters.
pub(in crate::api) fn check_method<'a>(field: &str, method: &'a str) -> Result<&'a str, Problem> {
    let fits = (1..=METHOD_MAX_CHARS).contains(&method.len());
    if fits && method.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(method);
    }
    Err(Problem::invalid_field(field)
        .detail(format!("expected 1 to {METHOD_MAX_CHARS} visible ASCII characters"))
        .limit(METHOD_MAX_CHARS))
}

fn quantity(number: i64, field: String) -> Result<Quantity, Problem> {
    let checked = i32::try_from(number).ok().and_then(|number| Quantity::new(number).ok());
    checked.ok_or_else(|| {
        let (min, max) = (Quantity::MIN, Quantity::MAX);
        Problem::new(
            StatusCode::BAD_REQUEST,
            code::INVALID_QUANTITY,
            "The quantity can't be ordered",
        )
        .detail(format!("expected {min} to {max}, found {number}"))
        .field(field)
        .limit(max.get())
    })
}

fn named_twice(index: usize, ticket_id: TicketId) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::DUPLICATE_TICKET, "A ticket type is named twice")
        .detail(format!("ticket type {ticket_id} has a line already: add the quantities"))
        .field(format!("items[{index}].ticketId"))
}

fn missing(field: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, problem::code::MISSING_FIELD, "A field is missing")
        .detail(format!("{field} is required"))
        .field(field)
}
