//! Replays by hand: to the one group that could not take the message, never to the topic.

use common::outbox::Relay;
use common::pipeline::StoreError;
use tokio::time::Instant;
use uuid::Uuid;

use crate::metric;
use crate::store::{Answer, Requested, Started, Store};

mod watch;

pub use watch::watch;

/// Starts replays.
#[derive(Clone)]
pub struct Replayer {
    store: Store,
    relay: Relay,
    max_age_hours: i64,
}

impl Replayer {
    /// `relay` publishes the outbox of `store`; older events than `max_age_hours` are refused.
    pub fn new(store: Store, relay: Relay, max_age_hours: i64) -> Self {
        Self { store, relay, max_age_hours }
    }

    /// Replays one dead letter on behalf of `by`, a token's name.
    ///
    /// Once this returns `Done` the replay is committed; the broker has it as soon as it takes it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn start(&self, id: Uuid, by: &str) -> Result<Answer<Started>, StoreError> {
        let requested =
            Requested { dead_letter_id: id, by: by.to_owned(), max_age_hours: self.max_age_hours };
        let answer = self.store.replay(requested).await?;
        match &answer {
            Answer::Done(started) => {
                self.relay.hand_over([started.row.clone()], Instant::now());
                metrics::counter!(metric::REPLAYS, "group" => started.group.clone()).increment(1);
                tracing::info!(
                    dead_letter.id = %id, replay.id = %started.replay_id, group = started.group,
                    by, "dead letter {id} is replayed to group {}", started.group
                );
            }
            Answer::Refused(refusal) => {
                metrics::counter!(metric::REPLAYS_REFUSED).increment(1);
                tracing::info!(dead_letter.id = %id, by, "a replay of {id} was refused: {refusal}");
            }
            Answer::NotFound => {}
        }
        Ok(answer)
    }
}
