//! An old and a new build side by side, one version of the contracts apart.
//!
//! There is no other build than this one: the new one is told to read the next version, too. Bodies
//! are the same in both.

use contracts::{NEWEST_READ_VARIABLE, NEWEST_READ_VERSION, OrderStatus, properties};
use devstack::process::{Process, Spec};
use devstack::workers::Kind;

use crate::messages::{enveloped, new_order_no, order_create};
use crate::stage::{FLOOR, Stage};
use crate::tap::Tap;
use crate::traffic::Traffic;
use crate::wait::{LIMIT, until};

const NEXT_VERSION: u32 = NEWEST_READ_VERSION + 1;
/// So many orders are accepted after each step.
const ORDERS: usize = 10;

/// What a worker becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    /// It reads the next version and writes the present one.
    New,
    /// The same after `outbox.write_version` was raised.
    Raised,
}

impl Build {
    fn of(self, old: &Spec) -> Spec {
        let mut spec = old.clone();
        let version = NEXT_VERSION.to_string();
        spec.environment.push((NEWEST_READ_VARIABLE.to_owned(), version.clone().into()));
        match self {
            Self::New => spec,
            Self::Raised => {
                spec.arguments(["--set".to_owned(), format!("outbox.write_version={version}")])
            }
        }
    }
}

/// Once this returns, every order that was accepted meanwhile is confirmed, and so is the one that
/// came in the next version before anybody could read it.
pub(crate) async fn lose_no_order(stage: &mut Stage, tap: &Tap) {
    let too_new = said_too_early(stage).await;
    let dead = stage.dead_letters().await.len();
    let old = Kind::ALL.map(|kind| stage.workers().get(kind).process.spec().clone());
    let mut traffic = Traffic::start(stage);
    traffic.until_accepted(ORDERS).await;
    for (kind, old) in Kind::ALL.into_iter().zip(&old) {
        // Another one of the old build stays beside the new one for a while.
        stage.stack.add(kind).await.expect("another one starts");
        turn_into(stage, kind, Build::New.of(old)).await;
        traffic.until_accepted(ORDERS).await;
        let exit = stage.stack.remove(kind).await;
        assert!(exit.success(), "the old {kind:?} ended with {exit}");
        traffic.until_accepted(ORDERS).await;
    }
    stage.step("all workers are of the new build");
    for (kind, old) in Kind::ALL.into_iter().zip(&old) {
        turn_into(stage, kind, Build::Raised.of(old)).await;
        traffic.until_accepted(ORDERS).await;
    }
    let orders = traffic.end().await;
    stage.until_status(&orders, OrderStatus::Confirmed).await;
    assert_eq!(stage.dead_letters().await.len(), dead, "a version was not understood");
    stage.until_quiet().await;
    let versions = tap.versions(&orders);
    assert!(versions.len() == 2, "both versions were written, not only {versions:?}");
    stage.step(&format!("{} orders are confirmed, in versions {versions:?}", orders.len()));

    stage.operator(&["dlq", "replay", &letter_of(stage, &too_new).await]).await;
    stage.until_status(&[too_new], OrderStatus::Confirmed).await;
    stage.until_quiet().await;
    for (kind, old) in Kind::ALL.into_iter().zip(old) {
        turn_into(stage, kind, old).await;
    }
}

/// An order in the next version, which the old build can't read; its number, once it is archived.
async fn said_too_early(stage: &Stage) -> String {
    let order_no = new_order_no();
    let buyer = common::testing::unique_number();
    let (mut create, _) = enveloped(order_create(&order_no, buyer, FLOOR, 1));
    create.properties.insert(properties::SCHEMA_VERSION.to_owned(), NEXT_VERSION.to_string());
    stage.publish(vec![create]).await;
    until("it is archived", LIMIT, async || {
        let letters = stage.dead_letters().await;
        let is_ours = |no: &Option<String>| no.as_deref() == Some(order_no.as_str());
        match letters.iter().any(|letter| is_ours(&letter.order_no)) {
            true => Ok(()),
            false => Err(format!("{} letters", letters.len())),
        }
    })
    .await;
    order_no
}

async fn letter_of(stage: &Stage, order_no: &str) -> String {
    sqlx::query_scalar("SELECT id::text FROM dlq.dead_letters WHERE order_no = $1")
        .bind(order_no)
        .fetch_one(&stage.database)
        .await
        .expect("the database answers")
}

async fn turn_into(stage: &mut Stage, kind: Kind, spec: Spec) {
    stage.workers().get(kind).process.stop().await;
    let process = Process::start(spec, &stage.stack.paths, &stage.stack.run).await;
    let workers = stage.stack.workers.as_mut().expect("all parts were started");
    workers.get_mut(kind).process = process.expect("it starts");
    stage.until_ready().await;
}
