//! Telling Redis what PostgreSQL says, after the commit.
//!
//! What a session that is not loaded, or is being filled, can't be told is not lost: whoever
//! fills it reads what changed meanwhile once more when it is open (see [`crate::loading`]).

use std::collections::{BTreeMap, HashMap};

use common::pipeline::StoreError;
use contracts::SessionId;

use super::Stock;
use super::consult::away;
use crate::domain::{Facts, Hold, LineState, RedisView};
use crate::gate::{Epoch, HoldLine, HoldNo, HoldState, SettleAnswer, SettleBatch, SettleOrder};
use crate::handlers::Key;
use crate::store::DATABASE;

impl Stock {
    pub(super) async fn tell_gate(
        &self,
        facts: &Facts,
        states: &[(&Key, &Option<Hold>)],
    ) -> Result<(), StoreError> {
        let mut batches: BTreeMap<SessionId, SettleBatch> = BTreeMap::new();
        for hold in states.iter().filter_map(|(_, state)| state.as_ref()) {
            let Some(session) = facts.sessions.get(&hold.session_id) else { continue };
            // Epoch 0: never loaded.
            if hold.redis == RedisView::Agrees || session.epoch == 0 {
                continue;
            }
            let batch = batches.entry(hold.session_id).or_insert_with(|| SettleBatch {
                session: hold.session_id,
                epoch: Epoch(session.epoch),
                orders: Vec::new(),
            });
            batch.orders.push(order(hold));
        }
        let batches: Vec<SettleBatch> = batches.into_values().collect();
        let stale = self.send(&batches).await?;
        if stale.is_empty() {
            return Ok(());
        }
        // The epoch moved between loading this batch and its commit.
        let epochs = self.store.epochs(&stale).await.map_err(|error| StoreError::Away {
            dependency: DATABASE,
            reason: error.to_string(),
        })?;
        let epochs: HashMap<SessionId, i64> = epochs.into_iter().collect();
        let again: Vec<SettleBatch> = batches
            .into_iter()
            .filter_map(|mut batch| {
                let epoch = Epoch(*epochs.get(&batch.session)?);
                let moved = stale.contains(&batch.session) && epoch != batch.epoch;
                batch.epoch = epoch;
                moved.then_some(batch)
            })
            .collect();
        self.send(&again).await.map(|_| ())
    }

    /// Answers the sessions whose epoch in Redis is another one.
    async fn send(&self, batches: &[SettleBatch]) -> Result<Vec<SessionId>, StoreError> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.gate.settle(batches).await.map_err(|error| away(&error))?;
        let stale = batches.iter().zip(answers).filter_map(|(batch, answers)| {
            answers.contains(&SettleAnswer::StaleEpoch).then_some(batch.session)
        });
        Ok(stale.collect())
    }
}

/// A hold as Redis is told.
pub fn order(hold: &Hold) -> SettleOrder {
    SettleOrder {
        order_no: hold.order_no.clone(),
        user: hold.user_id,
        hold: HoldNo::new(hold.hold).unwrap_or_default(),
        lines: lines(hold),
    }
}

/// A hold's lines as Redis has them.
pub fn lines(hold: &Hold) -> Vec<HoldLine> {
    let line = |line: &crate::domain::Line| HoldLine {
        ticket: line.ticket_id,
        quantity: line.quantity,
        state: match line.state {
            LineState::Held => HoldState::Held,
            LineState::Sold => HoldState::Sold,
            LineState::Released => HoldState::Released,
        },
    };
    hold.lines.iter().map(line).collect()
}
