//! Filling a session's keys from PostgreSQL.

use std::collections::BTreeMap;

use common::redis::Connection;
use contracts::{SessionId, TicketId, UserId};

use super::call::{Call, call_all, call_one};
use super::{Epoch, Gate, GateError, Record};

/// The most rows of one script call while loading.
pub const LOAD_CHUNK_ROWS: usize = 256;
/// The most calls of one round trip while loading.
const LOAD_CALLS_PER_ROUND_TRIP: usize = 16;

/// A session, as PostgreSQL has it in one snapshot.
#[derive(Clone, Debug, Default)]
pub struct SessionRows {
    /// Free tickets: total - reserved - sold. A ticket type that is not here is sold out.
    pub stock: Vec<(TicketId, i64)>,
    /// Records of every live order and of every one that a redelivery could still ask for.
    pub records: Vec<Record>,
    /// Tickets held and bought by each user, those of orders without a record too.
    pub users: Vec<(UserId, i64)>,
}

impl SessionRows {
    /// The users' counts when every live order has a record here.
    pub fn users_of_records(records: &[Record]) -> Vec<(UserId, i64)> {
        let mut users = BTreeMap::new();
        for record in records {
            if let Some(user) = record.user {
                *users.entry(user).or_insert(0) += record.live_quantity() as i64;
            }
        }
        users.into_iter().filter(|&(_, count)| count != 0).collect()
    }
}

/// A load that has begun. Until [`Loading::finish`] the session answers `NOT_LOADED`.
///
/// When it is dropped unfinished the session stays so, and the next load begins from nothing.
pub struct Loading<'a> {
    gate: &'a Gate,
    connection: Connection,
    session: SessionId,
    epoch: Epoch,
    mark: String,
}

/// The number of a key in the scripts, from 1 as in Lua.
#[derive(Clone, Copy)]
enum Table {
    Stock = 1,
    Hold = 2,
    User = 3,
}

impl Gate {
    /// Replaces all keys of a session; once this returns, the gate answers for `epoch`.
    ///
    /// The epoch is raised in PostgreSQL first, then the rows are read: what is decided in between is
    /// refused by PostgreSQL or is among the rows.
    ///
    /// # Errors
    /// [`GateError::Superseded`] when another load began meanwhile. After any error the session
    /// answers `NOT_LOADED` (or for the other load's epoch): load it again.
    pub async fn load(
        &self,
        session: SessionId,
        epoch: Epoch,
        rows: &SessionRows,
    ) -> Result<(), GateError> {
        let mut loading = self.begin_load(session, epoch).await?;
        loading.stock(&rows.stock).await?;
        loading.records(&rows.records).await?;
        loading.users(&rows.users).await?;
        loading.finish().await
    }

    /// Begins a load of a session that is too large to be in memory at once.
    pub async fn begin_load(
        &self,
        session: SessionId,
        epoch: Epoch,
    ) -> Result<Loading<'_>, GateError> {
        let mut connection = self.connection.clone();
        let mut call = Call::new(&self.scripts.load_begin, &self.keys.of(session));
        call.arg(epoch.0);
        let mark = call_one(&mut connection, &self.scripts.load_begin, call).await?;
        Ok(Loading { gate: self, connection, session, epoch, mark })
    }

    /// Removes all keys of a session: it answers `NOT_LOADED` again.
    pub async fn unload(&self, session: SessionId) -> Result<(), GateError> {
        let keys = self.keys.of(session);
        let mut command = redis::cmd("UNLINK");
        command.arg(&keys.all());
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }
}

impl Loading<'_> {
    /// Writes free tickets.
    pub async fn stock(&mut self, rows: &[(TicketId, i64)]) -> Result<(), GateError> {
        let row = |&(ticket, free): &(TicketId, i64)| (ticket.to_string(), free.to_string());
        self.write(Table::Stock, rows, row).await
    }

    /// Writes records.
    pub async fn records(&mut self, rows: &[Record]) -> Result<(), GateError> {
        let row = |record: &Record| (record.order_no.as_str().to_owned(), record.to_text());
        self.write(Table::Hold, rows, row).await
    }

    /// Writes the users' counts.
    pub async fn users(&mut self, rows: &[(UserId, i64)]) -> Result<(), GateError> {
        let row = |&(user, count): &(UserId, i64)| (user.to_string(), count.to_string());
        self.write(Table::User, rows, row).await
    }

    /// Opens the session: from now on it answers for the load's epoch.
    pub async fn finish(mut self) -> Result<(), GateError> {
        let mut call = Call::new(&self.gate.scripts.load_end, &self.gate.keys.of(self.session));
        call.arg(&self.mark).arg(self.epoch.0);
        let ours: bool = call_one(&mut self.connection, &self.gate.scripts.load_end, call).await?;
        self.still(ours)
    }

    async fn write<R>(
        &mut self,
        table: Table,
        rows: &[R],
        row: impl Fn(&R) -> (String, String),
    ) -> Result<(), GateError> {
        let script = &self.gate.scripts.load_rows;
        let keys = self.gate.keys.of(self.session);
        for part in rows.chunks(LOAD_CHUNK_ROWS * LOAD_CALLS_PER_ROUND_TRIP) {
            let calls = part.chunks(LOAD_CHUNK_ROWS).map(|chunk| {
                let mut call = Call::new(script, &keys);
                call.arg(&self.mark).arg(table as usize);
                for (field, value) in chunk.iter().map(&row) {
                    call.arg(field).arg(value);
                }
                call
            });
            let ours: Vec<bool> = call_all(&mut self.connection, script, calls).await?;
            self.still(ours.into_iter().all(|ours| ours))?;
        }
        Ok(())
    }

    fn still(&self, ours: bool) -> Result<(), GateError> {
        if ours { Ok(()) } else { Err(GateError::Superseded { session: self.session }) }
    }
}
