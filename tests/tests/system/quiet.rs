//! When all is said and heard.

use common::bus::{Bus as _, dead_letter_topic, retry_topic};
use contracts::topics;
use dlq_handler::config::DlqConfig;
use futures::future::join_all;

use crate::stage::Stage;
use crate::tap::Tap;
use crate::wait::{LIMIT, until};

/// Which group takes which topic.
pub(crate) const TAKERS: [(&str, &str); 8] = [
    (topics::ORDER_INTAKE_GROUP, topics::ORDER_TOPIC),
    (topics::STOCK_ORDER_GROUP, topics::ORDER_TOPIC),
    (topics::ORDER_STOCK_GROUP, topics::STOCK_TOPIC),
    (topics::ORDER_SALE_GROUP, topics::STOCK_TOPIC),
    (topics::STOCK_COMMAND_GROUP, topics::STOCK_TOPIC),
    (topics::NOTIFY_SMS_GROUP, topics::NOTIFICATION_TOPIC),
    (topics::NOTIFY_EMAIL_GROUP, topics::NOTIFICATION_TOPIC),
    (topics::NOTIFY_PUSH_GROUP, topics::NOTIFICATION_TOPIC),
];

/// What workers have to do or to say, and all that they ever said.
const WORK: &str = "\
SELECT (SELECT count(*) FROM orders.calls) + (SELECT count(*) FROM notify.calls) \
    + count(*) FILTER (WHERE sent_at IS NULL) AS work, coalesce(sum(events), 0) AS said \
FROM (SELECT sent_at, events FROM orders.outbox_batches \
      UNION ALL SELECT sent_at, events FROM stock.outbox_batches \
      UNION ALL SELECT sent_at, events FROM notify.outbox_batches) AS o";

impl Stage {
    /// Returns when every group has taken all that was published, and nothing came of it that is
    /// not taken, too.
    ///
    /// It takes some 5 s: a group hears as late as that of messages that it does not subscribe to.
    pub(crate) async fn until_quiet(&self) {
        let mut said_before = None;
        until("all is quiet", LIMIT, async || {
            let lags = self.lags().await;
            let (work, said): (i64, i64) =
                sqlx::query_as(WORK).fetch_one(&self.database).await.expect("the database answers");
            let is_idle = lags.is_empty() && work == 0;
            // What was said between the two looks at lags has been taken by the second one.
            let is_quiet = is_idle && said_before == Some(said);
            said_before = is_idle.then_some(said);
            if is_quiet { Ok(()) } else { Err(format!("{work} to do, waiting: {lags:?}")) }
        })
        .await;
    }

    /// The groups that messages wait for, with their topics and how many.
    async fn lags(&self) -> Vec<(String, String, u64)> {
        let archive = DlqConfig::default();
        let mut takers: Vec<(String, String)> = Tap::takers();
        for (group, topic) in TAKERS {
            takers.push((group.to_owned(), topic.to_owned()));
            takers.push((group.to_owned(), retry_topic(group)));
            takers.push((archive.archive_group(group), dead_letter_topic(group)));
        }
        let asked = takers.into_iter().map(async |(group, topic)| {
            let lag = self.bus.lag(&group, &topic).await.expect("the broker answers");
            (group, topic, lag)
        });
        join_all(asked).await.into_iter().filter(|(_, _, lag)| *lag > 0).collect()
    }
}
