//! Q1 to Q5; what a dead letter is (Q6) is told when it is decided.

use crate::defence::Defence;

use super::{
    Amount, Filling, Hold, LineState, Notice, Order, OrderRow, PaymentStatus, RefundStatus, Setup,
    Status, World, amount_of, sum,
};

pub(super) fn check(world: &World, setup: &Setup) -> Result<(), String> {
    for (row, hold) in world.orders.iter().zip(&world.stock.holds) {
        let Some(order) = &row.order else { continue };
        payments(row, order)?;
        belongs(order, hold.as_deref())?;
        notices(row, order)?;
    }
    redis(world, setup)
}

/// Q1: no hold without a live order, and the reverse.
fn belongs(order: &Order, hold: Option<&Hold>) -> Result<(), String> {
    let state = hold.map_or(LineState::Released, Hold::state);
    let expected = match order.status {
        Status::Confirmed => LineState::Sold,
        Status::Rejected | Status::Cancelled | Status::Expired | Status::Refunded => {
            LineState::Released
        }
        Status::Pending
        | Status::Reserved
        | Status::Paid
        | Status::Expiring
        | Status::Refunding
        | Status::Reacquiring => {
            return Err(format!("Q1: order {} stays {}", order.order_no, order.status.as_str()));
        }
    };
    let lines: i64 = order.lines.iter().map(|line| i64::from(line.quantity.get())).sum();
    let live = hold.map_or(0, Hold::live_quantity);
    let wanted = if expected == LineState::Sold { lines } else { 0 };
    if state == expected && live == wanted {
        return Ok(());
    }
    Err(format!(
        "Q1: order {} is {}, and {live} tickets of it are {}",
        order.order_no,
        order.status.as_str(),
        state.as_str()
    ))
}

/// Q2: Redis is what PostgreSQL says, for every order that either has tickets for.
fn redis(world: &World, setup: &Setup) -> Result<(), String> {
    if world.redis.filling != Filling::Loaded(world.stock.epoch) {
        return Err("Q2: Redis is not loaded".to_owned());
    }
    let (said, rows) = (&world.redis.model, world.by_rows(setup));
    let has_records = setup.defences.has(Defence::RecordPerOrder);
    if said.stock != rows.stock || has_records && said.users != rows.users {
        return Err(format!(
            "Q2: Redis counts {:?} free and {:?} by user; PostgreSQL {:?} and {:?}",
            said.stock, said.users, rows.stock, rows.users
        ));
    }
    let live = |records: &std::collections::BTreeMap<_, stock_worker::gate::reference::Held>| {
        let lines = records.iter().flat_map(|(order, (hold, user, lines))| {
            let live = lines.values().filter(|line| line.state.is_live());
            live.map(move |line| (contracts::OrderNo::clone(order), *hold, *user, *line))
        });
        lines.collect::<Vec<_>>()
    };
    let (said, rows) = (live(&said.records), live(&rows.records));
    if has_records && said != rows {
        return Err(format!("Q2: Redis holds {said:?}, PostgreSQL {rows:?}"));
    }
    Ok(())
}

/// Q3: every captured payment is on a confirmed order or fully refunded, in our rows and in the
/// provider's books.
fn payments(row: &OrderRow, order: &Order) -> Result<(), String> {
    let mut kept = Amount::ZERO;
    for payment in &order.payments {
        if payment.status != PaymentStatus::Captured {
            continue;
        }
        let captured = payment.captured.unwrap_or(Amount::ZERO);
        let refunds = order.refunds.iter().filter(|refund| refund.payment_id == payment.payment_id);
        let back = refunds.filter(|refund| refund.status == RefundStatus::Succeeded);
        if sum(back.map(|refund| refund.amount)) == captured {
            continue;
        }
        if order.status != Status::Confirmed {
            return Err(format!(
                "Q3: {captured} of {} is kept, and the order is {}",
                payment.payment_id,
                order.status.as_str()
            ));
        }
        kept = sum([kept, captured].into_iter());
    }
    let due = if order.status == Status::Confirmed { order.total } else { Amount::ZERO };
    let theirs = row.provider.iter().filter_map(|known| {
        let taken = known.captured.filter(|_| known.refunds.is_empty())?;
        Some(amount_of(taken, order.total))
    });
    let theirs = sum(theirs);
    if kept != due || theirs != due {
        return Err(format!(
            "Q3: order {} is {}: {due} is due, our rows keep {kept}, the provider {theirs}",
            order.order_no,
            order.status.as_str()
        ));
    }
    Ok(())
}

/// Q5: each transition that a buyer sees is told once.
fn notices(row: &OrderRow, order: &Order) -> Result<(), String> {
    let mut once = row.notices.clone();
    once.dedup();
    let last = match order.status {
        Status::Confirmed => Some(Notice::Confirmed),
        Status::Rejected => Some(Notice::Rejected),
        Status::Cancelled => Some(Notice::Cancelled),
        Status::Expired => Some(Notice::Expired),
        Status::Refunded => {
            Some(Notice::Refunded { round: u32::try_from(order.refunds.len()).unwrap_or(0) })
        }
        Status::Pending
        | Status::Reserved
        | Status::Paid
        | Status::Expiring
        | Status::Refunding
        | Status::Reacquiring => None,
    };
    if once.len() != row.notices.len() || last.is_some_and(|last| !row.notices.contains(&last)) {
        return Err(format!(
            "Q5: order {} is {}, and its buyer was told {:?}",
            order.order_no,
            order.status.as_str(),
            row.notices
        ));
    }
    Ok(())
}
