//! Orders that are as they should be.

use reqwest::Method;
use serde_json::json;

use crate::support::{Rig, SEAT, SESSION, STANDING, order_of, read};

#[tokio::test]
async fn an_order_is_accepted_once_for_each_key() {
    let rig = Rig::start().await;
    let body = order_of(&[(SEAT, 2), (STANDING, 1)]);
    let first = rig.create("key", &body).await;
    assert_eq!(first.status, 202, "{first:?}");
    let order_no = first.body["orderNo"].as_str().unwrap();
    assert_eq!(order_no.len(), 26);
    assert_eq!(first.body["status"], "PENDING");
    assert_eq!(first.body["links"]["self"], format!("/v1/orders/{order_no}"));
    assert_eq!(first.location.as_deref(), first.body["links"]["self"].as_str());
    assert!(first.body["expiresAt"].is_string(), "{first:?}");

    // Another spelling of the same request.
    let mut again = body.clone();
    again["currency"] = json!(null);
    let again = rig.create("key", &again).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    let other = rig.create("other-key", &body).await;
    assert_ne!(other.body["orderNo"], first.body["orderNo"]);
    assert_eq!(rig.count("orders").await, 2);
    rig.stop().await;
}

#[tokio::test]
async fn requests_at_the_same_moment_under_one_key_create_one_order() {
    let rig = Rig::start().await;
    let body = order_of(&[(SEAT, 1)]);
    let answers = (0..16).map(async |_| rig.create("key", &body).await);
    let answers = futures::future::join_all(answers).await;
    for answer in &answers {
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.body["orderNo"], answers[0].body["orderNo"]);
    }
    assert_eq!(rig.count("orders").await, 1);
    rig.stop().await;
}

#[tokio::test]
async fn an_order_is_shown_with_its_lines_and_its_history() {
    let rig = Rig::start().await;
    let mut body = order_of(&[(SEAT, 2), (STANDING, 1)]);
    body["currency"] = json!("EUR");
    body["totalAmount"] = json!(209.0);
    body["items"][0]["unitPrice"] = json!("99.5");
    body["channels"] = json!(["PUSH", "SMS", "PUSH"]);
    let created = rig.create("key", &body).await;
    assert_eq!(created.status, 202, "{created:?}");
    let order_no = created.body["orderNo"].as_str().unwrap();
    let order =
        rig.order_until(order_no, |order| order["history"][0]["publishedAt"].is_string()).await;
    assert_eq!(order["orderNo"], order_no);
    assert_eq!((&order["status"], &order["statusCode"]), (&json!("PENDING"), &json!(0)));
    assert_eq!(order["totalAmount"], "209.00");
    assert_eq!(order["currency"], "EUR");
    assert_eq!(order["channels"], json!(["SMS", "PUSH"]));
    assert_eq!(
        order["items"],
        json!([
            { "ticketId": SEAT, "quantity": 2, "unitPrice": "99.50" },
            { "ticketId": STANDING, "quantity": 1, "unitPrice": "10.00" },
        ])
    );
    assert_eq!(order["sessionId"], SESSION);
    assert_eq!(order["history"][0]["type"], "ORDER_CREATED");
    assert_eq!(order["history"][0]["version"], 1);
    rig.stop().await;
}

#[tokio::test]
async fn one_line_may_be_flat() {
    let rig = Rig::start().await;
    let body = json!({ "sessionId": SESSION, "userId": 1, "ticketId": SEAT, "quantity": 2 });
    let created = rig.create("key", &body).await;
    assert_eq!(created.status, 202, "{created:?}");
    let same = json!({
        "sessionId": SESSION, "userId": 1, "items": [{ "ticketId": SEAT, "quantity": 2 }],
    });
    assert_eq!(rig.create("key", &same).await.body, created.body);
    rig.stop().await;
}

#[tokio::test]
async fn a_cancelled_order_stays_so_and_can_not_be_paid() {
    let rig = Rig::start().await;
    let order_no = rig.order(None).await;
    for _ in 0..2 {
        let answer = rig.cancel(&order_no).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("CANCELLED")));
    }
    let pay = rig.pay(&order_no, "instant").await;
    assert_eq!((pay.status, &pay.body["code"]), (409, &json!("not_payable")), "{pay:?}");
    assert_eq!(pay.body["orderStatus"], "CANCELLED");
    let order = rig.show(&order_no).await;
    assert_eq!((&order["statusCode"], &order["reason"]), (&json!(2), &json!("user")));
    rig.stop().await;
}

#[tokio::test]
async fn the_documents_are_served_to_everybody() {
    let rig = Rig::start().await;
    let open = async |path: &str| read(rig.request(Method::GET, path)).await;
    let document = open("/openapi.json").await;
    assert_eq!(document.status, 200);
    assert!(document.body["paths"]["/v1/orders"]["post"].is_object(), "{document:?}");
    let page = open("/docs").await;
    assert_eq!(page.content_type, "text/html; charset=utf-8");
    let error = open("/errors/sold_out").await;
    assert_eq!(error.content_type, "text/markdown; charset=utf-8");
    assert!(error.body.as_str().unwrap().starts_with("# sold_out"), "{error:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_caller_who_waits_is_answered_when_the_order_is_confirmed() {
    let rig = Rig::start().await;
    let mut body = order_of(&[(SEAT, 1)]);
    body["paymentMethod"] = json!("instant");
    let waiting = rig.create_and_wait("key", "wait=confirmed&wait_ms=9000", &body);
    let stock = async {
        let order_no = rig.only_order().await;
        rig.stock(&order_no, "DEDUCTED").await;
        rig.has_status(&order_no, "PAID").await;
        rig.stock(&order_no, "CONFIRMED").await;
        order_no
    };
    let (answer, order_no) = tokio::join!(waiting, stock);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        (&answer.body["orderNo"], &answer.body["status"]),
        (&json!(order_no), &json!("CONFIRMED"))
    );
    // The same request again finds it there.
    let again = rig.create_and_wait("key", "wait=confirmed", &body).await;
    assert_eq!(again.body["status"], "CONFIRMED", "{again:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_wait_ends_at_its_limit_with_the_status_so_far() {
    let rig = Rig::start().await;
    let body = order_of(&[(SEAT, 1)]);
    let answer = rig.create_and_wait("key", "wait=reserved&wait_ms=1", &body).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("PENDING")));
    for (query, field) in [("wait=shipped", "wait"), ("wait=confirmed&wait_ms=soon", "wait_ms")] {
        let refused = rig.create_and_wait("other", query, &body).await;
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!(field)), "{refused:?}");
    }
    assert_eq!(rig.count("orders").await, 1);
    rig.stop().await;
}
