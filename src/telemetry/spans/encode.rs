//! Spans as OTLP's messages, none longer than collectors take: what callers may write into a span must not cost others
//! theirs.

use super::{Kind, Span, SpanRef, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span, status};
use prost::Message as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// A message with the next of these, as bytes, and how many they are; nothing when there are no more.
pub(super) fn request(resource: &Resource, spans: &mut impl Iterator<Item = Span>) -> Option<(Vec<u8>, u64)> {
    let (mut part, mut bytes) = (Vec::new(), 0);
    while bytes < ENOUGH
        && let Some(span) = spans.next().map(message)
    {
        bytes += span.encoded_len();
        part.push(span);
    }
    let count = part.len() as u64;
    (count > 0).then(|| (whole(resource, part).encode_to_vec(), count))
}

fn whole(resource: &Resource, spans: Vec<Message>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "clinch".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, schema_url: CONVENTIONS.to_owned() };
    let resource_spans = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![scope_spans],
        schema_url: CONVENTIONS.to_owned(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn message(span: Span) -> Message {
    let flags = u32::from(span.flags) | remote(span.parent.is_some_and(|parent| parent.remote));
    let state = span.state.as_ref().and_then(|state| state.to_str().ok()).unwrap_or_default();
    Message {
        trace_id: span.of.trace.to_vec(),
        span_id: span.of.span.to_vec(),
        trace_state: state.to_owned(),
        parent_span_id: span.parent.map(|parent| parent.span.to_vec()).unwrap_or_default(),
        flags,
        name: span.name.into_owned(),
        kind: kind(span.kind).into(),
        start_time_unix_nano: nanos(span.began),
        end_time_unix_nano: nanos(span.ended),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        links: span.links.into_iter().map(link).collect(),
        status: span.failed.then(|| Status { code: status::StatusCode::Error.into(), ..Status::default() }),
        ..Message::default()
    }
}

fn link((to, why): (SpanRef, &'static str)) -> span::Link {
    span::Link {
        trace_id: to.trace.to_vec(),
        span_id: to.span.to_vec(),
        attributes: vec![attribute(("clinch.link", Value::Fixed(why)))],
        ..span::Link::default()
    }
}

fn attribute((key, value): (&'static str, Value)) -> KeyValue {
    let value = match value {
        Value::Fixed(text) => any_value::Value::StringValue(text.to_owned()),
        Value::Text(text) => any_value::Value::StringValue(text),
        Value::Number(number) => any_value::Value::IntValue(number),
        Value::Flag(flag) => any_value::Value::BoolValue(flag),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn kind(kind: Kind) -> span::SpanKind {
    match kind {
        Kind::Internal => span::SpanKind::Internal,
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
        Kind::Consumer => span::SpanKind::Consumer,
    }
}

/// Whether the parent is in another process, and that this is known.
fn remote(is_remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    if is_remote { known | SpanFlags::ContextIsRemoteMask as u32 } else { known }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes of spans. gRPC servers take messages of 4 MiB, and the last span may have some kilobytes.
const ENOUGH: usize = 1024 * 1024;
/// The conventions that names of attributes follow.
const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::spans::Parent;

    fn span(length: usize) -> Span {
        Span {
            of: SpanRef { trace: [1; 16], span: [2; 8] },
            parent: Some(Parent { span: [3; 8], remote: true }),
            flags: 1,
            state: None,
            kind: Kind::Server,
            name: "GET".into(),
            began: UNIX_EPOCH,
            ended: UNIX_EPOCH,
            attributes: vec![("long", Value::Text("x".repeat(length)))],
            links: Vec::new(),
            failed: false,
        }
    }

    #[test]
    fn long_spans_go_in_several_messages() {
        let resource = Resource::default();
        let mut spans = (0..100).map(|_| span(40 * 1024));
        let mut counts = Vec::new();
        while let Some((message, count)) = request(&resource, &mut spans) {
            assert!(message.len() < 2 * ENOUGH, "{}", message.len());
            let decoded = ExportTraceServiceRequest::decode(&message[..]).unwrap();
            assert_eq!(decoded.resource_spans[0].scope_spans[0].spans.len() as u64, count);
            counts.push(count);
        }
        assert_eq!((counts.iter().sum::<u64>(), counts.len()), (100, 4), "{counts:?}");
        assert!(request(&resource, &mut std::iter::empty()).is_none());
    }
}
