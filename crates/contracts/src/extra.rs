//! JSON that is carried but not looked at, and text that no log may show.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ReadError;
use crate::read::{FromField, Written};

/// A JSON object that is kept and passed on as it came.
///
/// `Debug` shows names only: what other services put there may be personal.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extra(Map<String, Value>);

impl Extra {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets a value; returns what was there before.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(name.into(), value.into())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object itself.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The object itself, taken.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Map<String, Value>> for Extra {
    fn from(object: Map<String, Value>) -> Self {
        Self(object)
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Text about a person (an address, a message to them) that must never be logged.
///
/// Neither `Debug` nor a read error shows it; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Personal(String);

impl Personal {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever delivers it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl FromField for Personal {
    fn from_field(value: Written<'_>) -> Result<Self, ReadError> {
        match value.text() {
            Some(text) if !text.is_empty() && !text.contains('\0') => Ok(Self(text.into_owned())),
            _ => Err(ReadError::new("", "expected a string that is not empty")),
        }
    }
}
