//! Asking Redis about a batch's reservations: one call per session, all in one round trip.

use std::collections::BTreeMap;

use common::life::chain;
use common::pipeline::{Ask, StoreError};
use contracts::{RejectReason, SessionId};

use super::{REDIS, Stock};
use crate::domain::{Extent, Facts, GateAnswer, Keeper, Question, question};
use crate::gate::{
    Epoch, GateError, HoldNo, ReserveAnswer, ReserveBatch, ReserveMode, ReserveOrder,
};
use crate::metric;

impl Stock {
    /// One answer for each ask, in order; `None` where the gate has no say.
    pub(super) async fn ask_gate(
        &self,
        facts: &Facts,
        asks: &[Ask<'_, Self>],
    ) -> Result<Vec<Option<GateAnswer>>, StoreError> {
        let mut answers: Vec<Option<GateAnswer>> = asks.iter().map(|_| None).collect();
        let mut sessions: BTreeMap<SessionId, (ReserveBatch, Vec<usize>)> = BTreeMap::new();
        for (index, ask) in asks.iter().enumerate() {
            let Some(question) = question(ask.state.as_ref(), ask.message, facts) else { continue };
            let (batch, places) = sessions.entry(question.session_id).or_insert_with(|| {
                let epoch = Epoch(question.session.epoch);
                let session = question.session_id;
                (ReserveBatch { session, epoch, orders: Vec::new() }, Vec::new())
            });
            batch.orders.push(order(&question));
            places.push(index);
        }
        if sessions.is_empty() {
            return Ok(answers);
        }
        let (batches, places): (Vec<_>, Vec<_>) = sessions.into_values().unzip();
        let said = self.gate.reserve(&batches).await.map_err(|error| away(&error))?;
        self.waiting.heard(
            batches.iter().zip(&said).map(|(batch, said)| (batch.session, !is_closed(said))),
        );
        for (place, said) in places.into_iter().flatten().zip(said.into_iter().flatten()) {
            let (answer, label) = read(said);
            metrics::counter!(metric::GATE_ANSWERS, "answer" => label).increment(1);
            answers[place] = Some(answer);
        }
        Ok(answers)
    }
}

/// What an error of the gate means for a batch.
pub(super) fn away(error: &GateError) -> StoreError {
    StoreError::Away { dependency: REDIS, reason: chain(error) }
}

fn is_closed(said: &[ReserveAnswer]) -> bool {
    said.iter().any(|answer| matches!(answer, ReserveAnswer::NotLoaded | ReserveAnswer::StaleEpoch))
}

/// A question as the gate is asked.
pub fn order(question: &Question<'_>) -> ReserveOrder {
    let wanted = question.wanted;
    ReserveOrder {
        order_no: wanted.order_no.clone(),
        user: wanted.user_id,
        lines: wanted.lines.iter().map(|line| (line.ticket_id, line.quantity)).collect(),
        mode: match wanted.extent {
            Extent::Whole => ReserveMode::Whole,
            Extent::Lines => ReserveMode::Add,
        },
        user_limit: question.session.per_user_limit,
        hold: HoldNo::FIRST,
    }
}

/// What the gate's answer means for the decision, and its label.
pub fn read(said: ReserveAnswer) -> (GateAnswer, &'static str) {
    let refused = |reason| GateAnswer::Refused { reason, by: Keeper::Redis };
    match said {
        ReserveAnswer::Ok => (GateAnswer::Granted, "granted"),
        ReserveAnswer::Held | ReserveAnswer::Sold => (GateAnswer::Found, "found"),
        ReserveAnswer::Released => (GateAnswer::Released, "released"),
        ReserveAnswer::Mismatch => (GateAnswer::LinesDiffer, "lines_differ"),
        ReserveAnswer::SoldOut => (refused(RejectReason::SoldOut), "sold_out"),
        ReserveAnswer::UserLimit => (refused(RejectReason::UserLimit), "user_limit"),
        ReserveAnswer::NotLoaded => (GateAnswer::Closed { why: "not loaded" }, "not_loaded"),
        ReserveAnswer::StaleEpoch => {
            (GateAnswer::Closed { why: "being loaded again" }, "stale_epoch")
        }
    }
}
