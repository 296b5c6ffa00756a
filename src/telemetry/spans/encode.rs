//! Spans as OTLP's messages, none longer than collectors take: what callers may write into a span must not cost others
//! theirs.

use super::attributes::attribute;
use super::protobuf::{begin, bytes, field_length, fixed32, fixed64, varint};
use super::{Kind, Span, SpanRef, Value};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span::SpanKind, status::StatusCode};
use prost::Message as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is the same in every message.
#[derive(Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    pub(super) fn of(resource: &Resource) -> Envelope {
        let scope = InstrumentationScope {
            name: "clinch".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        Envelope { resource: resource.encode_to_vec(), scope: scope.encode_to_vec() }
    }

    /// An `ExportTraceServiceRequest` with the next of these, as bytes, and how many they are; nothing when there are no
    /// more.
    pub(super) fn request(&self, spans: &mut impl Iterator<Item = Span>) -> Option<(Vec<u8>, u64)> {
        let (mut part, mut one, mut count) = (Vec::new(), Vec::new(), 0);
        while part.len() < ENOUGH
            && let Some(span) = spans.next()
        {
            one.clear();
            message(&span, &mut one);
            bytes(2, &one, &mut part);
            count += 1;
        }
        (count > 0).then(|| (self.whole(&part), count))
    }

    /// `ResourceSpans` in it, `ScopeSpans` in that, and the spans.
    fn whole(&self, spans: &[u8]) -> Vec<u8> {
        let conventions = field_length(CONVENTIONS.len());
        let scope_spans = field_length(self.scope.len()) + spans.len() + conventions;
        let resource_spans = field_length(self.resource.len()) + field_length(scope_spans) + conventions;
        let mut out = Vec::with_capacity(field_length(resource_spans));
        begin(1, resource_spans, &mut out);
        bytes(1, &self.resource, &mut out);
        begin(2, scope_spans, &mut out);
        bytes(1, &self.scope, &mut out);
        out.extend_from_slice(spans);
        bytes(3, CONVENTIONS.as_bytes(), &mut out);
        bytes(3, CONVENTIONS.as_bytes(), &mut out);
        out
    }
}

/// A `Span`, with the numbers of its fields.
fn message(span: &Span, out: &mut Vec<u8>) {
    bytes(1, &span.of.trace, out);
    bytes(2, &span.of.span, out);
    if let Some(state) = span.state.as_ref().and_then(|state| state.to_str().ok()) {
        bytes(3, state.as_bytes(), out);
    }
    if let Some(parent) = span.parent {
        bytes(4, &parent.span, out);
    }
    bytes(5, span.name.as_bytes(), out);
    varint(6, kind(span.kind), out);
    fixed64(7, nanos(span.began), out);
    fixed64(8, nanos(span.ended), out);
    out.extend_from_slice(span.attributes.as_bytes());
    for (to, why) in &span.links {
        bytes(13, &link(*to, why), out);
    }
    if span.failed {
        let mut status = Vec::new();
        varint(3, StatusCode::Error as u64, &mut status);
        bytes(15, &status, out);
    }
    let flags = u32::from(span.flags) | remote(span.parent.is_some_and(|parent| parent.remote));
    fixed32(16, flags, out);
}

fn link(to: SpanRef, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, &to.trace, &mut out);
    bytes(2, &to.span, &mut out);
    attribute(4, "clinch.link", Value::Text(why), &mut out);
    out
}

fn kind(kind: Kind) -> u64 {
    let kind = match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Consumer => SpanKind::Consumer,
    };
    kind as u64
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
    use crate::telemetry::spans::{Attributes, Parent};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::{self as known, span::Link};
    use std::time::Duration;

    fn span(length: usize) -> Span {
        let mut attributes = Attributes::default();
        attributes.push("long", Value::Text(&"x".repeat(length)));
        Span {
            of: SpanRef { trace: [1; 16], span: [2; 8] },
            parent: Some(Parent { span: [3; 8], remote: true }),
            flags: 1,
            state: None,
            kind: Kind::Server,
            name: "GET".into(),
            began: UNIX_EPOCH,
            ended: UNIX_EPOCH,
            attributes,
            links: Vec::new(),
            failed: false,
        }
    }

    fn said(key: &str, text: &str) -> KeyValue {
        let value = Some(any_value::Value::StringValue(text.to_owned()));
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
    }

    #[test]
    fn the_library_reads_what_is_written() {
        let full = Span {
            state: Some("a=1".parse().unwrap()),
            began: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789),
            ended: UNIX_EPOCH + Duration::from_nanos(1_700_000_001_000_000_000),
            links: vec![(SpanRef { trace: [4; 16], span: [5; 8] }, "revocation")],
            failed: true,
            ..span(300)
        };
        let link = Link {
            trace_id: vec![4; 16],
            span_id: vec![5; 8],
            attributes: vec![said("clinch.link", "revocation")],
            ..Link::default()
        };
        let bare = Span { parent: None, kind: Kind::Internal, ..span(0) };
        let of_bare = known::Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            name: "GET".to_owned(),
            kind: SpanKind::Internal.into(),
            attributes: vec![said("long", "")],
            flags: 0x101,
            ..known::Span::default()
        };
        let of_full = known::Span {
            trace_state: "a=1".to_owned(),
            parent_span_id: vec![3; 8],
            kind: SpanKind::Server.into(),
            start_time_unix_nano: 1_700_000_000_123_456_789,
            end_time_unix_nano: 1_700_000_001_000_000_000,
            attributes: vec![said("long", &"x".repeat(300))],
            links: vec![link],
            status: Some(known::Status { code: StatusCode::Error.into(), ..known::Status::default() }),
            flags: 0x301,
            ..of_bare.clone()
        };
        let resource = Resource { attributes: vec![said("service.name", "shop")], ..Resource::default() };
        let (message, count) = Envelope::of(&resource).request(&mut [full, bare].into_iter()).unwrap();
        let read = ExportTraceServiceRequest::decode(&message[..]).unwrap();
        let [of_resource] = &read.resource_spans[..] else { panic!("{read:?}") };
        let [of_scope] = &of_resource.scope_spans[..] else { panic!("{read:?}") };
        assert_eq!((&of_scope.spans[..], count), (&[of_full, of_bare][..], 2));
        assert_eq!(of_resource.resource.as_ref(), Some(&resource));
        assert_eq!([&of_resource.schema_url, &of_scope.schema_url], [CONVENTIONS; 2]);
        assert_eq!(of_scope.scope.as_ref().map(|scope| scope.name.as_str()), Some("clinch"));
        assert_eq!(message.len(), message.capacity(), "the lengths were known");
    }

    #[test]
    fn long_spans_go_in_several_messages() {
        let envelope = Envelope::of(&Resource::default());
        let mut spans = (0..100).map(|_| span(40 * 1024));
        let mut counts = Vec::new();
        while let Some((message, count)) = envelope.request(&mut spans) {
            assert!(message.len() < 2 * ENOUGH, "{}", message.len());
            let decoded = ExportTraceServiceRequest::decode(&message[..]).unwrap();
            assert_eq!(decoded.resource_spans[0].scope_spans[0].spans.len() as u64, count);
            counts.push(count);
        }
        assert_eq!((counts.iter().sum::<u64>(), counts.len()), (100, 4), "{counts:?}");
        assert!(envelope.request(&mut std::iter::empty()).is_none());
    }
}
