use bytes::Bytes;
use common::bus::memory::MemoryOptions;
use common::bus::{Destination, OutgoingMessage};
use contracts::{Channel, properties};
use serde_json::json;

use crate::fake::{later, never};
use crate::world::{World, event, ours, wait};

#[tokio::test]
async fn what_fails_for_the_moment_is_tried_again_under_the_same_id() {
    let world = World::start().await;
    world.fake.fail_next([later("busy"), later("still busy")]);
    world.publish(vec![event(Channel::Sms, &ours("N1", Channel::Sms))]).await;
    let row = world.status("N1", "SENT").await;
    assert_eq!((row.attempt, row.last_error, world.fake.tries()), (3, None, 3));
    assert_eq!(world.fake.delivered()[0].id, "N1");
    assert_eq!(world.count("SELECT count(*) FROM notify.calls").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_retry_waits_with_its_cause_until_it_is_due() {
    let configure = |config: &mut notify_worker::Config| {
        config.delivery.retry_delays_ms = vec![3_600_000];
    };
    let world = World::with(MemoryOptions::default(), configure).await;
    world.fake.fail_next([later("busy")]);
    world.publish(vec![event(Channel::Sms, &ours("N1", Channel::Sms))]).await;
    wait("the second attempt", async || world.row("N1").await.filter(|row| row.attempt == 2)).await;
    let row = world.row("N1").await.expect("a row");
    assert_eq!((&*row.status, row.last_error.as_deref()), ("PENDING", Some("busy")));
    assert!(row.body.is_some(), "it is still to be delivered");
    let due = "SELECT extract(epoch FROM lease_until - now())::int8 FROM notify.calls";
    assert!((3_500..=3_600).contains(&world.count(due).await));
    // Somebody makes it due.
    sqlx::query("UPDATE notify.calls SET lease_until = now()")
        .execute(world.pool())
        .await
        .expect("updated");
    assert_eq!(world.status("N1", "SENT").await.attempt, 2);
    world.end().await;
}

#[tokio::test]
async fn what_can_never_be_delivered_is_dead_with_its_cause_and_a_replay_tries_again() {
    let world = World::start().await;
    world.fake.fail_next([never("no such number")]);
    let message = event(Channel::Sms, &ours("N1", Channel::Sms));
    world.publish(vec![message.clone()]).await;
    let row = world.status("N1", "FAILED").await;
    assert_eq!((row.last_error.as_deref(), row.body), (Some("no such number"), None));

    let letter = world.dead_letters(1).await.remove(0);
    let (group, topic) = ("notify-sms".into(), "NOTIFICATION_TOPIC".into());
    assert_eq!(letter.destination, Destination::Dead { group, topic });
    assert_eq!((&letter.body, &*letter.tag, &*letter.key), (&message.body, "SMS", "A1"));
    assert_eq!(letter.properties[properties::ERROR], "1: no such number");
    assert_eq!(letter.properties[properties::ATTEMPT], "1");
    assert!(letter.properties[properties::WORKER].starts_with("notify-worker/"));
    let id = &letter.properties[properties::EVENT_ID];
    assert_ne!(id, &message.properties[properties::EVENT_ID], "an event id of its own");

    let replay = replayed(&letter);
    world.publish(vec![replay.clone()]).await;
    let row = world.status("N1", "SENT").await;
    assert_eq!((row.attempt, row.last_error), (1, None));
    world.publish(vec![replay]).await;
    world.taken(2).await;
    assert_eq!(world.fake.delivered().len(), 1, "the replay is known now");
    world.end().await;
}

#[tokio::test]
async fn the_last_attempt_gives_up_and_a_replay_starts_anew() {
    let configure = |config: &mut notify_worker::Config| config.delivery.attempts_max = 2;
    let world = World::with(MemoryOptions::default(), configure).await;
    world.fake.fail_next([later("busy"), later("busy"), later("busy")]);
    world.publish(vec![event(Channel::Push, &ours("N1", Channel::Push))]).await;
    let row = world.status("N1", "FAILED").await;
    assert_eq!(row.last_error.as_deref(), Some("gave up after 2 attempts: busy"));
    let letter = world.dead_letters(1).await.remove(0);
    assert_eq!(letter.properties[properties::ERROR], "2: gave up after 2 attempts: busy");
    world.publish(vec![replayed(&letter)]).await;
    assert_eq!(world.status("N1", "SENT").await.attempt, 2);
    world.end().await;
}

#[tokio::test]
async fn an_unknown_template_is_dead_until_the_table_has_it() {
    let world = World::start().await;
    let mut body = ours("N1", Channel::Email);
    body["template"] = json!("show.moved");
    body["params"] = json!({ "to": "the arena" });
    world.publish(vec![event(Channel::Email, &body)]).await;
    let row = world.status("N1", "FAILED").await;
    assert_eq!(row.last_error.as_deref(), Some("template \"show.moved\" is unknown"));
    let letter = world.dead_letters(1).await.remove(0);
    sqlx::query(
        "INSERT INTO notify.templates (template, locale, subject, body) \
         VALUES ('show.moved', 'en', 'Moved', 'To {{to}}: {{orderNo}}')",
    )
    .execute(world.pool())
    .await
    .expect("inserted");
    // The table is read every few milliseconds; until then a replay fails again.
    let mut letter = letter;
    let mut count = 1;
    let delivered = loop {
        world.publish(vec![replayed(&letter)]).await;
        count += 1;
        world.taken(count).await;
        let row =
            wait("an end", async || world.row("N1").await.filter(|row| row.status != "PENDING"))
                .await;
        if row.status == "SENT" {
            break world.fake.delivered();
        }
        let letters = usize::try_from(count).expect("few");
        letter = world.dead_letters(letters).await.remove(letters - 1);
    };
    assert_eq!(delivered[0].subject.as_deref(), Some("Moved"));
    assert_eq!(delivered[0].text, "To the arena: A1");
    world.end().await;
}

#[tokio::test]
async fn a_channel_that_is_away_pauses_counts_no_attempt_and_shows_in_readiness() {
    let world = World::start().await;
    world.fake.set_away(true);
    let bodies = (0..20).map(|n| event(Channel::Sms, &ours(&format!("N{n}"), Channel::Sms)));
    world.publish(bodies.collect()).await;
    wait("some tries", async || (world.fake.tries() > 40).then_some(())).await;
    let away = || {
        let snapshot = world.life.readiness.snapshot();
        let fake = snapshot.dependencies.into_iter().find(|d| d.name == "fake").expect("listed");
        (snapshot.ready, fake.up, fake.reason)
    };
    assert_eq!(away(), (true, false, Some("out of order".to_owned())), "degraded, but ready");
    world.fake.set_away(false);
    for n in 0..20 {
        assert_eq!(world.status(&format!("N{n}"), "SENT").await.attempt, 1);
    }
    assert_eq!(away(), (true, true, None));
    world.end().await;
}

#[tokio::test]
async fn what_a_worker_left_behind_is_delivered_by_the_next_one() {
    let world = World::start().await;
    world.fake.set_away(true);
    world.publish(vec![event(Channel::Email, &ours("N1", Channel::Email))]).await;
    wait("a try", async || (world.fake.tries() > 0).then_some(())).await;
    let world = world.again().await;
    assert_eq!(world.row("N1").await.expect("a row").status, "PENDING");
    sqlx::query("UPDATE notify.calls SET lease_until = now()")
        .execute(world.pool())
        .await
        .expect("updated");
    let row = world.status("N1", "SENT").await;
    assert_eq!((row.attempt, world.fake.delivered().len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn more_than_the_queue_holds_is_delivered_by_the_sweeper() {
    const COUNT: usize = 300;
    let configure = |config: &mut notify_worker::Config| {
        config.delivery.queue_max = 4;
        config.delivery.lease_ms = 400;
    };
    let world = World::with(MemoryOptions::default(), configure).await;
    let one = |n| event(Channel::Sms, &ours(&format!("N{n}"), Channel::Sms));
    world.publish((0..COUNT).map(one).collect()).await;
    let pending = "SELECT count(*) FROM notify.notifications WHERE status <> 'SENT'";
    world.taken(i64::try_from(COUNT).expect("few")).await;
    wait("all", async || (world.count(pending).await == 0).then_some(())).await;
    let mut ids: Vec<_> = world.fake.delivered().into_iter().map(|d| d.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), COUNT);
    world.end().await;
}

#[tokio::test]
async fn a_worker_that_ends_delivers_what_it_has_recorded() {
    let world = World::start().await;
    let one = |n| event(Channel::Sms, &ours(&format!("N{n}"), Channel::Sms));
    world.publish((0..500).map(one).collect()).await;
    world.taken(1).await;
    let fake = world.fake.clone();
    let database = world.end().await;
    let statuses: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM notify.notifications GROUP BY status")
            .fetch_all(&database.pool)
            .await
            .expect("counted");
    let recorded = i64::try_from(fake.delivered().len()).expect("few");
    assert_eq!(statuses, [("SENT".to_owned(), recorded)]);
}

/// As dlq-handler replays it: to its one group, with the properties of the dead letter.
fn replayed(letter: &OutgoingMessage) -> OutgoingMessage {
    let (group, topic) = ("notify-sms", "NOTIFICATION_TOPIC");
    let group = match &letter.destination {
        Destination::Dead { group, .. } => group.clone(),
        Destination::Topic(_) | Destination::Retry { .. } => group.into(),
    };
    let mut properties = letter.properties.clone();
    properties.remove(properties::ATTEMPT);
    properties.remove(properties::ERROR);
    properties.insert(properties::REPLAY_ID.to_owned(), "R1".to_owned());
    OutgoingMessage {
        destination: Destination::Retry { group, topic: topic.into() },
        body: Bytes::clone(&letter.body),
        properties,
        ..letter.clone()
    }
}
