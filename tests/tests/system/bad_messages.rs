//! Messages that can't be read, among good ones of the same batch: they die alone.

use std::collections::BTreeMap;

use common::bus::OutgoingMessage;
use contracts::{OrderStatus, Tag, topics};
use serde_json::{Value, json};

use self::breaks::{Bad, all_bad};
use crate::archive::DeadLetter;
use crate::messages::{bare, enveloped, foreign_hold, new_order_no, order_create, tagged};
use crate::stage::{FLOOR, Stage};
use crate::wait::{LIMIT, until};

mod breaks;

/// Good messages, or pairs of them, on each topic.
const GOOD: usize = 6;
/// Bad messages between two good ones.
const BAD_BETWEEN: usize = 3;

/// Once this returns, each bad message is in the archive, once, after one attempt, with the field
/// that is wrong; what nobody subscribes to is nowhere; and each good message had its effect.
pub(crate) async fn die_alone(stage: &Stage) {
    let mut orders = Vec::new();
    let good_orders = (0..GOOD).map(|_| {
        let order_no = new_order_no();
        orders.push(order_no.clone());
        let user_id = common::testing::unique_number();
        vec![order_create(&order_no, user_id, FLOOR, 1)]
    });
    let good_orders: Vec<_> = good_orders.collect();
    let (holds, good_holds): (Vec<_>, Vec<_>) = (0..GOOD).map(|_| foreign_hold()).unzip();
    let (notices, good_notices): (Vec<_>, Vec<_>) = (0..GOOD).map(notice).unzip();
    let good = [good_orders, good_holds, good_notices];

    let bad = all_bad();
    for (topic, good) in topics().into_iter().zip(good) {
        let of_topic = bad.iter().filter(|bad| bad.tag.topic() == topic);
        let bad = of_topic.map(|bad| bad.message.clone()).chain(untaken(topic)).collect();
        stage.publish(among(good, bad)).await;
    }

    until("all bad messages are archived", LIMIT, async || {
        let found = stage.dead_letters().await.len();
        if found >= bad.len() { Ok(()) } else { Err(format!("{found} of {}", bad.len())) }
    })
    .await;
    stage.until_quiet().await;
    assert_archived(&bad, stage.dead_letters().await);
    assert_eq!(stage.attempts_failed().await, bad.len() as f64, "one attempt at each");

    stage.until_status(&orders, OrderStatus::Confirmed).await;
    let released = "SELECT count(*) FROM stock.reservations \
                    WHERE order_no = ANY ($1) AND status = 'RELEASED'";
    assert_eq!(count(stage, released, &holds).await, GOOD as i64);
    let sent = "SELECT count(*) FROM notify.notifications \
                WHERE notification_id = ANY ($1) AND status = 'SENT'";
    assert_eq!(count(stage, sent, &notices).await, GOOD as i64);
}

fn assert_archived(bad: &[Bad], letters: Vec<DeadLetter>) {
    assert_eq!(letters.len(), bad.len(), "{letters:#?}");
    let mut letters: BTreeMap<_, _> =
        letters.into_iter().map(|letter| (letter.order_no.clone(), letter)).collect();
    for Bad { message, tag, group, reason } in bad {
        let letter = letters.remove(&Some(message.key.to_string()));
        let letter = letter.unwrap_or_else(|| panic!("{} is not archived", message.key));
        assert!(letter.cause.starts_with(reason), "{reason}: {letter:?}");
        assert_eq!((&*letter.group, &*letter.tag), (*group, tag.as_str()), "{letter:?}");
        assert_eq!(letter.topic.as_deref(), Some(tag.topic()), "{letter:?}");
        assert_eq!((letter.attempts, letter.deaths), (1, 1), "{letter:?}");
        assert_eq!(letter.status, "waiting", "{letter:?}");
    }
    assert!(letters.is_empty(), "nobody expected {letters:#?}");
}

fn topics() -> [&'static str; 3] {
    [topics::ORDER_TOPIC, topics::STOCK_TOPIC, topics::NOTIFICATION_TOPIC]
}

/// What no group subscribes to, however it is written: an unknown tag, and one that RocketMQ's
/// filter, which compares Java's hash codes, takes for `ORDER_CREATE`.
fn untaken(topic: &str) -> Vec<OutgoingMessage> {
    ["ORDER_CREATE_V2", "P3DER_CREATE", Tag::OrderReserved.as_str()]
        .map(|tag| bare(topic, tag, "untaken", "neither read nor archived"))
        .into()
}

/// Bad messages with good ones between them.
fn among(good: Vec<Vec<OutgoingMessage>>, bad: Vec<OutgoingMessage>) -> Vec<OutgoingMessage> {
    let mut good = good.into_iter();
    let mut all = Vec::new();
    for some in bad.chunks(BAD_BETWEEN) {
        all.extend(good.next().into_iter().flatten());
        all.extend_from_slice(some);
    }
    all.extend(good.flatten());
    all
}

/// A finished text for each channel in turn, as another service sends it.
fn notice(number: usize) -> (String, Vec<OutgoingMessage>) {
    let addresses: [(Tag, &str, Value); 3] = [
        (Tag::Sms, "phone", json!("+10000000000")),
        (Tag::Email, "email", json!("buyer@example.com")),
        (Tag::Push, "deviceToken", json!("0000")),
    ];
    let (tag, field, address) = &addresses[number % addresses.len()];
    let id = common::testing::unique("notice");
    let body = json!({ "notificationId": id, *field: address, "content": "Doors open at 7 pm." });
    (id.clone(), vec![enveloped(tagged(*tag, &id, &body)).0])
}

async fn count(stage: &Stage, count: &'static str, keys: &[String]) -> i64 {
    let count = sqlx::query_scalar(count).bind(keys).fetch_one(&stage.database);
    count.await.expect("the database answers")
}
