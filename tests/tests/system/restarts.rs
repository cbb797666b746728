//! Workers die, end in order, and get company, while orders run.

use std::time::Duration;

use common::metric;
use contracts::{OrderStatus, topics};
use devstack::workers::Kind;
use futures::future::join_all;
use tokio::time::Instant;

use crate::stage::Stage;
use crate::traffic::Traffic;
use crate::wait::{LIMIT, until};

/// How often each worker is killed.
const KILLS: usize = 10;
/// So many orders are accepted between two events.
const ORDERS: usize = 10;
/// The limit of a worker's drain (`drain.drain_timeout_ms`).
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// No order waits longer than that for a group to share its queues out again.
const STUCK_MAX: Duration = Duration::from_secs(10);

/// Once this returns, every order that was accepted meanwhile is confirmed.
pub(crate) async fn lose_no_order(stage: &mut Stage) {
    let dead = stage.dead_letters().await.len();
    killed(stage).await;
    ended_in_order(stage).await;
    joined_and_left(stage).await;
    assert_eq!(stage.dead_letters().await.len(), dead, "no message is dead");
    stage.assert_alive("");
}

/// All at once, again and again.
async fn killed(stage: &mut Stage) {
    let mut traffic = Traffic::start(stage);
    for _ in 0..KILLS {
        traffic.until_accepted(ORDERS).await;
        let started = join_all(Kind::ALL.map(|kind| {
            let process = stage.workers().get(kind).process.clone();
            let (paths, run) = (&stage.stack.paths, &stage.stack.run);
            async move { process.start_again(paths, run).await.expect("it starts again") }
        }))
        .await;
        let workers = stage.stack.workers.as_mut().expect("all parts were started");
        for (kind, process) in Kind::ALL.into_iter().zip(started) {
            workers.get_mut(kind).process = process;
        }
        stage.until_ready().await;
    }
    let orders = traffic.end().await;
    stage.until_status(&orders, OrderStatus::Confirmed).await;
    stage.step(&format!("{KILLS} times killed: {} orders are confirmed", orders.len()));
}

/// One after the other, as in a rollout; nothing that was taken is left undone, so nothing comes
/// twice.
async fn ended_in_order(stage: &mut Stage) {
    stage.until_quiet().await;
    let mut before = Vec::new();
    for kind in Kind::ALL {
        before.push(stage.count(kind, metric::MESSAGES_REPEATED).await);
    }
    let mut traffic = Traffic::start(stage);
    traffic.until_accepted(ORDERS).await;
    for (kind, before) in Kind::ALL.into_iter().zip(before) {
        let repeated = stage.count(kind, metric::MESSAGES_REPEATED).await - before;
        assert!(repeated == 0.0, "{repeated} messages came to {kind:?} again after a drain");
        let process = stage.workers().get(kind).process.clone();
        let asked = Instant::now();
        process.stop().await;
        let took = asked.elapsed();
        assert!(took < DRAIN_MAX, "{kind:?} took {took:?} to end");
        let exit = process.exit().expect("it has ended");
        assert!(exit.success(), "{kind:?} ended with {exit}");
        let again = process.start_again(&stage.stack.paths, &stage.stack.run).await;
        let workers = stage.stack.workers.as_mut().expect("all parts were started");
        workers.get_mut(kind).process = again.expect("it starts again");
        stage.until_ready().await;
        traffic.until_accepted(ORDERS).await;
        stage.step(&format!("{} drained in {} ms", kind.name(), took.as_millis()));
    }
    let orders = traffic.end().await;
    stage.until_status(&orders, OrderStatus::Confirmed).await;
    stage.until_quiet().await;
    for kind in Kind::ALL {
        let repeated = stage.count(kind, metric::MESSAGES_REPEATED).await;
        assert!(repeated == 0.0, "{repeated} messages came to {kind:?} again after a drain");
    }
    stage.step(&format!("{} orders are confirmed, no message came twice", orders.len()));
}

/// Returns when the member that was added last has taken messages; dead letters are rare.
async fn until_it_works(stage: &Stage, kind: Kind) {
    let group = match kind {
        Kind::Order => topics::ORDER_STOCK_GROUP,
        Kind::Stock => topics::STOCK_ORDER_GROUP,
        Kind::Notify => topics::NOTIFY_EMAIL_GROUP,
        Kind::Dlq => return,
    };
    let admin = &stage.workers().all(kind).last().expect("it was added").admin;
    let taken = format!("{}{{group=\"{group}\"", metric::MESSAGES_CONSUMED);
    until(&format!("the second {kind:?} takes messages"), LIMIT, async || {
        match stage.count_at(admin, &taken).await {
            0.0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

/// A second member of each group comes and goes.
async fn joined_and_left(stage: &mut Stage) {
    let mut traffic = Traffic::start(stage);
    traffic.until_accepted(ORDERS).await;
    for kind in Kind::ALL {
        stage.stack.add(kind).await.expect("another one starts");
        until_it_works(stage, kind).await;
        traffic.until_accepted(ORDERS).await;
        let exit = stage.stack.remove(kind).await;
        assert!(exit.success(), "the second {kind:?} ended with {exit}");
        traffic.until_accepted(ORDERS).await;
    }
    let orders = traffic.end().await;
    stage.until_status(&orders, OrderStatus::Confirmed).await;
    let longest: f64 = sqlx::query_scalar(
        "SELECT max(extract(epoch FROM confirmed_at - created_at))::float8 FROM orders.orders \
         WHERE order_no = ANY ($1)",
    )
    .bind(&orders)
    .fetch_one(&stage.database)
    .await
    .expect("the database answers");
    stage.step(&format!("{} orders are confirmed, each within {longest:.1} s", orders.len()));
    assert!(longest < STUCK_MAX.as_secs_f64(), "an order was stuck for {longest} s");
}
