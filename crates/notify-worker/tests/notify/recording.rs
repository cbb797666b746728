use chrono::TimeDelta;
use common::bus::memory::MemoryOptions;
use common::bus::{Destination, Publisher as _};
use common::clock;
use contracts::{Channel, properties};
use serde_json::json;

use crate::world::{World, bare, event, ours};

#[tokio::test]
async fn each_channel_is_recorded_and_delivered_once() {
    let world = World::start().await;
    for channel in Channel::ALL {
        let body = ours(&format!("N-{channel}"), *channel);
        world.publish(vec![event(*channel, &body)]).await;
    }
    for channel in Channel::ALL {
        let row = world.status(&format!("N-{channel}"), "SENT").await;
        assert_eq!((row.version, row.attempt, row.is_sent), (2, 1, true));
        assert_eq!(row.body, None, "nobody needs it any more");
    }
    assert_eq!(world.fake.delivered().len(), 3);
    assert_eq!(world.fake.delivered()[0].order_no.as_deref(), Some("A1"));
    assert!(world.fake.delivered()[0].text.contains("A1"));
    assert_eq!(world.count("SELECT count(*) FROM notify.calls").await, 0);
    world.end().await;
}

#[tokio::test]
async fn an_event_that_is_delivered_twice_is_one_notification() {
    let options = MemoryOptions { copies: 2, ..MemoryOptions::default() };
    let world = World::with(options, |_| {}).await;
    let messages = (0..50).map(|n| event(Channel::Sms, &ours(&format!("N{n}"), Channel::Sms)));
    world.publish(messages.collect()).await;
    for n in 0..50 {
        world.status(&format!("N{n}"), "SENT").await;
    }
    let database = world.end().await;
    let count = |query| sqlx::query_scalar::<_, i64>(query).fetch_one(&database.pool);
    assert_eq!(count("SELECT count(*) FROM notify.notifications").await.expect("counted"), 50);
    assert_eq!(count("SELECT count(*) FROM notify.inbox").await.expect("counted"), 50);
    assert_eq!(
        count("SELECT count(*) FROM notify.notifications WHERE version = 2")
            .await
            .expect("counted"),
        50
    );
}

#[tokio::test]
async fn the_same_notification_under_two_event_ids_is_delivered_once() {
    let world = World::start().await;
    let body = ours("N1", Channel::Push);
    world.publish(vec![event(Channel::Push, &body)]).await;
    world.status("N1", "SENT").await;
    world.publish(vec![event(Channel::Push, &body)]).await;
    world.taken(2).await;
    assert_eq!(world.row("N1").await.expect("a row").version, 2);
    assert_eq!(world.fake.delivered().len(), 1);
    let outcomes: Vec<i16> =
        sqlx::query_scalar("SELECT outcome FROM notify.inbox ORDER BY seen_at")
            .fetch_all(world.pool())
            .await
            .expect("the inbox");
    assert_eq!(outcomes, [1, 2], "applied, then ignored");
    world.end().await;
}

#[tokio::test]
async fn two_messages_of_one_notification_in_a_batch_are_folded() {
    let world = World::start().await;
    let body = ours("N1", Channel::Email);
    let first = event(Channel::Email, &body);
    let batch = vec![first.clone(), event(Channel::Email, &body), first];
    world.publish(batch).await;
    world.taken(2).await;
    let row = world.status("N1", "SENT").await;
    assert_eq!((row.version, world.fake.delivered().len()), (2, 1));
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_dead_at_once_and_its_neighbours_are_delivered() {
    let world = World::start().await;
    let mut other_channel = ours("N1", Channel::Sms);
    other_channel["channel"] = json!("EMAIL");
    let mut no_user = ours("N2", Channel::Sms);
    no_user["userId"] = json!(null);
    let mut mistyped = ours("N3", Channel::Sms);
    mistyped["userId"] = json!("seven");
    let mut unknown_version = event(Channel::Sms, &ours("N4", Channel::Sms));
    unknown_version.properties.insert(properties::SCHEMA_VERSION.to_owned(), "99".to_owned());
    let bad = [
        (bare(Channel::Sms, "{not json"), "not JSON"),
        (bare(Channel::Sms, "[]"), "JSON object"),
        (event(Channel::Sms, &other_channel), "channel: EMAIL does not belong to tag SMS"),
        (event(Channel::Sms, &no_user), "userId: required"),
        (event(Channel::Sms, &mistyped), "userId: "),
        (unknown_version, "schemaVersion: version 99"),
    ];
    let mut batch = vec![event(Channel::Sms, &ours("GOOD-1", Channel::Sms))];
    batch.extend(bad.iter().map(|(message, _)| message.clone()));
    batch.push(event(Channel::Sms, &ours("GOOD-2", Channel::Sms)));
    world.publish(batch).await;

    let dead = world.dead_letters(bad.len()).await;
    for (message, cause) in bad {
        let letter = dead.iter().find(|letter| {
            letter.body == message.body && {
                letter.properties.get(properties::SCHEMA_VERSION)
                    == message.properties.get(properties::SCHEMA_VERSION)
            }
        });
        let letter = letter.unwrap_or_else(|| panic!("no dead letter for {cause}"));
        let group = "notify-sms".into();
        let topic = "NOTIFICATION_TOPIC".into();
        assert_eq!(letter.destination, Destination::Dead { group, topic });
        let found = &letter.properties[properties::ERROR];
        assert!(found.contains(cause), "{found:?} does not say {cause:?}");
    }
    world.status("GOOD-1", "SENT").await;
    world.status("GOOD-2", "SENT").await;
    assert_eq!(world.count("SELECT count(*) FROM notify.notifications").await, 2);
    world.end().await;
}

#[tokio::test]
async fn an_expired_notification_is_recorded_and_not_delivered() {
    let world = World::start().await;
    let mut late = ours("LATE", Channel::Sms);
    late["validUntil"] = json!(clock::now() - TimeDelta::seconds(1));
    let mut early = ours("EARLY", Channel::Sms);
    early["validUntil"] = json!(clock::now() + TimeDelta::hours(1));
    world.publish(vec![event(Channel::Sms, &late), event(Channel::Sms, &early)]).await;
    world.status("LATE", "EXPIRED").await;
    world.status("EARLY", "SENT").await;
    let ids: Vec<String> = world.fake.delivered().into_iter().map(|d| d.id).collect();
    assert_eq!(ids, ["EARLY"]);
    world.end().await;
}

#[tokio::test]
async fn a_suppressed_channel_is_recorded_and_not_delivered() {
    let world = World::start().await;
    sqlx::query("INSERT INTO notify.suppressions (user_id, channel) VALUES (7, 'SMS')")
        .execute(world.pool())
        .await
        .expect("inserted");
    world.publish(vec![event(Channel::Sms, &ours("N1", Channel::Sms))]).await;
    world.publish(vec![event(Channel::Push, &ours("N2", Channel::Push))]).await;
    world.status("N1", "SUPPRESSED").await;
    world.status("N2", "SENT").await;
    assert_eq!(world.fake.delivered().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn messages_without_an_envelope_or_an_id_are_told_apart_by_what_they_say() {
    let world = World::start().await;
    let text = |content: &str| json!({ "phone": "+41555", "content": content }).to_string();
    let batch = vec![
        bare(Channel::Sms, &text("one")),
        bare(Channel::Sms, &text("two")),
        bare(Channel::Sms, &text("one")),
    ];
    world.publish(batch).await;
    world.taken(2).await;
    let sent = "SELECT count(*) FROM notify.notifications WHERE status = 'SENT'";
    crate::world::wait("both", async || (world.count(sent).await == 2).then_some(())).await;
    assert_eq!(world.fake.delivered().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn an_outage_of_the_broker_loses_nothing_and_dead_letters_nothing() {
    let world = World::start().await;
    world.bus.go_away();
    let refused = world.bus.publish(vec![event(Channel::Sms, &ours("N1", Channel::Sms))]).await;
    assert!(refused[0].is_err());
    world.bus.come_back();
    world.publish(vec![event(Channel::Sms, &ours("N1", Channel::Sms))]).await;
    world.status("N1", "SENT").await;
    assert_eq!(world.bus.published().len(), 1, "nothing but the message itself");
    world.end().await;
}
