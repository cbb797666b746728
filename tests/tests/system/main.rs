//! The whole system on real servers: what is badly written, said twice, said too early, or said
//! while a part is away loses no order and changes none.
//!
//! One private stack for all of it, because starting one takes longer than most of what is proved.

#![recursion_limit = "512"]

mod archive;
mod bad_messages;
mod books;
mod chaos;
mod crashes;
mod messages;
mod orders;
mod outages;
mod quiet;
mod readiness;
mod repeats;
mod replays;
mod restarts;
mod stage;
mod tap;
mod too_early;
mod traffic;
mod versions;
mod wait;

use devstack::faults::Part;
use stage::Stage;
use tap::Tap;
use tokio::sync::Mutex;

/// Each test has the machine to itself.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_process_may_die_anywhere() {
    let _turn = TURN.lock().await;
    Box::pin(crashes::harm_nobody()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_part_harms_nobody() {
    let _turn = TURN.lock().await;
    Box::pin(chaos::harms_nobody()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_repeats_and_outages_lose_no_order_and_change_none() {
    let _turn = TURN.lock().await;
    let mut stage = Box::pin(Stage::start()).await;
    let tap = Tap::start(&stage).await;
    stage.step("bad messages");
    Box::pin(bad_messages::die_alone(&stage)).await;
    stage.step("messages again");
    Box::pin(repeats::change_nothing(&stage, &tap)).await;
    stage.step("messages before their order");
    Box::pin(too_early::do_no_harm(&stage)).await;
    stage.step("workers end and come back");
    Box::pin(restarts::lose_no_order(&mut stage)).await;
    stage.step("all messages from the first on");
    Box::pin(replays::change_nothing(&mut stage)).await;
    stage.step("an old and a new build");
    Box::pin(versions::lose_no_order(&mut stage, &tap)).await;
    tap.end();
    for part in Part::ALL {
        stage.step(&format!("{part:?} away"));
        Box::pin(outages::lose_no_order(&mut stage, part)).await;
    }
    stage.step("audit");
    stage.operator(&["audit", "--wait-quiet", "60"]).await;
    stage.step("end");
    stage.end().await;
}
