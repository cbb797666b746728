//! How many messages wait for each of the worker's consumer groups, as a gauge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sources;
use crate::bus::{Bus, BusError, retry_topic};
use crate::{backoff, metric};

/// How often the broker is asked, with jitter.
const INTERVAL: Duration = Duration::from_secs(5);

/// Exports the lag of the sources' groups until `stop`; those that are added later, too.
///
/// While the broker is away, a group's gauge keeps its last value.
pub(super) async fn export(bus: Arc<dyn Bus>, sources: Sources, stop: CancellationToken) {
    let work = async {
        loop {
            for (group, topics) in subscribed(&sources) {
                match lag(&*bus, &group, &topics).await {
                    Ok(count) => {
                        metrics::gauge!(metric::MESSAGES_WAITING, "group" => group)
                            .set(count as f64);
                    }
                    Err(error) => tracing::debug!(group, %error, "the lag was not read"),
                }
            }
            tokio::time::sleep(backoff::jitter(INTERVAL)).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

/// The groups, each with the topics that it takes and its retries.
fn subscribed(sources: &Sources) -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
    let mut groups = BTreeMap::<_, BTreeSet<_>>::new();
    for subscription in sources.iter().filter_map(|source| source.subscription()) {
        let topics = groups.entry(subscription.group.to_string()).or_default();
        topics.insert(subscription.topic.to_string());
        topics.insert(retry_topic(&subscription.group));
    }
    groups
}

async fn lag(bus: &dyn Bus, group: &str, topics: &BTreeSet<String>) -> Result<u64, BusError> {
    let mut sum = 0;
    for topic in topics {
        sum += bus.lag(group, topic).await?;
    }
    Ok(sum)
}
