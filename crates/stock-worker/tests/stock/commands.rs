//! Java services' commands: no envelope, line by line, the operation in the body.

use common::bus::OutgoingMessage;
use contracts::{Tag, TicketId};
use serde_json::json;

use crate::world::{World, foreign};

/// As a Java service writes it; CONFIRM travels under the tag of SYNC.
fn command(
    operation: &str,
    order: Option<&str>,
    ticket: TicketId,
    quantity: i32,
) -> OutgoingMessage {
    let tag = match operation {
        "DEDUCT" => Tag::StockDeduct,
        "ROLLBACK" => Tag::StockRollback,
        _ => Tag::StockSync,
    };
    let body = json!({
        "ticketId": ticket.get(), "quantity": quantity, "operation": operation,
        "orderNo": order, "eventTime": "2026-11-21T07:12:19.553003312", "extData": null,
    });
    foreign(tag, body.to_string().into_bytes())
}

#[tokio::test]
async fn lines_are_added_one_by_one_then_sold() {
    let world = World::selling(10, 10).await;
    let (a, b) = (world.a, world.b);
    world
        .run(vec![
            command("DEDUCT", Some("J1"), a, 2),
            command("DEDUCT", Some("J1"), b, 1),
            command("DEDUCT", Some("J2"), a, 1),
        ])
        .await;
    assert_eq!(world.hold("J1").await, "HELD 1x2H 2x1H");
    world
        .publish(vec![
            command("CONFIRM", Some("J1"), a, 2),
            command("CONFIRM", Some("J1"), b, 1),
            command("ROLLBACK", Some("J2"), a, 1),
        ])
        .await;
    world.quiet().await;
    assert_eq!(world.said("J1"), ["DEDUCTED", "DEDUCTED", "CONFIRMED", "CONFIRMED"]);
    assert_eq!(world.hold("J1").await, "SOLD 1x2S 2x1S");
    assert_eq!(world.said("J2"), ["DEDUCTED", "ROLLED_BACK"]);
    world.audit().await;
}

#[tokio::test]
async fn a_command_that_is_delivered_again_has_the_same_id_and_no_effect() {
    let world = World::selling(10, 10).await;
    let deduct = command("DEDUCT", Some("J1"), world.a, 2);
    world.run(vec![deduct.clone(), deduct.clone()]).await;
    world.publish(vec![deduct]).await;
    world.quiet().await;
    assert_eq!(world.said("J1"), ["DEDUCTED"]);
    assert_eq!(world.counters().await, (2, 0));
    world.audit().await;
}

#[tokio::test]
async fn a_confirmation_before_its_deduction_comes_again() {
    let world = World::selling(10, 10).await;
    world
        .run(vec![
            command("CONFIRM", Some("J1"), world.a, 1),
            command("DEDUCT", Some("J1"), world.a, 1),
        ])
        .await;
    assert_eq!(world.said("J1"), ["DEDUCTED", "CONFIRMED"]);
    world.audit().await;
}

#[tokio::test]
async fn a_line_that_is_sold_out_leaves_the_others_held() {
    let world = World::selling(10, 1).await;
    let (a, b) = (world.a, world.b);
    world.run(vec![command("DEDUCT", Some("J1"), a, 2), command("DEDUCT", Some("J1"), b, 2)]).await;
    assert_eq!(world.said("J1"), ["DEDUCTED", "REJECTED reserve sold_out"]);
    assert_eq!(world.hold("J1").await, "HELD 1x2H 2x0R");
    world.audit().await;
}

#[tokio::test]
async fn a_rollback_before_its_deduction_leaves_a_tombstone() {
    let world = World::selling(10, 10).await;
    world.run(vec![command("ROLLBACK", Some("J1"), world.a, 1)]).await;
    world.publish(vec![command("DEDUCT", Some("J1"), world.a, 1)]).await;
    world.quiet().await;
    assert_eq!(world.said("J1"), ["ROLLED_BACK", "REJECTED reserve released"]);
    assert_eq!(world.counters().await, (0, 0));
    world.audit().await;
}

#[tokio::test]
async fn sync_asks_for_a_comparison_and_changes_nothing() {
    let world = World::selling(10, 10).await;
    world
        .run(vec![command("SYNC", None, world.a, 0x7), command("SYNC", Some("J1"), world.a, 1)])
        .await;
    let requested = "SELECT count(*) FROM stock.repairs WHERE kind = 'comparison_requested'";
    assert_eq!(world.count(requested).await, 2);
    assert_eq!(world.hold("J1").await, "none");
    assert!(world.said("J1").is_empty());
    world.audit().await;
}
