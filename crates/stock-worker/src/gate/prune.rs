//! Forgetting orders that are over.

use std::time::Duration;

use contracts::{OrderNo, SessionId};

use super::call::{Call, call_all};
use super::{Gate, GateError};

/// The most orders of one script call while pruning.
pub const PRUNE_CHUNK_ORDERS: usize = 256;
/// The most calls of one round trip while pruning.
const PRUNE_CALLS_PER_ROUND_TRIP: usize = 16;
const SECONDS_PER_MINUTE: u64 = 60;

impl Gate {
    /// Drops the records of orders that PostgreSQL says are over; answers how many went.
    ///
    /// A record stays when it still holds a line, or changed less than `least_age` ago (by Redis'
    /// clock, rounded up to minutes): a redelivery could still ask for it. Counters do not change.
    pub async fn prune(
        &self,
        session: SessionId,
        orders: &[OrderNo],
        least_age: Duration,
    ) -> Result<u64, GateError> {
        let minutes = least_age.as_secs().div_ceil(SECONDS_PER_MINUTE);
        let mut connection = self.connection.clone();
        let (script, keys) = (&self.scripts.prune, self.keys.of(session));
        let mut dropped = 0;
        for part in orders.chunks(PRUNE_CHUNK_ORDERS * PRUNE_CALLS_PER_ROUND_TRIP) {
            let calls = part.chunks(PRUNE_CHUNK_ORDERS).map(|chunk| {
                let mut call = Call::new(script, &keys);
                call.arg(minutes);
                for order in chunk {
                    call.arg(order.as_str());
                }
                call
            });
            let counts: Vec<u64> = call_all(&mut connection, script, calls).await?;
            dropped += counts.into_iter().sum::<u64>();
        }
        Ok(dropped)
    }
}
