//! The small worlds that are searched to their end.

use crate::action::{Action, Pace, Start};
use crate::rare::Seen;
use crate::setup::{Plan, Setup};
use crate::state::World;

/// Two orders of two users for the only ticket.
pub fn two_orders_one_ticket() -> Setup {
    let plan = |user| Plan { user, lines: vec![(0, 1)], names_payment: true };
    Setup::new(vec![plan(0), plan(1)], vec![1], None)
}

/// The same orders of one user for two tickets.
pub fn two_orders_of_one_user() -> Setup {
    let plan = || Plan { user: 0, lines: vec![(0, 1)], names_payment: true };
    Setup::new(vec![plan(), plan()], vec![2], Some(2))
}

/// One order, with all that can happen to its money.
pub fn one_order() -> Setup {
    let plan = Plan { user: 0, lines: vec![(0, 1)], names_payment: true };
    Setup::new(vec![plan], vec![1], None)
}

/// A world in which the orders have been made, one after the other.
pub fn made(setup: &Setup) -> World {
    let mut world = World::new(setup);
    let mut seen = Seen::default();
    for order in 0..u8::try_from(setup.plans.len()).expect("few orders") {
        world.step(Action::Start(Start::Create(order), Pace::AtOnce), setup, &mut seen);
    }
    world
}
