//! The reference: what the scripts mean, one call at a time.
//!
//! Nothing of the worker runs it. The gate's property tests compare the scripts on a real Redis
//! with it, and the World (`crates/world`) has it for a Redis: what one proves, the other may use.

use std::collections::BTreeMap;

use super::{
    HoldLine, HoldNo, HoldState, ReserveAnswer, ReserveMode, ReserveOrder, SettleAnswer,
    SettleOrder,
};
use contracts::{OrderNo, TicketId, UserId};

/// A record's lines.
pub type Lines = BTreeMap<TicketId, HoldLine>;
/// An order's hold, user and lines.
pub type Held = (HoldNo, Option<UserId>, Lines);

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    /// Free tickets.
    pub stock: BTreeMap<TicketId, i64>,
    /// One for each order that it knows.
    pub records: BTreeMap<OrderNo, Held>,
    /// Tickets held and bought.
    pub users: BTreeMap<UserId, i64>,
}

impl Model {
    /// Tries the change on a copy, with what an earlier hold has given back.
    pub fn reserve(&mut self, order: &ReserveOrder) -> ReserveAnswer {
        let mut after = self.clone();
        let mut kept = Lines::new();
        let mut user = order.user;
        if let Some((hold, holder, lines)) = self.records.get(&order.order_no) {
            if *hold >= order.hold {
                match found(*hold > order.hold, lines, order) {
                    Some(answer) => return answer,
                    None => (kept, user) = (lines.clone(), *holder),
                }
            } else if lines.values().any(|line| line.state == HoldState::Sold) {
                return ReserveAnswer::Sold;
            } else {
                after.remove(&order.order_no);
            }
        }
        let wanted: i64 = order.lines.iter().map(|line| i64::from(line.1.get())).sum();
        let has = user.and_then(|user| after.users.get(&user)).copied().unwrap_or(0);
        if user.is_some() && order.user_limit.is_some_and(|limit| has + wanted > i64::from(limit)) {
            return ReserveAnswer::UserLimit;
        }
        for &(ticket, quantity) in &order.lines {
            let free = after.stock.get(&ticket).copied().unwrap_or(0);
            if free < i64::from(quantity.get()) {
                return ReserveAnswer::SoldOut;
            }
            let quantity = quantity.get() as u32;
            kept.insert(ticket, HoldLine { ticket, quantity, state: HoldState::Held });
        }
        after.replace(&order.order_no, order.hold, user, kept);
        *self = after;
        ReserveAnswer::Ok
    }

    /// Makes the record what PostgreSQL says, from whatever it was.
    pub fn settle(&mut self, order: &SettleOrder) -> SettleAnswer {
        let said: Lines = order.lines.iter().map(|&line| (line.ticket, line)).collect();
        let (user, lines) = match self.records.get(&order.order_no) {
            None => (order.user, said),
            Some((hold, ..)) if *hold > order.hold => return SettleAnswer::Same,
            Some((hold, user, _)) if *hold < order.hold => (order.user.or(*user), said),
            Some((_, _, lines)) if released(lines) => return SettleAnswer::Same,
            Some((_, user, lines)) => (order.user.or(*user), forward(lines, &said)),
        };
        let before = self.clone();
        self.replace(&order.order_no, order.hold, user, lines);
        if *self == before { SettleAnswer::Same } else { SettleAnswer::Ok }
    }

    fn remove(&mut self, order: &OrderNo) {
        if let Some((_, user, lines)) = self.records.remove(order) {
            self.add(user, &lines, -1);
        }
    }

    fn replace(&mut self, order: &OrderNo, hold: HoldNo, user: Option<UserId>, lines: Lines) {
        self.remove(order);
        self.add(user, &lines, 1);
        self.records.insert(order.clone(), (hold, user, lines));
    }

    fn add(&mut self, user: Option<UserId>, lines: &Lines, sign: i64) {
        for line in lines.values().filter(|line| line.state.is_live()) {
            let change = sign * i64::from(line.quantity);
            if let Some(free) = self.stock.get_mut(&line.ticket) {
                *free -= change;
            }
            if let Some(user) = user {
                *self.users.entry(user).or_insert(0) += change;
            }
        }
        self.users.retain(|_, count| *count != 0);
    }
}

/// What a record of the same hold, or of a later one, answers; `None`: add the lines to it.
fn found(later: bool, lines: &Lines, order: &ReserveOrder) -> Option<ReserveAnswer> {
    if later {
        return Some(as_found(lines.values()));
    }
    if released(lines) {
        return Some(ReserveAnswer::Released);
    }
    let named: Vec<Option<&HoldLine>> =
        order.lines.iter().map(|(ticket, _)| lines.get(ticket)).collect();
    let is_released = |line: &&HoldLine| !line.state.is_live();
    if order.mode == ReserveMode::Add {
        if named.iter().flatten().any(is_released) {
            return Some(ReserveAnswer::Released);
        }
        if named.iter().all(Option::is_none) {
            return None;
        }
    }
    let live: Vec<&HoldLine> = lines.values().filter(|line| line.state.is_live()).collect();
    let same = named.iter().zip(&order.lines).all(|(line, (_, quantity))| {
        line.is_some_and(|l| {
            l.state.is_live() && i64::from(l.quantity) == i64::from(quantity.get())
        })
    });
    let complete = order.mode == ReserveMode::Add || named.len() == live.len();
    Some(if same && complete {
        as_found(named.into_iter().flatten())
    } else {
        ReserveAnswer::Mismatch
    })
}

fn as_found<'a>(lines: impl Iterator<Item = &'a HoldLine>) -> ReserveAnswer {
    match lines.map(|line| line.state).min() {
        Some(HoldState::Held) => ReserveAnswer::Held,
        Some(HoldState::Sold) => ReserveAnswer::Sold,
        Some(HoldState::Released) | None => ReserveAnswer::Released,
    }
}

fn released(lines: &Lines) -> bool {
    lines.values().all(|line| !line.state.is_live())
}

/// The lines moved forward to what PostgreSQL says.
fn forward(lines: &Lines, said: &Lines) -> Lines {
    let mut result = lines.clone();
    for line in result.values_mut() {
        if released(said) && line.state == HoldState::Held {
            line.state = HoldState::Released;
        }
    }
    for (ticket, line) in said {
        let over = lines
            .get(ticket)
            .is_some_and(|old| old.state != HoldState::Held && old.state != line.state);
        if !over {
            result.insert(*ticket, *line);
        }
    }
    result
}
