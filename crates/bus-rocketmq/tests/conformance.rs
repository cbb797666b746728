//! The RocketMQ adapter keeps the promises of the port, on real servers.

#![recursion_limit = "512"]

use std::sync::Arc;

use async_trait::async_trait;
use bus_rocketmq::{RocketBus, RocketConfig};
use common::bus::Bus;
use common::bus::conformance::Subject;

struct Rocket;

#[async_trait]
impl Subject for Rocket {
    async fn client(&self) -> Arc<dyn Bus> {
        let name_server = std::env::var("BOXOFFICE_TEST_NAMESRV")
            .expect("BOXOFFICE_TEST_NAMESRV is not set; run: cargo stack test");
        let config = RocketConfig { name_server, ..RocketConfig::default() };
        Arc::new(RocketBus::connect(config).await.expect("the configuration is sound"))
    }
}

common::bus_conformance!(Rocket);
