//! What a span says, in OTLP's own bytes from the beginning.
//!
//! Source: `KeyValue` and `AnyValue` of opentelemetry-proto. Half of what a span cost was to own each key and value until
//! it was sent, and to ask each level of the message how long all below it are; written here, they are copied once
//! more, and that is all.

use super::protobuf::{begin, bytes, field_length, varint, varint_length};

/// Attributes in their order, as fields of the message that they belong to.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

/// What an attribute says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Value<'a> {
    Text(&'a str),
    Number(i64),
    Flag(bool),
}

impl Attributes {
    /// With room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Attributes {
        Attributes(Vec::with_capacity(bytes))
    }

    /// Adds one to a span.
    pub(super) fn push(&mut self, key: &'static str, value: Value<'_>) {
        attribute(SPAN_ATTRIBUTES, key, value, &mut self.0);
    }

    /// As they stand in the message of a span.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(text)
    }
}
impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}
impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

/// Text of a caller's, no longer than is worth keeping: a batch of spans must fit into one message.
pub(in crate::telemetry) fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A `KeyValue` in a field of this number.
pub(super) fn attribute(number: u32, key: &str, value: Value<'_>, out: &mut Vec<u8>) {
    let length = match value {
        Value::Text(text) => field_length(text.len()),
        Value::Number(number) => 1 + varint_length(number.cast_unsigned()),
        Value::Flag(_) => 2,
    };
    begin(number, field_length(key.len()) + field_length(length), out);
    bytes(1, key.as_bytes(), out);
    begin(2, length, out);
    match value {
        Value::Text(text) => bytes(1, text.as_bytes(), out),
        Value::Flag(flag) => varint(2, flag.into(), out),
        Value::Number(number) => varint(3, number.cast_unsigned(), out),
    }
}

/// The number of the field in `Span`.
const SPAN_ATTRIBUTES: u32 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Known;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;
    use prost::Message;

    #[derive(Clone, Debug)]
    enum Said {
        Text(String),
        Number(i64),
        Flag(bool),
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            ".{0,300}".prop_map(Said::Text),
            any::<i64>().prop_map(Said::Number),
            (0_u32..63).prop_map(|bits| Said::Number(1 << bits)),
            any::<bool>().prop_map(Said::Flag),
        ]
    }

    proptest! {
        #[test]
        fn the_library_reads_what_is_written(all in proptest::collection::vec(said(), 0..20)) {
            let mut attributes = Attributes::default();
            for said in &all {
                attributes.push("clinch.key", match said {
                    Said::Text(text) => text.as_str().into(),
                    Said::Number(number) => (*number).into(),
                    Said::Flag(flag) => (*flag).into(),
                });
            }
            let read = Span::decode(attributes.as_bytes()).unwrap();
            prop_assert_eq!(read.encode_to_vec(), attributes.as_bytes(), "to the byte");
            prop_assert_eq!(read.attributes.len(), all.len());
            for (read, said) in read.attributes.into_iter().zip(all) {
                prop_assert_eq!(read.key, "clinch.key");
                let expected = match said {
                    Said::Text(text) => Known::StringValue(text),
                    Said::Number(number) => Known::IntValue(number),
                    Said::Flag(flag) => Known::BoolValue(flag),
                };
                prop_assert_eq!(read.value.unwrap().value.unwrap(), expected);
            }
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!((cut("äöü", 3), cut("äöü", 4), cut("ab", 9), cut("€", 2)), ("ä", "äö", "ab", ""));
    }
}
