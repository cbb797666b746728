//! A show as a file: what `PUT /v1/shows/{showId}` takes, and `showId`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use contracts::{Amount, Currency};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

/// Tickets of one type, as stock-worker allows.
const TOTAL_MAX: i64 = 10_000_000;
const ORDER_LIMIT_MAX: u32 = 1_000;

/// A show with its sessions and what is sold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowFile {
    pub show_id: i64,
    pub name: String,
    pub sessions: Vec<Session>,
}

/// One evening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    pub session_id: i64,
    pub name: String,
    /// Open from the start without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_starts_at: Option<DateTime<Utc>>,
    /// No end without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_ends_at: Option<DateTime<Utc>>,
    pub currency: Currency,
    /// How long tickets are held for a buyer; order-worker's default without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user_limit: Option<u32>,
    pub ticket_types: Vec<TicketType>,
}

/// One kind of ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketType {
    pub ticket_id: i64,
    pub name: String,
    #[serde(deserialize_with = "amount_in_quotes")]
    pub unit_price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_order_limit: Option<u32>,
    pub total: i64,
}

/// Why a file is no show.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{path}: can't be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: expected a name that ends in .toml or .json")]
    Kind { path: PathBuf },
    #[error("{path}: {reason}")]
    Syntax { path: PathBuf, reason: String },
    #[error("{path}: {field}: {reason}")]
    Field { path: PathBuf, field: String, reason: String },
}

impl ShowFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, and the field where there is one.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        let syntax = |reason: String| FileError::Syntax { path: path.to_owned(), reason };
        let value: Value = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => {
                let table: toml::Table =
                    toml::from_str(&text).map_err(|error| syntax(error.to_string()))?;
                from_toml(toml::Value::Table(table))
            }
            Some("json") => {
                serde_json::from_str(&text).map_err(|error| syntax(error.to_string()))?
            }
            _ => return Err(FileError::Kind { path: path.to_owned() }),
        };
        let wrong = |field, reason| FileError::Field { path: path.to_owned(), field, reason };
        let show: Self = serde_path_to_error::deserialize(&value)
            .map_err(|error| wrong(error.path().to_string(), error.inner().to_string()))?;
        show.check().map_err(|(field, reason)| wrong(field, reason))?;
        Ok(show)
    }

    /// The body of the request that stores it.
    pub fn body(&self) -> Value {
        serde_json::json!({ "name": self.name, "sessions": self.sessions })
    }

    /// What no type says; the field and the reason.
    fn check(&self) -> Result<(), (String, String)> {
        within("showId", self.show_id, 1, i64::MAX)?;
        not_empty("name", &self.name)?;
        within("sessions", self.sessions.len() as i64, 1, i64::MAX)?;
        let (mut sessions, mut tickets) = (HashSet::new(), HashSet::new());
        for (index, session) in self.sessions.iter().enumerate() {
            let at = |field: &str| format!("sessions[{index}].{field}");
            within(&at("sessionId"), session.session_id, 1, i64::MAX)?;
            once(&at("sessionId"), session.session_id, &mut sessions)?;
            session.check(&at)?;
            for (index, ticket) in session.ticket_types.iter().enumerate() {
                let at = |field: &str| at(&format!("ticketTypes[{index}].{field}"));
                ticket.check(&at)?;
                once(&at("ticketId"), ticket.ticket_id, &mut tickets)?;
            }
        }
        Ok(())
    }
}

impl Session {
    fn check(&self, at: &dyn Fn(&str) -> String) -> Result<(), (String, String)> {
        not_empty(&at("name"), &self.name)?;
        within(&at("ticketTypes"), self.ticket_types.len() as i64, 1, i64::MAX)?;
        for (field, limit) in
            [("holdSeconds", self.hold_seconds), ("perUserLimit", self.per_user_limit)]
        {
            if limit == Some(0) {
                return Err((at(field), "must be above 0; leave it out for none".to_owned()));
            }
        }
        match (self.sale_starts_at, self.sale_ends_at) {
            (Some(start), Some(end)) if end <= start => {
                Err((at("saleEndsAt"), format!("must be after saleStartsAt ({start})")))
            }
            _ => Ok(()),
        }
    }
}

impl TicketType {
    fn check(&self, at: &dyn Fn(&str) -> String) -> Result<(), (String, String)> {
        within(&at("ticketId"), self.ticket_id, 1, i64::MAX)?;
        not_empty(&at("name"), &self.name)?;
        within(&at("total"), self.total, 0, TOTAL_MAX)?;
        if let Some(limit) = self.per_order_limit {
            within(&at("perOrderLimit"), limit.into(), 1, ORDER_LIMIT_MAX.into())?;
        }
        Ok(())
    }
}

fn within(field: &str, value: i64, min: i64, max: i64) -> Result<(), (String, String)> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let reason = match max {
        i64::MAX => format!("must be at least {min}, found {value}"),
        max => format!("must be from {min} to {max}, found {value}"),
    };
    Err((field.to_owned(), reason))
}

fn not_empty(field: &str, text: &str) -> Result<(), (String, String)> {
    if text.trim().is_empty() {
        return Err((field.to_owned(), "must not be empty".to_owned()));
    }
    Ok(())
}

fn once(field: &str, id: i64, seen: &mut HashSet<i64>) -> Result<(), (String, String)> {
    if seen.insert(id) { Ok(()) } else { Err((field.to_owned(), format!("{id} is named twice"))) }
}

/// A price without quotes is a float in TOML: it is refused before it is rounded.
fn amount_in_quotes<'de, D: Deserializer<'de>>(from: D) -> Result<Amount, D::Error> {
    let value = Value::deserialize(from)?;
    let Value::String(text) = value else {
        return Err(de::Error::custom(format!("write the amount in quotes: \"{value}\"")));
    };
    text.parse().map_err(de::Error::custom)
}

/// As JSON; a date-time becomes its text.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
        }
    }
}
