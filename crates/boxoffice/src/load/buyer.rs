//! One buyer, from the order to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Answer;
use super::plan::{Behaviour, Wish};
use super::progress::Phase;
use super::stats::{Timed, add};
use super::view::{Accepted, Item, NewOrder, Pay, Problem, View};
use super::{Outcome, Shared};

/// The first look at an order; the next ones come later and later.
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A look that waits for the time to run out comes so much after it.
const AFTER_HOLD: Duration = Duration::from_millis(250);

pub(super) struct Buyer {
    shared: Arc<Shared>,
    number: u64,
    wish: Wish,
    due: Instant,
    phase: Phase,
}

/// An order that was accepted.
struct Order {
    path: String,
    accepted_at: Instant,
}

type Step<T> = Result<T, Outcome>;

impl Buyer {
    pub(super) fn new(shared: Arc<Shared>, number: u64, due: Instant) -> Self {
        let wish = shared.plan.wish(number);
        shared.stats.enter(Phase::Ordering);
        Self { shared, number, wish, due, phase: Phase::Ordering }
    }

    /// Buys; exactly one outcome is counted.
    pub(super) async fn live(mut self) {
        let (Ok(outcome) | Err(outcome)) = self.buy().await;
        self.shared.stats.ended(&outcome);
    }

    async fn buy(&mut self) -> Step<Outcome> {
        let order = self.order().await?;
        self.enter(Phase::Waiting);
        let mut ended = None;
        match self.wish.behaviour {
            Behaviour::CancelPending => self.cancel(&order).await?,
            Behaviour::PayAtOnce | Behaviour::Decline => {}
            Behaviour::PayLater
            | Behaviour::PayTwice
            | Behaviour::CancelReserved
            | Behaviour::WalkAway
            | Behaviour::PayTooLate => {
                let view = self.look_until(&order, |view| !view.is_pending()).await?;
                if view.is_reserved() {
                    self.enter(Phase::Holding);
                    self.use_hold(&order, &view).await?;
                } else {
                    ended = view.outcome().map(|_| view);
                }
            }
        }
        let view = match ended {
            Some(view) => view,
            None => self.look_until(&order, |view| view.outcome().is_some()).await?,
        };
        let view = self.wait_for_late_money(&order, view).await?;
        self.shared.stats.steps(&view);
        view.outcome().ok_or_else(|| Outcome::Unknown(format!("status {}", view.status)))
    }

    /// What is done with tickets that are held.
    async fn use_hold(&mut self, order: &Order, view: &View) -> Step<()> {
        let shared = self.shared.clone();
        let methods = &shared.plan.methods;
        match self.wish.behaviour {
            Behaviour::PayLater => self.pay(order, &methods.pay).await,
            Behaviour::PayTwice => {
                self.enter(Phase::Paying);
                let (first, second) = tokio::join!(
                    self.pay_by(order, &methods.pay),
                    self.pay_by(order, &methods.second)
                );
                first.and(second)
            }
            Behaviour::CancelReserved => self.cancel(order).await,
            Behaviour::WalkAway => {
                self.enter(Phase::Leaving);
                self.sit_out(order, view).await
            }
            Behaviour::PayTooLate => {
                self.pay(order, &methods.late).await?;
                self.sit_out(order, view).await
            }
            Behaviour::PayAtOnce | Behaviour::CancelPending | Behaviour::Decline => Ok(()),
        }
    }

    /// Sends the order until it is answered for good.
    async fn order(&self) -> Step<Order> {
        let plan = &self.shared.plan;
        let payment_method = match self.wish.behaviour {
            Behaviour::PayAtOnce => Some(plan.methods.pay.as_str()),
            Behaviour::Decline => Some(plan.methods.decline.as_str()),
            _ => None,
        };
        let lines = self.wish.lines.iter();
        let order = NewOrder {
            session_id: plan.session,
            user_id: plan.user(self.number),
            items: lines.map(|&(ticket_id, quantity)| Item { ticket_id, quantity }).collect(),
            payment_method,
            channels: &plan.channels,
        };
        let body = Bytes::from(serde_json::to_vec(&order).expect("an order is always JSON"));
        let key = format!("{}-{}", plan.run, self.number);
        let answer = self.post("/v1/orders", Some(&key), &body).await?;
        let waited = self.due.elapsed();
        if answer.status != 202 {
            self.shared.stats.time(Timed::Refused, waited);
            return Err(refused(&answer));
        }
        self.shared.stats.time(Timed::Accepted, waited);
        add(&self.shared.stats.accepted);
        let order_no = order_no(&answer)?;
        if self.wish.repeats {
            self.repeat(&key, &body, &order_no).await?;
        }
        let path = format!("/v1/orders/{order_no}");
        Ok(Order { path, accepted_at: Instant::now() })
    }

    /// The same order under the same key must be the same order.
    async fn repeat(&self, key: &str, body: &Bytes, order_no_before: &str) -> Step<()> {
        add(&self.shared.stats.repeats);
        let answer = self.post("/v1/orders", Some(key), body).await?;
        if answer.status == 202 && order_no(&answer)? == order_no_before {
            return Ok(());
        }
        let text = text(&answer);
        Err(Outcome::Unknown(format!("order {order_no_before}, sent again, was answered {text}")))
    }

    async fn pay(&mut self, order: &Order, method: &str) -> Step<()> {
        self.enter(Phase::Paying);
        self.pay_by(order, method).await
    }

    async fn pay_by(&self, order: &Order, method: &str) -> Step<()> {
        let body = serde_json::to_vec(&Pay { method }).expect("a name is always JSON");
        let answer = self.post(&format!("{}/pay", order.path), None, &body.into()).await?;
        match answer.status {
            // 409: it was paid, or has ended meanwhile.
            202 | 409 => Ok(()),
            _ => Err(Outcome::Unknown(format!("paying was answered {}", text(&answer)))),
        }
    }

    async fn cancel(&mut self, order: &Order) -> Step<()> {
        self.enter(Phase::Leaving);
        let path = format!("{}/cancel", order.path);
        let answer = self.post(&path, None, &Bytes::new()).await?;
        match answer.status {
            // 409: it was rejected before.
            200 | 409 => Ok(()),
            _ => Err(Outcome::Unknown(format!("cancelling was answered {}", text(&answer)))),
        }
    }

    /// Does nothing until the tickets are not held any more.
    async fn sit_out(&self, order: &Order, view: &View) -> Step<()> {
        let over = order.accepted_at + view.hold() + AFTER_HOLD;
        sleep_until(over.min(self.shared.deadline())).await;
        Ok(())
    }

    /// An expired order may still be paid, and is refunded then.
    async fn wait_for_late_money(&mut self, order: &Order, view: View) -> Step<View> {
        if self.wish.behaviour != Behaviour::PayTooLate || view.outcome() != Some(Outcome::Expired)
        {
            return Ok(view);
        }
        let patience = Instant::now() + self.shared.plan.late_patience;
        let is_over = |view: &View| {
            view.outcome()
                .is_some_and(|outcome| outcome != Outcome::Expired || Instant::now() >= patience)
        };
        self.look_until(order, is_over).await
    }

    /// Looks at the order until it is as wanted.
    async fn look_until(&mut self, order: &Order, wanted: impl Fn(&View) -> bool) -> Step<View> {
        let mut wait = LOOK_FIRST;
        let mut seen = String::from("not seen yet");
        loop {
            self.wait(wait, || format!("order {}: {seen}", order.path)).await?;
            wait = (wait * 2).min(LOOK_MAX);
            add(&self.shared.stats.requests);
            seen = match self.shared.client.look(&order.path).await {
                Ok(answer) if answer.status == 200 => {
                    let view: View = serde_json::from_slice(&answer.body).map_err(|error| {
                        Outcome::Unknown(format!("order {} can't be read: {error}", order.path))
                    })?;
                    self.move_on(&view);
                    if wanted(&view) {
                        return Ok(view);
                    }
                    view.status
                }
                Ok(answer) if is_passing(answer.status) => text(&answer),
                Ok(answer) => {
                    let text = text(&answer);
                    return Err(Outcome::Unknown(format!("order {}: {text}", order.path)));
                }
                Err(error) => error,
            };
        }
    }

    /// Sends a request until it is answered for good: every one of ours may be sent again.
    async fn post(&self, path: &str, key: Option<&str>, body: &Bytes) -> Step<Answer> {
        let mut wait = RETRY_FIRST;
        loop {
            add(&self.shared.stats.requests);
            let failure = match self.shared.client.post(path, key, body.clone()).await {
                Ok(answer) if !is_passing(answer.status) => return Ok(answer),
                Ok(answer) => text(&answer),
                Err(error) => error,
            };
            add(&self.shared.stats.retries);
            self.wait(wait, || format!("POST {path}: {failure}")).await?;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Waits, with some jitter; at the deadline the buyer is given up.
    async fn wait(&self, time: Duration, why: impl Fn() -> String) -> Step<()> {
        let jittered = time.mul_f64(rand::random_range(0.8..1.2));
        if Instant::now() + jittered >= self.shared.deadline() {
            return Err(Outcome::Unknown(why()));
        }
        sleep(jittered).await;
        Ok(())
    }

    /// What is seen may be further than what was done.
    fn move_on(&mut self, view: &View) {
        if self.phase != Phase::Waiting || view.is_pending() {
            return;
        }
        self.enter(match self.wish.behaviour {
            Behaviour::PayAtOnce | Behaviour::Decline => Phase::Paying,
            _ => Phase::Holding,
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.shared.stats.leave(self.phase);
        self.shared.stats.enter(phase);
        self.phase = phase;
    }
}

impl Drop for Buyer {
    fn drop(&mut self) {
        self.shared.stats.leave(self.phase);
    }
}

/// Whether another time may be answered better.
fn is_passing(status: u16) -> bool {
    status >= 500 || status == 429
}

fn refused(answer: &Answer) -> Outcome {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) if problem.code == "sold_out" => Outcome::SoldOut,
        Ok(problem) => Outcome::Refused(problem.code),
        Err(_) => Outcome::Unknown(format!("ordering was answered {}", text(answer))),
    }
}

fn order_no(answer: &Answer) -> Step<String> {
    match serde_json::from_slice::<Accepted>(&answer.body) {
        Ok(accepted) => Ok(accepted.order_no),
        Err(_) => Err(Outcome::Unknown(format!("ordering was answered {}", text(answer)))),
    }
}

/// An answer for people.
fn text(answer: &Answer) -> String {
    const TEXT_MAX_CHARS: usize = 200;
    let body: String = String::from_utf8_lossy(&answer.body).chars().take(TEXT_MAX_CHARS).collect();
    format!("{} {body}", answer.status)
}
