//! Each process dies at each point that it passes, and is started again.
//!
//! The points are not listed here: every worker tells which ones it passes (`common::crash`), so a
//! new handler or boundary is in the matrix once the sale reaches it.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::PathBuf;

use common::crash::{Boundary, DIE, Point, SEEN};
use devstack::Options;
use devstack::process::Process;
use devstack::workers::{Kind, Override};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use self::mail::MailServer;
use crate::quiet::TAKERS;
use crate::stage::Stage;
use crate::wait::LIMIT;

mod mail;
mod sale;
mod table;

const SHOW: &str = "tests/tests/system/crashes/show.toml";
/// Work that a dead process has left behind is found again soon, and nobody waits long to expire.
const SETTINGS: [(Kind, &str, &str); 19] = [
    (Kind::Order, "outbox.lease_ms", "2000"),
    (Kind::Order, "outbox.backoff_max_ms", "500"),
    (Kind::Stock, "outbox.lease_ms", "2000"),
    (Kind::Stock, "outbox.backoff_max_ms", "500"),
    (Kind::Dlq, "outbox.lease_ms", "2000"),
    (Kind::Dlq, "outbox.backoff_max_ms", "500"),
    (Kind::Order, "payments.call_timeout_ms", "1000"),
    (Kind::Order, "payments.call_lease_ms", "3000"),
    (Kind::Order, "payments.sweep_interval_ms", "500"),
    (Kind::Order, "payments.backoff_min_ms", "100"),
    (Kind::Order, "orders.grace_s", "1"),
    (Kind::Order, "orders.jitter_s", "0"),
    (Kind::Order, "expiry.sweep_interval_ms", "200"),
    (Kind::Order, "payments.parked_retry_ms", "500"),
    (Kind::Notify, "delivery.lease_ms", "2000"),
    (Kind::Notify, "delivery.backoff_max_ms", "500"),
    (Kind::Notify, "smtp.timeout_ms", "1000"),
    (Kind::Notify, "smtp.tls", "none"),
    (Kind::Notify, "smtp.host", "127.0.0.1"),
];
/// Points that a process passes only when it has died at another one before.
const AFTER: [(&str, &str); 3] = [
    ("Found outbox-sweeper", "Publishing relay"),
    ("Found call-sweeper", "Calling open"),
    ("Found delivery-sweeper", "Calling EMAIL"),
];
/// 128 and the number of SIGABRT.
const ABORTED: i32 = 134;
/// More than any worker has points.
const ROUNDS_MAX: usize = 60;

/// A worker and a point to die at.
type Doom = (Kind, Point);

/// Once this returns, every worker has died at every point that it passes; after each round of
/// deaths every order ended as it should, and the audit was clean.
pub(crate) async fn harm_nobody() {
    let mails = MailServer::start().await;
    let port = mails.port.to_string();
    let by_mail = [
        // Of the others nobody has an address.
        (Kind::Order, "orders.default_channels", r#"["SMS"]"#),
        (Kind::Notify, "channels.email", "smtp"),
        (Kind::Notify, "smtp.port", port.as_str()),
    ];
    let set = |(worker, key, value): (_, &str, &str)| Override {
        worker,
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let overrides = SETTINGS.into_iter().chain(by_mail).map(set).collect();
    let options = Options { overrides, can_die: true, ..Options::default() };
    let mut stage = Box::pin(Stage::start_with(SHOW, options)).await;
    sale::run(&stage, &mails).await;
    stage.step("a sale without deaths");
    assert_complete(&stage);

    let mut died: HashSet<Doom> = HashSet::new();
    let mut missed: HashSet<Doom> = HashSet::new();
    for round in 0.. {
        let dooms = next(&stage, |doom| !died.contains(doom) && !missed.contains(doom));
        if dooms.is_empty() {
            break;
        }
        assert!(round < ROUNDS_MAX, "there is always another point to die at: {dooms:?}");
        let dead = Box::pin(play(&mut stage, &mails, &dooms)).await;
        stage.until_ready().await;
        stage.operator(&["audit", "--wait-quiet", "60"]).await;
        let names: Vec<_> = dooms.iter().map(|(_, point)| point.to_string()).collect();
        stage.step(&format!("clean after {}", names.join(", ")));
        for (doom, is_dead) in dooms.into_iter().zip(dead) {
            if is_dead {
                died.insert(doom)
            } else {
                missed.insert(doom)
            };
        }
    }
    stage.step(&table::of(&died));
    assert!(missed.is_empty(), "nobody came to {missed:?}");
    stage.assert_alive("");
    stage.end().await;
}

/// For each worker, one of the points that it has passed and that `is_left`.
fn next(stage: &Stage, is_left: impl Fn(&Doom) -> bool) -> Vec<Doom> {
    let first =
        |worker| seen(stage, worker).into_iter().map(|point| (worker, point)).find(&is_left);
    Kind::ALL.into_iter().filter_map(first).collect()
}

/// Runs a sale in which the workers die, each at its point; answers who did.
async fn play(stage: &mut Stage, mails: &MailServer, dooms: &[Doom]) -> Vec<bool> {
    for (worker, point) in dooms {
        let point = point.to_string();
        let before = AFTER.iter().find(|(after, _)| *after == point).map(|(_, before)| *before);
        let lines = before.into_iter().chain([point.as_str()]).map(|line| format!("{line}\n"));
        fs::write(file(stage, *worker, DIE), lines.collect::<String>()).expect("it is writable");
    }
    let is_armed = |stage: &Stage, worker| file(stage, worker, DIE).exists();
    let is_over = CancellationToken::new();
    let (processes, ()) = {
        let stage = &*stage;
        let watched = dooms.iter().map(|(worker, _)| start_again(stage, *worker, &is_over));
        tokio::join!(join_all(watched), async {
            sale::run(stage, mails).await;
            // What only a sweeper passes comes later.
            let more = async {
                while dooms.iter().any(|(worker, _)| is_armed(stage, *worker)) {
                    sale::run(stage, mails).await;
                }
            };
            // Who is armed still has missed its point.
            let _ = tokio::time::timeout(LIMIT, more).await;
            is_over.cancel();
        })
    };
    let mut dead = Vec::new();
    for ((worker, _), process) in dooms.iter().zip(processes) {
        dead.push(!is_armed(stage, *worker));
        if is_armed(stage, *worker) {
            fs::remove_file(file(stage, *worker, DIE)).expect("it is there");
        }
        let workers = stage.stack.workers.as_mut().expect("all parts were started");
        workers.get_mut(*worker).process = process;
    }
    dead
}

/// Starts the worker again whenever it dies at a point, until it is over; answers its last process.
async fn start_again(stage: &Stage, worker: Kind, is_over: &CancellationToken) -> Process {
    let mut process = stage.workers().get(worker).process.clone();
    let armed = points_left(stage, worker);
    let mut deaths = 0;
    loop {
        tokio::select! {
            biased;
            _ = process.exited() => {}
            () = is_over.cancelled() => {
                // It takes a point out of its list a moment before it dies there.
                if armed - points_left(stage, worker) == deaths {
                    return process;
                }
            }
        }
        let exit = process.exited().await;
        assert_eq!(exit.code(), Some(ABORTED), "{worker:?} ended with {exit}");
        deaths += 1;
        let again = process.start_again(&stage.stack.paths, &stage.stack.run).await;
        process = again.expect("it starts again");
    }
}

/// How many points the worker is still to die at.
fn points_left(stage: &Stage, worker: Kind) -> usize {
    fs::read_to_string(file(stage, worker, DIE)).map_or(0, |text| text.lines().count())
}

/// The sale passes every boundary, and every subscription of the workers.
fn assert_complete(stage: &Stage) {
    let all: Vec<Point> = Kind::ALL.into_iter().flat_map(|worker| seen(stage, worker)).collect();
    let is_passed = |boundary: &Boundary| all.iter().any(|point| point.boundary == *boundary);
    let missing: Vec<_> = Boundary::ALL.iter().filter(|boundary| !is_passed(boundary)).collect();
    assert!(missing.is_empty(), "the sale passes no {missing:?}");
    for (group, _) in TAKERS {
        assert!(all.iter().any(|point| point.place == group), "the sale sends nothing to {group}");
    }
}

/// The points that the worker has ever passed.
fn seen(stage: &Stage, worker: Kind) -> BTreeSet<Point> {
    let text = fs::read_to_string(file(stage, worker, SEEN)).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a point")).collect()
}

fn file(stage: &Stage, worker: Kind, name: &str) -> PathBuf {
    stage.stack.run.path().join(worker.name()).join(name)
}
