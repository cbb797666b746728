//! All worlds that one or two orders can bring about.
//!
//! What may go wrong is bounded, and not all of it in one search: each search says what.

#![expect(clippy::print_stderr, reason = "how many worlds were seen")]

use world::scope;
use world::search::{Searched, exhaustively};
use world::setup::{Budget, Setup};

/// More than any of them has.
const STATES_MAX: usize = 3_000_000;

fn search(name: &str, mut setup: Setup, budget: Budget) -> Searched {
    setup.budget = Budget { ticks: 1, ..budget };
    let start = scope::made(&setup);
    let searched = exhaustively(&setup, start.clone(), STATES_MAX);
    let Searched { states, quiet, steps, took, .. } = searched;
    eprintln!("{name}: {states} states, {quiet} of them quiet, {steps} steps in {took:.1?}");
    if let Some(violation) = &searched.violation {
        let steps = world::search::tell(&setup, &start, &violation.trace);
        panic!("{name}: {}\n{steps}", violation.what);
    }
    assert!(!searched.cut_short, "{name}: the search was cut short");
    assert!(quiet > 0, "{name}: no world ever came to rest");
    searched
}

#[test]
fn two_orders_and_one_ticket_when_messages_come_twice() {
    let budget = Budget { duplicates: 1, cancels: 1, ..Budget::default() };
    search("twice", scope::two_orders_one_ticket(), budget);
}

#[test]
fn two_orders_and_one_ticket_when_batches_race_and_die() {
    let budget = Budget { stepwise: 1, cancels: 1, crashes: 1, ..Budget::default() };
    search("races", scope::two_orders_one_ticket(), budget);
}

#[test]
fn two_orders_and_one_ticket_when_redis_is_lost() {
    let budget = Budget { wipes: 1, cancels: 1, ..Budget::default() };
    search("wiped", scope::two_orders_one_ticket(), budget);
}

#[test]
fn two_orders_and_one_ticket_when_redis_loses_its_last_write() {
    let budget = Budget { fail_overs: 1, ..Budget::default() };
    search("failed over", scope::two_orders_one_ticket(), budget);
}

#[test]
fn two_orders_of_one_user_in_one_batch() {
    let budget = Budget { pairs: 2, ..Budget::default() };
    search("pairs", scope::two_orders_of_one_user(), budget);
}

#[test]
fn one_order_when_two_batches_race() {
    let budget = Budget { stepwise: 2, cancels: 1, ..Budget::default() };
    search("two batches", scope::one_order(), budget);
}

#[test]
fn one_order_when_a_batch_dies_and_redis_is_lost() {
    let budget = Budget { stepwise: 1, crashes: 1, cancels: 1, wipes: 1, ..Budget::default() };
    search("died and wiped", scope::one_order(), budget);
}

#[test]
fn one_order_and_all_that_can_happen_to_its_money() {
    let budget = Budget {
        stepwise: 1,
        crashes: 1,
        cancels: 1,
        late_captures: 1,
        give_ups: 1,
        ..Budget::default()
    };
    search("money", scope::one_order(), budget);
}
