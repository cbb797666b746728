//! A part dies while orders run, and comes back with its data.

use contracts::OrderStatus;
use devstack::process::Process;
use devstack::servers::Servers;
use devstack::workers::Kind;

use crate::stage::Stage;
use crate::traffic::Traffic;
use crate::wait::{LIMIT, until};

/// So many orders are accepted before, while (where they can be) and after a part is away.
const ORDERS: usize = 25;
/// So many requests hear that a part is away, where they need it.
const TURNED_AWAY: usize = 5;

/// A server that everything depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Redis,
    Postgres,
    Broker,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Broker];

    /// Its name in `/ready`.
    fn dependency(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgresql",
            Self::Broker => "broker",
        }
    }

    fn used_by(self) -> &'static [Kind] {
        match self {
            Self::Redis => &[Kind::Stock],
            Self::Postgres | Self::Broker => &Kind::ALL,
        }
    }

    /// Orders are accepted without the broker: into the outbox.
    fn is_needed_by(self, kind: Kind) -> bool {
        self.used_by().contains(&kind) && (self, kind) != (Self::Broker, Kind::Order)
    }

    fn process(self, servers: &mut Servers) -> &mut Process {
        match self {
            Self::Redis => &mut servers.redis,
            Self::Postgres => &mut servers.postgres,
            Self::Broker => &mut servers.broker,
        }
    }

    /// `kill -9`, but for PostgreSQL, whose own immediate end is as sudden: killing its first
    /// process would leave the others.
    async fn end_at_once(self, stage: &mut Stage) {
        let process = self.process(&mut stage.stack.servers);
        match self {
            Self::Redis | Self::Broker => process.kill().await,
            Self::Postgres => process.stop().await,
        }
        assert!(process.exit().is_some(), "{self:?} has ended");
    }

    async fn start_again(self, stage: &mut Stage) {
        let (paths, run) = (&stage.stack.paths, &stage.stack.run);
        let process = self.process(&mut stage.stack.servers);
        *process = process.start_again(paths, run).await.expect("it starts again");
    }
}

/// Once this returns, the part was away and is back, every order that was accepted before, during
/// and after that is confirmed, no worker has ended, and no message has failed.
pub(crate) async fn lose_no_order(stage: &mut Stage, part: Part) {
    let failed = stage.attempts_failed().await;
    let dead = stage.dead_letters().await.len();
    let mut traffic = Traffic::start(stage);
    traffic.until_accepted(ORDERS).await;

    part.end_at_once(stage).await;
    until_noticed(stage, part).await;
    stage.step("noticed");
    match part {
        Part::Redis | Part::Broker => traffic.until_accepted(ORDERS).await,
        Part::Postgres => traffic.until_turned_away(TURNED_AWAY).await,
    }
    let ended = part.process(&mut stage.stack.servers).name().to_owned();
    stage.assert_alive(&ended);

    part.start_again(stage).await;
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
