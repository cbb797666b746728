//! Buyers who keep coming, by HTTP and by message, and never give up an order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus_rocketmq::RocketBus;
use common::bus::{OutgoingMessage, PublishError, Publisher as _};
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::messages::{new_order_no, order_create};
use crate::orders::{Orders, order_no, paid, wanted};
use crate::stage::{FLOOR, Stage};
use crate::wait::{LIMIT, until};

/// How they pay, in turn.
const METHODS: [&str; 3] = ["instant", "sandbox", "sandbox"];
/// What each of them does next, or does again, not earlier than so.
const PACE: Duration = Duration::from_millis(100);
/// Orders in one batch of messages.
const BATCH: usize = 2;

pub(crate) struct Traffic {
    shared: Arc<Shared>,
    buyers: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Orders that order-worker or the broker has taken.
    accepted: Mutex<Vec<String>>,
    accepted_by_http: AtomicUsize,
    turned_away: AtomicUsize,
}

impl Traffic {
    pub(crate) fn start(stage: &Stage) -> Self {
        let shared = Arc::new(Shared::default());
        let mut buyers = JoinSet::new();
        for method in METHODS {
            buyers.spawn(shared.clone().buy(stage.orders.clone(), method));
        }
        buyers.spawn(shared.clone().send(stage.bus.clone()));
        Self { shared, buyers }
    }

    /// Returns when so many more orders were accepted by HTTP.
    pub(crate) async fn until_accepted(&mut self, more: usize) {
        self.until_more("orders are accepted", more, |shared| &shared.accepted_by_http).await;
    }

    /// Returns when so many more requests were answered with 503.
    pub(crate) async fn until_turned_away(&mut self, more: usize) {
        self.until_more("requests are turned away", more, |shared| &shared.turned_away).await;
    }

    /// Lets every buyer finish; answers all orders that were accepted.
    pub(crate) async fn end(self) -> Vec<String> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.buyers.join_all().await;
        std::mem::take(&mut self.shared.accepted.lock().expect("no buyer panicked"))
    }

    async fn until_more(
        &mut self,
        what: &str,
        more: usize,
        counter: impl Fn(&Shared) -> &AtomicUsize,
    ) {
        let counter = counter(&self.shared);
        let enough = counter.load(Ordering::Relaxed) + more;
        let buyers = &mut self.buyers;
        until(&format!("{more} more {what}"), LIMIT, async || {
            // Before the end only a buyer who panicked is done.
            if let Some(done) = buyers.try_join_next() {
                done.expect("a buyer goes on");
            }
            let count = counter.load(Ordering::Relaxed);
            if count >= enough { Ok(()) } else { Err(format!("{count} of {enough}")) }
        })
        .await;
    }
}

impl Shared {
    /// Orders by HTTP: asks under the same key until it is accepted.
    async fn buy(self: Arc<Self>, orders: Orders, method: &'static str) {
        let mut pace = pace();
        while !self.is_over.load(Ordering::Relaxed) {
            let key = common::testing::unique("traffic");
            let body = paid(wanted(common::testing::unique_number(), FLOOR, 1), method);
            let order_no = loop {
                pace.tick().await;
                match orders.try_ask(&key, &body).await {
                    Ok((StatusCode::ACCEPTED, answer)) => break order_no(&answer),
                    Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => {
                        self.turned_away.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok((status, answer)) => panic!("{status}: {answer}"),
                    // Nobody is there, or has just died.
                    Err(_) => {}
                }
            };
            self.accept([order_no]);
            self.accepted_by_http.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Orders by message: sends the same ones until the broker has them.
    async fn send(self: Arc<Self>, bus: Arc<RocketBus>) {
        let mut pace = pace();
        while !self.is_over.load(Ordering::Relaxed) {
            let order_nos: [String; BATCH] = std::array::from_fn(|_| new_order_no());
            let create = |order_no: &String| {
                order_create(order_no, common::testing::unique_number(), FLOOR, 1)
            };
            let messages: Vec<OutgoingMessage> = order_nos.iter().map(create).collect();
            loop {
                pace.tick().await;
                let answers = bus.publish(messages.clone()).await;
                match answers.into_iter().find_map(Result::err) {
                    None => break,
                    Some(PublishError::Away(_)) => {}
                    Some(refused) => panic!("{refused}"),
                }
            }
            self.accept(order_nos);
        }
    }

    fn accept(&self, order_nos: impl IntoIterator<Item = String>) {
        self.accepted.lock().expect("no buyer panicked").extend(order_nos);
    }
}

fn pace() -> Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
