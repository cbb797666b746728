//! Reading answers field by field: an operator's tool shows what a newer worker says, too.

use serde_json::Value;

/// A field for people; `-` when it is absent.
pub(super) fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The items of a field that is a list.
pub(super) fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// A row of fields, for a table.
pub(super) fn row(value: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| text(value, field)).collect()
}

/// A time without the parts that nobody reads: `2026-11-21 07:12:19.553`.
pub(super) fn time(value: &Value, field: &str) -> String {
    let text = text(value, field);
    match chrono::DateTime::parse_from_rfc3339(&text) {
        Ok(time) => time.to_utc().format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => text,
    }
}
