use serde_json::Value;

use super::api::Api;
use super::failure::Failure;
use super::output::{Output, table};
use super::settings::Settings;
use super::value::{items, row, text};

/// PostgreSQL's counters with Redis's beside them.
pub(super) async fn show(
    session: i64,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let api = Api::new(settings.stock_url()?, settings)?;
    let stock = api.get(&format!("/v1/sessions/{session}/stock")).await?;
    output.answer(&stock, || in_words(&stock));
    Ok(())
}

fn in_words(stock: &Value) -> String {
    let fields = ["ticketId", "name", "unitPrice", "total", "reserved", "sold", "available"];
    let rows = items(stock, "ticketTypes").iter().map(|ticket| {
        let mut cells = row(ticket, &fields);
        cells.push(text(ticket, "redisAvailable"));
        // Redis may be a batch ahead, so a difference is only pointed at.
        let same = ticket["redisAvailable"] == ticket["available"];
        cells.push(if same { String::new() } else { "differs".to_owned() });
        cells
    });
    let header =
        ["TICKET", "NAME", "PRICE", "TOTAL", "RESERVED", "SOLD", "AVAILABLE", "IN REDIS", ""];
    let redis = &stock["redis"];
    let loaded = match (redis["loaded"].as_bool(), redis["error"].as_str()) {
        (_, Some(error)) => format!("Redis can't be asked: {error}"),
        (Some(true), None) => format!(
            "Redis: epoch {}, {} orders, {} users",
            text(redis, "epoch"),
            text(redis, "records"),
            text(redis, "users")
        ),
        (_, None) => format!("Redis: not loaded for epoch {}", text(stock, "epoch")),
    };
    format!(
        "session {} of show {}: {}; the sale is {} (version {})\n{loaded}\n\n{}",
        text(stock, "sessionId"),
        text(stock, "showId"),
        text(stock, "name"),
        text(stock, "state"),
        text(stock, "version"),
        table(header, rows)
    )
}
