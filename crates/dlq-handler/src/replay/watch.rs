use std::collections::HashSet;
use std::time::Duration;

use common::backoff;
use common::pipeline::StoreError;
use tokio_util::sync::CancellationToken;

use crate::metric;
use crate::store::Store;

/// Records what was sent and counts what waits, every `interval` until `stop`.
pub async fn watch(store: Store, interval: Duration, stop: CancellationToken) {
    let mut groups = HashSet::new();
    let tick = || tokio::time::sleep(backoff::jitter(interval));
    while stop.run_until_cancelled(tick()).await.is_some() {
        if let Err(error) = once(&store, &mut groups).await {
            tracing::debug!(%error, "replays were not looked after");
        }
    }
}

async fn once(store: &Store, groups: &mut HashSet<String>) -> Result<(), StoreError> {
    store.record_sent_replays().await?;
    let waiting = store.waiting().await?;
    // A group whose last one has gone is no longer in the answer.
    let mut gone = std::mem::take(groups);
    for (group, letters) in waiting {
        gone.remove(&group);
        metrics::gauge!(metric::WAITING, "group" => group.clone()).set(letters as f64);
        groups.insert(group);
    }
    for group in gone {
        metrics::gauge!(metric::WAITING, "group" => group).set(0.0);
    }
    Ok(())
}
