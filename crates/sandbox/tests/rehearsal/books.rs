//! The books: what an auditor compares with the orders.

use serde_json::{Value, json};

use crate::support::Rehearsal;

#[tokio::test]
async fn the_books_add_up_per_order_and_currency() {
    let Rehearsal { mut merchant, _sandbox } = Rehearsal::start(json!({})).await;
    for (id, currency, amount) in
        [("P1", "EUR", "10.00"), ("P2", "EUR", "5.25"), ("P3", "USD", "7.00")]
    {
        let mut body = merchant.payment(id, "sandbox-instant");
        body["orderNo"] = json!("order");
        body["currency"] = json!(currency);
        body["amount"] = json!(amount);
        assert_eq!(merchant.post("/v1/payments", id, body).await.0, 201);
        merchant.notice().await;
    }
    merchant.refund("R1", "P2", "5.25").await;
    merchant.notice().await;
    let (_, orders) = merchant.get("/v1/books/orders").await;
    let expected = json!([
        {"orderNo": "order", "currency": "EUR", "captured": "15.25", "refunding": "0.00", "refunded": "5.25"},
        {"orderNo": "order", "currency": "USD", "captured": "7.00", "refunding": "0.00", "refunded": "0.00"},
    ]);
    assert_eq!(orders["items"], expected);
    let (_, books) = merchant.get("/v1/books").await;
    assert_eq!(books["totals"]["byCurrency"]["EUR"]["captured"], "15.25");
    assert_eq!(books["totals"]["byStatus"], json!({"CAPTURED": 3}));
    assert_eq!((&books["totals"]["payments"], &books["totals"]["refunds"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn pages_hold_every_row_once() {
    let Rehearsal { merchant, _sandbox } = Rehearsal::start(json!({})).await;
    let ids: Vec<String> = (0..25).map(|n| format!("P{n:02}")).collect();
    for id in &ids {
        merchant.open(id, "sandbox-manual").await;
    }
    for (path, rows, field) in
        [("/v1/books", "/payments", "paymentId"), ("/v1/books/orders", "", "orderNo")]
    {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let (_, page) = merchant.get(&format!("{path}?limit=10{after}")).await;
            let page = page.pointer(rows).unwrap();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 10);
            seen.extend(items.iter().map(|row| row[field].as_str().unwrap().to_owned()));
            match &page["next"] {
                Value::String(next) => after = format!("&after={next}"),
                _ => break,
            }
        }
        seen.iter_mut().for_each(|id| *id = id.trim_start_matches("O-").to_owned());
        assert_eq!(seen, ids, "{path}");
    }
    assert_eq!(merchant.get("/v1/books?limit=0").await.0, 400);
}
