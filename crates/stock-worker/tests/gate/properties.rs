//! Random batches against the reference, and random histories of PostgreSQL.

use std::collections::BTreeMap;

use contracts::{Quantity, TicketId, UserId};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use stock_worker::gate::{
    Gate, HoldLine, HoldState, ReserveMode, ReserveOrder, SessionRows, SettleOrder,
};

use crate::model::{Model, check};
use crate::real::{
    A, B, EPOCH, SESSION, UNKNOWN, connection, contents, hold, order_no, reserve, settle,
    unique_prefix,
};

const CASES: u32 = 96;
/// Shrunk failures become tests of their own rather than files of seeds.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) }
}

const ORDERS: usize = 5;
const USERS: i64 = 3;

/// One call to the gate: a batch of one session.
#[derive(Clone, Debug)]
enum Action {
    Reserve(Vec<ReserveOrder>),
    Settle(Vec<SettleOrder>),
}

fn ticket() -> impl Strategy<Value = TicketId> {
    prop_oneof![8 => Just(A), 8 => Just(B), 1 => Just(UNKNOWN)]
}

fn state() -> impl Strategy<Value = HoldState> {
    prop_oneof![Just(HoldState::Held), Just(HoldState::Sold), Just(HoldState::Released)]
}

fn user() -> impl Strategy<Value = Option<UserId>> {
    option::weighted(0.8, (1..=USERS).prop_map(UserId))
}

fn order() -> impl Strategy<Value = contracts::OrderNo> {
    (0..ORDERS).prop_map(|number| order_no(&format!("order-{number}")))
}

fn hold_number() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(1), 1 => Just(2)]
}

fn reserve_order() -> impl Strategy<Value = ReserveOrder> {
    let mode = prop_oneof![2 => Just(ReserveMode::Whole), 1 => Just(ReserveMode::Add)];
    let lines = btree_map(ticket(), 1..=2_i32, 1..=2);
    let parts = (order(), user(), lines, mode, option::of(1..=6_u32), hold_number());
    parts.prop_map(|(order_no, user, lines, mode, user_limit, number)| ReserveOrder {
        order_no,
        user,
        lines: lines.into_iter().map(|(t, q)| (t, Quantity::new(q).expect("in range"))).collect(),
        mode,
        user_limit,
        hold: hold(number),
    })
}

fn settle_order() -> impl Strategy<Value = SettleOrder> {
    let lines = btree_map(ticket(), (0..=2_u32, state()), 0..=2);
    (order(), user(), lines, hold_number()).prop_map(|(order_no, user, lines, number)| {
        let line = |(ticket, (quantity, state))| HoldLine { ticket, quantity, state };
        let lines = lines.into_iter().map(line).collect();
        SettleOrder { order_no, user, hold: hold(number), lines }
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => vec(reserve_order(), 1..=8).prop_map(Action::Reserve),
        1 => vec(settle_order(), 1..=6).prop_map(Action::Settle),
    ]
}

/// One runtime and one connection for all cases.
struct Redis {
    runtime: tokio::runtime::Runtime,
    connection: common::redis::Connection,
}

impl Redis {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        let connection = connection();
        Self { runtime, connection }
    }

    /// Runs a case on a session of its own, loaded with this stock.
    fn case(&self, stock: &BTreeMap<TicketId, i64>, case: impl AsyncFnOnce(&Gate)) {
        self.runtime.block_on(async {
            let gate =
                Gate::new(self.connection.clone(), &unique_prefix()).expect("a valid prefix");
            let stock = stock.iter().map(|(&ticket, &free)| (ticket, free)).collect();
            let rows = SessionRows { stock, ..SessionRows::default() };
            gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
            case(&gate).await;
            gate.unload(SESSION).await.expect("unloaded");
        });
    }
}

#[test]
fn a_batch_answers_as_its_orders_one_by_one_in_the_model() {
    let redis = Redis::new();
    let strategy = (1..=6_i64, 0..=4_i64, vec(action(), 1..=12));
    proptest!(config(), |((a, b, actions) in strategy)| {
        let totals = BTreeMap::from([(A, a), (B, b)]);
        redis.case(&totals, async |gate| {
            let mut model = Model { stock: totals.clone(), ..Model::default() };
            for action in &actions {
                step(gate, &mut model, action).await;
                check(&model, &totals);
            }
        });
    });
}

async fn step(gate: &Gate, model: &mut Model, action: &Action) {
    match action {
        Action::Reserve(orders) => {
            let expected: Vec<_> = orders.iter().map(|order| model.reserve(order)).collect();
            assert_eq!(reserve(gate, orders).await, expected, "{orders:?}");
        }
        Action::Settle(orders) => {
            let expected: Vec<_> = orders.iter().map(|order| model.settle(order)).collect();
            assert_eq!(settle(gate, orders).await, expected, "{orders:?}");
        }
    }
    assert_eq!(contents(gate).await, *model, "after {action:?}");
}

/// The rows that PostgreSQL has, one after the other, for one order: each line goes forward.
fn history() -> impl Strategy<Value = Vec<Vec<HoldLine>>> {
    let ends =
        vec((1..=2_u32, prop_oneof![Just(HoldState::Sold), Just(HoldState::Released)]), 1..=2);
    (ends, vec(0..=2_usize, 2..=4)).prop_map(|(ends, progress)| {
        let mut rows = Vec::new();
        let mut reached = 0;
        for step in progress {
            reached = (reached + step).min(ends.len());
            let line = |(i, &(quantity, end)): (usize, &(u32, HoldState))| HoldLine {
                ticket: [A, B][i],
                quantity,
                state: if i < reached { end } else { HoldState::Held },
            };
            rows.push(ends.iter().enumerate().map(line).collect());
        }
        rows
    })
}

#[test]
fn settling_ends_at_what_postgresql_says_whatever_came_late_or_twice() {
    let redis = Redis::new();
    let strategy = (history(), vec((0..4_usize, any::<bool>()), 0..=8));
    proptest!(config(), |((rows, mess) in strategy)| {
        let totals = BTreeMap::from([(A, 2), (B, 2)]);
        redis.case(&totals, async |gate| {
            let last = rows.last().expect("a row");
            let settled = |row: &Vec<HoldLine>| SettleOrder {
                order_no: order_no("order"),
                user: Some(UserId(1)),
                hold: hold(1),
                lines: row.clone(),
            };
            let wants = ReserveOrder {
                order_no: order_no("order"),
                user: Some(UserId(1)),
                lines: last.iter().map(|l| (l.ticket, quantity(l.quantity))).collect(),
                mode: ReserveMode::Whole,
                user_limit: Some(4),
                hold: hold(1),
            };
            let late = async |index: usize, reserves: bool| {
                if reserves {
                    reserve(gate, std::slice::from_ref(&wants)).await;
                } else {
                    settle(gate, &[settled(&rows[index % rows.len()])]).await;
                }
            };
            for &(index, reserves) in &mess {
                late(index, reserves).await;
            }
            settle(gate, &[settled(last)]).await;
            for &(index, reserves) in &mess {
                late(index, reserves).await;
            }
            let after = contents(gate).await;
            let (_, _, lines) = &after.records[&order_no("order")];
            assert_eq!(lines.values().copied().collect::<Vec<_>>(), *last);
            check(&after, &totals);
        });
    });
}

fn quantity(number: u32) -> Quantity {
    Quantity::new(i32::try_from(number).expect("small")).expect("in range")
}
