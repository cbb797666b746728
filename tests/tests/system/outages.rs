//! A part dies while orders run, and comes back with its data.

use contracts::OrderStatus;
use devstack::faults::Part;

use crate::stage::Stage;
use crate::traffic::Traffic;
use crate::wait::{LIMIT, until};

/// So many orders are accepted before, while (where they can be) and after a part is away.
const ORDERS: usize = 25;
/// So many requests hear that a part is away, where they need it.
const TURNED_AWAY: usize = 5;

/// Once this returns, the part was away and is back, every order that was accepted before, during
/// and after that is confirmed, no worker has ended, and no message has failed.
pub(crate) async fn lose_no_order(stage: &mut Stage, part: Part) {
    let failed = stage.attempts_failed().await;
    let dead = stage.dead_letters().await.len();
    let mut traffic = Traffic::start(stage);
    traffic.until_accepted(ORDERS).await;

    stage.stack.end_at_once(part).await;
    until_noticed(stage, part).await;
    stage.step("noticed");
    match part {
        Part::Redis | Part::Broker => traffic.until_accepted(ORDERS).await,
        Part::Postgres => traffic.until_turned_away(TURNED_AWAY).await,
    }
    let ended = stage.stack.process(part).name().to_owned();
    stage.assert_alive(&ended);

    stage.stack.start_again(part).await.expect("it starts again");
    stage.step("started again");
    stage.until_ready().await;
    stage.step("ready again");
    traffic.until_accepted(ORDERS).await;
    let orders = traffic.end().await;
    stage.until_status(&orders, OrderStatus::Confirmed).await;
    stage.step(&format!("{} orders are confirmed", orders.len()));
    stage.assert_alive("");
    assert_eq!(stage.attempts_failed().await, failed, "an outage is no failed attempt");
    assert_eq!(stage.dead_letters().await.len(), dead, "an outage kills no message");
}

/// Each worker that uses the part says that it is away, and why.
async fn until_noticed(stage: &Stage, part: Part) {
    let name = part.dependency();
    for &kind in part.used_by() {
        until(&format!("{kind:?} says that {name} is away"), LIMIT, async || {
            let readiness = stage.readiness(kind).await;
            let reason = readiness.missing(name).and_then(|known| known.reason.as_deref());
            let is_told = reason.is_some_and(|reason| !reason.is_empty());
            let is_ready_as_told = readiness.ready != part.is_needed_by(kind);
            if is_told && is_ready_as_told { Ok(()) } else { Err(format!("{readiness:?}")) }
        })
        .await;
    }
}
