//! Each defence, switched off: the search finds what it prevents.
//!
//! The number of steps is that of the shortest trace. A batch that nothing interrupts is one step.

#![expect(clippy::print_stderr, reason = "a failed test shows its trace")]

use world::defence::Defence::{
    CallRows, CallSeesItself, DatabaseGate, EndSaidAgain, Epoch, Fold, HoldCas, Inbox, LatePayment,
    NoTtlOnHolds, NoTtlOnTombstones, OrderCas, RecordBeforeStock, RecordPerOrder, RefundIdFixed,
    SettleAfterLoad, SettleIgnored, SettleKnown, SettleMissed, Tombstone, TombstoneRow,
};
use world::defence::{Defence, Defences};
use world::scope::{made, one_order, two_orders_of_one_user, two_orders_one_ticket};
use world::search::{exhaustively, tell};
use world::setup::{Budget, Setup};

const STATES_MAX: usize = 2_000_000;

/// Which invariant is broken with these defences off, and in how many steps.
fn broken(off: &[Defence], mut setup: Setup, budget: Budget) -> Option<(String, usize)> {
    setup.budget = Budget { ticks: 1, ..budget };
    setup.defences = Defences::without(off);
    let start = made(&setup);
    let searched = exhaustively(&setup, start.clone(), STATES_MAX);
    assert!(!searched.cut_short, "the search was cut short");
    let violation = searched.violation?;
    let steps = violation.trace.len();
    eprintln!(
        "without {off:?}: {} in {steps} steps, {} states\n{}",
        violation.what,
        searched.states,
        tell(&setup, &start, &violation.trace)
    );
    Some((violation.what[..2].to_owned(), steps))
}

/// Found with the defences off; with all of them on the same search finds nothing.
#[track_caller]
fn prevents(off: &[Defence], setup: Setup, budget: Budget, what: &str, steps: usize) {
    assert_eq!(broken(off, setup.clone(), budget), Some((what.to_owned(), steps)), "{off:?}");
    assert_eq!(broken(&[], setup, budget), None, "with all on");
}

const CANCEL: Budget = Budget { cancels: 1, ..NOTHING };
const NOTHING: Budget = Budget {
    stepwise: 0,
    duplicates: 0,
    crashes: 0,
    wipes: 0,
    fail_overs: 0,
    late_captures: 0,
    short_captures: 0,
    failures: 0,
    give_ups: 0,
    cancels: 0,
    pays: 0,
    pairs: 0,
    ticks: 0,
};

#[test]
fn a_record_per_order() {
    let budget = Budget { duplicates: 1, ..CANCEL };
    prevents(&[RecordPerOrder], one_order(), budget, "Q2", 7);
}

#[test]
fn a_tombstone_and_an_end_that_is_said_again() {
    prevents(&[Tombstone, EndSaidAgain], one_order(), CANCEL, "Q1", 4);
}

/// Where two defences had to be off above, the product has a second line: each alone is enough.
#[test]
fn one_of_two_lines_of_defence_is_enough() {
    let budget = Budget { stepwise: 1, crashes: 1, ..CANCEL };
    for off in [Tombstone, EndSaidAgain, NoTtlOnTombstones, RecordBeforeStock, SettleIgnored] {
        assert_eq!(broken(&[off], one_order(), budget), None, "{off}");
    }
    let budget = Budget { wipes: 1, ..CANCEL };
    assert_eq!(broken(&[TombstoneRow], one_order(), budget), None, "the row");
    let budget = Budget { pairs: 1, ..CANCEL };
    assert_eq!(broken(&[Fold], one_order(), budget), None, "the fold");
    let budget = Budget { stepwise: 1, wipes: 1, ..NOTHING };
    for off in [Epoch, DatabaseGate] {
        assert_eq!(broken(&[off], two_orders_one_ticket(), budget), None, "{off}");
    }
    let budget = Budget { stepwise: 1, duplicates: 1, ..NOTHING };
    assert_eq!(broken(&[SettleMissed], two_orders_one_ticket(), budget), None, "missed");
}

#[test]
fn the_record_before_the_stock() {
    let budget = Budget { stepwise: 1, crashes: 1, ..NOTHING };
    prevents(&[RecordBeforeStock, SettleIgnored], one_order(), budget, "Q2", 6);
}

#[test]
fn a_refund_id_that_is_fixed_before_the_call() {
    let budget = Budget { stepwise: 1, crashes: 1, ..CANCEL };
    prevents(&[RefundIdFixed], one_order(), budget, "S4", 8);
}

#[test]
fn no_ttl_on_a_hold() {
    prevents(&[NoTtlOnHolds], one_order(), NOTHING, "Q2", 7);
}

#[test]
fn no_ttl_on_a_tombstone() {
    prevents(&[NoTtlOnTombstones, EndSaidAgain], one_order(), CANCEL, "Q1", 6);
}

#[test]
fn a_late_payment() {
    prevents(&[LatePayment], one_order(), CANCEL, "Q3", 8);
}

#[test]
fn compare_and_set_on_the_order() {
    let budget = Budget { stepwise: 1, ..CANCEL };
    prevents(&[OrderCas], one_order(), budget, "S6", 4);
}

#[test]
fn the_database_gate() {
    let budget = Budget { fail_overs: 1, ..NOTHING };
    prevents(&[DatabaseGate], two_orders_one_ticket(), budget, "S1", 3);
}

/// A release commits, the process dies before Redis hears of it, the redelivery is filtered.
#[test]
fn settling_what_the_inbox_knows() {
    let budget = Budget { stepwise: 1, crashes: 1, ..CANCEL };
    prevents(&[SettleKnown], one_order(), budget, "Q2", 9);
}

/// A refusal commits, a ticket comes back, a concurrent duplicate is granted and meets the inbox.
#[test]
fn settling_what_the_inbox_came_to_know() {
    let budget = Budget { stepwise: 1, duplicates: 1, ..NOTHING };
    let off = [SettleMissed, SettleIgnored];
    prevents(&off, two_orders_one_ticket(), budget, "Q2", 14);
}

/// A tombstone, Redis wiped and loaded without it, a late `ORDER_CREATED`.
#[test]
fn a_tombstone_that_is_a_row() {
    let budget = Budget { wipes: 1, ..CANCEL };
    prevents(&[TombstoneRow, EndSaidAgain], one_order(), budget, "Q1", 9);
}

/// A cancellation loads "no row", the reservation commits, the cancellation writes a tombstone.
#[test]
fn compare_and_set_on_the_hold() {
    let budget = Budget { stepwise: 1, ..CANCEL };
    prevents(&[HoldCas], one_order(), budget, "S1", 4);
}

#[test]
fn two_messages_of_one_order_in_one_batch() {
    let budget = Budget { pairs: 1, ..CANCEL };
    prevents(&[Fold, EndSaidAgain], one_order(), budget, "Q1", 4);
}

#[test]
fn two_orders_of_one_user_in_one_call() {
    let budget = Budget { pairs: 1, ..NOTHING };
    prevents(&[CallSeesItself], two_orders_of_one_user(), budget, "Q2", 12);
}

/// A refund is requested and committed, the process dies before the call, the redelivery is filtered.
#[test]
fn a_call_that_is_a_row() {
    let budget = Budget { crashes: 1, stepwise: 1, ..CANCEL };
    prevents(&[CallRows], one_order(), budget, "Q3", 10);
}

#[test]
fn the_inbox() {
    let budget = Budget { duplicates: 1, ..NOTHING };
    prevents(&[Inbox], one_order(), budget, "S8", 2);
}

#[test]
fn the_epoch() {
    let budget = Budget { stepwise: 1, wipes: 1, ..NOTHING };
    prevents(&[Epoch, DatabaseGate], two_orders_one_ticket(), budget, "S1", 7);
}

#[test]
fn settling_what_committed_while_redis_was_filled() {
    let budget = Budget { wipes: 1, ..CANCEL };
    prevents(&[SettleAfterLoad], one_order(), budget, "Q2", 10);
}
