//! Redis: the gate's reference model, what it is loaded with, and what can befall it.

use std::collections::BTreeMap;

use contracts::TicketId;
use stock_worker::domain::Hold;
use stock_worker::gate::reference::{Lines, Model};
use stock_worker::gate::{
    HoldLine, HoldNo, ReserveAnswer, ReserveOrder, SettleAnswer, SettleOrder,
};
use stock_worker::stock::{settle_lines, settle_order};

use crate::defence::Defence;
use crate::fingerprint::Shared;
use crate::rare::{Rare, Seen};
use crate::setup::{Setup, ticket_id, user_id};
use crate::state::World;

/// One session's keys.
#[derive(Debug, Clone, Hash)]
pub struct Redis {
    pub filling: Filling,
    pub model: Shared<Model>,
    /// Without the last write, where a fail-over is still possible.
    pub replica: Option<Shared<Model>>,
    /// Whether its replication id is another one than when it was loaded.
    pub is_other: bool,
}

/// What the key of the epoch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filling {
    Empty,
    /// Marked by a load.
    Loading,
    Loaded(i64),
}

/// A load that has read its snapshot.
#[derive(Debug, Clone, Hash)]
pub struct Rebuild {
    epoch: i64,
    rows: Shared<Model>,
    holds: Vec<Option<Shared<Hold>>>,
    /// Whether Redis is filled; what changed meanwhile is settled next.
    pub is_open: bool,
}

impl Redis {
    pub(crate) fn loaded(setup: &Setup) -> Self {
        let stock = setup.totals.iter().enumerate();
        let stock = stock.map(|(index, total)| (ticket_id(index), *total)).collect();
        let model = Shared::new(Model { stock, ..Model::default() });
        Self { filling: Filling::Loaded(1), model, replica: None, is_other: false }
    }

    fn write(&mut self, model: Model, setup: &Setup) {
        if setup.budget.fail_overs > 0 {
            self.replica = Some(self.model.clone());
        }
        self.model = Shared::new(model);
    }

    /// Whether a call under this epoch is answered.
    pub(crate) fn answers(&self, epoch: i64) -> bool {
        self.filling == Filling::Loaded(epoch)
    }

    /// One call of the script; `None` while the session is not loaded under this epoch.
    pub(crate) fn reserve(
        &mut self,
        orders: &[ReserveOrder],
        epoch: i64,
        setup: &Setup,
    ) -> Result<Vec<ReserveAnswer>, ReserveAnswer> {
        match self.filling {
            Filling::Loaded(loaded) if loaded == epoch => {}
            Filling::Loaded(_) => return Err(ReserveAnswer::StaleEpoch),
            Filling::Empty | Filling::Loading => return Err(ReserveAnswer::NotLoaded),
        }
        let mut model = Model::clone(&self.model);
        let answers = if setup.defences.has(Defence::CallSeesItself) {
            orders.iter().map(|order| reserve(&mut model, order, setup)).collect()
        } else {
            apart(&mut model, orders, setup)
        };
        self.write(model, setup);
        Ok(answers)
    }

    /// Tells it about one order.
    pub(crate) fn settle(&mut self, hold: &Hold, epoch: i64, setup: &Setup) -> SettleAnswer {
        match self.filling {
            Filling::Loaded(loaded) if loaded == epoch => {}
            Filling::Loaded(_) => return SettleAnswer::StaleEpoch,
            Filling::Empty | Filling::Loading => return SettleAnswer::NotLoaded,
        }
        let mut model = Model::clone(&self.model);
        let order = settle_order(hold);
        let answer = if setup.defences.has(Defence::RecordPerOrder) {
            model.settle(&order)
        } else {
            give_back(&mut model, &order)
        };
        self.write(model, setup);
        answer
    }

    /// What keys with a TTL lose when time passes.
    pub(crate) fn age(&mut self, setup: &Setup) {
        let mut model = Model::clone(&self.model);
        let keeps_holds = setup.defences.has(Defence::NoTtlOnHolds);
        let keeps_tombstones = setup.defences.has(Defence::NoTtlOnTombstones);
        model.records.retain(|_, (_, _, lines)| {
            let held = lines.values().any(|line| line.state.is_live());
            let buried = lines.values().all(|line| line.quantity == 0);
            (keeps_holds || !held) && (keeps_tombstones || !buried)
        });
        self.model = Shared::new(model);
    }
}

fn reserve(model: &mut Model, order: &ReserveOrder, setup: &Setup) -> ReserveAnswer {
    let is_short = |model: &Model| {
        let free = |ticket| model.stock.get(&ticket).copied().unwrap_or(0);
        order.lines.iter().any(|(ticket, quantity)| free(*ticket) < i64::from(quantity.get()))
    };
    if !setup.defences.has(Defence::RecordPerOrder) {
        if is_short(model) {
            return ReserveAnswer::SoldOut;
        }
        for (ticket, quantity) in &order.lines {
            *model.stock.entry(*ticket).or_default() -= i64::from(quantity.get());
        }
        return ReserveAnswer::Ok;
    }
    if !setup.defences.has(Defence::RecordBeforeStock) && is_short(model) {
        return ReserveAnswer::SoldOut;
    }
    model.reserve(order)
}

/// Each order on what was there before the call; the counters are the last one's.
fn apart(model: &mut Model, orders: &[ReserveOrder], setup: &Setup) -> Vec<ReserveAnswer> {
    let before = model.clone();
    let mut answers = Vec::new();
    for order in orders {
        let mut alone = before.clone();
        answers.push(reserve(&mut alone, order, setup));
        if let Some(record) = alone.records.remove(&order.order_no) {
            model.records.insert(order.order_no.clone(), record);
        }
        let moved = alone.stock.into_iter().filter(|(key, free)| before.stock[key] != *free);
        model.stock.extend(moved);
        model.users.extend(alone.users);
    }
    answers
}

/// A blind counter: what is released is added.
fn give_back(model: &mut Model, order: &SettleOrder) -> SettleAnswer {
    for line in order.lines.iter().filter(|line| !line.state.is_live()) {
        *model.stock.entry(line.ticket).or_default() += i64::from(line.quantity);
    }
    SettleAnswer::Ok
}

/// An order that was refused before anything was granted has no record.
fn is_told(hold: &Hold) -> bool {
    hold.reason.is_none() || hold.live_quantity() > 0
}

impl World {
    /// What Redis should say, by PostgreSQL.
    pub(crate) fn by_rows(&self, setup: &Setup) -> Model {
        let free = |(index, total): (usize, &i64)| {
            let (reserved, sold) = self.stock.counters[index];
            (ticket_id(index), total - reserved - sold)
        };
        let record = |hold: &Shared<Hold>| {
            let lines: Lines = settle_lines(hold).into_iter().map(by_ticket).collect();
            let number = HoldNo::new(hold.hold).unwrap_or_default();
            (hold.order_no.clone(), (number, hold.user_id, lines))
        };
        let users = self.stock.users.iter().enumerate();
        let users: BTreeMap<_, _> = users
            .filter(|(_, held)| **held > 0)
            .map(|(user, held)| (user_id(user), *held))
            .collect();
        Model {
            stock: setup.totals.iter().enumerate().map(free).collect(),
            records: self.stock.holds.iter().flatten().filter(|h| is_told(h)).map(record).collect(),
            users,
        }
    }

    /// Whether somebody finds that Redis must be loaded.
    pub(crate) fn wants_rebuild(&self) -> bool {
        let right = self.redis.filling == Filling::Loaded(self.stock.epoch);
        self.rebuild.is_none() && (!right || self.redis.is_other)
    }

    /// The epoch is raised, Redis emptied and marked, and the session read.
    pub(crate) fn begin_rebuild(&mut self, setup: &Setup) {
        self.stock.epoch += 1;
        self.redis.filling = Filling::Loading;
        self.redis.model = Shared::new(Model::default());
        self.redis.replica = None;
        self.redis.is_other = false;
        self.rebuild = Some(Rebuild {
            epoch: self.stock.epoch,
            rows: Shared::new(self.by_rows(setup)),
            holds: self.stock.holds.clone(),
            is_open: false,
        });
    }

    /// Redis is filled, the epoch last. A load whose mark is gone fails.
    pub(crate) fn open_rebuild(&mut self) {
        let Some(rebuild) = &mut self.rebuild else { return };
        if self.redis.filling != Filling::Loading {
            self.rebuild = None;
            return;
        }
        rebuild.is_open = true;
        self.redis.filling = Filling::Loaded(rebuild.epoch);
        self.redis.model = rebuild.rows.clone();
    }

    /// What committed since the snapshot is settled.
    pub(crate) fn end_rebuild(&mut self, setup: &Setup, seen: &mut Seen) {
        let Some(rebuild) = self.rebuild.take() else { return };
        if !setup.defences.has(Defence::SettleAfterLoad) {
            return;
        }
        for (now, then) in self.stock.holds.iter().zip(&rebuild.holds) {
            let Some(hold) = now.as_ref().filter(|hold| now != then && is_told(hold)) else {
                continue;
            };
            seen.mark(Rare::SettledAfterLoad);
            let _gone_again = self.redis.settle(hold, rebuild.epoch, setup);
        }
    }
}

fn by_ticket(line: HoldLine) -> (TicketId, HoldLine) {
    (line.ticket, line)
}
