//! order-worker's part: its `decide`, and what its store, pipeline and executor do around it.

use common::decision::{Next, Undecided};
use contracts::CancelReason;
use order_worker::domain::{
    Call, CallKind, Decided, Decision, Event, Order, PaymentStatus, Status, Work, decide,
};

use crate::defence::Defence;
use crate::fingerprint::Shared;
use crate::rare::{Rare, Seen};
use crate::setup::Setup;
use crate::state::{CallRow, Hand, Input, Item, Key, LetterId, Place, Stage, Taken, World};

mod message;

use message::message;

/// One order's messages of a batch, folded.
struct Folded {
    next: Option<Order>,
    events: Vec<Event>,
    works: Vec<Work>,
    /// Messages that take effect, or are recorded as ignored.
    entries: Vec<LetterId>,
    /// Messages that come again later.
    early: Vec<LetterId>,
}

impl World {
    /// The states of a batch, and what the inbox knows of it.
    pub(crate) fn load_orders(&self, items: &mut [Item], setup: &Setup) -> Vec<Key<Order>> {
        let mut keys: Vec<Key<Order>> = Vec::new();
        for item in items {
            item.known = self.is_known(item, setup);
            if keys.iter().all(|key| key.order != item.order) {
                let base = self.row(item.order).order.clone();
                keys.push(Key { order: item.order, base, forced: None, missed: false });
            }
        }
        keys
    }

    pub(crate) fn is_known(&self, item: &Item, setup: &Setup) -> bool {
        let by_inbox = item.input.is_from_bus() && setup.defences.has(Defence::Inbox);
        let taken = |id| self.letter(id).is_some_and(|letter| letter.taken > 0);
        by_inbox && item.letter.is_some_and(taken)
    }

    /// Decides and applies; answers the part of the batch that must be loaded again.
    pub(crate) fn apply_orders(
        &mut self,
        items: &[Item],
        keys: &[Key<Order>],
        setup: &Setup,
        seen: &mut Seen,
    ) -> Vec<Item> {
        let of = |order| items.iter().filter(move |item| item.order == order);
        let conflict = items.iter().any(|item| !item.known && self.is_known(item, setup));
        if conflict {
            seen.mark(Rare::InboxConflict);
            return items.to_vec();
        }
        let mut missed = Vec::new();
        for key in keys {
            let folded = self.fold_order(key, of(key.order), setup, seen);
            let current = self.row(key.order).order.as_ref().map(|order| order.version);
            let is_as_loaded = current == key.base.as_ref().map(|order| order.version);
            let hit =
                folded.next.is_none() || is_as_loaded || !setup.defences.has(Defence::OrderCas);
            if !hit {
                seen.mark(Rare::OrderMissed);
                for item in of(key.order) {
                    match item.input {
                        Input::Deadline => seen.mark(Rare::ExpiryRace),
                        Input::Cancel => seen.mark(Rare::CancelRace),
                        Input::Create => seen.mark(Rare::CreatedTwice),
                        _ => {}
                    }
                }
                missed.extend(of(key.order).cloned());
                continue;
            }
            self.write_order(key.order, folded, setup);
        }
        missed
    }

    fn fold_order<'a>(
        &mut self,
        key: &Key<Order>,
        items: impl Iterator<Item = &'a Item>,
        setup: &Setup,
        seen: &mut Seen,
    ) -> Folded {
        let mut folded = Folded {
            next: None,
            events: Vec::new(),
            works: Vec::new(),
            entries: Vec::new(),
            early: Vec::new(),
        };
        let mut decided = Vec::new();
        for item in items {
            if item.known {
                seen.mark(Rare::KnownSettled);
                continue;
            }
            if item.letter.is_some() && decided.contains(&item.letter) {
                continue;
            }
            decided.push(item.letter);
            let base = key.base.as_deref();
            let state = match &folded.next {
                Some(next) if setup.defences.has(Defence::Fold) => Some(next),
                _ => base,
            };
            mark(state, item.input, seen);
            match self.decide_order(state, item, setup) {
                Ok(decision) => {
                    if let Next::Changed(next) = decision.next {
                        let mut next = *next.expect("an order never goes away");
                        next.version += 1;
                        folded.next = Some(next);
                    }
                    folded.events.extend(decision.events);
                    folded.works.extend(decision.calls);
                    folded.entries.extend(item.letter);
                }
                Err(Undecided::Retry(_)) => folded.early.extend(item.letter),
                Err(Undecided::Dead(why)) => {
                    self.broken = Some(format!("Q6: dead-lettered: {why}"))
                }
            }
        }
        folded
    }

    fn decide_order(&self, state: Option<&Order>, item: &Item, setup: &Setup) -> Decided {
        let message = message(setup, state, item);
        let mut decision = decide(state, &message, setup.facts_at(self.now))?;
        let ended = state.is_some_and(|order| order.closed_at.is_some());
        if ended && !setup.defences.has(Defence::EndSaidAgain) && item.input == Input::Deducted {
            decision.events.clear();
        }
        let captures = matches!(item.input, Input::Captured(..) | Input::CapturedCallback(..));
        if ended && captures && !setup.defences.has(Defence::LatePayment) {
            let ends = decision.calls.into_iter().filter(|work| !matches!(work, Work::Start(_)));
            decision = Decision { calls: ends.collect(), ..Decision::unchanged(decision.reply) };
        }
        Ok(decision)
    }

    /// The transaction, and what the relay and the executor are given.
    fn write_order(&mut self, order: u8, folded: Folded, setup: &Setup) {
        for id in folded.early {
            self.letter_mut(id).expect("in hand").left += 1;
        }
        for id in folded.entries {
            self.take_effect(id, setup);
        }
        if let Some(next) = folded.next {
            self.watch_end(order, &next, setup);
            self.row_mut(order).order = Some(Shared::new(next));
        }
        for event in folded.events {
            let what = match event {
                Event::Created => Input::Created,
                Event::Paid => Input::Paid,
                Event::Cancelled { reason } => Input::Cancelled(reason),
                Event::Notify { notice, .. } => {
                    let notices = &mut self.row_mut(order).notices;
                    notices.push(notice);
                    notices.sort_unstable();
                    continue;
                }
                // For whoever wants them: the policy publishes none here.
                Event::Reserved | Event::Confirmed | Event::Refunded => continue,
            };
            self.post(order, Place::StockOrder, what, !setup.relays);
        }
        self.write_calls(order, folded.works);
    }

    /// A call that starts and ends in one fold is none; ends are written before starts.
    fn write_calls(&mut self, order: u8, works: Vec<Work>) {
        let mut starts: Vec<Call> = Vec::new();
        let mut ends = Vec::new();
        for work in works {
            match work {
                Work::Start(call) => {
                    starts.retain(|other| other.call_id != call.call_id);
                    starts.push(call);
                }
                Work::End { call_id } => {
                    let before = starts.len();
                    starts.retain(|call| call.call_id != call_id);
                    if starts.len() == before {
                        ends.push(call_id);
                    }
                }
                // The event itself is what takes effect here, however often it comes.
                Work::Receipt { .. } => {}
            }
        }
        let Some(state) = self.row(order).order.clone() else { return };
        let row = self.row_mut(order);
        row.calls.retain(|call| !ends.contains(&id_of(&state, call)));
        for call in starts {
            let index = |id: &str| {
                let (_, number) = id.rsplit_once(['p', 'r']).expect("a payment or a refund");
                number.parse::<u8>().expect("a small number") - 1
            };
            let new = CallRow {
                kind: call.kind,
                payment: index(&call.payment_id),
                refund: call.refund_id.as_deref().map_or(0, index),
                attempts: 0,
            };
            let is_there = |old: &CallRow| CallRow { attempts: 0, ..*old } == new;
            if !row.calls.iter().any(is_there) {
                row.calls.push(new);
            }
        }
    }

    /// S6: terminal states never change, except by a late capture and its refund.
    fn watch_end(&mut self, order: u8, next: &Order, setup: &Setup) {
        use Status::{Cancelled, Confirmed, Expired, Refunded, Refunding, Rejected};
        let row = self.row_mut(order);
        let stays = match row.ended {
            None => true,
            Some(Confirmed) => next.status == Confirmed,
            Some(ended) => next.status == ended || matches!(next.status, Refunding | Refunded),
        };
        let is_end = matches!(
            next.status,
            Cancelled | Confirmed | Expired | Refunded | Refunding | Rejected
        );
        if row.ended.is_none() && is_end {
            row.ended = Some(next.status);
        }
        if !stays {
            let (was, number) = (row.ended, setup.number(order));
            let was = was.map_or("?", Status::as_str);
            self.broken = Some(format!(
                "S6: order {number} had ended as {was} and is {}",
                next.status.as_str()
            ));
        }
    }

    /// Which call of an order can be made: a close goes before an open of its payment, otherwise
    /// the older one goes first.
    pub(crate) fn is_due(&self, order: u8, index: usize) -> bool {
        let calls = &self.row(order).calls;
        let Some(due) = calls.get(index) else { return false };
        let place = |index: usize, call: &CallRow| (call.kind != CallKind::Close, index);
        let ahead = |(other, call): (usize, &CallRow)| {
            call.payment == due.payment && place(other, call) < place(index, due)
        };
        !calls.iter().enumerate().any(ahead)
    }

    /// A local message in a batch of its own.
    pub(crate) fn take_local(&mut self, order: u8, input: Input, setup: &Setup) {
        let item = Item { order, input, letter: None, known: false, gate: None };
        self.take(Place::OrderLocal, vec![item], setup);
    }

    /// A batch, loaded.
    pub(crate) fn take(&mut self, place: Place, mut items: Vec<Item>, setup: &Setup) {
        let stage = match place {
            Place::OrderLocal | Place::OrderStock => {
                Stage::Orders(self.load_orders(&mut items, setup))
            }
            Place::StockOrder => self.load_holds(&mut items, &[], setup),
        };
        self.hands.push(Hand { place, items, stage });
    }
}

/// The call's id in the table.
fn id_of(order: &Order, call: &CallRow) -> String {
    match call.kind {
        CallKind::Refund => {
            Call::id_of(call.kind, &format!("{}-r{}", order.order_no, call.refund + 1))
        }
        CallKind::Open | CallKind::Close => {
            Call::id_of(call.kind, &format!("{}-p{}", order.order_no, call.payment + 1))
        }
    }
}

impl Input {
    /// Whether it comes through a consumer group, and so through the inbox.
    pub(crate) fn is_from_bus(self) -> bool {
        use Input::{Cancelled, Confirmed, Created, Deducted, Paid, Rejected, RolledBack};
        matches!(
            self,
            Created | Paid | Cancelled(_) | Deducted | Rejected(..) | Confirmed | RolledBack
        )
    }
}

/// What the provider took of what was asked for.
pub(crate) fn amount_of(taken: Taken, total: contracts::Amount) -> contracts::Amount {
    match taken {
        Taken::Exact => total,
        Taken::Short => "1.00".parse().expect("an amount"),
    }
}

fn mark(state: Option<&Order>, input: Input, seen: &mut Seen) {
    let Some(order) = state else { return };
    let is_new = |payment: u8| {
        let known = order.payments.get(usize::from(payment));
        known.is_some_and(|known| known.status != PaymentStatus::Captured)
    };
    match input {
        Input::Captured(payment, taken) | Input::CapturedCallback(payment, taken)
            if is_new(payment) =>
        {
            match order.status {
                _ if taken == Taken::Short => seen.mark(Rare::WrongAmount),
                Status::Paid | Status::Confirmed => seen.mark(Rare::PaidTwice),
                Status::Expiring => seen.mark(Rare::PaidWhileExpiring),
                Status::Pending | Status::Reserved => {}
                _ => seen.mark(Rare::LatePayment),
            }
        }
        Input::Deducted if order.closed_at.is_some() => seen.mark(Rare::EndSaidAgain),
        Input::OpenGaveUp(_) => seen.mark(Rare::OpenGaveUp),
        Input::CloseGaveUp(_) => seen.mark(Rare::CloseGaveUp),
        _ => {}
    }
}

/// Whether stock-worker acts on it.
pub(crate) fn is_echo(reason: CancelReason) -> bool {
    reason == CancelReason::Stock
}
