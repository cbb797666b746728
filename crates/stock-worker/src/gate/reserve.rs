//! Holding tickets, before PostgreSQL does.

use contracts::{OrderNo, Quantity, SessionId, TicketId, UserId};

use super::call::{Call, MAX_ORDERS_PER_CALL, call_all};
use super::record::lines_text;
use super::{Epoch, Gate, GateError, HoldLine, HoldNo, HoldState};

/// Orders of one session, decided in turn.
#[derive(Clone, Debug)]
pub struct ReserveBatch {
    pub session: SessionId,
    /// The session's epoch, as PostgreSQL says.
    pub epoch: Epoch,
    pub orders: Vec<ReserveOrder>,
}

/// What one order wants to hold.
#[derive(Clone, Debug)]
pub struct ReserveOrder {
    pub order_no: OrderNo,
    /// Without a user no limit applies.
    pub user: Option<UserId>,
    /// Each ticket type once, at most [`contracts::MAX_LINES`].
    pub lines: Vec<(TicketId, Quantity)>,
    pub mode: ReserveMode,
    /// How many tickets of this session the user may hold and have bought, this order included.
    pub user_limit: Option<u32>,
    pub hold: HoldNo,
}

impl ReserveOrder {
    /// The lines as a record will have them.
    fn held_lines(&self) -> Vec<HoldLine> {
        let line = |&(ticket, quantity): &(TicketId, Quantity)| HoldLine {
            ticket,
            quantity: quantity.get().unsigned_abs(),
            state: HoldState::Held,
        };
        self.lines.iter().map(line).collect()
    }
}

/// How the lines relate to an order that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReserveMode {
    /// They are the whole order.
    Whole,
    /// They are added to it: a Java service deducts line by line. The record keeps its user.
    Add,
}

/// What the gate says to one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReserveAnswer {
    /// Held now.
    Ok,
    /// Held before, with the same lines (or by a later hold).
    Held,
    /// Sold before, with the same lines (or by a later hold, or by an earlier one).
    Sold,
    /// Released before, or its release came first.
    Released,
    /// There is a record with other lines.
    Mismatch,
    /// Not enough is free, or the session has no such ticket type. Nothing was written.
    SoldOut,
    /// The user would have more than the limit. Nothing was written.
    UserLimit,
    /// Redis does not know the session, or is being filled.
    NotLoaded,
    /// Redis holds another epoch.
    StaleEpoch,
}

impl ReserveAnswer {
    fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'O' => Self::Ok,
            'H' => Self::Held,
            'S' => Self::Sold,
            'R' => Self::Released,
            'M' => Self::Mismatch,
            'X' => Self::SoldOut,
            'L' => Self::UserLimit,
            'N' => Self::NotLoaded,
            'E' => Self::StaleEpoch,
            _ => return None,
        })
    }
}

impl Gate {
    /// Holds tickets for orders of several sessions in one round trip.
    ///
    /// One answer per order, as if each had come alone, in the order given. Checked in turn: loaded,
    /// epoch, the order's own record, the user's limit, stock of every line; all lines or none.
    ///
    /// # Errors
    /// [`GateError::Away`] when the outcome is unknown: the same call again finds what happened.
    pub async fn reserve(
        &self,
        batches: &[ReserveBatch],
    ) -> Result<Vec<Vec<ReserveAnswer>>, GateError> {
        let mut calls = Vec::with_capacity(batches.len());
        for batch in batches {
            for orders in batch.orders.chunks(MAX_ORDERS_PER_CALL) {
                calls.push(self.reserve_call(batch, orders));
            }
        }
        let mut connection = self.connection.clone();
        let letters = call_all(&mut connection, &self.scripts.reserve, calls).await?;
        let sizes = batches.iter().map(|batch| batch.orders.len());
        answers(sizes, &letters, ReserveAnswer::from_letter)
    }

    fn reserve_call(&self, batch: &ReserveBatch, orders: &[ReserveOrder]) -> Call {
        let mut call = Call::new(&self.scripts.reserve, &self.keys.of(batch.session));
        call.arg(batch.epoch.0);
        let numbers = orders.iter().map(|order| &order.order_no);
        let users = orders.iter().filter_map(|order| order.user);
        let tickets = orders.iter().flat_map(|order| order.lines.iter().map(|line| line.0));
        read_ahead(&mut call, numbers, users, tickets);
        for order in orders {
            user(&mut call, order.user);
            match order.user_limit {
                Some(limit) => call.arg(limit),
                None => call.arg(""),
            };
            call.arg(match order.mode {
                ReserveMode::Whole => "W",
                ReserveMode::Add => "A",
            });
            let lines = order.held_lines();
            call.arg(order.hold.get()).arg(lines_text(&lines)).arg(lines.len());
            for line in &lines {
                call.arg(line.ticket.get()).arg(line.quantity);
            }
        }
        call
    }
}

/// The user of an order, or nothing.
pub(super) fn user(call: &mut Call, user: Option<UserId>) {
    match user {
        Some(user) => call.arg(user.get()),
        None => call.arg(""),
    };
}

/// What a script reads ahead: its orders, and each user and ticket type once.
pub(super) fn read_ahead<'a>(
    call: &mut Call,
    orders: impl ExactSizeIterator<Item = &'a OrderNo>,
    users: impl Iterator<Item = UserId>,
    tickets: impl Iterator<Item = TicketId>,
) {
    let mut users: Vec<i64> = users.map(UserId::get).collect();
    users.sort_unstable();
    users.dedup();
    let mut tickets: Vec<i64> = tickets.map(TicketId::get).collect();
    tickets.sort_unstable();
    tickets.dedup();
    call.arg(orders.len()).arg(users.len()).arg(tickets.len());
    for order in orders {
        call.arg(order.as_str());
    }
    call.arg(users).arg(tickets);
}

/// Deals the calls' letters out to the batches that they came from.
pub(super) fn answers<A>(
    sizes: impl Iterator<Item = usize>,
    letters: &[String],
    read: impl Fn(char) -> Option<A>,
) -> Result<Vec<Vec<A>>, GateError> {
    let unreadable = || GateError::Unreadable { what: "an answer", found: letters.concat() };
    let mut letters_in_turn = letters.iter().flat_map(|text| text.chars());
    let mut next = || letters_in_turn.next().and_then(&read).ok_or_else(unreadable);
    sizes.map(|size| (0..size).map(|_| next()).collect()).collect()
}
