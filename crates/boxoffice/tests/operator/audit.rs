//! For every invariant: a violation is planted, and exactly that one is found.

use std::time::Duration;

use boxoffice::audit::{self, ForeignOrders, Options, Outcome, Quiet, SAMPLES_MAX};

use crate::world::World;

/// Plants rows and expects one invariant to be broken. S1 to S8 are asked alone: what breaks one
/// of them mostly breaks a Q, too.
macro_rules! planted {
    ($($name:ident: $quiet:ident, $id:literal, $sql:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let world = World::clean().await;
                world.sql($sql).await;
                let report = world.audit(Quiet::$quiet).await;
                assert_eq!(report.broken(), [$id], "{report:#?}");
                let finding =
                    report.findings.iter().find(|finding| finding.id == $id).expect("found");
                assert_eq!(finding.violations, 1, "{finding:#?}");
                assert_eq!(finding.samples.len(), 1);
            }
        )*
    };
}

planted! {
    s1_finds_a_counter_that_is_not_its_holds: Moving, "S1",
        "UPDATE stock.ticket_types SET reserved = reserved + 1";
    s1_finds_a_hold_that_no_counter_knows: Moving, "S1",
        "INSERT INTO stock.reservations (order_no, session_id, status, hold, version, lines) \
         VALUES ('X', 7, 'HELD', 1, 1, '[{\"ticket\":70,\"qty\":3,\"state\":\"HELD\"}]')";
    s1_finds_more_taken_than_there_is: Moving, "S1",
        "ALTER TABLE stock.ticket_types DROP CONSTRAINT ticket_types_stock; \
         UPDATE stock.ticket_types SET total = 3";
    s2_finds_more_tickets_on_paid_orders_than_there_are: Moving, "S2",
        "UPDATE orders.orders SET lines = '[[70,100,\"10.00\"]]' WHERE order_no = 'A'";
    s3_finds_a_confirmed_order_whose_hold_was_released: Moving, "S3",
        "UPDATE stock.reservations SET status = 'RELEASED', \
           lines = replace(lines, 'SOLD', 'RELEASED') WHERE order_no = 'A'; \
         UPDATE stock.ticket_types SET sold = sold - 2; \
         UPDATE stock.user_holds SET held = 0 WHERE user_id = 1";
    s4_finds_more_refunded_than_captured: Moving, "S4",
        "INSERT INTO orders.refunds (order_no, seq, session_id, payment_seq, amount, currency, \
           status, reason) VALUES ('F', 2, 7, 1, 0.01, 'EUR', 0, 'again')";
    s4_finds_a_refund_of_nothing: Moving, "S4",
        "INSERT INTO orders.refunds (order_no, seq, session_id, payment_seq, amount, currency, \
           status, reason) VALUES ('C', 1, 7, 1, 10, 'EUR', 1, 'why')";
    s5_finds_two_captures_that_stay: Moving, "S5",
        "DELETE FROM orders.refunds WHERE order_no = 'G'";
    s6_finds_an_ended_order_that_lives_again: Moving, "S6",
        "UPDATE orders.orders SET status = 3 WHERE order_no = 'C'";
    s6_finds_a_confirmed_order_that_was_cancelled: Moving, "S6",
        "UPDATE orders.orders SET status = 2, closed_at = now() WHERE order_no = 'A'";
    s6_finds_a_payment_after_the_end: Moving, "S6",
        "INSERT INTO orders.outbox SELECT batch_id, md5('x')::uuid, session_id, order_no, \
           destination, topic, consumer_group, 'ORDER_PAID', body, aggregate_version + 1, \
           occurred_at, causation_id, traceparent, properties, dead_reason \
         FROM orders.outbox WHERE order_no = 'D' AND tag = 'ORDER_CANCELLED'";
    s7_finds_a_user_count_that_is_not_the_holds: Moving, "S7",
        "UPDATE stock.user_holds SET held = held + 1 WHERE user_id = 2";
    s7_finds_a_user_above_the_limit: Moving, "S7",
        "UPDATE stock.sessions SET per_user_limit = 1";
    s8_finds_an_event_with_two_effects: Moving, "S8",
        "INSERT INTO stock.outbox SELECT batch_id, md5('x')::uuid, session_id, order_no, \
           destination, topic, consumer_group, tag, body, aggregate_version, occurred_at, \
           causation_id, traceparent, properties, dead_reason \
         FROM stock.outbox WHERE order_no = 'A' AND tag = 'STOCK_DEDUCTED'";
    s8_finds_an_effect_that_no_inbox_knows: Moving, "S8",
        "DELETE FROM stock.inbox WHERE event_id = md5('BORDER_CREATED')::uuid";
    q1_finds_a_hold_without_an_order: Assumed, "Q1",
        "DELETE FROM orders.orders WHERE order_no = 'B'";
    q1_finds_an_order_without_a_hold: Assumed, "Q1",
        "INSERT INTO orders.orders SELECT 'X', session_id, show_id, user_id, caller, 'X', \
           request_hash, lines, currency, total, status, version, reason, payment_method, \
           channels, created_at, expires_at, deadline_at, reserved_at \
         FROM orders.orders WHERE order_no = 'B'";
    q1_finds_an_order_that_is_stuck: Assumed, "Q1",
        "UPDATE orders.orders SET status = 1 WHERE order_no = 'B'";
    q1_finds_an_order_that_outlived_its_deadline: Assumed, "Q1",
        "UPDATE orders.orders SET deadline_at = now() - interval '1 minute' WHERE order_no = 'B'";
    q1_finds_an_order_with_other_lines_than_its_hold: Assumed, "Q1",
        "UPDATE orders.orders SET lines = '[[70,2,\"10.00\"]]' WHERE order_no = 'B'";
    q3_finds_money_kept_for_nothing: Assumed, "Q3",
        "INSERT INTO orders.payments (order_no, seq, session_id, method, amount, currency, status, \
           captured) VALUES ('D', 1, 7, 'instant', 10, 'EUR', 2, 10)";
    q3_finds_a_refund_that_waits_for_an_operator: Assumed, "Q3",
        "UPDATE orders.payments SET method = 'instant' WHERE order_no = 'G' AND seq = 2; \
         UPDATE orders.refunds SET status = 2 WHERE order_no = 'G'";
    q4_finds_an_event_that_is_not_published: Assumed, "Q4",
        "UPDATE orders.outbox_batches SET sent_at = NULL \
         WHERE batch_id = md5('CEMAIL')::uuid";
    q4_finds_an_event_of_no_batch: Assumed, "Q4",
        "DELETE FROM orders.outbox_batches WHERE batch_id = md5('CEMAIL')::uuid";
    q4_finds_an_event_that_was_refused: Assumed, "Q4",
        "UPDATE stock.outbox SET dead_reason = 'too large' \
         WHERE event_id = md5('CSTOCK_ROLLED_BACK')::uuid";
    q4_finds_an_event_that_nobody_took: Assumed, "Q4",
        "DELETE FROM notify.inbox WHERE event_id = md5('CEMAIL')::uuid";
    q5_finds_a_buyer_who_was_not_told: Assumed, "Q5",
        "DELETE FROM notify.notifications WHERE order_no = 'C'";
    q5_finds_a_buyer_who_was_told_what_is_not_so: Assumed, "Q5",
        "INSERT INTO notify.notifications (notification_id, order_no, channel, template, status, \
           version, attempt) VALUES ('A-expired-EMAIL', 'A', 'EMAIL', 'order.expired', 'SENT', 1, 1)";
    q5_finds_a_buyer_who_was_told_twice: Assumed, "Q5",
        "INSERT INTO notify.notifications (notification_id, order_no, channel, template, status, \
           version, attempt) VALUES ('other', 'A', 'EMAIL', 'order.confirmed', 'SENT', 1, 1)";
    q5_finds_a_notification_that_never_left: Assumed, "Q5",
        "UPDATE notify.notifications SET status = 'PENDING' WHERE order_no = 'D'";
    q6_finds_a_replay_that_never_ended: Assumed, "Q6",
        "INSERT INTO dlq.dead_letters (id, consumer_group, event_id, event_id_derived, \
           content_hash, tag, message_key, body, properties, status, cause, attempts, died_at, \
           event_at) VALUES (md5('d')::uuid, 'stock-order', md5('x')::uuid, false, '', \
           'ORDER_PAID', 'A', '', '{}', 'replaying', 'no', 1, now(), now())";
    q6_finds_a_replay_that_had_no_effect: Assumed, "Q6",
        "INSERT INTO dlq.dead_letters (id, consumer_group, event_id, event_id_derived, \
           content_hash, tag, message_key, body, properties, status, cause, attempts, died_at, \
           event_at) VALUES (md5('d')::uuid, 'stock-order', md5('x')::uuid, false, '', \
           'ORDER_PAID', 'A', '', '{}', 'replayed', 'no', 1, now(), now())";
}

#[tokio::test]
async fn a_clean_system_has_no_finding() {
    let world = World::clean().await;
    let report = world.audit(Quiet::Assumed).await;
    assert!(report.is_clean(), "{report:#?}");
    let ids: Vec<&str> = report.findings.iter().map(|finding| finding.id).collect();
    let all = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "Q1", "Q2", "Q3", "Q4", "Q5", "Q6"];
    assert_eq!(ids, all);
    assert!(report.findings.iter().all(|finding| finding.outcome == Outcome::Checked));
    assert_eq!(report.counts["orders.CONFIRMED"], 2);
    assert_eq!(report.counts["tickets.sold"], 3);
}

#[tokio::test]
async fn q2_finds_every_difference_between_redis_and_postgresql() {
    let mut world = World::clean().await;
    for plant in [
        "HSET @:hold A 1|1|29500000|70x2H",
        "HSET @:hold A 1|1|29500000|70x1S",
        "HSET @:hold A 2|1|29500000|70x2S",
        "HSET @:hold A 1|9|29500000|70x2S",
        "HSET @:hold A nonsense",
        "HDEL @:hold B",
        "HDEL @:hold C",
        "HSET @:hold C 1|3|29500000|70x1H",
        "HSET @:hold X 1|3|29500000|70x1H",
        "HINCRBY @:stock 70 1",
        "HDEL @:stock 70",
        "HINCRBY @:user 1 1",
        "HDEL @:user 1",
        "HSET @:user 9 1",
        "SET @:epoch 2",
        "DEL @:epoch",
    ] {
        world.redis(plant).await;
        let report = world.audit(Quiet::Assumed).await;
        assert_eq!(report.broken(), ["Q2"], "{plant}: {report:#?}");
        assert_eq!(report.violations(), 1, "{plant}: {report:#?}");
        world.reset_redis().await;
    }
}

#[tokio::test]
async fn q2_knows_what_redis_need_not_have() {
    let mut world = World::clean().await;
    world.sql("UPDATE stock.reservations SET updated_at = now() - interval '8 days'").await;
    for gone in ["HDEL @:hold A", "HDEL @:hold C", "HSET @:user 8 0"] {
        world.redis(gone).await;
    }
    assert!(world.broken().await.is_empty());
    world.redis("HDEL @:hold B").await;
    assert_eq!(world.broken().await, ["Q2"]);
}

#[tokio::test]
async fn q3_finds_tickets_that_nobody_paid() {
    let world = World::clean().await;
    world.sql("UPDATE orders.payments SET status = 4 WHERE order_no = 'A'").await;
    world.books.lock().expect("books").orders.remove(0);
    let report = world.audit(Quiet::Assumed).await;
    assert_eq!((report.broken(), report.violations()), (vec!["Q3"], 1), "{report:#?}");
}

#[tokio::test]
async fn q3_finds_every_difference_to_the_providers_books() {
    let world = World::clean().await;
    let orders = world.books.lock().expect("books").orders.clone();
    let differences = [
        vec![("A", "20", "0"), ("F", "10", "9.99"), ("G", "20", "10")],
        vec![("F", "10", "10"), ("G", "20", "10")],
        vec![("A", "20", "0"), ("C", "10", "0"), ("F", "10", "10"), ("G", "20", "10")],
    ];
    for difference in differences {
        world.books.lock().expect("books").orders = difference;
        let report = world.audit(Quiet::Assumed).await;
        assert_eq!((report.broken(), report.violations()), (vec!["Q3"], 1), "{report:#?}");
    }
    {
        let mut books = world.books.lock().expect("books");
        books.orders = orders;
        books.forgeries_believed = 1;
    }
    assert_eq!(world.broken().await, ["Q3"]);
}

#[tokio::test]
async fn an_event_that_was_dead_lettered_has_arrived_in_the_archive() {
    let world = World::clean().await;
    world.sql("DELETE FROM notify.inbox WHERE event_id = md5('CEMAIL')::uuid").await;
    world
        .sql(
            "INSERT INTO dlq.dead_letters (id, consumer_group, event_id, event_id_derived, \
               content_hash, tag, message_key, body, properties, status, cause, attempts, \
               died_at, event_at) VALUES (md5('d')::uuid, 'notify-email', md5('CEMAIL')::uuid, \
               false, '', 'EMAIL', 'C', '', '{}', 'waiting', 'no', 1, now(), now())",
        )
        .await;
    assert!(world.broken().await.is_empty());
}

#[tokio::test]
async fn a_replay_that_the_group_has_taken_has_ended_well() {
    let world = World::clean().await;
    world
        .sql(
            "INSERT INTO dlq.dead_letters (id, consumer_group, event_id, event_id_derived, \
               content_hash, tag, message_key, body, properties, status, cause, attempts, \
               died_at, event_at) VALUES (md5('d')::uuid, 'stock-order', \
               md5('AORDER_PAID')::uuid, false, '', 'ORDER_PAID', 'A', '', '{}', 'replayed', \
               'no', 1, now(), now())",
        )
        .await;
    assert!(world.broken().await.is_empty());
}

#[tokio::test]
async fn orders_made_elsewhere_may_be_allowed() {
    let world = World::clean().await;
    world.sql("DELETE FROM orders.orders WHERE order_no = 'B'").await;
    let options = Options { quiet: Quiet::Assumed, foreign_orders: ForeignOrders::Allowed };
    let report = audit::run(&world.target(), &options, |_| {}).await.expect("an audit");
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test]
async fn a_moving_system_is_asked_only_what_always_holds() {
    let world = World::clean().await;
    world.sql("UPDATE orders.outbox_batches SET sent_at = NULL").await;
    let report = world.audit(Quiet::Moving).await;
    assert!(report.is_clean());
    let skipped =
        report.findings.iter().filter(|finding| finding.outcome != Outcome::Checked).count();
    assert_eq!(skipped, 6);
}

#[tokio::test]
async fn quiet_is_waited_for_and_what_never_rests_is_a_violation() {
    let world = World::clean().await;
    let settled = world.audit(Quiet::Within(Duration::from_secs(20))).await;
    assert!(settled.is_clean() && settled.in_flight.is_some_and(|left| left.is_nothing()));

    world
        .sql("UPDATE orders.outbox_batches SET sent_at = NULL WHERE batch_id = md5('CEMAIL')::uuid")
        .await;
    let restless = world.audit(Quiet::Within(Duration::from_millis(300))).await;
    assert_eq!(restless.in_flight.expect("waited").events_pending, 1);
    assert_eq!(restless.broken(), ["Q4"]);
}

#[tokio::test]
async fn all_violations_are_counted_and_some_are_shown() {
    let world = World::clean().await;
    world
        .sql(
            "INSERT INTO notify.notifications (notification_id, channel, template, status, \
               version, attempt) SELECT 'n' || i, 'SMS', NULL, 'PENDING', 1, 1 \
             FROM generate_series(1, 50) AS i",
        )
        .await;
    let report = world.audit(Quiet::Assumed).await;
    let finding = report.findings.iter().find(|finding| finding.id == "Q5").expect("there");
    assert_eq!((finding.violations, finding.samples.len()), (50, SAMPLES_MAX));
}

#[tokio::test]
async fn a_database_without_the_tables_is_no_clean_system() {
    let world = World::clean().await;
    world.sql("DROP SCHEMA notify CASCADE").await;
    let failed = audit::run(&world.target(), &Options::default(), |_| {}).await;
    let text = failed.expect_err("no verdict").to_string();
    assert!(text.contains("notify.notifications"), "{text}");
}
