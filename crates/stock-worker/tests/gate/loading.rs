//! Filling, reading and pruning a session.

use std::time::Duration;

use chrono::DateTime;
use contracts::{SessionId, TicketId, UserId};
use stock_worker::gate::HoldState::{Held, Released, Sold};
use stock_worker::gate::{
    Epoch, Gate, GateError, HoldLine, HoldNo, LOAD_CHUNK_ROWS, Record, ReserveAnswer, SessionRows,
    SettleAnswer,
};

use crate::real::{
    A, B, EPOCH, SESSION, all_records, by_user, connection, contents, free, gate, line, loaded,
    order_no, reserve, says, settle, unique_prefix, whole,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A record that changed long ago.
fn record(order: &str, user: i64, lines: &[HoldLine]) -> Record {
    Record {
        order_no: order_no(order),
        hold: HoldNo::FIRST,
        user: Some(UserId(user)),
        lines: lines.to_vec(),
        changed_at: DateTime::from_timestamp(1_700_000_040, 0).expect("in range"),
    }
}

#[tokio::test]
async fn a_loaded_session_answers_for_what_was_loaded() {
    let gate = gate().await;
    let records = vec![
        record("held", 1, &[line(A, 2, Held)]),
        record("sold", 1, &[line(A, 1, Sold), line(B, 1, Sold)]),
        record("over", 2, &[line(A, 2, Released)]),
    ];
    let users = SessionRows::users_of_records(&records);
    assert_eq!(users, [(UserId(1), 4)]);
    let rows = SessionRows { stock: vec![(A, 5), (B, 0)], records: records.clone(), users };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");

    let orders = [
        whole("held", &[(A, 2)]),
        whole("sold", &[(B, 1), (A, 1)]),
        whole("over", &[(A, 2)]),
        by_user(1, 4, whole("new", &[(A, 1)])),
        by_user(1, 5, whole("new", &[(A, 1)])),
    ];
    use ReserveAnswer::{Ok, UserLimit};
    let expected =
        [ReserveAnswer::Held, ReserveAnswer::Sold, ReserveAnswer::Released, UserLimit, Ok];
    assert_eq!(reserve(&gate, &orders).await, expected);

    let names = [order_no("sold"), order_no("nobody"), order_no("over")];
    let found = gate.find(SESSION, &names).await.expect("answered");
    assert_eq!(found, [Some(records[1].clone()), None, Some(records[2].clone())]);
}

#[tokio::test]
async fn a_load_replaces_everything() {
    let gate = loaded(5, 5).await;
    reserve(&gate, &[by_user(1, 9, whole("order", &[(A, 2)]))]).await;
    let rows = SessionRows { stock: vec![(A, 1)], ..SessionRows::default() };
    gate.load(SESSION, Epoch(4), &rows).await.expect("loaded");
    let after = contents(&gate).await;
    assert_eq!((after.stock.len(), after.records.len(), after.users.len()), (1, 0, 0));
    assert_eq!(gate.snapshot(SESSION).await.expect("answered").epoch, Some(Epoch(4)));
    assert_eq!(reserve(&gate, &[whole("order", &[(A, 1)])]).await, [ReserveAnswer::StaleEpoch]);
}

#[tokio::test]
async fn a_session_that_is_being_loaded_is_not_loaded() {
    let gate = loaded(5, 5).await;
    let mut loading = gate.begin_load(SESSION, EPOCH).await.expect("begun");
    loading.stock(&[(A, 3)]).await.expect("written");
    assert_eq!(reserve(&gate, &[whole("order", &[(A, 1)])]).await, [ReserveAnswer::NotLoaded]);
    assert_eq!(settle(&gate, &[says("order", &[])]).await, [SettleAnswer::NotLoaded]);
    assert_eq!(gate.snapshot(SESSION).await.expect("answered").epoch, None);
    loading.finish().await.expect("open");
    assert_eq!(reserve(&gate, &[whole("order", &[(A, 1)])]).await, [ReserveAnswer::Ok]);
}

#[tokio::test]
async fn of_two_loads_the_one_that_began_last_counts() {
    let gate = gate().await;
    let mut slow = gate.begin_load(SESSION, EPOCH).await.expect("begun");
    let rows = SessionRows { stock: vec![(A, 2)], ..SessionRows::default() };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    let late = slow.stock(&[(A, 9)]).await.expect_err("superseded");
    assert!(matches!(late, GateError::Superseded { session: SESSION }), "{late}");
    assert!(slow.finish().await.is_err());
    assert_eq!(free(&gate, A).await, 2);
}

#[tokio::test]
async fn a_large_session_is_loaded_and_read_in_parts() {
    let gate = gate().await;
    let count = 20 * LOAD_CHUNK_ROWS + 1;
    let records: Vec<_> =
        (0..count).map(|i| record(&format!("order-{i}"), i as i64, &[line(A, 1, Held)])).collect();
    let users = SessionRows::users_of_records(&records);
    let rows = SessionRows { stock: vec![(A, 7)], records, users };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    assert_eq!(all_records(&gate).await.len(), count);
    let snapshot = gate.snapshot(SESSION).await.expect("answered");
    assert_eq!((snapshot.records, snapshot.users), (count as u64, count as u64));
    gate.unload(SESSION).await.expect("unloaded");
    assert_eq!(gate.snapshot(SESSION).await.expect("answered").records, 0);
}

#[tokio::test]
async fn only_what_is_over_and_old_is_pruned() {
    let gate = gate().await;
    let records = vec![
        record("sold", 1, &[line(A, 1, Sold)]),
        record("released", 2, &[line(A, 1, Released)]),
        record("tombstone", 3, &[]),
        record("held", 4, &[line(A, 1, Sold), line(B, 1, Held)]),
        record("kept", 5, &[line(A, 1, Sold)]),
    ];
    let users = SessionRows::users_of_records(&records);
    let rows = SessionRows { stock: vec![(A, 5)], records, users };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    settle(&gate, &[says("new", &[])]).await;

    let over = ["sold", "released", "tombstone", "held", "new", "nobody"].map(order_no);
    assert_eq!(gate.prune(SESSION, &over, 7 * DAY).await.expect("pruned"), 3);
    let left: Vec<_> = all_records(&gate).await.into_iter().map(|r| r.order_no).collect();
    assert_eq!(left, ["held", "kept", "new"].map(order_no));
    assert_eq!(contents(&gate).await.users[&UserId(1)], 1, "a bought ticket still counts");
    assert_eq!(gate.prune(SESSION, &over, Duration::ZERO).await.expect("pruned"), 1);
}

#[tokio::test]
async fn gates_with_different_prefixes_do_not_see_each_other() {
    let (mine, other) = (loaded(1, 0).await, loaded(1, 0).await);
    assert_eq!(reserve(&mine, &[whole("order", &[(A, 1)])]).await, [ReserveAnswer::Ok]);
    assert_eq!(reserve(&other, &[whole("order", &[(A, 1)])]).await, [ReserveAnswer::Ok]);
    let error = Gate::new(connection(), "a{b}").err().expect("refused");
    assert!(matches!(error, GateError::Prefix { .. }));
}

#[tokio::test]
async fn the_test_server_may_be_used() {
    let server = gate().await.check_server().await.expect("usable");
    assert!(!server.identity.run_id.is_empty() && !server.identity.replication_id.is_empty());
}

#[tokio::test]
async fn ids_may_be_any_64_bit_number() {
    let gate = gate().await;
    let (smallest, largest) = (TicketId(i64::MIN), TicketId(i64::MAX));
    let session = SessionId(-1);
    let rows = SessionRows { stock: vec![(smallest, 1), (largest, 1)], ..SessionRows::default() };
    gate.load(session, Epoch(i64::MAX), &rows).await.expect("loaded");
    let order = by_user(i64::MIN, 9, whole("order", &[(smallest, 1), (largest, 1)]));
    let orders = vec![order.clone(), order];
    let batch = stock_worker::gate::ReserveBatch { session, epoch: Epoch(i64::MAX), orders };
    let answers = gate.reserve(&[batch]).await.expect("answered");
    assert_eq!(answers, [[ReserveAnswer::Ok, ReserveAnswer::Held]]);
    let record = gate.find(session, &[order_no("order")]).await.expect("answered").remove(0);
    assert_eq!(record.expect("held").user, Some(UserId(i64::MIN)));
}

#[tokio::test]
async fn what_a_script_can_not_read_is_refused_and_changes_nothing() {
    let prefix = unique_prefix();
    let gate = Gate::new(connection(), &prefix).expect("a valid prefix");
    let rows = SessionRows { stock: vec![(A, 5)], ..SessionRows::default() };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    let () = redis::cmd("HSET")
        .arg(format!("{prefix}{{s:{SESSION}}}:hold"))
        .arg("broken")
        .arg("nonsense")
        .query_async(&mut connection())
        .await
        .expect("written");
    let batch = stock_worker::gate::ReserveBatch {
        session: SESSION,
        epoch: EPOCH,
        orders: vec![whole("order", &[(A, 1)]), whole("broken", &[(A, 1)])],
    };
    let error = gate.reserve(&[batch]).await.expect_err("refused");
    assert!(matches!(error, GateError::Refused(_)), "{error:?}");
    assert_eq!(free(&gate, A).await, 5);
    let error = gate.find(SESSION, &[order_no("broken")]).await.expect_err("unreadable");
    assert!(matches!(error, GateError::Unreadable { .. }), "{error:?}");
}
