//! What is ordered: one ticket type and how many of it.

use serde::Serialize;

use crate::read::{Fields, FromField, Written};
use crate::{Amount, Extra, Quantity, ReadError, TicketId};

/// The most lines in one order.
pub const MAX_LINES: usize = 8;

/// One entry of `items`, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub ticket_id: TicketId,
    pub quantity: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Amount>,
    /// Fields that we don't know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl FromField for Item {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let mut fields = Fields::inside(value)?;
        Ok(Self {
            ticket_id: fields.required("ticketId")?,
            quantity: fields.required("quantity")?,
            unit_price: fields.optional("unitPrice")?,
            extra: fields.rest()?,
        })
    }
}

/// A line of an order, wherever the message had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    pub ticket_id: TicketId,
    pub quantity: Quantity,
    /// Absent where the price is not known yet, as in a Java service's messages.
    pub unit_price: Option<Amount>,
}

impl From<Line> for Item {
    fn from(line: Line) -> Self {
        let Line { ticket_id, quantity, unit_price } = line;
        Self { ticket_id, quantity, unit_price, extra: Extra::new() }
    }
}

/// The flat fields that repeat a single line.
#[derive(Clone, Copy)]
pub(crate) struct Flat {
    pub(crate) ticket_id: Option<TicketId>,
    pub(crate) quantity: Option<Quantity>,
}

impl Flat {
    /// What the flat fields say about these lines: one is repeated, several are not.
    pub(crate) fn of(lines: &[Line]) -> Self {
        match lines {
            [only] => Self { ticket_id: Some(only.ticket_id), quantity: Some(only.quantity) },
            _ => Self { ticket_id: None, quantity: None },
        }
    }

    /// The message's lines: 1 to [`MAX_LINES`], each ticket type once.
    pub(crate) fn lines(self, items: Option<&[Item]>) -> Result<Vec<Line>, ReadError> {
        let Some(items) = items else {
            return Ok(vec![Line {
                ticket_id: self.ticket_id.ok_or_else(|| ReadError::required("ticketId"))?,
                quantity: self.quantity.ok_or_else(|| ReadError::required("quantity"))?,
                unit_price: None,
            }]);
        };
        if !(1..=MAX_LINES).contains(&items.len()) {
            let problem = format!("expected 1 to {MAX_LINES} lines, found {}", items.len());
            return Err(ReadError::new("items", problem));
        }
        let mut lines: Vec<Line> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let &Item { ticket_id, quantity, unit_price, .. } = item;
            if lines.iter().any(|line| line.ticket_id == ticket_id) {
                let problem = format!("ticket type {ticket_id} is named twice");
                return Err(ReadError::new(format!("items[{index}].ticketId"), problem));
            }
            lines.push(Line { ticket_id, quantity, unit_price });
        }
        self.agrees_with(&lines)?;
        Ok(lines)
    }

    fn agrees_with(self, lines: &[Line]) -> Result<(), ReadError> {
        let repeated = Self::of(lines);
        let differs = |field| Err(ReadError::new(field, "does not agree with items"));
        if self.ticket_id.is_some() && self.ticket_id != repeated.ticket_id {
            return differs("ticketId");
        }
        if self.quantity.is_some() && self.quantity != repeated.quantity {
            return differs("quantity");
        }
        Ok(())
    }
}
