//! What the sale refuses, and what can't be read.

use common::bus::{Destination, OutgoingMessage};
use contracts::{SaleState, SessionId, Tag, TicketId};

use crate::world::{World, ours};

fn with_field(mut message: OutgoingMessage, field: &str, value: &str) -> OutgoingMessage {
    let mut body: serde_json::Value = serde_json::from_slice(&message.body).expect("JSON");
    body.pointer_mut(field).map(|found| *found = value.into()).expect("the field is there");
    message.body = body.to_string().into();
    message
}

#[tokio::test]
async fn what_the_sale_refuses_is_said_with_its_reason() {
    let world = World::selling(10, 10).await;
    let order = |order: &str| world.created(order, 1, &[(world.a, 1)]);
    let other_session = SessionId(world.session.get() + 1);
    world
        .run(vec![
            with_field(order("PRICE"), "/items/0/unitPrice", "9.99"),
            with_field(order("CURRENCY"), "/currency", "USD"),
            world.created("LIMIT", 1, &[(world.a, 9)]),
            world.created("TICKET", 1, &[(TicketId(world.b.get() + 1), 1)]),
            world.created_in(other_session, "SESSION", 1, &[(world.a, 1)]),
            order("GOOD"),
        ])
        .await;
    let cases = [
        ("PRICE", "price_changed"),
        ("CURRENCY", "currency"),
        ("LIMIT", "order_limit"),
        ("TICKET", "unknown_ticket"),
        ("SESSION", "unknown_session"),
    ];
    for (order, reason) in cases {
        assert_eq!(world.said(order), [format!("REJECTED reserve {reason}")]);
        assert!(world.hold(order).await.starts_with("RELEASED"), "{order}");
    }
    assert_eq!(world.said("GOOD"), ["DEDUCTED"]);
    world.audit().await;
}

#[tokio::test]
async fn a_closed_sale_holds_nothing_more_but_sells_what_is_held() {
    let world = World::selling(10, 10).await;
    world.run(vec![world.created("O1", 1, &[(world.a, 1)])]).await;
    world.set_state(world.session, SaleState::Closed).await;
    world.publish(vec![world.created("O2", 1, &[(world.a, 1)]), world.paid("O1")]).await;
    world.quiet().await;
    assert_eq!(world.said("O1"), ["DEDUCTED", "CONFIRMED"]);
    assert_eq!(world.said("O2"), ["REJECTED reserve sale_closed"]);
    world.audit().await;
}

#[tokio::test]
async fn unreadable_messages_are_dead_at_once_and_their_neighbours_go_on() {
    let world = World::selling(10, 10).await;
    let mut unknown_version = world.created("O9", 1, &[(world.a, 1)]);
    unknown_version.properties.insert("schemaVersion".to_owned(), "99".to_owned());
    world
        .run(vec![
            ours(Tag::OrderCreated, "O7", b"{not json".to_vec()),
            ours(Tag::OrderPaid, "O8", br#"{"orderNo":"O8","eventType":"CREATED"}"#.to_vec()),
            unknown_version,
            world.created("O1", 1, &[(world.a, 1)]),
        ])
        .await;
    let dead = world.bus.published().into_iter().filter(|message| {
        matches!(&message.destination, Destination::Dead { group, .. } if &**group == "stock-order")
    });
    let causes: Vec<String> = dead.map(|message| message.properties["error"].clone()).collect();
    assert_eq!(causes.len(), 3, "{causes:?}");
    for (cause, field) in causes.iter().zip(["body", "eventType", "schemaVersion"]) {
        assert!(cause.contains(field), "{cause} names {field}");
    }
    assert_eq!(world.said("O1"), ["DEDUCTED"]);
    world.audit().await;
}
