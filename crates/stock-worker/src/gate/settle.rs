//! Telling Redis what PostgreSQL decided.

use contracts::{OrderNo, SessionId, UserId};

use super::call::{Call, MAX_ORDERS_PER_CALL, call_all};
use super::record::lines_text;
use super::reserve::{answers, read_ahead, user};
use super::{Epoch, Gate, GateError, HoldLine, HoldNo};

/// Orders of one session, settled in turn.
#[derive(Clone, Debug)]
pub struct SettleBatch {
    pub session: SessionId,
    /// The session's epoch, as PostgreSQL says.
    pub epoch: Epoch,
    pub orders: Vec<SettleOrder>,
}

/// One order as PostgreSQL has it.
#[derive(Clone, Debug)]
pub struct SettleOrder {
    pub order_no: OrderNo,
    /// `None` leaves the record's user.
    pub user: Option<UserId>,
    pub hold: HoldNo,
    /// Each ticket type once. When none is held or sold, the whole order is released, lines that are
    /// not named too; otherwise a line that is not named stays, so a line that Redis granted and
    /// PostgreSQL refused is named with quantity 0 and [`Released`](super::HoldState::Released).
    pub lines: Vec<HoldLine>,
}

/// What settling did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettleAnswer {
    /// The record was changed or made.
    Ok,
    /// It said so already, or was further.
    Same,
    /// Redis does not know the session, or is being filled; the rebuild brings this order, too.
    NotLoaded,
    /// Redis holds another epoch.
    StaleEpoch,
}

impl SettleAnswer {
    fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'O' => Self::Ok,
            '=' => Self::Same,
            'N' => Self::NotLoaded,
            'E' => Self::StaleEpoch,
            _ => return None,
        })
    }
}

impl Gate {
    /// Makes records what PostgreSQL says, whatever they were, for several sessions in one round trip.
    ///
    /// It only moves forward (none -> held -> sold or released; a higher hold starts again, a lower
    /// one is late), so it may be repeated and may come late. No record and released writes a
    /// tombstone. Stock and users follow the difference even when nothing is free, because PostgreSQL
    /// granted it: a counter may fall below 0, and reservations find it sold out.
    ///
    /// # Errors
    /// [`GateError::Away`] when the outcome is unknown: settle again.
    pub async fn settle(
        &self,
        batches: &[SettleBatch],
    ) -> Result<Vec<Vec<SettleAnswer>>, GateError> {
        let mut calls = Vec::with_capacity(batches.len());
        for batch in batches {
            for orders in batch.orders.chunks(MAX_ORDERS_PER_CALL) {
                calls.push(self.settle_call(batch, orders));
            }
        }
        let mut connection = self.connection.clone();
        let letters = call_all(&mut connection, &self.scripts.settle, calls).await?;
        let sizes = batches.iter().map(|batch| batch.orders.len());
        answers(sizes, &letters, SettleAnswer::from_letter)
    }

    fn settle_call(&self, batch: &SettleBatch, orders: &[SettleOrder]) -> Call {
        let mut call = Call::new(&self.scripts.settle, &self.keys.of(batch.session));
        call.arg(batch.epoch.0);
        let numbers = orders.iter().map(|order| &order.order_no);
        let users = orders.iter().filter_map(|order| order.user);
        let tickets = orders.iter().flat_map(|order| order.lines.iter().map(|line| line.ticket));
        read_ahead(&mut call, numbers, users, tickets);
        for order in orders {
            user(&mut call, order.user);
            call.arg(order.hold.get()).arg(lines_text(&order.lines));
        }
        call
    }
}
