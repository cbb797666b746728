//! What reserve and settle answer, case by case.

use common::config::RedisConfig;
use stock_worker::gate::HoldState::{Held, Released, Sold};
use stock_worker::gate::{
    Epoch, Gate, GateError, MAX_ORDERS_PER_CALL, ReserveAnswer, ReserveBatch, ReserveOrder,
    SettleAnswer, SettleBatch, SettleOrder,
};

use crate::real::{
    A, B, EPOCH, SESSION, UNKNOWN, added, by_user, connection, contents, free, gate, hold, loaded,
    order_no, reserve, says, settle, whole,
};

#[tokio::test]
async fn an_order_is_held_once_and_found_after_sell_out() {
    let gate = loaded(2, 0).await;
    let order = whole("first", &[(A, 2)]);
    let answers = reserve(&gate, &[order.clone(), order.clone(), whole("second", &[(A, 1)])]).await;
    assert_eq!(answers, [ReserveAnswer::Ok, ReserveAnswer::Held, ReserveAnswer::SoldOut]);
    assert_eq!(reserve(&gate, &[order]).await, [ReserveAnswer::Held]);
    assert_eq!(free(&gate, A).await, 0);
    assert_eq!(contents(&gate).await.records.len(), 1, "a refusal writes nothing");
}

#[tokio::test]
async fn all_lines_are_held_or_none() {
    let gate = loaded(5, 1).await;
    let answers = reserve(&gate, &[whole("order", &[(A, 2), (B, 2)])]).await;
    assert_eq!(answers, [ReserveAnswer::SoldOut]);
    assert_eq!((free(&gate, A).await, free(&gate, B).await), (5, 1));
}

#[tokio::test]
async fn a_ticket_type_that_the_session_does_not_have_is_sold_out() {
    let gate = loaded(5, 5).await;
    let answers = reserve(&gate, &[whole("order", &[(A, 1), (UNKNOWN, 1)])]).await;
    assert_eq!(answers, [ReserveAnswer::SoldOut]);
    assert_eq!(free(&gate, A).await, 5);
}

#[tokio::test]
async fn two_orders_of_one_user_in_one_call_share_the_limit() {
    let gate = loaded(10, 0).await;
    let of = |order: &str| by_user(1, 3, whole(order, &[(A, 2)]));
    let answers = reserve(&gate, &[of("first"), of("second"), of("first")]).await;
    assert_eq!(answers, [ReserveAnswer::Ok, ReserveAnswer::UserLimit, ReserveAnswer::Held]);
    assert_eq!(free(&gate, A).await, 8);
    settle(&gate, &[says("first", &[(A, 2, Released)])]).await;
    assert_eq!(reserve(&gate, &[of("second")]).await, [ReserveAnswer::Ok]);
}

#[tokio::test]
async fn a_release_that_comes_first_leaves_a_tombstone() {
    let gate = loaded(2, 0).await;
    assert_eq!(settle(&gate, &[says("order", &[])]).await, [SettleAnswer::Ok]);
    let answers = reserve(&gate, &[whole("order", &[(A, 1)]), added("order", &[(A, 1)])]).await;
    assert_eq!(answers, [ReserveAnswer::Released; 2]);
    assert_eq!(free(&gate, A).await, 2);
}

#[tokio::test]
async fn other_lines_are_a_mismatch() {
    let gate = loaded(5, 5).await;
    let order = whole("order", &[(A, 2)]);
    let others =
        [whole("order", &[(A, 1)]), whole("order", &[(B, 2)]), whole("order", &[(A, 2), (B, 1)])];
    assert_eq!(reserve(&gate, &[order]).await, [ReserveAnswer::Ok]);
    assert_eq!(reserve(&gate, &others).await, [ReserveAnswer::Mismatch; 3]);
    assert_eq!((free(&gate, A).await, free(&gate, B).await), (3, 5));
}

#[tokio::test]
async fn a_java_service_adds_line_by_line() {
    let gate = loaded(5, 5).await;
    let answers = reserve(
        &gate,
        &[
            added("order", &[(A, 2)]),
            added("order", &[(B, 1)]),
            added("order", &[(A, 2)]),
            added("order", &[(A, 1)]),
        ],
    )
    .await;
    use ReserveAnswer::{Mismatch, Ok};
    assert_eq!(answers, [Ok, Ok, ReserveAnswer::Held, Mismatch]);
    assert_eq!((free(&gate, A).await, free(&gate, B).await), (3, 4));

    settle(&gate, &[says("order", &[(A, 2, Released), (B, 1, Sold)])]).await;
    let answers = reserve(&gate, &[added("order", &[(A, 2)]), added("order", &[(B, 1)])]).await;
    assert_eq!(answers, [ReserveAnswer::Released, ReserveAnswer::Sold]);
    assert_eq!((free(&gate, A).await, free(&gate, B).await), (5, 4));
}

#[tokio::test]
async fn a_reservation_that_postgresql_refused_is_given_back() {
    let gate = loaded(5, 5).await;
    let order = by_user(1, 9, whole("order", &[(A, 2), (B, 1)]));
    assert_eq!(reserve(&gate, &[order]).await, [ReserveAnswer::Ok]);
    assert_eq!(settle(&gate, &[says("order", &[])]).await, [SettleAnswer::Ok]);
    let after = contents(&gate).await;
    assert_eq!((after.stock[&A], after.stock[&B], after.users.len()), (5, 5, 0));
}

#[tokio::test]
async fn what_is_over_stays_over() {
    let gate = loaded(5, 0).await;
    let [held, sold, released] =
        [Held, Sold, Released].map(|state| says("order", &[(A, 2, state)]));
    use SettleAnswer::{Ok, Same};
    let answers = settle(&gate, &[held.clone(), sold.clone(), sold, held.clone(), released]).await;
    assert_eq!(answers, [Ok, Ok, Same, Same, Same]);
    assert_eq!(free(&gate, A).await, 3);

    let over = |lines| SettleOrder { order_no: order_no("other"), ..says("other", lines) };
    let answers = settle(&gate, &[over(&[(A, 1, Released)]), over(&[(A, 1, Held)])]).await;
    assert_eq!(answers, [Ok, Same]);
    assert_eq!(free(&gate, A).await, 3);
}

#[tokio::test]
async fn what_postgresql_granted_is_taken_even_when_nothing_is_free() {
    let gate = loaded(1, 0).await;
    assert_eq!(reserve(&gate, &[whole("first", &[(A, 1)])]).await, [ReserveAnswer::Ok]);
    assert_eq!(settle(&gate, &[says("second", &[(A, 1, Held)])]).await, [SettleAnswer::Ok]);
    assert_eq!(free(&gate, A).await, -1);
    assert_eq!(reserve(&gate, &[whole("third", &[(A, 1)])]).await, [ReserveAnswer::SoldOut]);
    settle(&gate, &[says("first", &[])]).await;
    assert_eq!(reserve(&gate, &[whole("third", &[(A, 1)])]).await, [ReserveAnswer::SoldOut]);
}

#[tokio::test]
async fn a_later_hold_starts_again_and_an_earlier_one_is_late() {
    let gate = loaded(2, 0).await;
    let first = by_user(1, 2, whole("order", &[(A, 2)]));
    let second = ReserveOrder { hold: hold(2), ..first.clone() };
    reserve(&gate, std::slice::from_ref(&first)).await;
    // Redis has not heard of the release: what the first hold has is the second's.
    assert_eq!(reserve(&gate, std::slice::from_ref(&second)).await, [ReserveAnswer::Ok]);
    assert_eq!(free(&gate, A).await, 0);
    assert_eq!(reserve(&gate, &[first, second]).await, [ReserveAnswer::Held; 2]);
    assert_eq!(settle(&gate, &[says("order", &[])]).await, [SettleAnswer::Same]);

    let third = SettleOrder { hold: hold(3), ..says("order", &[(A, 1, Sold)]) };
    assert_eq!(settle(&gate, &[third]).await, [SettleAnswer::Ok]);
    assert_eq!(free(&gate, A).await, 1);
}

#[tokio::test]
async fn sessions_are_answered_in_one_call_each_by_its_own_epoch() {
    let gate = loaded(5, 0).await;
    let batch = |session, epoch| ReserveBatch {
        session,
        epoch,
        orders: vec![whole("order", &[(A, 1)]), whole("other", &[(A, 1)])],
    };
    let absent = contracts::SessionId(8);
    let batches = [batch(SESSION, EPOCH), batch(SESSION, Epoch(2)), batch(absent, EPOCH)];
    let answers = gate.reserve(&batches).await.expect("answered");
    use ReserveAnswer::{NotLoaded, Ok, StaleEpoch};
    assert_eq!(answers, [[Ok, Ok], [StaleEpoch, StaleEpoch], [NotLoaded, NotLoaded]]);

    let settled = |session, epoch| SettleBatch { session, epoch, orders: vec![says("order", &[])] };
    let batches = [settled(SESSION, EPOCH), settled(SESSION, Epoch(4)), settled(absent, EPOCH)];
    let answers = gate.settle(&batches).await.expect("answered");
    let expected = [SettleAnswer::Ok, SettleAnswer::StaleEpoch, SettleAnswer::NotLoaded];
    assert_eq!(answers.concat(), expected);
}

#[tokio::test]
async fn a_long_batch_is_answered_in_order_over_several_calls() {
    let gate = loaded(i64::try_from(MAX_ORDERS_PER_CALL).expect("small") + 1, 0).await;
    let count = 2 * MAX_ORDERS_PER_CALL + 3;
    let orders: Vec<_> = (0..count).map(|i| whole(&format!("order-{i}"), &[(A, 1)])).collect();
    let answers = reserve(&gate, &orders).await;
    assert_eq!(answers.len(), count);
    for (i, answer) in answers.into_iter().enumerate() {
        let held = i <= MAX_ORDERS_PER_CALL;
        let expected = if held { ReserveAnswer::Ok } else { ReserveAnswer::SoldOut };
        assert_eq!(answer, expected, "order {i}");
    }
}

#[tokio::test]
async fn the_largest_call_fits_into_a_script() {
    let gate = gate().await;
    let lines = |order: i64| (0..8).map(move |line| contracts::TicketId(8 * order + line));
    let count = i64::try_from(MAX_ORDERS_PER_CALL).expect("small");
    let stock = (0..count).flat_map(lines).map(|ticket| (ticket, 1)).collect();
    let rows = stock_worker::gate::SessionRows { stock, ..Default::default() };
    gate.load(SESSION, EPOCH, &rows).await.expect("loaded");
    let order = |i| {
        let lines: Vec<_> = lines(i).map(|ticket| (ticket, 1)).collect();
        by_user(i, 8, whole(&format!("order-{i}"), &lines))
    };
    let orders: Vec<_> = (0..count).map(order).collect();
    assert!(reserve(&gate, &orders).await.iter().all(|&answer| answer == ReserveAnswer::Ok));
    let released: Vec<_> = (0..count).map(|i| says(&format!("order-{i}"), &[])).collect();
    assert!(settle(&gate, &released).await.iter().all(|&answer| answer == SettleAnswer::Ok));
    assert!(contents(&gate).await.stock.values().all(|&free| free == 1));
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let gate = loaded(5, 0).await;
    let mut connection = connection();
    for (order, expected) in [("first", 4), ("second", 3)] {
        let () = redis::cmd("SCRIPT")
            .arg("FLUSH")
            .query_async(&mut connection)
            .await
            .expect("scripts forgotten");
        assert_eq!(reserve(&gate, &[whole(order, &[(A, 1)])]).await, [ReserveAnswer::Ok]);
        assert_eq!(free(&gate, A).await, expected);
    }
}

#[tokio::test]
async fn without_an_answer_the_outcome_is_unknown() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("bound");
    drop(closed);
    let url = format!("redis://{address}").parse().expect("a URL");
    let config = RedisConfig { url, ..RedisConfig::default() };
    let gate = Gate::new(common::redis::connect(&config), "").expect("a valid prefix");
    let batch =
        ReserveBatch { session: SESSION, epoch: EPOCH, orders: vec![whole("order", &[(A, 1)])] };
    let error = gate.reserve(&[batch]).await.expect_err("nobody is there");
    assert!(matches!(error, GateError::Away(_)), "{error:?}");
}
