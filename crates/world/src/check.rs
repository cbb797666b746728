//! The invariants, on the model. They share no code with the audit's.

use contracts::Amount;
use order_worker::domain::{Notice, Order, PaymentStatus, RefundStatus, Status};
use stock_worker::domain::{Hold, LineState};

use crate::orders::amount_of;
use crate::redis::Filling;
use crate::setup::{Setup, ticket_id, ticket_index, user_id};
use crate::state::{OrderRow, World};

mod quiet;

/// What holds after every step: S1 to S8.
///
/// # Errors
/// Names the invariant, and what is wrong.
pub fn always(world: &World, setup: &Setup) -> Result<(), String> {
    if let Some(broken) = &world.broken {
        return Err(broken.clone());
    }
    counters(world, setup)?;
    for (row, hold) in world.orders.iter().zip(&world.stock.holds) {
        if let Some(order) = &row.order {
            money(row, order)?;
            let released = hold.as_ref().is_some_and(|hold| hold.state() == LineState::Released);
            if order.status == Status::Confirmed && released {
                return Err(format!("S3: order {} is confirmed and released", order.order_no));
            }
        }
    }
    Ok(())
}

/// What holds when all is quiet: Q1 to Q5.
///
/// # Errors
/// Names the invariant, and what is wrong.
pub fn quiet(world: &World, setup: &Setup) -> Result<(), String> {
    quiet::check(world, setup)
}

/// S1, S2 and S7.
fn counters(world: &World, setup: &Setup) -> Result<(), String> {
    let holds = || world.stock.holds.iter().flatten();
    for (index, total) in setup.totals.iter().enumerate() {
        let ticket = ticket_id(index);
        let sum = |state| {
            let lines = holds().flat_map(|hold| &hold.lines);
            let lines = lines.filter(|line| line.ticket_id == ticket && line.state == state);
            lines.map(|line| i64::from(line.quantity)).sum::<i64>()
        };
        let (reserved, sold) = world.stock.counters[index];
        let counted = (sum(LineState::Held), sum(LineState::Sold));
        if (reserved, sold) != counted || reserved < 0 || sold < 0 || reserved + sold > *total {
            return Err(format!(
                "S1: of {total} tickets of type {ticket} {reserved} are reserved and {sold} sold; \
                 the holds say {} and {}",
                counted.0, counted.1
            ));
        }
        let paid = world.orders.iter().filter_map(|row| row.order.as_ref());
        let paid = paid.filter(|order| matches!(order.status, Status::Paid | Status::Confirmed));
        let lines = paid.flat_map(|order| &order.lines);
        let lines = lines.filter(|line| ticket_index(line.ticket_id) == index);
        let paid: i64 = lines.map(|line| i64::from(line.quantity.get())).sum();
        if paid > *total {
            return Err(format!("S2: {paid} of {total} tickets of type {ticket} are paid"));
        }
    }
    for (index, counted) in world.stock.users.iter().enumerate() {
        let user = user_id(index);
        let theirs = holds().filter(|hold| hold.user_id == Some(user));
        let held: i64 = theirs.map(|hold| hold.live_quantity()).sum();
        let over = setup.user_limit.is_some_and(|limit| held > i64::from(limit));
        if held != *counted || over {
            return Err(format!("S7: user {user} has {held} tickets, and {counted} are counted"));
        }
    }
    Ok(())
}

/// S4 and S5.
fn money(row: &OrderRow, order: &Order) -> Result<(), String> {
    let mut staying = 0;
    for (index, payment) in order.payments.iter().enumerate() {
        let refunds = order.refunds.iter().filter(|refund| refund.payment_id == payment.payment_id);
        let asked: Vec<_> =
            refunds.filter(|refund| refund.status != RefundStatus::Manual).collect();
        let back = sum(asked.iter().map(|refund| refund.amount));
        let captured = payment.captured.unwrap_or(Amount::ZERO);
        if back > captured {
            return Err(format!("S4: {back} of {captured} of {} is refunded", payment.payment_id));
        }
        staying += u32::from(payment.status == PaymentStatus::Captured && asked.is_empty());
        if let Some(known) = row.provider.get(index)
            && known.refunds.len() > 1
        {
            return Err(format!(
                "S4: the provider paid {} back {} times",
                payment.payment_id,
                known.refunds.len()
            ));
        }
    }
    if staying > 1 {
        return Err(format!("S5: {staying} captured payments stay on order {}", order.order_no));
    }
    Ok(())
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).expect("small amounts"))
}
