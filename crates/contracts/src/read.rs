//! Reads a body field by field, so that every error names its field.
//!
//! A body is parsed once, into a JSON object; its known fields are then moved out one at a time and
//! what is left over is kept. serde's derive would not say which field was wrong.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::Extra;

/// How much of a wrong value an error repeats, in characters.
const FOUND_MAX_CHARS: usize = 40;

/// A message that breaks its contract; trying again can't help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ReadError {
    /// The field's name or path, as `items[0].quantity`; `body` when it is the whole.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl ReadError {
    /// An error about one field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn required(field: &str) -> Self {
        Self::new(field, "required, but absent")
    }

    /// The same error, seen from one level above.
    pub(crate) fn under(self, parent: &str) -> Self {
        let field = match self.field.as_str() {
            "" => parent.to_owned(),
            nested if nested.starts_with('[') => format!("{parent}{nested}"),
            nested => format!("{parent}.{nested}"),
        };
        Self { field, problem: self.problem }
    }
}

/// A value that its type does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Invalid {
    /// What the type allows.
    pub expected: &'static str,
}

/// A type that can be a field.
pub(crate) trait FromField: Sized {
    /// Takes the value, which is not null. The error's field is relative: empty, or a path inside.
    fn from_field(value: Value) -> Result<Self, ReadError>;
}

/// "expected a decimal, found true"
pub(crate) fn mismatch(expected: &str, found: &Value) -> ReadError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => shorten(&number.to_string()),
        Value::String(text) => format!("{:?}", shorten(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ReadError::new("", format!("expected {expected}, found {found}"))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(FOUND_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The fields of one object that nobody has taken yet.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// Takes a field that may be absent or null.
    pub(crate) fn optional<T: FromField>(&mut self, name: &str) -> Result<Option<T>, ReadError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::from_field(value).map(Some).map_err(|error| error.under(name)),
        }
    }

    /// Takes a field that must be there.
    pub(crate) fn required<T: FromField>(&mut self, name: &str) -> Result<T, ReadError> {
        self.optional(name)?.ok_or_else(|| ReadError::required(name))
    }

    /// Takes a text that, when it is there, has 1 to `max_chars` characters.
    pub(crate) fn text(
        &mut self,
        name: &str,
        max_chars: usize,
    ) -> Result<Option<String>, ReadError> {
        let text: Option<String> = self.optional(name)?;
        match text.as_deref().map(|text| text.chars().count()) {
            None => Ok(None),
            Some(chars) if (1..=max_chars).contains(&chars) => Ok(text),
            Some(chars) => {
                let problem = format!("expected 1 to {max_chars} characters, found {chars}");
                Err(ReadError::new(name, problem))
            }
        }
    }

    /// What no one asked for.
    pub(crate) fn rest(self) -> Extra {
        Extra::from(self.0)
    }
}

impl FromField for String {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        match value {
            // PostgreSQL's text can't hold it, so no field of ours may.
            Value::String(text) if text.contains('\0') => {
                Err(ReadError::new("", "expected a string without NUL characters"))
            }
            Value::String(text) => Ok(text),
            other => Err(mismatch("a string", &other)),
        }
    }
}

impl FromField for bool {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        value.as_bool().ok_or_else(|| mismatch("true or false", &value))
    }
}

impl FromField for i64 {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        value.as_i64().ok_or_else(|| mismatch("a 64-bit integer", &value))
    }
}

impl FromField for i32 {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        let number = value.as_i64().and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| mismatch("a 32-bit integer", &value))
    }
}

impl FromField for u32 {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        let number = value.as_u64().and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| mismatch("a 32-bit integer from 0", &value))
    }
}

impl FromField for DateTime<Utc> {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        let text = value.as_str().unwrap_or_default();
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Ok(time.with_timezone(&Utc)),
            Err(_) => Err(mismatch("an RFC 3339 time", &value)),
        }
    }
}

impl<T: FromField> FromField for Vec<T> {
    fn from_field(value: Value) -> Result<Self, ReadError> {
        let Value::Array(values) = value else {
            return Err(mismatch("an array", &value));
        };
        let read = |(index, value)| {
            T::from_field(value).map_err(|error| error.under(&format!("[{index}]")))
        };
        values.into_iter().enumerate().map(read).collect()
    }
}

/// Takes the value as an object's fields.
pub(crate) fn object(value: Value) -> Result<Fields, ReadError> {
    match value {
        Value::Object(object) => Ok(Fields::new(object)),
        other => Err(mismatch("an object", &other)),
    }
}
