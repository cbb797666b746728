use serde_json::Value;

use super::api::{Api, segment};
use super::failure::Failure;
use super::output::{Output, table};
use super::settings::Settings;
use super::value::{items, row, text, time};

/// An order with its payments, refunds and events.
pub(super) async fn show(
    order_no: &str,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let api = Api::new(settings.order_url()?, settings)?;
    let order = api.get(&format!("/v1/orders/{}", segment(order_no))).await?;
    output.answer(&order, || in_words(&order));
    Ok(())
}

fn in_words(order: &Value) -> String {
    let reason = order["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let head = format!(
        "order {}: {}{reason}, version {}\nuser {}, session {}, {} {}, channels {}\n",
        text(order, "orderNo"),
        text(order, "status"),
        text(order, "version"),
        text(order, "userId"),
        text(order, "sessionId"),
        text(order, "totalAmount"),
        text(order, "currency"),
        items(order, "channels").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    );
    let mut parts = vec![head];
    let section = |field, header: [&'static str; 5], fields: [&'static str; 5]| {
        let rows: Vec<_> = items(order, field).iter().map(|item| row(item, &fields)).collect();
        (!rows.is_empty()).then(|| table(header, rows) + "\n")
    };
    let lines = items(order, "items").iter();
    let lines = lines.map(|line| row(line, &["ticketId", "quantity", "unitPrice"]));
    parts.push(table(["TICKET", "QUANTITY", "PRICE"], lines) + "\n");
    parts.extend(section(
        "payments",
        ["PAYMENT", "METHOD", "STATUS", "CAPTURED", "REASON"],
        ["paymentId", "method", "status", "capturedAmount", "reason"],
    ));
    parts.extend(section(
        "refunds",
        ["REFUND", "PAYMENT", "STATUS", "AMOUNT", "REASON"],
        ["refundId", "paymentId", "status", "amount", "reason"],
    ));
    parts.push(timeline(order));
    parts.join("\n")
}

/// States and events in one line of time.
fn timeline(order: &Value) -> String {
    let states = [
        ("createdAt", "created"),
        ("reservedAt", "reserved"),
        ("paidAt", "paid"),
        ("confirmedAt", "confirmed"),
        ("closedAt", "closed"),
    ];
    let mut rows: Vec<Vec<String>> = states
        .iter()
        .filter(|(field, _)| order[*field].is_string())
        .map(|(field, name)| vec![time(order, field), (*name).to_owned(), "state".to_owned()])
        .collect();
    for event in items(order, "history") {
        let published = match event["publishedAt"].is_string() {
            true => format!("published {}", time(event, "publishedAt")),
            false => "not published yet".to_owned(),
        };
        rows.push(vec![time(event, "occurredAt"), text(event, "type"), published]);
    }
    // Of the same moment, the state comes first: the sort is stable.
    rows.sort_by(|a, b| a[0].cmp(&b[0]));
    table(["TIME (UTC)", "WHAT", ""], rows)
}
