//! New parts of a manifest as text: block style in the layout of what is there already, JSON inside flow style.

use super::scalar;
use serde_json::{Map, Value};

/// How a text lays out its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Columns between a mapping's keys and those of a mapping below it.
    pub(super) step: usize,
    /// Columns between a mapping's keys and the dashes of a sequence below it.
    pub(super) dash: usize,
    /// What ends a line.
    pub(super) newline: &'static str,
}

impl Layout {
    /// A collection that is not empty, as whole lines whose keys or dashes stand at `column`.
    pub(super) fn lines(&self, value: &Value, column: usize) -> String {
        let mut out = String::new();
        match value {
            Value::Object(members) => {
                ordered(members).for_each(|(key, value)| out += &self.entry(key, value, column));
            }
            Value::Array(items) => items.iter().for_each(|item| out += &self.item(item, column)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                out = format!("{}{}{}", spaces(column), scalar::inline(value), self.newline);
            }
        }
        out
    }

    /// A key and its value, as whole lines.
    pub(super) fn entry(&self, key: &str, value: &Value, column: usize) -> String {
        let key = format!("{}{}:", spaces(column), scalar::string(key));
        if is_inline(value) {
            return format!("{key} {}{}", scalar::inline(value), self.newline);
        }
        let below = column + if value.is_array() { self.dash } else { self.step };
        format!("{key}{}{}", self.newline, self.lines(value, below))
    }

    /// An item of a sequence whose dashes stand at `column`, as whole lines.
    pub(super) fn item(&self, value: &Value, column: usize) -> String {
        let lines = self.lines_of_item(value, column + 2);
        format!("{}- {}", spaces(column), lines.get(column + 2..).unwrap_or_default())
    }

    fn lines_of_item(&self, value: &Value, column: usize) -> String {
        if is_inline(value) {
            return format!("{}{}{}", spaces(column), scalar::inline(value), self.newline);
        }
        self.lines(value, column)
    }

    /// A value inside flow style: on one line, or, with a column, on lines of their own below a line that begins there.
    pub(super) fn flow(&self, value: &Value, column: Option<usize>) -> String {
        let (open, close, members) = match value {
            Value::Object(members) if !members.is_empty() => {
                let member = |(key, value): (&String, &Value)| {
                    self.member(key, value, column.map(|column| column + self.step))
                };
                ('{', '}', ordered(members).map(member).collect::<Vec<_>>())
            }
            Value::Array(items) if !items.is_empty() => {
                let item = |item| self.flow(item, column.map(|column| column + self.step));
                ('[', ']', items.iter().map(item).collect())
            }
            Value::String(text) => return scalar::quoted(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return value.to_string();
            }
        };
        let Some(column) = column else { return format!("{open}{}{close}", members.join(", ")) };
        let line = format!("{}{}", self.newline, spaces(column + self.step));
        let end = format!("{}{}", self.newline, spaces(column));
        format!("{open}{line}{}{end}{close}", members.join(&format!(",{line}")))
    }

    /// A member of a mapping in flow style.
    pub(super) fn member(&self, key: &str, value: &Value, column: Option<usize>) -> String {
        format!("{}: {}", scalar::quoted(key), self.flow(value, column))
    }
}

/// Whether block style has it on the line of its key.
pub(super) fn is_inline(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// What people look for comes first.
fn ordered(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let first = |key: &str| key == "name";
    let named = members.iter().filter(move |(key, _)| first(key));
    named.chain(members.iter().filter(move |(key, _)| !first(key)))
}

pub(super) fn spaces(count: usize) -> String {
    " ".repeat(count)
}
