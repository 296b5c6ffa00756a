//! What Redis answers about a stream, read.

use super::FIELD;
use ::redis::Value;
use std::collections::HashMap;
use std::fmt;

/// The id of an entry: milliseconds since 1970 as Redis saw them, and a number within these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) millis: u64,
    pub(super) number: u64,
}

impl Id {
    fn parse(text: &[u8]) -> Option<Id> {
        let (millis, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Id { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Id,
    /// What its field `event` holds; `None` if it has none, or several.
    pub(super) event: Option<Vec<u8>>,
}

/// The answer to XREAD for one stream: nothing, or one stream with its entries.
pub(super) fn entries(answer: Value) -> Option<Vec<Entry>> {
    if answer == Value::Nil {
        return Some(Vec::new());
    }
    let [stream] = list::<1>(answer)?;
    let [_, entries] = list::<2>(stream)?;
    let Value::Array(entries) = entries else { return None };
    entries.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let [id, fields] = list::<2>(value)?;
    let Value::Array(fields) = fields else { return None };
    let mut fields = fields.into_iter();
    let mut events = Vec::new();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if let (Value::BulkString(name), Value::BulkString(value)) = (name, value)
            && name == FIELD.as_bytes()
        {
            events.push(value);
        }
    }
    let event = events.pop().filter(|_| events.is_empty());
    Some(Entry { id: self::id(id)?, event })
}

/// What there is of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) length: u64,
    /// Its first entry.
    pub(super) first: Option<Id>,
    /// The last id it gave.
    pub(super) last: Id,
    /// How many entries it ever had; Redis tells since 7.0.
    pub(super) added: Option<u64>,
}

impl Survey {
    /// The answer to XINFO STREAM.
    pub(super) fn read(mut answer: HashMap<String, Value>) -> Option<Survey> {
        let mut number = |key| {
            let Value::Int(number) = answer.remove(key)? else { return None };
            u64::try_from(number).ok()
        };
        let (length, added) = (number("length")?, number("entries-added"));
        let first = answer.remove("first-entry")?;
        let first = if first == Value::Nil { None } else { Some(entry(first)?.id) };
        Some(Survey { length, first, last: id(answer.remove("last-generated-id")?)?, added })
    }
}

fn id(value: Value) -> Option<Id> {
    let Value::BulkString(text) = value else { return None };
    Id::parse(&text)
}

fn list<const N: usize>(value: Value) -> Option<[Value; N]> {
    let Value::Array(values) = value else { return None };
    values.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry_of(fields: &[&str]) -> Option<Entry> {
        let fields = fields.iter().map(|field| text(field)).collect();
        entry(Value::Array(vec![text("5-1"), Value::Array(fields)]))
    }

    #[test]
    fn the_field_event_is_found_among_others_and_must_be_one() {
        let id = Id { millis: 5, number: 1 };
        let found = |fields: &[&str]| entry_of(fields).map(|entry| (entry.id, entry.event));
        assert_eq!(found(&["a", "b", "event", "e", "c", "event"]), Some((id, Some(b"e".to_vec()))));
        assert_eq!(found(&["event", "e", "event", "f"]), Some((id, None)));
        assert_eq!(found(&["Event", "e"]), Some((id, None)));
        assert_eq!(found(&["event"]), Some((id, None)));
        assert_eq!(entries(Value::Nil), Some(Vec::new()));
        assert_eq!(entries(Value::Okay), None);
    }

    #[test]
    fn ids_are_ordered_by_number_not_by_text() {
        let parse = |text: &str| Id::parse(text.as_bytes());
        assert!(parse("9-10") > parse("9-9") && parse("10-0") > parse("9-9"));
        assert_eq!(parse("18446744073709551615-0").unwrap().to_string(), "18446744073709551615-0");
        for bad in ["", "1", "-1", "1-", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
