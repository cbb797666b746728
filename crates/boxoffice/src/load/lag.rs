//! How far the workers are behind: the messages that wait for their consumer groups, as the
//! `/metrics` of their admin ports say.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Url};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Error;

/// The workers' gauge; its one label is the consumer group.
const GAUGE: &str = "boxoffice_messages_waiting";
const READ_EVERY: Duration = Duration::from_secs(2);
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The messages that wait for all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lag {
    /// Nobody said where the workers' admin ports are.
    NotWatched,
    /// One of the workers has not said it.
    Unknown,
    Messages(u64),
}

/// Starts to read the metrics at these addresses; what was found last is in the answer.
pub(super) fn watch(
    admin_urls: &[String],
    tasks: &mut JoinSet<()>,
) -> Result<watch::Receiver<Lag>, Error> {
    if admin_urls.is_empty() {
        return Ok(watch::channel(Lag::NotWatched).1);
    }
    let workers = Workers::new(admin_urls)?;
    let (found, lag) = watch::channel(Lag::Unknown);
    tasks.spawn(workers.watch(found));
    Ok(lag)
}

struct Workers {
    client: Client,
    pages: Vec<Url>,
}

impl Workers {
    fn new(admin_urls: &[String]) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Plan { field: "admin_urls", reason };
        let page = |admin: &String| {
            let page = format!("{}/metrics", admin.trim_end_matches('/'));
            match Url::parse(&page) {
                Ok(page) if matches!(page.scheme(), "http" | "https") => Ok(page),
                _ => Err(refuse(format!("expected http://host:port, found {admin}"))),
            }
        };
        let pages = admin_urls.iter().map(page).collect::<Result<_, _>>()?;
        // A program that has installed a provider already keeps its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { client, pages })
    }

    async fn watch(self, found: watch::Sender<Lag>) {
        let mut ticker = tokio::time::interval(READ_EVERY);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            found.send_replace(self.lag().await);
        }
    }

    /// The members of a group export the same number, each read at another moment: the largest
    /// one counts.
    async fn lag(&self) -> Lag {
        let mut reads = JoinSet::new();
        for page in &self.pages {
            reads.spawn(read(self.client.clone(), page.clone()));
        }
        let mut groups = BTreeMap::new();
        for read in reads.join_all().await {
            let Some(read) = read else { return Lag::Unknown };
            for (group, waiting) in read {
                let largest = groups.entry(group).or_insert(0);
                *largest = waiting.max(*largest);
            }
        }
        Lag::Messages(groups.values().sum())
    }
}

/// What one worker says of its groups; `None` when it says nothing.
async fn read(client: Client, page: Url) -> Option<BTreeMap<String, u64>> {
    let answer = client.get(page).send().await.ok()?.error_for_status().ok()?;
    let groups = groups(&answer.text().await.ok()?);
    (!groups.is_empty()).then_some(groups)
}

/// The gauges of a page in Prometheus's text format.
fn groups(page: &str) -> BTreeMap<String, u64> {
    let gauge = |line: &str| {
        let labelled = line.strip_prefix(GAUGE)?.strip_prefix("{group=\"")?;
        let (group, waiting) = labelled.split_once("\"} ")?;
        Some((group.to_owned(), waiting.parse().ok()?))
    };
    page.lines().filter_map(gauge).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;

    use super::*;

    /// The admin port of a worker that answers this.
    async fn worker(status: StatusCode, page: &'static str) -> String {
        let router = Router::new().route("/metrics", get(async move || (status, page)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn lag(admin_urls: &[&str]) -> Lag {
        let admin_urls: Vec<String> = admin_urls.iter().map(ToString::to_string).collect();
        Workers::new(&admin_urls).expect("addresses").lag().await
    }

    #[test]
    fn the_gauge_is_named_as_the_workers_name_it() {
        assert_eq!(GAUGE, common::metric::MESSAGES_WAITING);
    }

    #[test]
    fn only_the_gauge_is_read_from_a_page() {
        let page = "# TYPE boxoffice_messages_waiting gauge\n\
            boxoffice_messages_waiting{group=\"order-stock\"} 12\n\
            boxoffice_messages_waiting{group=\"order-sale\"} 0\n\
            boxoffice_messages_waiting_total{group=\"other\"} 7\n\
            boxoffice_messages_consumed_total{group=\"order-stock\"} 99\n";
        let expected = [("order-sale".to_owned(), 0), ("order-stock".to_owned(), 12)];
        assert_eq!(groups(page), expected.into());
    }

    #[tokio::test]
    async fn the_largest_number_of_each_group_is_summed() {
        let first = "boxoffice_messages_waiting{group=\"a\"} 5\n\
            boxoffice_messages_waiting{group=\"b\"} 1\n";
        let second = "boxoffice_messages_waiting{group=\"a\"} 7\n\
            boxoffice_messages_waiting{group=\"c\"} 4\n";
        let first = worker(StatusCode::OK, first).await;
        let second = worker(StatusCode::OK, second).await;
        assert_eq!(lag(&[&first, &second]).await, Lag::Messages(12));
    }

    #[tokio::test]
    async fn it_is_unknown_when_one_worker_does_not_say_it() {
        let page = "boxoffice_messages_waiting{group=\"a\"} 5\n";
        let well = worker(StatusCode::OK, page).await;
        let broken = worker(StatusCode::INTERNAL_SERVER_ERROR, page).await;
        let silent = worker(StatusCode::OK, "boxoffice_worker_ready 1\n").await;
        assert_eq!(lag(&[&well]).await, Lag::Messages(5));
        for other in [broken.as_str(), silent.as_str(), "http://127.0.0.1:1"] {
            assert_eq!(lag(&[&well, other]).await, Lag::Unknown, "{other}");
        }
    }
}
