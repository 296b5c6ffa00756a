//! Spans as OTLP's messages.

use super::{Kind, Span, SpanRef, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span, status};
use std::time::{SystemTime, UNIX_EPOCH};

/// One message with all of these.
pub(super) fn request(resource: &Resource, spans: impl Iterator<Item = Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "clinch".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.map(message).collect(),
        schema_url: CONVENTIONS.to_owned(),
    };
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

/// The conventions that names of attributes follow.
const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";
