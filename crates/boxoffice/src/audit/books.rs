//! Q3, told by the other side: what the payment provider kept of each order.

use std::collections::HashMap;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::{Error, Gateway, Sample, Target, snapshot};

const TIMEOUT: Duration = Duration::from_secs(10);
const PAGE_ORDERS: usize = 10_000;

#[derive(Deserialize)]
struct Books {
    callbacks: Callbacks,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Callbacks {
    forgeries_believed: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<OrderMoney>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderMoney {
    order_no: String,
    currency: String,
    captured: Decimal,
    refunded: Decimal,
}

/// What one side kept: order and currency -> amount.
type Kept = HashMap<(String, String), Decimal>;

/// Every order of which the provider kept something else than we believe.
pub(super) async fn differences(target: &Target, gateway: &Gateway) -> Result<Vec<Sample>, Error> {
    let client = client(gateway)?;
    let books: Books = get(&client, gateway, "/v1/books?limit=1").await?;
    // The books first: what is captured meanwhile makes us believe more, and is looked at again.
    let theirs = read_theirs(&client, gateway).await?;
    let ours = read_ours(&target.database_url).await?;
    let mut samples = Vec::new();
    for (key, kept) in &theirs {
        let believed = ours.get(key).copied().unwrap_or_default();
        if *kept != believed {
            samples.push(difference(key, *kept, believed));
        }
    }
    for (key, believed) in &ours {
        if !theirs.contains_key(key) && !believed.is_zero() {
            samples.push(difference(key, Decimal::ZERO, *believed));
        }
    }
    if books.callbacks.forgeries_believed > 0 {
        let detail = format!("{} were believed", books.callbacks.forgeries_believed);
        samples.push(Sample::new("forged callbacks", detail));
    }
    Ok(samples)
}

fn difference((order_no, currency): &(String, String), kept: Decimal, believed: Decimal) -> Sample {
    let (kept, believed) = (kept.normalize(), believed.normalize());
    Sample::new(
        format!("order {order_no}"),
        format!("the provider kept {kept} {currency}, our tables say {believed}"),
    )
}

/// What our tables say of payments at the provider; what is captured in process never gets there.
async fn read_ours(database_url: &str) -> Result<Kept, Error> {
    let failed = |source| Error::Postgres { doing: "read payments for the books", source };
    let mut database = snapshot(database_url).await?;
    let rows = sqlx::query(
        "SELECT p.order_no, p.currency, sum(coalesce(p.captured, p.amount) - coalesce( \
           (SELECT sum(r.amount) FROM orders.refunds AS r WHERE r.order_no = p.order_no \
              AND r.payment_seq = p.seq AND r.status = 1), 0)) AS kept \
         FROM orders.payments AS p WHERE p.status = 2 AND p.method LIKE 'sandbox%' \
         GROUP BY p.order_no, p.currency",
    )
    .fetch_all(&mut database)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let key = (row.try_get("order_no")?, row.try_get("currency")?);
            Ok((key, row.try_get("kept")?))
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(failed)
}

async fn read_theirs(client: &reqwest::Client, gateway: &Gateway) -> Result<Kept, Error> {
    let mut kept = Kept::new();
    let mut after: Option<String> = None;
    loop {
        let path = match &after {
            None => format!("/v1/books/orders?limit={PAGE_ORDERS}"),
            // An order number is visible ASCII; ours need no escape, others' might.
            Some(order_no) => {
                let order_no: String =
                    order_no.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("/v1/books/orders?limit={PAGE_ORDERS}&after={order_no}")
            }
        };
        let page: Page = get(client, gateway, &path).await?;
        kept.extend(
            page.items
                .into_iter()
                .map(|money| ((money.order_no, money.currency), money.captured - money.refunded)),
        );
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(kept),
        }
    }
}

fn client(gateway: &Gateway) -> Result<reqwest::Client, Error> {
    // A program that has installed a provider already keeps its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let doing = || format!("set up for {}", gateway.url);
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(|source| Error::Gateway { doing: doing(), source })
}

async fn get<T: DeserializeOwned>(
    client: &reqwest::Client,
    gateway: &Gateway,
    path: &str,
) -> Result<T, Error> {
    let failed = |source| Error::Gateway { doing: format!("GET {path}"), source };
    let url = format!("{}{path}", gateway.url.trim_end_matches('/'));
    let answer = client.get(url).bearer_auth(&gateway.key).send().await.map_err(failed)?;
    let answer = answer.error_for_status().map_err(failed)?;
    let body = answer.bytes().await.map_err(failed)?;
    serde_json::from_slice(&body).map_err(|error| Error::Books(format!("GET {path}: {error}")))
}
