use common::bus::memory::MemoryBus;
use common::testing::{self, Door};
use dlq_handler::domain::Status;
use reqwest::StatusCode;
use url::Url;

use crate::stage::{GROUP, OTHER_GROUP, Stage, dead};

const LETTERS: usize = 50;

#[tokio::test]
async fn while_the_database_is_away_nothing_is_lost_and_no_attempt_is_burnt() {
    let server = Url::parse(&testing::postgres_url()).expect("a URL");
    let host = server.host_str().expect("a host");
    let door = Door::before(format!("{host}:{}", server.port().unwrap_or(5432))).await;
    let address = door.address();
    let stage = Stage::on(MemoryBus::default(), |config| {
        let mut url = Url::parse(&testing::postgres_url()).expect("a URL");
        url.set_path(config.postgres.url.options().get_database().expect("a database"));
        url.set_ip_host(address.ip()).expect("an address");
        url.set_port(Some(address.port())).expect("a port");
        config.postgres = testing::postgres_config(url.as_str());
        config.postgres.acquire_timeout_ms = 100;
    })
    .await;
    for number in 0..LETTERS {
        let group = if number % 2 == 0 { GROUP } else { OTHER_GROUP };
        stage.publish(dead(group, &format!("A{number}"))).await;
    }
    let away = |name: &str| {
        let snapshot = stage.life.readiness.snapshot();
        let found = snapshot.dependencies.into_iter().find(|dependency| dependency.name == name);
        found.is_some_and(|dependency| {
            !dependency.up && dependency.reason.is_some_and(|reason| reason != "not connected yet")
        })
    };
    testing::until(|| away("postgresql")).await;
    assert!(!stage.life.readiness.is_ready());
    let (status, body) = stage.get("/v1/dead-letters").await;
    assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"unavailable".into()));

    door.open();
    let letters = stage.archived(LETTERS).await;
    assert!(letters.iter().all(|letter| letter.attempts == 1 && letter.deaths == 1));

    // And once more, with a batch in hand.
    door.shut();
    for number in 0..LETTERS {
        stage.publish(dead(GROUP, &format!("B{number}"))).await;
    }
    testing::until(|| away("postgresql")).await;
    door.open();
    let letters = stage.archived(2 * LETTERS).await;
    assert!(letters.iter().all(|letter| letter.status == Status::Waiting));
    stage.drained().await;
    testing::until(|| stage.life.readiness.is_ready()).await;
    // Nothing but what this test has published: no retry, no dead letter of the archive.
    assert_eq!(stage.bus.published().len(), 2 * LETTERS);
    stage.end().await;
}
