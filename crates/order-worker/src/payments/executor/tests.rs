//! The executor with a provider and a ledger that do as they are told, on a paused clock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use common::pipeline::CallError;
use contracts::{Amount, Currency, OrderNo, OrderStatus};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::*;
use crate::domain::{CallKind, Captured, Message, RefundOutcome, Reply};
use crate::payments::gateway::{Closed, Gateway, GatewayError, Opened, Refunded};
use crate::payments::{GatewayKind, MethodConfig};
use crate::store::{ClaimedCall, ParkedEvent};

/// Far above what anything here takes (twenty delays of a refund are an hour); on a paused clock
/// it costs nothing.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

fn call(kind: CallKind, payment: &str) -> Call {
    let subject = if kind == CallKind::Refund { "A1-r1" } else { payment };
    Call {
        call_id: Call::id_of(kind, subject),
        kind,
        order_no: OrderNo::new("A1").expect("a number"),
        session_id: 7,
        payment_id: payment.to_owned(),
        refund_id: (kind == CallKind::Refund).then(|| "A1-r1".to_owned()),
        method: "fake".to_owned(),
        amount: "199.00".parse::<Amount>().expect("an amount"),
        currency: Currency::new("EUR").expect("a currency"),
    }
}

fn captured(call: &Call) -> Captured {
    Captured {
        payment_id: call.payment_id.clone(),
        provider_payment_id: "p".to_owned(),
        amount: call.amount,
        currency: call.currency,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with it")
}

/// What the provider does with the next call.
#[derive(Debug, Clone)]
enum Act {
    Do,
    TimeOut,
    Refuse,
    Pending,
    Hang,
}

#[derive(Default)]
struct FakeGateway {
    acts: Mutex<VecDeque<Act>>,
    /// Ids of calls in the order in which they came.
    seen: Mutex<Vec<String>>,
    running: Mutex<HashMap<String, usize>>,
    running_max: Mutex<usize>,
    /// Calls wait here when there is one.
    gate: Option<Semaphore>,
}

impl FakeGateway {
    fn with(acts: &[Act]) -> Self {
        Self { acts: Mutex::new(acts.iter().cloned().collect()), ..Self::default() }
    }

    async fn act(&self, call: &Call) -> Result<Act, GatewayError> {
        lock(&self.seen).push(call.call_id.clone());
        let payment = call.payment_id.clone();
        let running = {
            let mut running = lock(&self.running);
            *running.entry(payment.clone()).or_default() += 1;
            running[&payment]
        };
        let most = running.max(*lock(&self.running_max));
        *lock(&self.running_max) = most;
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("never closed").forget();
        }
        let act = lock(&self.acts).pop_front().unwrap_or(Act::Do);
        if matches!(act, Act::Hang) {
            std::future::pending::<()>().await;
        }
        if let Some(running) = lock(&self.running).get_mut(&payment) {
            *running -= 1;
        }
        match act {
            Act::TimeOut => Err(GatewayError::Unknown("no answer".to_owned())),
            Act::Refuse => Err(GatewayError::Refused("never".to_owned())),
            act => Ok(act),
        }
    }
}

#[async_trait]
impl Gateway for FakeGateway {
    async fn open(&self, call: &Call) -> Result<Opened, GatewayError> {
        self.act(call).await.map(|_| Opened::Captured(captured(call)))
    }

    async fn close(&self, call: &Call) -> Result<Closed, GatewayError> {
        self.act(call).await.map(|_| Closed::Closed)
    }

    async fn refund(&self, call: &Call) -> Result<Refunded, GatewayError> {
        Ok(match self.act(call).await? {
            Act::Pending => Refunded::Pending,
            _ => Refunded::Succeeded,
        })
    }
}

/// The calls table and the order, in memory, on tokio's clock.
#[derive(Default)]
struct FakeLedger {
    rows: Mutex<HashMap<String, (ClaimedCall, Instant)>>,
    told: Mutex<Vec<Message>>,
    /// Errors to answer with first.
    errors: Mutex<VecDeque<CallError>>,
    changed: Notify,
}

impl FakeLedger {
    fn insert(&self, call: Call, lease: Duration) {
        let row = (ClaimedCall { call: call.clone(), attempts: 0 }, Instant::now() + lease);
        lock(&self.rows).insert(call.call_id, row);
    }

    fn attempts(&self, call: &Call) -> Option<i32> {
        lock(&self.rows).get(&call.call_id).map(|(row, _)| row.attempts)
    }

    /// The first `count` messages that the order was told.
    async fn told(&self, count: usize) -> Vec<Message> {
        self.until(|ledger| lock(&ledger.told).len() >= count).await;
        lock(&self.told).clone()
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it never came to that");
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn decide(&self, _: OrderNo, message: Message) -> Result<Reply, CallError> {
        if let Some(error) = lock(&self.errors).pop_front() {
            return Err(error);
        }
        let ended = match &message {
            Message::PaymentCaptured(captured) => vec![&captured.payment_id],
            Message::PaymentClosed { payment_id }
            | Message::OpenGaveUp { payment_id, .. }
            | Message::CloseGaveUp { payment_id, .. } => vec![payment_id],
            Message::RefundEnded { refund_id, .. } => vec![refund_id],
            other => panic!("{other:?}"),
        };
        lock(&self.rows).retain(|id, _| !ended.iter().any(|end| id.starts_with(end.as_str())));
        lock(&self.told).push(message);
        self.changed.notify_waiters();
        Ok(Reply::Done { status: OrderStatus::Paid, payment_id: None })
    }

    async fn claim_calls(
        &self,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<ClaimedCall>, sqlx::Error> {
        let now = Instant::now();
        let mut claimed = Vec::new();
        for (row, until) in lock(&self.rows).values_mut() {
            if *until < now && (claimed.len() as i64) < limit {
                *until = now + lease;
                claimed.push(row.clone());
            }
        }
        Ok(claimed)
    }

    async fn put_off_call(&self, call_id: &str, delay: Duration) -> Result<(), sqlx::Error> {
        if let Some((row, until)) = lock(&self.rows).get_mut(call_id) {
            row.attempts += 1;
            *until = Instant::now() + delay;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn park_event(&self, _: &ParkedEvent) -> Result<(), sqlx::Error> {
        unreachable!("calls park nothing")
    }

    async fn claim_parked(&self, _: i64, _: Duration) -> Result<Vec<ParkedEvent>, sqlx::Error> {
        unreachable!("calls park nothing")
    }

    async fn end_parked(&self, _: &ParkedEvent, _: &str) -> Result<(), sqlx::Error> {
        unreachable!("calls park nothing")
    }
}

struct Rig {
    gateway: Arc<FakeGateway>,
    ledger: Arc<FakeLedger>,
    hand_over: HandOver,
    tasks: Tasks,
}

impl Rig {
    fn start(gateway: FakeGateway, config: PaymentConfig) -> Self {
        Self::start_with(gateway, FakeLedger::default(), config)
    }

    fn start_with(gateway: FakeGateway, ledger: FakeLedger, config: PaymentConfig) -> Self {
        let (gateway, ledger, tasks) = (Arc::new(gateway), Arc::new(ledger), Tasks::new());
        let (hand_over, intake) = hand_over(config.call_queue_max);
        let gateways = Gateways::only(gateway.clone());
        Executor::start(intake, gateways, ledger.clone(), config, &tasks);
        Self { gateway, ledger, hand_over, tasks }
    }

    /// As a committed transaction does: the row, born leased, then the hand-over.
    fn commit(&self, calls: &[Call]) {
        for call in calls {
            self.ledger.insert(call.clone(), Duration::from_secs(15));
        }
        self.hand_over.try_hand_over(calls.to_vec());
    }

    fn seen(&self) -> Vec<String> {
        lock(&self.gateway.seen).clone()
    }

    async fn stop(self) {
        self.tasks.stop.cancel();
        self.tasks.wait().await;
        assert_eq!(self.tasks.failed(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_once_and_its_answer_told() {
    let rig = Rig::start(FakeGateway::default(), PaymentConfig::default());
    let open = call(CallKind::Open, "A1-p1");
    rig.commit(std::slice::from_ref(&open));
    assert_eq!(rig.ledger.told(1).await, [Message::PaymentCaptured(captured(&open))]);
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(rig.seen(), [open.call_id]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_made_again_under_its_id() {
    let rig = Rig::start(
        FakeGateway::with(&[Act::TimeOut, Act::TimeOut, Act::TimeOut]),
        PaymentConfig::default(),
    );
    let open = call(CallKind::Open, "A1-p1");
    rig.commit(std::slice::from_ref(&open));
    assert_eq!(rig.ledger.told(1).await, [Message::PaymentCaptured(captured(&open))]);
    assert_eq!(rig.seen(), vec![open.call_id; 4]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn opening_and_closing_give_up_after_the_last_attempt() {
    for kind in [CallKind::Open, CallKind::Close] {
        let config = PaymentConfig { call_attempts_max: 3, ..PaymentConfig::default() };
        let rig = Rig::start(FakeGateway::with(&vec![Act::TimeOut; 9]), config);
        rig.commit(&[call(kind, "A1-p1")]);
        let (payment_id, reason) = ("A1-p1".to_owned(), "no answer".to_owned());
        let expected = match kind {
            CallKind::Open => Message::OpenGaveUp { payment_id, reason },
            _ => Message::CloseGaveUp { payment_id, reason },
        };
        assert_eq!(rig.ledger.told(1).await, [expected]);
        assert_eq!(rig.seen().len(), 3, "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_never_gives_up() {
    let config = PaymentConfig { call_attempts_max: 2, ..PaymentConfig::default() };
    let rig = Rig::start(FakeGateway::with(&vec![Act::TimeOut; 20]), config);
    rig.commit(&[call(CallKind::Refund, "A1-p1")]);
    let refunded =
        Message::RefundEnded { refund_id: "A1-r1".to_owned(), outcome: RefundOutcome::Succeeded };
    assert_eq!(rig.ledger.told(1).await, [refunded]);
    assert_eq!(rig.seen().len(), 21);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refund_under_way_is_asked_about_until_it_ends() {
    let rig =
        Rig::start(FakeGateway::with(&[Act::Pending, Act::Pending]), PaymentConfig::default());
    let refund = call(CallKind::Refund, "A1-p1");
    rig.commit(std::slice::from_ref(&refund));
    rig.ledger.until(|ledger| ledger.attempts(&refund) == Some(1)).await;
    assert_eq!(lock(&rig.ledger.told).len(), 0, "nothing is told before it ends");
    rig.ledger.told(1).await;
    assert_eq!(rig.seen().len(), 3);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_refuses_ends_at_once() {
    let reason = || "never".to_owned();
    let payment_id = || "A1-p1".to_owned();
    for (kind, expected) in [
        (CallKind::Open, Message::OpenGaveUp { payment_id: payment_id(), reason: reason() }),
        (CallKind::Close, Message::CloseGaveUp { payment_id: payment_id(), reason: reason() }),
        (
            CallKind::Refund,
            Message::RefundEnded {
                refund_id: "A1-r1".to_owned(),
                outcome: RefundOutcome::Refused(reason()),
            },
        ),
    ] {
        let rig = Rig::start(FakeGateway::with(&[Act::Refuse]), PaymentConfig::default());
        rig.commit(&[call(kind, "A1-p1")]);
        assert_eq!(rig.ledger.told(1).await, [expected]);
        assert_eq!(rig.seen().len(), 1, "{kind:?}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_a_call_without_an_answer() {
    let rig = Rig::start(FakeGateway::with(&[Act::Hang]), PaymentConfig::default());
    rig.commit(&[call(CallKind::Open, "A1-p1")]);
    rig.ledger.told(1).await;
    assert_eq!(rig.seen().len(), 2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_payment_go_one_at_a_time_and_others_do_not_wait() {
    let gate = FakeGateway { gate: Some(Semaphore::new(0)), ..FakeGateway::default() };
    let rig = Rig::start(gate, PaymentConfig::default());
    let refund = call(CallKind::Refund, "A1-p1");
    let close = call(CallKind::Close, "A1-p1");
    let other = call(CallKind::Open, "A1-p2");
    rig.commit(&[refund.clone(), close.clone(), other.clone()]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.seen(), [refund.call_id.clone(), other.call_id.clone()]);
    rig.gateway.gate.as_ref().expect("a gate").add_permits(3);
    rig.ledger.told(3).await;
    assert_eq!(rig.seen(), [refund.call_id, other.call_id, close.call_id]);
    assert_eq!(*lock(&rig.gateway.running_max), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_supersedes_an_open_that_was_not_sent() {
    let rig = Rig::start(FakeGateway::default(), PaymentConfig::default());
    let (open, close) = (call(CallKind::Open, "A1-p1"), call(CallKind::Close, "A1-p1"));
    rig.commit(&[open, close.clone()]);
    let closed = Message::PaymentClosed { payment_id: "A1-p1".to_owned() };
    assert_eq!(rig.ledger.told(1).await, [closed]);
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(rig.seen(), [close.call_id], "its answer ended the open, too");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_finds_what_a_crash_left_behind() {
    let ledger = FakeLedger::default();
    let open = call(CallKind::Open, "A1-p1");
    ledger.insert(open.clone(), Duration::from_secs(15));
    let rig = Rig::start_with(FakeGateway::default(), ledger, PaymentConfig::default());
    rig.ledger.told(1).await;
    assert_eq!(rig.seen(), [open.call_id]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_full_executor_can_not_take_is_the_sweepers() {
    let (hand_over, intake) = hand_over(1);
    let ledger = Arc::new(FakeLedger::default());
    let calls: Vec<Call> =
        (0..5).map(|index| call(CallKind::Open, &format!("A{index}-p1"))).collect();
    for call in &calls {
        ledger.insert(call.clone(), Duration::from_secs(15));
    }
    hand_over.try_hand_over(calls);
    let (gateways, tasks) = (Gateways::only(Arc::new(FakeGateway::default())), Tasks::new());
    Executor::start(intake, gateways, ledger.clone(), PaymentConfig::default(), &tasks);
    assert_eq!(ledger.told(5).await.len(), 5);
    tasks.stop.cancel();
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_can_not_be_written_is_asked_for_again_and_costs_no_attempt() {
    let ledger = FakeLedger::default();
    let away = CallError::Away { dependency: "postgresql", reason: "gone".to_owned() };
    lock(&ledger.errors).extend([away.clone(), away]);
    let config = PaymentConfig { call_attempts_max: 1, ..PaymentConfig::default() };
    let rig = Rig::start_with(FakeGateway::default(), ledger, config);
    let open = call(CallKind::Open, "A1-p1");
    rig.commit(std::slice::from_ref(&open));
    assert_eq!(rig.ledger.told(1).await, [Message::PaymentCaptured(captured(&open))]);
    assert_eq!(rig.seen().len(), 3);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_method_that_nobody_serves_any_more_gives_up() {
    let config = PaymentConfig { call_attempts_max: 2, ..PaymentConfig::default() };
    let (hand_over, intake) = hand_over(1);
    let (ledger, tasks) = (Arc::new(FakeLedger::default()), Tasks::new());
    let readiness = common::readiness::Readiness::new("test");
    let methods = vec![MethodConfig { method: "cash".to_owned(), gateway: GatewayKind::Instant }];
    let served = PaymentConfig { methods, ..config.clone() };
    let gateways = Gateways::new(&served, &readiness).expect("no client to build");
    Executor::start(intake, gateways, ledger.clone(), config, &tasks);
    let open = call(CallKind::Open, "A1-p1");
    ledger.insert(open.clone(), Duration::ZERO);
    hand_over.try_hand_over(vec![open]);
    assert!(matches!(&ledger.told(1).await[..], [Message::OpenGaveUp { .. }]));
    tasks.stop.cancel();
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_calls_under_way() {
    let gate = FakeGateway { gate: Some(Semaphore::new(0)), ..FakeGateway::default() };
    let rig = Rig::start(gate, PaymentConfig::default());
    rig.commit(&[call(CallKind::Open, "A1-p1")]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    rig.tasks.stop.cancel();
    let mut drained = Box::pin(rig.tasks.wait());
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut drained).await.is_err());
    rig.gateway.gate.as_ref().expect("a gate").add_permits(1);
    drained.await;
    assert_eq!(lock(&rig.ledger.told).len(), 1);
}
