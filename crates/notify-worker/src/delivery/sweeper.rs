use std::sync::Arc;
use std::time::Duration;

use common::backoff;
use common::crash::{self, Boundary};
use common::pipeline::StoreError;
use contracts::{Channel, NotificationId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Dispatch, Leased};
use crate::config::DeliveryConfig;
use crate::handlers::request_of;
use crate::metric;
use crate::store::{Claimed, Store};

/// Its name among the points where a process can die.
const PLACE: &str = "delivery-sweeper";

/// Claims the calls that are due: those of a later attempt, and those that nobody has made.
pub struct Sweeper {
    store: Store,
    dispatch: Dispatch,
    interval: Duration,
    batch_max: i64,
}

impl Sweeper {
    pub fn new(store: Store, dispatch: Dispatch, config: &DeliveryConfig) -> Self {
        let interval = Duration::from_millis(config.sweep_interval_ms);
        Self { store, dispatch, interval, batch_max: config.sweep_batch_max }
    }

    /// Sweeps every interval (with jitter) until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(backoff::jitter(self.interval)))
            .await
            .is_some()
        {
            for channel in Channel::ALL {
                if let Err(error) = self.sweep(*channel).await {
                    tracing::debug!(%error, %channel, "the calls were not swept");
                }
            }
        }
    }

    /// Claims what is due, as long as the channel has room for it.
    async fn sweep(&self, channel: Channel) -> Result<(), StoreError> {
        loop {
            let room = i64::try_from(self.dispatch.queue(channel).capacity()).unwrap_or(i64::MAX);
            let limit = self.batch_max.min(room);
            if limit == 0 {
                return Ok(());
            }
            let claimed_at = Instant::now();
            let claimed = self.store.claim(channel, limit).await?;
            let count = claimed.len();
            if count > 0 {
                metrics::counter!(metric::SWEPT, "channel" => channel.as_str())
                    .increment(count as u64);
                crash::at(Boundary::Found, PLACE);
            }
            let until = claimed_at + self.store.call_lease() / 2;
            for call in claimed {
                self.hand_over(channel, call, until);
            }
            if i64::try_from(count).unwrap_or(i64::MAX) < limit {
                return Ok(());
            }
        }
    }

    fn hand_over(&self, channel: Channel, call: Claimed, until: Instant) {
        let Claimed { id, attempt, body } = call;
        let request = match NotificationId::new(&id)
            .map_err(|error| error.to_string())
            .and_then(|id| request_of(id, channel, body).map_err(|error| error.to_string()))
        {
            Ok(request) => Arc::new(request),
            Err(problem) => {
                // It was read when it came: another build has written the row.
                tracing::error!(notification.id = id, problem, "a stored message can't be read");
                return;
            }
        };
        // A queue that has filled up meanwhile: the call is claimed again later.
        let _ = self.dispatch.queue(channel).try_send(Leased { attempt, request, until });
    }
}
