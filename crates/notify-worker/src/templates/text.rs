use std::fmt::Write as _;

use serde_json::Value;

use super::Values;

/// A text with places to fill in: `{{name}}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Place(String),
}

impl Text {
    /// Reads a text; `Err` says what is wrong.
    pub(super) fn parse(source: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("a {{ has no }}")?;
            let name = name.trim();
            if name.is_empty() {
                return Err("a {{}} has no name");
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Place(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills in the places; `Err` is the name that has no value.
    pub(super) fn fill(&self, values: Values<'_>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Place(name) => values.append(name, &mut text)?,
            }
        }
        Ok(text)
    }
}

impl Values<'_> {
    fn append(self, name: &str, text: &mut String) -> Result<(), String> {
        match (self.params.get(name), name, self.order_no, self.user_id) {
            (Some(Value::String(value)), ..) => text.push_str(value),
            (Some(value @ (Value::Number(_) | Value::Bool(_))), ..) => {
                write!(text, "{value}").expect("a string can be written to");
            }
            (None | Some(Value::Null), "orderNo", Some(order_no), _) => {
                text.push_str(order_no.as_str());
            }
            (None | Some(Value::Null), "userId", _, Some(user_id)) => {
                write!(text, "{user_id}").expect("a string can be written to");
            }
            (None | Some(Value::Null | Value::Array(_) | Value::Object(_)), ..) => {
                return Err(name.to_owned());
            }
        }
        Ok(())
    }
}
