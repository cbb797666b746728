//! The subscriptions: every dead-letter topic has a group of its own that archives it.

use std::sync::Arc;

use async_trait::async_trait;
use common::bus::{Subscription, dead_letter_topic};
use common::pipeline::{Recorded, Sink, StoreError};

use crate::config::DlqConfig;
use crate::domain::DeadLetter;
use crate::metric;
use crate::store::{Archived, Store};

mod read;

pub use read::read;

/// Dead letters in one delivery at most: each may have a body of 4 MiB.
const BATCH_MAX: usize = 32;
/// Deliveries of one group in hand at once.
const IN_FLIGHT_MAX: usize = 1;

/// Archives the dead letters of one consumer group.
#[derive(Debug)]
pub struct Archive {
    group: Arc<str>,
    store: Store,
}

impl Archive {
    /// Of the consumer group `group`.
    pub fn new(group: &str, store: Store) -> Self {
        Self { group: group.into(), store }
    }

    /// What it takes: everything in the group's dead-letter queue, from the first offset on.
    pub fn subscription(&self, config: &DlqConfig) -> Subscription {
        Subscription {
            topic: dead_letter_topic(&self.group).into(),
            group: config.archive_group(&self.group).into(),
            tags: Vec::new(),
            batch_max: BATCH_MAX,
            in_flight_max: IN_FLIGHT_MAX,
        }
    }

    /// An operator must know of each, once, and without its body or anybody's personal data.
    fn alert(&self, letter: &DeadLetter, archived: Archived) {
        let counter = match archived {
            Archived::New { .. } => metric::ARCHIVED,
            Archived::Again { .. } => metric::DIED_AGAIN,
            Archived::Known => metric::DUPLICATES,
        };
        metrics::counter!(counter, "group" => self.group.to_string()).increment(1);
        let (id, again) = match archived {
            Archived::New { id } => (id, false),
            Archived::Again { id } => (id, true),
            Archived::Known => return,
        };
        let death = &letter.death;
        tracing::error!(
            dead_letter.id = %id,
            group = &*self.group,
            topic = letter.origin_topic.as_deref().unwrap_or_default(),
            tag = letter.tag,
            order.no = letter.order_no.as_deref().map_or("", shortened),
            event.id = %letter.event_id,
            attempts = death.attempt,
            worker = death.worker.as_deref().unwrap_or_default(),
            again,
            cause = shortened(death.causes.newest()),
            "a message of group {} is dead; it is archived as {id}", self.group
        );
    }
}

#[async_trait]
impl Sink for Archive {
    type Record = Arc<DeadLetter>;

    async fn store(
        &self,
        _group: &str,
        records: &[Recorded<Arc<DeadLetter>>],
    ) -> Result<(), StoreError> {
        let letters: Vec<_> = records.iter().map(|recorded| recorded.record.clone()).collect();
        let archived = self.store.archive(self.group.clone(), letters).await?;
        for (recorded, archived) in records.iter().zip(archived) {
            self.alert(&recorded.record, archived);
        }
        Ok(())
    }
}

/// As much of a text as a log line takes.
fn shortened(text: &str) -> &str {
    const LOG_TEXT_MAX_BYTES: usize = 500;
    &text[..text.floor_char_boundary(LOG_TEXT_MAX_BYTES)]
}
