//! Everything that there is at one moment.

use std::hash::{Hash, Hasher};

use contracts::{CancelReason, RejectReason, StockStep};
use order_worker::domain::{CallKind, Notice, Order, Status};
use stock_worker::domain::{GateAnswer, Hold};

use crate::fingerprint::{self, Shared};
use crate::redis::{Rebuild, Redis};
use crate::setup::{Budget, Setup};

/// Rows, messages, Redis, the provider, the processes' memory, and the time.
#[derive(Debug, Clone)]
pub struct World {
    /// Steps of time that have passed.
    pub now: u8,
    pub orders: Vec<OrderRow>,
    pub stock: StockRows,
    pub redis: Redis,
    /// A load of Redis that is under way.
    pub rebuild: Option<Rebuild>,
    /// What is published, or will be; and the provider's callbacks.
    pub letters: Vec<Letter>,
    /// Batches that are under way.
    pub hands: Vec<Hand>,
    /// What may still go wrong.
    pub budget: Budget,
    /// What a step was seen to break.
    pub broken: Option<String>,
}

/// An order with all that belongs to it.
#[derive(Debug, Clone, Default, Hash)]
pub struct OrderRow {
    pub order: Option<Shared<Order>>,
    /// Calls that have no answer yet, oldest first.
    pub calls: Vec<CallRow>,
    /// What the provider has, by attempt to pay.
    pub provider: Vec<ProviderPayment>,
    /// What notify-worker has been told to tell the buyer.
    pub notices: Vec<Notice>,
    /// The first status from which there was no way back.
    pub ended: Option<Status>,
}

/// A row of `calls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallRow {
    pub kind: CallKind,
    /// Of the order's payments, from 0.
    pub payment: u8,
    /// Of the order's refunds, from 0; 0 where it is about none.
    pub refund: u8,
    /// Counted only where an attempt has an id of its own.
    pub attempts: u8,
}

/// A payment, as the provider has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ProviderPayment {
    pub state: ProviderState,
    pub captured: Option<Taken>,
    /// The ids under which it gave the money back, each once.
    pub refunds: Vec<(u8, u8)>,
}

/// How far the provider is with a payment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ProviderState {
    #[default]
    Unknown,
    Open,
    Captured,
    Failed,
    Closed,
}

/// How much the provider took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Taken {
    /// What was asked for.
    Exact,
    /// One unit of money.
    Short,
}

/// stock-worker's tables.
#[derive(Debug, Clone, Hash)]
pub struct StockRows {
    pub epoch: i64,
    /// Reserved and sold tickets by type.
    pub counters: Vec<(i64, i64)>,
    /// Tickets held and bought by user.
    pub users: Vec<i64>,
    pub holds: Vec<Option<Shared<Hold>>>,
}

/// Who takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// order-worker's consumer group.
    OrderStock,
    /// order-worker's own queue: requests, deadlines, callbacks and answers to calls.
    OrderLocal,
    /// stock-worker's consumer group.
    StockOrder,
}

/// What names a message for as long as it is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    pub order: u8,
    /// The order's first message is 0.
    pub number: u8,
}

/// A message: an outbox row, and its copies at the broker. With its inbox row: each is for one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    pub id: LetterId,
    pub to: Place,
    pub what: Input,
    /// Deliveries that are still to come.
    pub left: u8,
    /// How often it took effect: the inbox knows it when that is once.
    pub taken: u8,
    /// Whether the relay has published it.
    pub sent: bool,
}

/// Everything that can happen to an order or a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    Created,
    Paid,
    Cancelled(CancelReason),
    Deducted,
    Rejected(StockStep, RejectReason),
    Confirmed,
    RolledBack,
    Create,
    Cancel,
    /// In the way with this number.
    Pay(u8),
    Deadline,
    /// The provider calls back.
    CapturedCallback(u8, Taken),
    FailedCallback(u8),
    /// Answers to calls.
    Opened(u8),
    Captured(u8, Taken),
    Failed(u8),
    Closed(u8),
    OpenGaveUp(u8),
    CloseGaveUp(u8),
    Refunded(u8),
}

/// A batch in a process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hand {
    pub place: Place,
    pub items: Vec<Item>,
    pub stage: Stage,
}

/// One message of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    pub order: u8,
    pub input: Input,
    pub letter: Option<LetterId>,
    /// What the inbox said when it was loaded.
    pub known: bool,
    /// What the gate said.
    pub gate: Option<GateAnswer>,
}

/// How far a batch is: what it will do next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Decide and apply.
    Orders(Vec<Key<Order>>),
    /// Consult the gate.
    Consult(i64, Vec<Key<Hold>>),
    /// Decide and apply.
    Stock(i64, Vec<Key<Hold>>),
    /// Settle; the epoch is the one that was loaded.
    Settle(i64, Vec<(u8, Shared<Hold>)>),
}

/// A row as it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key<T> {
    pub order: u8,
    pub base: Option<Shared<T>>,
    /// PostgreSQL's refusal of what was decided before.
    pub forced: Option<GateAnswer>,
    /// Whether an apply has missed before.
    pub missed: bool,
}

impl World {
    /// Nothing has happened; Redis is loaded.
    pub fn new(setup: &Setup) -> Self {
        Self {
            now: 0,
            orders: vec![OrderRow::default(); setup.plans.len()],
            stock: StockRows {
                epoch: 1,
                counters: vec![(0, 0); setup.totals.len()],
                users: vec![0; setup.users()],
                holds: vec![None; setup.plans.len()],
            },
            redis: Redis::loaded(setup),
            rebuild: None,
            letters: Vec::new(),
            hands: Vec::new(),
            budget: setup.budget,
            broken: None,
        }
    }

    pub(crate) fn row(&self, order: u8) -> &OrderRow {
        &self.orders[usize::from(order)]
    }

    pub(crate) fn row_mut(&mut self, order: u8) -> &mut OrderRow {
        &mut self.orders[usize::from(order)]
    }

    /// The order's status; `None` while there is no row.
    pub fn status(&self, order: u8) -> Option<Status> {
        self.row(order).order.as_ref().map(|order| order.status)
    }

    pub(crate) fn letter(&self, id: LetterId) -> Option<&Letter> {
        self.letters.iter().find(|letter| letter.id == id)
    }

    pub(crate) fn letter_mut(&mut self, id: LetterId) -> Option<&mut Letter> {
        self.letters.iter_mut().find(|letter| letter.id == id)
    }

    /// Writes an outbox row (or lets the provider write a callback).
    pub(crate) fn post(&mut self, order: u8, to: Place, what: Input, sent: bool) {
        let taken = |number| {
            self.letters.iter().any(|letter| letter.id == LetterId { order, number })
                || self
                    .hands
                    .iter()
                    .flat_map(|hand| &hand.items)
                    .any(|item| item.letter == Some(LetterId { order, number }))
        };
        let number = (0..=u8::MAX).find(|number| !taken(*number)).expect("few are in flight");
        let id = LetterId { order, number };
        self.letters.push(Letter { id, to, what, left: 1, taken: 0, sent });
    }

    /// Its effect commits, with its inbox row: S8. A callback has no inbox row; it may have its
    /// effect again, and the order's state is what makes that harmless.
    pub(crate) fn take_effect(&mut self, id: LetterId, setup: &Setup) {
        let letter = self.letter_mut(id).expect("in hand");
        if !letter.what.is_from_bus() {
            return;
        }
        letter.taken += 1;
        if letter.taken > 1 {
            let number = setup.number(id.order);
            self.broken = Some(format!("S8: a message of order {number} took effect twice"));
        }
    }

    /// Forgets messages that nobody will see again, and their inbox rows with them.
    pub(crate) fn forget(&mut self) {
        let hands = &self.hands;
        let in_hand =
            |id| hands.iter().flat_map(|hand| &hand.items).any(|item| item.letter == Some(id));
        self.letters.retain(|letter| letter.left > 0 || in_hand(letter.id));
    }

    /// The same for worlds with the same future, whatever their messages are called.
    pub fn fingerprint(&self) -> u64 {
        fingerprint::of(self)
    }

    /// Messages in an order that does not depend on their ids.
    fn ranked(&self) -> Vec<&Letter> {
        let uses = |id: LetterId| {
            let hands = self.hands.iter().enumerate();
            hands.fold(0_u32, |uses, (index, hand)| {
                let used = hand.items.iter().any(|item| item.letter == Some(id));
                uses | u32::from(used) << index
            })
        };
        let mut letters: Vec<&Letter> = self.letters.iter().collect();
        letters.sort_by_cached_key(|letter| {
            let Letter { id, to, what, left, taken, sent } = **letter;
            (id.order, to, what, left, taken, sent, uses(id))
        });
        letters
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.now, &self.orders, &self.stock, &self.redis, &self.rebuild).hash(state);
        (self.budget, &self.broken).hash(state);
        let letters = self.ranked();
        letters.len().hash(state);
        for letter in &letters {
            let Letter { id, to, what, left, taken, sent } = letter;
            (id.order, to, what, left, taken, sent).hash(state);
        }
        for hand in &self.hands {
            (hand.place, &hand.stage, hand.items.len()).hash(state);
            for item in &hand.items {
                let rank = item.letter.map(|id| letters.iter().position(|letter| letter.id == id));
                (item.order, item.input, item.known, &item.gate, rank).hash(state);
            }
        }
    }
}
