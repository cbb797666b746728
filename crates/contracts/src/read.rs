//! Reads a body field by field, so that every error names its field.
//!
//! A body is scanned once, for where its fields are; the known ones are then read one at a time as
//! what they have to be, and what is left over is kept. serde's derive would not say which field was
//! wrong, and a tree of values costs more than all of the reading.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Extra;

/// How much of a wrong value an error repeats, in characters.
const FOUND_MAX_CHARS: usize = 40;
/// A body of ours has about so many fields.
const FIELDS_USUAL: usize = 16;

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
    fn from_field(value: Written<'_>) -> Result<Self, ReadError>;
}

/// A value as it is written: JSON, as far as scanning it shows.
#[derive(Clone, Copy)]
pub(crate) struct Written<'b>(&'b str);

impl<'b> Written<'b> {
    /// The JSON itself.
    pub(crate) fn json(self) -> &'b str {
        self.0
    }

    /// The text, if it is one.
    pub(crate) fn text(self) -> Option<Cow<'b, str>> {
        let inside = self.0.strip_prefix('"')?.strip_suffix('"')?;
        match inside.contains('\\') {
            false => Some(Cow::Borrowed(inside)),
            true => serde_json::from_str(self.0).ok().map(Cow::Owned),
        }
    }

    /// The digits, if it is a number.
    pub(crate) fn number(self) -> Option<&'b str> {
        self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(self.0)
    }

    /// As a tree of values.
    fn value(self) -> Result<Value, ReadError> {
        serde_json::from_str(self.0).map_err(|error| not_json(&error))
    }
}

/// `serde_json`'s message holds a position, never a piece of the body.
fn not_json(error: &serde_json::Error) -> ReadError {
    ReadError::new("", format!("not JSON: {error}"))
}

/// "expected a decimal, found true"
pub(crate) fn mismatch(expected: &str, found: Written<'_>) -> ReadError {
    found.value().map_or_else(|error| error, |found| mismatch_of(expected, &found))
}

/// The same, of a value that was not read from a body.
pub(crate) fn mismatch_of(expected: &str, found: &Value) -> ReadError {
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

/// The fields of one object that nobody has taken yet; of one that is there twice the last counts.
pub struct Fields<'b>(Vec<(Cow<'b, str>, Option<Written<'b>>)>);

impl<'b> Fields<'b> {
    /// Finds the fields of a body.
    pub(crate) fn of(body: &'b [u8]) -> Result<Self, ReadError> {
        let fields = serde_json::from_slice(body);
        fields.map_err(|_| match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => ReadError::new("body", "expected a JSON object"),
            Err(error) => not_json(&error).under("body"),
        })
    }

    /// Finds the fields of a value.
    pub(crate) fn inside(value: Written<'b>) -> Result<Self, ReadError> {
        serde_json::from_str(value.0).map_err(|_| mismatch("an object", value))
    }

    /// Takes a field that may be absent or null.
    pub(crate) fn optional<T: FromField>(&mut self, name: &str) -> Result<Option<T>, ReadError> {
        let mut found = None;
        for (_, value) in self.0.iter_mut().filter(|(key, _)| key == name) {
            found = value.take().or(found);
        }
        match found {
            None | Some(Written("null")) => Ok(None),
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
    pub(crate) fn rest(self) -> Result<Extra, ReadError> {
        let mut rest = Map::new();
        for (name, value) in self.0 {
            let Some(value) = value else { continue };
            let value = value.value().map_err(|error| error.under(&name))?;
            rest.insert(name.into_owned(), value);
        }
        Ok(Extra::from(rest))
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Fields<'b> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::with_capacity(FIELDS_USUAL);
        while let Some((Name(name), value)) = object.next_entry::<_, &RawValue>()? {
            fields.push((name, Some(Written(value.get()))));
        }
        Ok(Fields(fields))
    }
}

/// A field's name, borrowed unless it is escaped.
#[derive(Deserialize)]
struct Name<'b>(#[serde(borrow)] Cow<'b, str>);

impl FromField for String {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        match value.text() {
            // PostgreSQL's text can't hold it, so no field of ours may.
            Some(text) if text.contains('\0') => {
                Err(ReadError::new("", "expected a string without NUL characters"))
            }
            Some(text) => Ok(text.into_owned()),
            None => Err(mismatch("a string", value)),
        }
    }
}

impl FromField for bool {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        value.json().parse().map_err(|_| mismatch("true or false", value))
    }
}

impl FromField for i64 {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        value.json().parse().map_err(|_| mismatch("a 64-bit integer", value))
    }
}

impl FromField for i32 {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        value.json().parse().map_err(|_| mismatch("a 32-bit integer", value))
    }
}

impl FromField for u32 {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        value.json().parse().map_err(|_| mismatch("a 32-bit integer from 0", value))
    }
}

impl FromField for DateTime<Utc> {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        match DateTime::parse_from_rfc3339(&value.text().unwrap_or_default()) {
            Ok(time) => Ok(time.with_timezone(&Utc)),
            Err(_) => Err(mismatch("an RFC 3339 time", value)),
        }
    }
}

impl FromField for Extra {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        match value.value()? {
            Value::Object(object) => Ok(object.into()),
            other => Err(mismatch_of("an object", &other)),
        }
    }
}

impl<T: FromField> FromField for Vec<T> {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        let values: Vec<&RawValue> =
            serde_json::from_str(value.json()).map_err(|_| mismatch("an array", value))?;
        let read = |(index, value): (usize, &RawValue)| {
            T::from_field(Written(value.get())).map_err(|error| error.under(&format!("[{index}]")))
        };
        values.into_iter().enumerate().map(read).collect()
    }
}
