//! stock-worker's part: its `decide`, and what its store, gate and pipeline do around it.

use common::decision::{Next, Undecided};
use stock_worker::domain::{
    self, Decided, Decision, Event, Fact, GateAnswer, Hold, Keeper, LineState, Message, RedisView,
    Work, question, shifts,
};
use stock_worker::gate::{ReserveAnswer, SettleAnswer};
use stock_worker::stock::{reserve_answer, reserve_order};

use crate::defence::Defence;
use crate::fingerprint::Shared;
use crate::rare::{Rare, Seen};
use crate::setup::{Setup, ticket_index, user_index};
use crate::state::{Input, Item, Key, LetterId, Place, Stage, World};

mod apply;
mod message;

use apply::Verdict;
use message::message;

/// One order's messages of a batch, folded.
struct Folded<'a> {
    key: &'a Key<Hold>,
    next: Option<Hold>,
    events: Vec<Event>,
    entries: Vec<LetterId>,
    early: Vec<LetterId>,
    /// A tombstone for Redis alone, where the row is switched off.
    unwritten: Option<Hold>,
    /// The session must be loaded first.
    waits: bool,
}

/// What is left of a batch when an apply has committed.
pub(crate) struct Outcome {
    /// To be loaded again, with what is known of their keys.
    pub(crate) again: Vec<Item>,
    pub(crate) keys: Vec<Key<Hold>>,
    pub(crate) settle: Vec<(u8, Shared<Hold>)>,
}

impl World {
    /// Loads a batch; `before` are its keys as an earlier round left them.
    pub(crate) fn load_holds(
        &self,
        items: &mut [Item],
        before: &[Key<Hold>],
        setup: &Setup,
    ) -> Stage {
        let mut keys: Vec<Key<Hold>> = Vec::new();
        for item in items.iter_mut() {
            item.known = self.is_known(item, setup);
            item.gate = None;
            if keys.iter().all(|key| key.order != item.order) {
                let base = self.stock.holds[usize::from(item.order)].clone();
                let earlier = before.iter().find(|key| key.order == item.order);
                keys.push(Key {
                    order: item.order,
                    base,
                    forced: earlier.and_then(|key| key.forced.clone()),
                    missed: earlier.is_some_and(|key| key.missed),
                });
            }
        }
        let epoch = self.stock.epoch;
        let facts = setup.stock_facts(self.now, epoch);
        let asks = items.iter().any(|item| {
            let key = keys.iter().find(|key| key.order == item.order).expect("loaded");
            let message = message(setup, item);
            !item.known
                && key.forced.is_none()
                && question(key.base.as_deref(), &message, &facts).is_some()
        });
        if asks { Stage::Consult(epoch, keys) } else { Stage::Stock(epoch, keys) }
    }

    /// One call of the script for all that must be asked. `None`: it is loaded again.
    pub(crate) fn consult(
        &mut self,
        items: &mut [Item],
        epoch: i64,
        keys: &[Key<Hold>],
        setup: &Setup,
        seen: &mut Seen,
    ) -> Option<()> {
        let facts = setup.stock_facts(self.now, epoch);
        let mut asked = Vec::new();
        let mut orders = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = keys.iter().find(|key| key.order == item.order).expect("loaded");
            if item.known || key.forced.is_some() {
                continue;
            }
            let message = message(setup, item);
            if let Some(question) = question(key.base.as_deref(), &message, &facts) {
                orders.push(reserve_order(&question));
                asked.push(index);
            }
        }
        if orders.len() > 1 && orders[0].order_no != orders[1].order_no {
            let same_user = orders[0].user == orders[1].user;
            if same_user {
                seen.mark(Rare::OneUserTwice);
            }
        }
        match self.redis.reserve(&orders, epoch, setup) {
            // A batch of nothing else waits and is tried again.
            Err(closed) => {
                seen.mark(Rare::GateClosed);
                for &index in &asked {
                    items[index].gate = Some(reserve_answer(closed).0);
                }
                (asked.len() < items.len()).then_some(())
            }
            Ok(answers) => {
                for (index, answer) in asked.into_iter().zip(answers) {
                    mark_answer(answer, seen);
                    items[index].gate = Some(reserve_answer(answer).0);
                }
                Some(())
            }
        }
    }

    /// Decides and applies.
    pub(crate) fn apply_holds(
        &mut self,
        items: &[Item],
        epoch: i64,
        keys: &[Key<Hold>],
        setup: &Setup,
        seen: &mut Seen,
    ) -> Outcome {
        let mut outcome = Outcome { again: Vec::new(), keys: Vec::new(), settle: Vec::new() };
        let of = |order| items.iter().filter(move |item| item.order == order);
        if items.iter().any(|item| !item.known && self.is_known(item, setup)) {
            seen.mark(Rare::InboxConflict);
            outcome.again = items.to_vec();
            outcome.keys.extend(keys.iter().map(|key| Key {
                forced: None,
                missed: true,
                ..key.clone()
            }));
            return outcome;
        }
        let folds: Vec<Folded<'_>> =
            keys.iter().map(|key| self.fold_hold(key, of(key.order), epoch, setup, seen)).collect();
        let verdicts = self.verdicts(&folds, setup);
        for (folded, verdict) in folds.into_iter().zip(verdicts) {
            let key = folded.key;
            let again = |forced| Key { forced, missed: true, ..key.clone() };
            let left = match verdict {
                Verdict::Applied => {
                    outcome.settle.extend(self.write_hold(folded, setup, seen));
                    continue;
                }
                Verdict::Missed => {
                    seen.mark(Rare::HoldMissed);
                    again(None)
                }
                Verdict::StaleEpoch => {
                    seen.mark(Rare::StaleEpoch);
                    again(None)
                }
                Verdict::Refused(reason) => {
                    seen.mark(Rare::RefusedByDatabase);
                    again(Some(GateAnswer::Refused { reason, by: Keeper::PostgreSql }))
                }
            };
            outcome.again.extend(of(key.order).cloned());
            outcome.keys.push(left);
        }
        outcome
    }

    fn fold_hold<'a, 'i>(
        &mut self,
        key: &'a Key<Hold>,
        items: impl Iterator<Item = &'i Item>,
        epoch: i64,
        setup: &Setup,
        seen: &mut Seen,
    ) -> Folded<'a> {
        let mut folded = Folded {
            key,
            next: None,
            events: Vec::new(),
            entries: Vec::new(),
            early: Vec::new(),
            unwritten: None,
            waits: false,
        };
        let facts = setup.stock_facts(self.now, epoch);
        let mut decided = Vec::new();
        for item in items {
            if item.known || decided.contains(&item.letter) {
                continue;
            }
            decided.push(item.letter);
            let state = match &folded.next {
                Some(next) if setup.defences.has(Defence::Fold) => Some(next),
                _ => key.base.as_deref(),
            };
            let message = message(setup, item);
            mark_tombstones(state, &message, seen);
            let gate = key.forced.as_ref().or(item.gate.as_ref());
            match decide(state, &message, gate, &facts, setup) {
                Ok((decision, unwritten)) => {
                    folded.unwritten = folded.unwritten.or(unwritten);
                    if let Next::Changed(next) = decision.next {
                        let mut next = next.expect("a hold never goes away");
                        next.version += 1;
                        folded.next = Some(next);
                    }
                    folded.events.extend(decision.events);
                    folded.waits |=
                        decision.calls.iter().any(|work| matches!(work, Work::AwaitLoad { .. }));
                    folded.entries.extend(item.letter);
                }
                Err(Undecided::Retry(_)) => folded.early.extend(item.letter),
                Err(Undecided::Dead(why)) => {
                    self.broken = Some(format!("Q6: dead-lettered: {why}"));
                }
            }
        }
        folded
    }

    /// The transaction; what Redis is to be told of it.
    fn write_hold(
        &mut self,
        folded: Folded<'_>,
        setup: &Setup,
        seen: &mut Seen,
    ) -> Option<(u8, Shared<Hold>)> {
        let Folded { key, next, events, entries, early, unwritten, .. } = folded;
        let was_known = entries.is_empty() && early.is_empty();
        for id in early {
            self.letter_mut(id).expect("in hand").left += 1;
        }
        let is_tombstone = unwritten.is_some();
        let is_ignored = next.is_none() && !was_known;
        for id in entries {
            self.take_effect(id, setup);
        }
        for event in events {
            let what = match event.fact {
                Fact::Deducted => Input::Deducted,
                Fact::Rejected { on, reason } => Input::Rejected(on, reason),
                Fact::Confirmed => Input::Confirmed,
                Fact::RolledBack => Input::RolledBack,
            };
            self.post(key.order, Place::OrderStock, what, !setup.relays);
        }
        let told = match next {
            Some(next) => {
                self.move_counters(key.base.as_deref(), &next);
                let told = next.redis == RedisView::Unsure;
                // Neither is a column.
                let row = Hold { granted_epoch: None, redis: RedisView::Unsure, ..next };
                let row = Shared::new(row);
                self.stock.holds[usize::from(key.order)] = Some(row.clone());
                told.then_some(row)
            }
            None => unwritten.map(Shared::new).or_else(|| key.base.clone()),
        }?;
        if was_known {
            let defence = if key.missed { Defence::SettleMissed } else { Defence::SettleKnown };
            seen.mark(if key.missed { Rare::MissedThenKnown } else { Rare::KnownSettled });
            if !setup.defences.has(defence) {
                return None;
            }
        }
        if is_ignored && !is_tombstone && !setup.defences.has(Defence::SettleIgnored) {
            return None;
        }
        Some((key.order, told))
    }

    fn move_counters(&mut self, base: Option<&Hold>, next: &Hold) {
        for (ticket, shift) in shifts(base, next) {
            let counter = &mut self.stock.counters[ticket_index(ticket)];
            counter.0 += shift.reserved;
            counter.1 += shift.sold;
        }
        if let Some(user) = next.user_id {
            let tickets = next.live_quantity() - base.map_or(0, Hold::live_quantity);
            self.stock.users[user_index(user)] += tickets;
        }
    }

    /// Tells Redis; with the newest epoch when the one that was loaded is stale.
    pub(crate) fn tell(
        &mut self,
        holds: &[(u8, Shared<Hold>)],
        epoch: i64,
        setup: &Setup,
        seen: &mut Seen,
    ) {
        for (_, hold) in holds {
            let mut answer = self.redis.settle(hold, epoch, setup);
            if answer == SettleAnswer::StaleEpoch && epoch != self.stock.epoch {
                seen.mark(Rare::SettleStale);
                answer = self.redis.settle(hold, self.stock.epoch, setup);
            }
            if answer == SettleAnswer::NotLoaded {
                seen.mark(Rare::SettleUnheard);
            }
        }
    }

    /// What rows with a TTL lose when time passes.
    pub(crate) fn bury(&mut self, setup: &Setup) {
        if !setup.defences.has(Defence::NoTtlOnTombstones) {
            let is_tombstone = |hold: &Shared<Hold>| {
                hold.reason.is_none() && hold.lines.iter().all(|line| line.quantity == 0)
            };
            for row in &mut self.stock.holds {
                row.take_if(|hold| is_tombstone(hold));
            }
        }
    }
}

/// The product's decision, or what it would be without a tombstone.
fn decide(
    state: Option<&Hold>,
    message: &Message,
    gate: Option<&GateAnswer>,
    facts: &domain::Facts,
    setup: &Setup,
) -> Result<(Decision, Option<Hold>), Undecided> {
    let decided: Decided = domain::decide(state, message, gate, facts);
    let decision = decided?;
    if state.is_some() || !matches!(message, Message::Release(_)) {
        return Ok((decision, None));
    }
    if !setup.defences.has(Defence::Tombstone) {
        return Ok((Decision::unchanged(()), None));
    }
    if !setup.defences.has(Defence::TombstoneRow)
        && let Next::Changed(tombstone) = decision.next
    {
        return Ok((Decision { next: Next::Unchanged, ..decision }, tombstone));
    }
    Ok((decision, None))
}

fn mark_answer(answer: ReserveAnswer, seen: &mut Seen) {
    match answer {
        ReserveAnswer::Held | ReserveAnswer::Sold => seen.mark(Rare::FoundInRedis),
        ReserveAnswer::Released => seen.mark(Rare::ReleasedInRedis),
        ReserveAnswer::SoldOut => seen.mark(Rare::SoldOut),
        ReserveAnswer::UserLimit => seen.mark(Rare::UserLimit),
        ReserveAnswer::Ok
        | ReserveAnswer::Mismatch
        | ReserveAnswer::NotLoaded
        | ReserveAnswer::StaleEpoch => {}
    }
}

fn mark_tombstones(state: Option<&Hold>, message: &Message, seen: &mut Seen) {
    let buried = |hold: &Hold| hold.state() == LineState::Released && hold.reason.is_none();
    match (state, message) {
        (None, Message::Release(_)) => seen.mark(Rare::TombstoneFirst),
        (Some(hold), Message::Reserve(_)) if buried(hold) => seen.mark(Rare::ReserveAfterTombstone),
        _ => {}
    }
}
