//! Addresses and texts of people: delivered as they are, and nowhere else.

use std::io;
use std::sync::{Arc, Mutex};

use contracts::{Channel, properties};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::fake::{later, never};
use crate::world::{World, bare, event, ours, wait};

const PHONE: &str = "+41 79 555 01 02";
const TEXT: &str = "Dear Xanthippe, your seats are 12 and 13";

/// Everything that is logged, from trace on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("the lock")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A current-thread runtime: every task logs to this thread's subscriber.
#[tokio::test]
async fn a_java_services_text_is_delivered_as_it_is_and_never_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = World::start().await;
    let body = json!({ "phone": PHONE, "content": TEXT, "orderNo": "A1", "extra": TEXT });
    // Every way: in the end it is delivered, but first it fails for the moment.
    world.fake.fail_next([later("busy")]);
    world.publish(vec![bare(Channel::Sms, &body.to_string())]).await;
    wait("the delivery", async || (world.fake.delivered().len() == 1).then_some(())).await;
    let delivered = world.fake.delivered().remove(0);
    assert_eq!(delivered.address.as_deref(), Some(PHONE));
    assert_eq!(delivered.text, TEXT);
    assert!(delivered.id.starts_with("SMS-"), "{}", delivered.id);
    let row = world.status(&delivered.id, "SENT").await;
    assert_eq!(row.body, None, "erased once it is delivered");

    // It can't be delivered: the dead letter holds the message, the row and the log don't.
    let body = json!({ "notificationId": "J2", "phone": PHONE, "content": TEXT });
    world.fake.fail_next([never("no such number")]);
    world.publish(vec![bare(Channel::Sms, &body.to_string())]).await;
    assert_eq!(world.status("J2", "FAILED").await.body, None);
    let letter = world.dead_letters(1).await.remove(0);
    assert_eq!(letter.body, body.to_string());
    assert_eq!(&*letter.key, "J2");

    // It can't be read.
    let body = json!({ "phone": PHONE, "content": [TEXT] });
    world.publish(vec![bare(Channel::Sms, &body.to_string())]).await;
    let letters = world.dead_letters(2).await;
    let cause = &letters[1].properties[properties::ERROR];
    assert!(cause.contains("content: ") && !cause.contains("Xanthippe"), "{cause}");

    // It is one of ours, with something personal where it does not belong.
    let mut body = ours("N4", Channel::Sms);
    body["params"] = json!({ "name": "Xanthippe" });
    world.publish(vec![event(Channel::Sms, &body)]).await;
    world.status("N4", "SENT").await;
    world.end().await;

    let log = log.text();
    assert!(log.contains("goes to the dead-letter queue"), "the log was captured");
    for secret in [PHONE, "555 01 02", TEXT, "Xanthippe"] {
        let at = log.find(secret).map(|at| &log[at.saturating_sub(300)..(at + 100).min(log.len())]);
        assert_eq!(at, None, "logged: {secret}");
    }
}

#[tokio::test]
async fn what_is_missing_of_a_java_services_message_is_named() {
    let world = World::start().await;
    let bad = [
        (Channel::Sms, json!({ "phone": PHONE }), "content: required"),
        (Channel::Sms, json!({ "content": TEXT }), "phone: required"),
        (Channel::Email, json!({ "phone": PHONE, "content": TEXT }), "email: required"),
        (Channel::Push, json!({ "content": TEXT }), "deviceToken: required"),
    ];
    for (number, (channel, body, cause)) in bad.into_iter().enumerate() {
        world.publish(vec![bare(channel, &body.to_string())]).await;
        let letters = world.dead_letters(number + 1).await;
        let found = &letters[number].properties[properties::ERROR];
        assert!(found.contains(cause), "{found:?} does not say {cause:?}");
    }
    world.end().await;
}
