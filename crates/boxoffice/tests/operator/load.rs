//! The load generator on a stub: every buyer ends in one outcome, and nobody waits for another.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use boxoffice::load::{self, Arrivals, Behaviour, Lag, Plan, Report};

use crate::stub_orders::{Nature, Stub, serve};

fn plan(stub: &Stub, buyers: u64, behaviours: &[Behaviour]) -> Plan {
    Plan {
        arrivals: Arrivals::Within(Duration::from_millis(300)),
        behaviours: behaviours.iter().map(|behaviour| (*behaviour, 1)).collect(),
        deadline: Duration::from_secs(20),
        late_patience: Duration::from_secs(10),
        ..Plan::new(&stub.url, "token", 7, &[70, 71], buyers)
    }
}

async fn run(plan: Plan) -> Report {
    try_to_run(plan).await.expect("a plan that can be")
}

async fn try_to_run(plan: Plan) -> Result<Report, load::Error> {
    load::run(plan, std::future::pending(), |_| std::future::ready(())).await
}

fn plenty() -> Nature {
    Nature { stock: usize::MAX, ..Nature::default() }
}

#[tokio::test]
async fn each_behaviour_has_its_end() {
    let stub = serve(plenty()).await;
    for (behaviour, end) in [
        (Behaviour::PayAtOnce, "confirmed"),
        (Behaviour::PayLater, "confirmed"),
        (Behaviour::PayTwice, "confirmed"),
        (Behaviour::CancelPending, "cancelled"),
        (Behaviour::CancelReserved, "cancelled"),
        (Behaviour::WalkAway, "expired"),
        (Behaviour::PayTooLate, "refunded"),
        (Behaviour::Decline, "cancelled"),
    ] {
        let report = run(plan(&stub, 5, &[behaviour])).await;
        assert_eq!(report.outcome(end), 5, "{behaviour:?}: {report:#?}");
        assert!(report.is_accounted_for());
    }
}

#[tokio::test]
async fn every_buyer_is_accounted_for_and_few_looks_are_needed() {
    let stub = serve(Nature { stock: 150, unavailable: 20, ..Nature::default() }).await;
    let mut plan = plan(&stub, 400, &Behaviour::ALL);
    plan.repeat_percent = 30;
    let report = run(plan).await;
    assert!(report.is_accounted_for(), "{report:#?}");
    assert_eq!(report.outcomes.values().sum::<u64>(), 400);
    assert!(report.outcome("sold_out") >= 200, "{report:#?}");
    assert_eq!(report.retries, 20);
    assert!(report.repeats > 60, "{}", report.repeats);
    // Each order is one, though some were sent twice and some were refused at first.
    assert_eq!(stub.seen.orders.load(Ordering::SeqCst), 400);
    let looks = stub.seen.looks.load(Ordering::SeqCst);
    assert!(looks < 400 * 8, "{looks} looks");
}

#[tokio::test]
async fn once_the_doors_are_closed_nobody_comes_and_who_came_is_followed_to_the_end() {
    let stub = serve(plenty()).await;
    let mut plan = plan(&stub, 100_000, &[Behaviour::PayAtOnce]);
    plan.arrivals = Arrivals::Rate(100.0);
    let seen = stub.seen.clone();
    let closed = async move {
        while seen.orders.load(Ordering::SeqCst) < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let report = load::run(plan, closed, |_| std::future::ready(())).await.expect("it can be");
    assert!((10..1_000).contains(&report.buyers), "{report:#?}");
    assert_eq!(report.outcome("confirmed"), report.buyers);
    assert!(report.is_accounted_for());
}

#[tokio::test]
async fn steps_are_taken_from_the_orders_own_times() {
    let stub = serve(plenty()).await;
    let report = run(plan(&stub, 20, &[Behaviour::PayAtOnce])).await;
    let step = |name| report.step(name).expect("a step");
    assert_eq!(step("created_to_reserved").count, 20);
    let (reserved, confirmed) = (step("created_to_reserved"), step("created_to_confirmed"));
    assert!((39.0..41.0).contains(&reserved.p50_ms), "{reserved:?}");
    assert!((119.0..121.0).contains(&confirmed.max_ms), "{confirmed:?}");
}

#[tokio::test]
async fn nobody_waits_for_the_buyer_before() {
    let answer_after = Duration::from_millis(400);
    let stub = serve(Nature { answer_after, ..plenty() }).await;
    let started = Instant::now();
    let report = run(plan(&stub, 100, &[Behaviour::PayAtOnce])).await;
    assert!(report.is_accounted_for());
    // One after the other they would have needed 40 s.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(stub.seen.at_once_max.load(Ordering::SeqCst) >= 50);
}

#[tokio::test]
async fn waiting_for_a_connection_is_not_hidden() {
    let answer_after = Duration::from_millis(20);
    let stub = serve(Nature { answer_after, ..plenty() }).await;
    let mut plan = plan(&stub, 50, &[Behaviour::PayAtOnce]);
    plan.arrivals = Arrivals::Within(Duration::ZERO);
    plan.requests_in_flight_max = 1;
    let report = run(plan).await;
    assert_eq!(stub.seen.at_once_max.load(Ordering::SeqCst), 1);
    let accepted = report.step("accepted").expect("a step");
    assert!(accepted.max_ms >= 900.0, "{accepted:?}");
}

#[tokio::test]
async fn refusals_are_counted_by_their_code() {
    let sold_out = serve(Nature { refuses: Some((409, "sold_out")), ..plenty() }).await;
    let report = run(plan(&sold_out, 10, &Behaviour::ALL)).await;
    assert_eq!(report.outcome("sold_out"), 10);
    let closed = serve(Nature { refuses: Some((409, "sale_closed")), ..plenty() }).await;
    let report = run(plan(&closed, 10, &Behaviour::ALL)).await;
    assert_eq!(report.outcome("refused_sale_closed"), 10);
    assert!(report.is_accounted_for());
    assert_eq!(report.step("refused").expect("a step").count, 10);
}

#[tokio::test]
async fn an_order_that_is_made_twice_is_no_good_end() {
    let stub = serve(Nature { forgets_keys: true, ..plenty() }).await;
    let mut plan = plan(&stub, 3, &[Behaviour::PayAtOnce]);
    plan.repeat_percent = 100;
    let report = run(plan).await;
    assert_eq!(report.outcome("unknown"), 3);
    assert!(report.unknown[0].contains("sent again"), "{:?}", report.unknown);
    assert!(!report.is_accounted_for());
}

#[tokio::test]
async fn who_never_ends_is_given_up_at_the_deadline() {
    let stub = serve(Nature { hangs: true, ..plenty() }).await;
    let mut plan = plan(&stub, 3, &[Behaviour::PayAtOnce]);
    plan.deadline = Duration::from_secs(1);
    let report = run(plan).await;
    assert_eq!(report.outcome("unknown"), 3);
    assert!(report.unknown[0].contains("PENDING"), "{:?}", report.unknown);
}

#[tokio::test]
async fn progress_is_heard_and_ends_with_everybody() {
    let stub = serve(plenty()).await;
    let mut plan = plan(&stub, 50, &[Behaviour::PayAtOnce]);
    plan.arrivals = Arrivals::Rate(50.0);
    let mut heard = Vec::new();
    let report = load::run(plan, std::future::pending(), |progress| {
        heard.push(progress);
        std::future::ready(())
    })
    .await
    .expect("a plan that can be");
    assert!(report.is_accounted_for());
    assert!(heard.len() >= 3, "{}", heard.len());
    assert!(heard.is_sorted_by_key(|progress| progress.arrived));
    let middle = &heard[1];
    assert!((1..50).contains(&middle.arrived), "{middle:?}");
    let last = heard.last().expect("heard");
    assert_eq!((last.arrived, last.ended), (50, 50));
    assert_eq!(last.phases.values().sum::<u64>(), 0);
}

#[tokio::test]
async fn progress_tells_how_far_the_workers_are_behind() {
    let page = "boxoffice_messages_waiting{group=\"order-stock\"} 12\n";
    let admin = Router::new().route("/metrics", get(async move || page));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin_url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, admin).await });
    let stub = serve(Nature { hangs: true, ..plenty() }).await;
    let mut plan = plan(&stub, 1, &[Behaviour::PayAtOnce]);
    plan.admin_urls = vec![admin_url];
    let (tell, mut told) = tokio::sync::watch::channel(Lag::NotWatched);
    let sale = load::run(plan, std::future::pending(), |progress| {
        tell.send_replace(progress.lag);
        std::future::ready(())
    });
    tokio::select! {
        report = sale => panic!("it ended before the lag was told: {report:?}"),
        lag = told.wait_for(|lag| *lag == Lag::Messages(12)) => drop(lag.expect("told")),
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_sends_nobody() {
    for url in ["nowhere", "https://127.0.0.1:1", "ftp://x"] {
        let refused = try_to_run(Plan::new(url, "t", 7, &[70], 1)).await;
        assert!(refused.expect_err(url).to_string().starts_with("orders_url: "));
    }
    let mut plan = Plan::new("http://127.0.0.1:1", "t", 7, &[70], 1);
    plan.admin_urls = vec!["nowhere".to_owned()];
    let refused = try_to_run(plan).await;
    assert!(refused.expect_err("refused").to_string().starts_with("admin_urls: "));
}
