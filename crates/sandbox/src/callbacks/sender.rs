//! The sender: takes what is due, up to a number at once, and keeps its connections.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Delivery, Kind, Stats};
use crate::books::{Ending, Ledger};
use crate::clock;
use crate::signature::{SIGNATURE_HEADER, Secret, sign};
use crate::timers::{Timer, Timers};

/// How soon a callback looks again whether an outage is over.
const OUTAGE_WAIT: Duration = Duration::from_millis(250);
/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// What it takes to send a callback.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) timers: Timers,
    pub(crate) stats: Arc<Stats>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) client: reqwest::Client,
}

/// Sends what is due until `stop`, at most `in_flight_max` at once, then waits for those in flight.
pub(crate) async fn run(
    sender: Arc<Sender>,
    mut due: mpsc::UnboundedReceiver<Delivery>,
    in_flight_max: usize,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(in_flight_max));
    let in_flight = TaskTracker::new();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            due.recv().await.map(|delivery| (permit, delivery))
        };
        let (permit, delivery) = tokio::select! {
            () = stop.cancelled() => break,
            Some(next) = next => next,
            else => break,
        };
        let sender = Arc::clone(&sender);
        in_flight.spawn(async move {
            sender.deliver(delivery).await;
            drop(permit);
        });
    }
    in_flight.close();
    in_flight.wait().await;
}

impl Sender {
    /// A client that keeps up to `connections_max` connections to each receiver.
    pub(crate) fn client(
        connections_max: usize,
        timeout: Duration,
    ) -> Result<reqwest::Client, reqwest::Error> {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(connections_max)
            .pool_idle_timeout(IDLE_CONNECTION)
            .timeout(timeout)
            .build()
    }

    async fn deliver(&self, delivery: Delivery) {
        if self.ledger.behaviour().outage {
            self.timers.after(OUTAGE_WAIT, Timer::Deliver(delivery));
            return;
        }
        let taken = self.post(&delivery).await;
        match delivery.kind {
            Kind::Genuine => self.conclude(delivery, taken),
            Kind::Duplicate => self.stats.duplicate_sent(),
            Kind::Forgery => {
                self.stats.forgery_sent();
                if taken.is_ok() {
                    self.stats.forgery_believed();
                    let payment_id = &delivery.event.notice.payment_id;
                    tracing::warn!(payment.id = %payment_id, "a forged callback for payment {payment_id} was answered 2xx");
                }
            }
        }
    }

    /// One attempt; the error says why it was not taken.
    async fn post(&self, delivery: &Delivery) -> Result<(), String> {
        self.stats.attempt();
        let body = delivery.body();
        let forged = [Secret::forged()];
        let secrets = if delivery.kind == Kind::Forgery { &forged[..] } else { &self.secrets[..] };
        let request = self
            .client
            .post(delivery.event.callback_url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, sign(secrets, clock::now().timestamp(), &body))
            .body(body);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        // Only a connection whose answer was read to its end can be used again.
        response.bytes().await.map_err(|error| error.without_url().to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("answered {}", status.as_u16())) }
    }

    fn conclude(&self, mut delivery: Delivery, taken: Result<(), String>) {
        let event_id = delivery.event.notice.event_id.clone();
        let Err(reason) = taken else {
            self.stats.delivered();
            return self.ledger.end(event_id, Ending::Delivered);
        };
        self.stats.failed_attempt();
        match delivery.next_wait(&self.ledger.behaviour()) {
            Some(wait) => {
                delivery.tried += 1;
                self.timers.after(wait, Timer::Deliver(delivery));
            }
            None => {
                let attempts = delivery.tried + 1;
                tracing::warn!(event.id = %event_id, attempts, reason, "gave up on event {event_id}");
                self.stats.gave_up();
                self.ledger.end(event_id, Ending::GaveUp);
            }
        }
    }
}
