//! Orders over HTTP, and how they end.

use contracts::OrderStatus;
use devstack::Stack;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{SESSION, Stage};
use crate::wait::{LIMIT, until};

/// The buyers' side of order-worker. Clones share it.
#[derive(Clone)]
pub(crate) struct Orders {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Orders {
    pub(crate) fn new(http: reqwest::Client, stack: &Stack) -> Self {
        let workers = stack.workers.as_ref().expect("all parts were started");
        let url = format!("{}/v1/orders", workers.order.api);
        Self { http, url, token: stack.tokens.web.clone() }
    }

    /// Asks for an order under an idempotency key, once.
    pub(crate) async fn ask(&self, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.http.post(&self.url).header("Idempotency-Key", key).json(body);
        self.send(request).await
    }

    /// Makes an order; answers its number.
    pub(crate) async fn create(&self, body: &Value) -> String {
        let (status, answer) = self.ask(&common::testing::unique("order"), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}: {answer}");
        order_no(&answer)
    }

    pub(crate) async fn cancel(&self, order_no: &str) {
        let request = self.http.post(format!("{}/{order_no}/cancel", self.url));
        let (status, answer) = self.send(request).await;
        assert!(status.is_success(), "{order_no}: {answer}");
    }

    /// As [`Orders::ask`], of a worker that may be dead.
    pub(crate) async fn try_ask(
        &self,
        key: &str,
        body: &Value,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let request = self.http.post(&self.url).header("Idempotency-Key", key).json(body);
        self.try_send(request).await
    }

    /// As [`Orders::cancel`], of a worker that may be dead.
    pub(crate) async fn try_cancel(&self, order_no: &str) -> reqwest::Result<(StatusCode, Value)> {
        self.try_send(self.http.post(format!("{}/{order_no}/cancel", self.url))).await
    }

    async fn send(&self, request: RequestBuilder) -> (StatusCode, Value) {
        self.try_send(request).await.expect("order-worker answers")
    }

    async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<(StatusCode, Value)> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let status = answer.status();
        Ok((status, answer.json().await?))
    }
}

/// The number of an accepted order.
pub(crate) fn order_no(answer: &Value) -> String {
    answer["orderNo"].as_str().expect("an accepted order has a number").to_owned()
}

/// The body of `POST /v1/orders`, for one ticket type.
pub(crate) fn wanted(user_id: i64, ticket_id: i64, quantity: i64) -> Value {
    json!({
        "sessionId": SESSION.get(), "userId": user_id,
        "ticketId": ticket_id, "quantity": quantity,
    })
}

/// The same, paid by `method` as soon as tickets are held.
pub(crate) fn paid(mut wanted: Value, method: &str) -> Value {
    wanted["paymentMethod"] = method.into();
    wanted
}

impl Stage {
    /// Returns when each order has this status.
    pub(crate) async fn until_status(&self, orders: &[String], status: OrderStatus) {
        let what = format!("{} orders are {status:?}", orders.len());
        until(&what, LIMIT * 2, async || match others(&self.database, orders, status).await {
            others if others.is_empty() => Ok(()),
            others => Err(format!("others are {others:?}")),
        })
        .await;
    }
}

/// Some of the orders that have another status, with it.
async fn others(
    database: &PgPool,
    orders: &[String],
    status: OrderStatus,
) -> Vec<(String, Option<i32>)> {
    let others = sqlx::query_as(
        "SELECT w.order_no, o.status FROM unnest($1::text[]) AS w(order_no) \
         LEFT JOIN orders.orders AS o ON o.order_no = w.order_no \
         WHERE o.status IS DISTINCT FROM $2 ORDER BY w.order_no LIMIT 10",
    );
    let others = others.bind(orders).bind(status.code());
    others.fetch_all(database).await.expect("the database answers")
}
