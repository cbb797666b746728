//! Looking at a session without changing it: audits, the reconciler, the CLI.

use std::collections::BTreeMap;

use contracts::{OrderNo, SessionId, TicketId, UserId};

use super::{Epoch, Gate, GateError, Record};

/// About how many rows a page has; Redis may give more or fewer.
pub const PAGE_ROWS: usize = 512;

/// A session's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `None` when the session is not loaded, or is being loaded.
    pub epoch: Option<Epoch>,
    /// Free tickets; below 0 when PostgreSQL granted more than Redis thought free.
    pub stock: BTreeMap<TicketId, i64>,
    /// How many orders have a record.
    pub records: u64,
    /// How many users hold or bought something.
    pub users: u64,
}

/// Where a scan goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Where every scan begins.
    pub const START: Self = Self(0);
}

/// Some rows of a scan.
///
/// A row that is there from the first page to the last is seen at least once; it may be seen twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<R> {
    pub rows: Vec<R>,
    /// `None` after the last page.
    pub next: Option<Cursor>,
}

impl Gate {
    /// A session's counters, all of one moment.
    pub async fn snapshot(&self, session: SessionId) -> Result<Snapshot, GateError> {
        let keys = self.keys.of(session);
        let mut pipeline = redis::pipe();
        pipeline.atomic().get(&keys.epoch).hgetall(&keys.stock).hlen(&keys.hold).hlen(&keys.user);
        type Reply = (Option<String>, BTreeMap<String, i64>, u64, u64);
        let (epoch, stock, records, users): Reply =
            pipeline.query_async(&mut self.connection.clone()).await?;
        let stock = stock
            .into_iter()
            .map(|(ticket, free)| Ok((number("a ticket type", &ticket)?, free)))
            .collect::<Result<_, GateError>>()?;
        Ok(Snapshot { epoch: epoch_of(epoch)?, stock, records, users })
    }

    /// The records of these orders, in their order.
    pub async fn find(
        &self,
        session: SessionId,
        orders: &[OrderNo],
    ) -> Result<Vec<Option<Record>>, GateError> {
        let keys = self.keys.of(session);
        let mut connection = self.connection.clone();
        let mut found = Vec::with_capacity(orders.len());
        for part in orders.chunks(PAGE_ROWS) {
            let mut command = redis::cmd("HMGET");
            command.arg(&keys.hold);
            for order in part {
                command.arg(order.as_str());
            }
            let texts: Vec<Option<String>> = command.query_async(&mut connection).await?;
            for (order, text) in part.iter().zip(texts) {
                let record = text.map(|text| Record::from_text(order.as_str(), &text));
                found.push(record.transpose()?);
            }
        }
        Ok(found)
    }

    /// A page of a session's records, in no order.
    pub async fn records(
        &self,
        session: SessionId,
        cursor: Cursor,
    ) -> Result<Page<Record>, GateError> {
        let page = self.scan(&self.keys.of(session).hold, cursor).await?;
        page.try_map(|(order, text)| Record::from_text(&order, &text))
    }

    /// A page of a session's users with what they hold and have bought, in no order.
    pub async fn users(
        &self,
        session: SessionId,
        cursor: Cursor,
    ) -> Result<Page<(UserId, i64)>, GateError> {
        let page = self.scan(&self.keys.of(session).user, cursor).await?;
        page.try_map(|(user, count)| Ok((number("a user", &user)?, number("a count", &count)?)))
    }

    async fn scan(&self, key: &str, cursor: Cursor) -> Result<Page<(String, String)>, GateError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(key).arg(cursor.0).arg("COUNT").arg(PAGE_ROWS);
        let (next, rows) = command.query_async(&mut self.connection.clone()).await?;
        Ok(Page { rows, next: Some(Cursor(next)).filter(|&next| next != Cursor::START) })
    }
}

impl<R> Page<R> {
    fn try_map<T>(self, map: impl FnMut(R) -> Result<T, GateError>) -> Result<Page<T>, GateError> {
        let rows = self.rows.into_iter().map(map).collect::<Result<_, _>>()?;
        Ok(Page { rows, next: self.next })
    }
}

fn epoch_of(text: Option<String>) -> Result<Option<Epoch>, GateError> {
    match text {
        Some(text) if !text.starts_with('L') => Ok(Some(Epoch(number("an epoch", &text)?))),
        Some(_) | None => Ok(None),
    }
}

fn number<T: From<i64>>(what: &'static str, text: &str) -> Result<T, GateError> {
    let unreadable = |_| GateError::Unreadable { what, found: text.to_owned() };
    text.parse::<i64>().map(T::from).map_err(unreadable)
}
