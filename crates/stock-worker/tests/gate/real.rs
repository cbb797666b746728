//! A real Redis, and short words for the tests.

use std::collections::BTreeMap;

use common::config::RedisConfig;
use common::redis::Connection;
use contracts::{OrderNo, Quantity, SessionId, TicketId, UserId};
use stock_worker::gate::{
    Cursor, Epoch, Gate, HoldLine, HoldNo, HoldState, Record, ReserveAnswer, ReserveBatch,
    ReserveMode, ReserveOrder, SessionRows, SettleAnswer, SettleBatch, SettleOrder,
};

use crate::model::{Held, Model};

pub(crate) const SESSION: SessionId = SessionId(7);
pub(crate) const EPOCH: Epoch = Epoch(3);
/// The ticket types that the tests load, 101 and 102; 103 is not loaded.
pub(crate) const A: TicketId = TicketId(101);
pub(crate) const B: TicketId = TicketId(102);
pub(crate) const UNKNOWN: TicketId = TicketId(103);

pub(crate) fn connection() -> Connection {
    let url = std::env::var("BOXOFFICE_TEST_REDIS")
        .expect("BOXOFFICE_TEST_REDIS is not set; run: cargo stack test");
    let url = url.parse().expect("BOXOFFICE_TEST_REDIS is a Redis URL");
    common::redis::connect(&RedisConfig { url, ..RedisConfig::default() })
}

/// A gate with keys of its own.
pub(crate) async fn gate() -> Gate {
    Gate::new(connection(), &unique_prefix()).expect("a valid prefix")
}

pub(crate) fn unique_prefix() -> String {
    format!("test:{}:", uuid::Uuid::now_v7().simple())
}

/// A gate with a loaded session: so many tickets of types A and B.
pub(crate) async fn loaded(a: i64, b: i64) -> Gate {
    let gate = gate().await;
    let rows = SessionRows { stock: vec![(A, a), (B, b)], ..SessionRows::default() };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    gate
}

pub(crate) fn order_no(text: &str) -> OrderNo {
    OrderNo::new(text).expect("a valid order number")
}

/// An order for the whole of these lines, without a user.
pub(crate) fn whole(order: &str, lines: &[(TicketId, i32)]) -> ReserveOrder {
    let quantity = |number| Quantity::new(number).expect("a valid quantity");
    ReserveOrder {
        order_no: order_no(order),
        user: None,
        lines: lines.iter().map(|&(ticket, number)| (ticket, quantity(number))).collect(),
        mode: ReserveMode::Whole,
        user_limit: None,
        hold: HoldNo::FIRST,
    }
}

pub(crate) fn added(order: &str, lines: &[(TicketId, i32)]) -> ReserveOrder {
    ReserveOrder { mode: ReserveMode::Add, ..whole(order, lines) }
}

pub(crate) fn by_user(user: i64, limit: u32, order: ReserveOrder) -> ReserveOrder {
    ReserveOrder { user: Some(UserId(user)), user_limit: Some(limit), ..order }
}

pub(crate) fn hold(number: i32) -> HoldNo {
    HoldNo::new(number).expect("a valid hold number")
}

pub(crate) fn line(ticket: TicketId, quantity: u32, state: HoldState) -> HoldLine {
    HoldLine { ticket, quantity, state }
}

/// What PostgreSQL says of an order.
pub(crate) fn says(order: &str, lines: &[(TicketId, u32, HoldState)]) -> SettleOrder {
    SettleOrder {
        order_no: order_no(order),
        user: None,
        hold: HoldNo::FIRST,
        lines: lines.iter().map(|&(ticket, n, state)| line(ticket, n, state)).collect(),
    }
}

pub(crate) async fn reserve(gate: &Gate, orders: &[ReserveOrder]) -> Vec<ReserveAnswer> {
    let batch = ReserveBatch { session: SESSION, epoch: EPOCH, orders: orders.to_vec() };
    gate.reserve(&[batch]).await.expect("answered").remove(0)
}

pub(crate) async fn settle(gate: &Gate, orders: &[SettleOrder]) -> Vec<SettleAnswer> {
    let batch = SettleBatch { session: SESSION, epoch: EPOCH, orders: orders.to_vec() };
    gate.settle(&[batch]).await.expect("answered").remove(0)
}

pub(crate) async fn free(gate: &Gate, ticket: TicketId) -> i64 {
    gate.snapshot(SESSION).await.expect("answered").stock[&ticket]
}

/// All that Redis knows of the session, as the model would say it.
pub(crate) async fn contents(gate: &Gate) -> Model {
    let snapshot = gate.snapshot(SESSION).await.expect("answered");
    let records = all_records(gate).await;
    assert_eq!(snapshot.records, records.len() as u64);
    let users = all_users(gate).await;
    assert_eq!(snapshot.users, users.len() as u64);
    Model { stock: snapshot.stock, records: records.into_iter().map(entry).collect(), users }
}

fn entry(record: Record) -> (OrderNo, Held) {
    let lines = record.lines.iter().map(|&line| (line.ticket, line)).collect();
    (record.order_no, (record.hold, record.user, lines))
}

pub(crate) async fn all_records(gate: &Gate) -> Vec<Record> {
    let mut records = BTreeMap::new();
    let mut next = Some(Cursor::START);
    while let Some(cursor) = next {
        let page = gate.records(SESSION, cursor).await.expect("answered");
        records.extend(page.rows.into_iter().map(|record| (record.order_no.clone(), record)));
        next = page.next;
    }
    records.into_values().collect()
}

async fn all_users(gate: &Gate) -> BTreeMap<UserId, i64> {
    let mut users = BTreeMap::new();
    let mut next = Some(Cursor::START);
    while let Some(cursor) = next {
        let page = gate.users(SESSION, cursor).await.expect("answered");
        users.extend(page.rows);
        next = page.next;
    }
    users
}
