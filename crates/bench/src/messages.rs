use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus_rocketmq::{RocketBus, RocketConfig};
use clap::Args;
use common::bus::{Bus as _, Destination, OutgoingMessage, Publisher as _};
use common::config::BrokerConfig;
use common::ids;
use contracts::{SessionId, Tag};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tokio::time::Instant;

use crate::Target;
use crate::report::Sent;
use crate::schedule::arrivals;
use crate::tables::Tables;

/// What is due within this time is sent together, as a service that publishes from an outbox does.
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Orders a second
    #[arg(long)]
    rate: f64,
}

pub(crate) async fn run(
    target: &Target,
    arguments: &Arguments,
    tables: &Tables,
) -> anyhow::Result<Sent> {
    let config = BrokerConfig { name_server: target.name_server.clone(), ..Default::default() };
    let bus = RocketBus::connect(RocketConfig::of(&config, "bench")).await?;
    let schedule = arrivals(arguments.rate, target.window(), target.seed);
    let mut sent = Sent::begin(target, tables).await?;
    sent.offered = schedule.len() as u64;
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(started, TICK);
    let mut sends = FuturesUnordered::new();
    let mut number = 0;
    while number < schedule.len() || !sends.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if number < schedule.len() => {
                let now = started.elapsed();
                let first = number;
                while number < schedule.len() && schedule[number] <= now {
                    sent.lateness.record(now - schedule[number]);
                    number += 1;
                }
                if first < number {
                    let batch = (first..number).map(|number| order(target, number)).collect();
                    let bus = &bus;
                    let due = schedule[first..number].to_vec();
                    sends.push(async move { (bus.publish(batch).await, due) });
                }
            }
            Some((answers, due)) = sends.next(), if !sends.is_empty() => {
                let at = started.elapsed();
                for (answer, due) in answers.into_iter().zip(due) {
                    sent.published(answer.map_err(anyhow::Error::from), at - due);
                }
            }
        }
    }
    drop(sends);
    sent.end();
    bus.close().await;
    Ok(sent)
}

/// As another service would write it: without an envelope.
fn order(target: &Target, number: usize) -> OutgoingMessage {
    let order_no = ids::order_no(SessionId(target.session));
    let mut body = json!({
        "orderNo": order_no.as_str(), "userId": number + 1, "sessionId": target.session,
        "ticketId": target.ticket, "quantity": target.quantity, "eventType": "CREATE",
    });
    if let Some(method) = &target.payment_method {
        body["paymentMethod"] = json!(method);
    }
    OutgoingMessage {
        destination: Destination::Topic(BrokerConfig::default().order_topic.into()),
        tag: Tag::OrderCreate.as_str().into(),
        key: Arc::from(order_no.as_str()),
        body: body.to_string().into(),
        properties: BTreeMap::new(),
        delay: None,
    }
}
