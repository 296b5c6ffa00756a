//! A record as it is read to be shown or exported.

use serde_json::{Map, Value};

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Record(Map<String, Value>);

impl Record {
    /// Reads a line; nothing if it is no record.
    pub(super) fn read(line: &[u8]) -> Option<Record> {
        let members: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let record = Record(members);
        (record.number("seq").is_some() && record.text("time").is_some() && record.text("kind").is_some())
            .then_some(record)
    }

    /// A member that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A member that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes out a member that is text.
    pub(super) fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(_) => match self.0.remove(name) {
                Some(Value::String(text)) => Some(text),
                Some(_) | None => None,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// What is left.
    pub(super) fn into_rest(self) -> Map<String, Value> {
        self.0
    }

    /// What a record says besides when, by whom and of what kind it was written, and besides its seal.
    pub(super) fn said(&self) -> impl Iterator<Item = (&str, &Value)> {
        let said = self.0.iter().filter(|(name, _)| !FRAME.contains(&name.as_str()));
        said.map(|(name, value)| (name.as_str(), value))
    }
}

/// The time of a record, from its line: without reading the rest.
pub(super) fn time(line: &[u8]) -> Option<&str> {
    let rest = line.strip_prefix(br#"{"seq":"#)?;
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let rest = rest[comma..].strip_prefix(br#","time":""#)?;
    std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == b'"')?]).ok()
}

/// Its kind, in the same way.
pub(super) fn kind(line: &[u8]) -> Option<&str> {
    const KIND: &[u8] = br#"","kind":""#;
    let head = &line[..line.len().min(HEAD)];
    let at = head.windows(KIND.len()).position(|part| part == KIND)? + KIND.len();
    let rest = &head[at..];
    std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == b'"')?]).ok()
}

/// Number, time and kind are within these first bytes.
const HEAD: usize = 120;
const FRAME: [&str; 7] = ["seq", "time", "kind", "replica", "prev", "signature", "hash"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_kind_are_read_without_the_rest() {
        let line = br#"{"seq":17,"time":"2026-11-21T09:00:00.000001Z","kind":"feed","replica":"r"}"#;
        assert_eq!((time(line), kind(line)), (Some("2026-11-21T09:00:00.000001Z"), Some("feed")));
        assert_eq!((time(b"{}"), kind(b"{}"), time(b""), kind(b"")), (None, None, None, None));
        assert!(
            Record::read(line).is_some() && Record::read(b"{}").is_none() && Record::read(b"[1]").is_none()
        );
    }
}
