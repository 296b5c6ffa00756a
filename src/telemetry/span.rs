//! The server span of one request, with the names of the HTTP semantic conventions and `clinch.*` beside them.
//!
//! Built only for sampled requests, and handed to the exporter's queue when the request is answered or goes
//! away. What is recorded is what the log line says: no query, no token, no proof.

use super::otlp::Exporter;
use super::trace_context::TraceContext;
use super::{Passed, Record};
use crate::pop::policy::ProofKind;
use http::{StatusCode, Uri};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A span that has begun.
pub(super) struct OpenSpan {
    exporter: Exporter,
    data: Option<SpanData>,
    answered: bool,
}

impl OpenSpan {
    /// Begins now; `context` is what the service is told, `parent` the caller's span.
    pub(super) fn new(context: &TraceContext, parent: Option<[u8; 8]>, exporter: &Exporter) -> OpenSpan {
        let span_context = SpanContext::new(
            TraceId::from_bytes(context.trace_id),
            SpanId::from_bytes(context.parent_id),
            TraceFlags::new(context.flags),
            false,
            state_of(context),
        );
        let now = SystemTime::now();
        let data = SpanData {
            span_context,
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Server,
            name: "request".into(),
            start_time: now,
            end_time: now,
            attributes: Vec::with_capacity(24),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("clinch")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        };
        OpenSpan { exporter: exporter.clone(), data: Some(data), answered: false }
    }

    /// The gate's decision.
    pub(super) fn decided(&mut self, record: &Record<'_>) {
        let Some(data) = &mut self.data else { return };
        data.name = match record.route {
            Some(route) => format!("{} {route}", record.method).into(),
            None => record.method.to_owned().into(),
        };
        let mut text = |key: &'static str, value: Option<&str>| {
            data.attributes.extend(value.map(|v| KeyValue::new(key, v.to_owned())));
        };
        let target: Option<Uri> = record.target.and_then(|t| t.parse().ok());
        let target = target.as_ref();
        text("http.request.method", Some(record.method));
        text("http.route", record.route);
        text("url.path", target.map(Uri::path));
        text("url.scheme", target.and_then(Uri::scheme_str));
        text("server.address", target.and_then(Uri::host));
        text("clinch.request_id", Some(record.request.as_str()));
        text("clinch.scheme", record.scheme);
        text("clinch.proof", record.proof.map(ProofKind::as_str));
        text("clinch.issuer", record.issuer());
        text("clinch.subject", record.subject());
        text("clinch.client", record.client());
        text("clinch.token_id", record.token_id());
        text("clinch.revocation", record.revocation);
        text("clinch.verdict", Some(if record.verdict.is_ok() { "granted" } else { "refused" }));
        text("clinch.reason", record.verdict.map_or_else(|denial| Some(denial.reason()), Passed::reason));
        text("network.protocol.name", Some("http"));
        let port = target.and_then(Uri::port_u16);
        self.set("server.port", port.map(|p| i64::from(p).into()));
        self.set("client.address", Some(record.peer.ip().to_string().into()));
        self.set("client.port", Some(i64::from(record.peer.port()).into()));
        self.set("clinch.decision_us", Some(micros(record.elapsed)));
    }

    /// The response head. Only a failure of ours is an error of a server span.
    pub(super) fn answered(&mut self, status: StatusCode, upstream: Option<Duration>) {
        self.answered = true;
        self.set("http.response.status_code", Some(i64::from(status.as_u16()).into()));
        self.set("clinch.upstream_us", upstream.map(micros));
        if status.is_server_error() {
            self.set("error.type", Some(status.as_str().to_owned().into()));
            if let Some(data) = &mut self.data {
                data.status = Status::error("");
            }
        }
    }

    /// Why the service did not answer.
    pub(super) fn unanswered(&mut self, reason: &'static str) {
        self.set("clinch.reason", Some(reason.into()));
    }

    fn set(&mut self, key: &'static str, value: Option<Value>) {
        if let (Some(data), Some(value)) = (&mut self.data, value) {
            data.attributes.push(KeyValue::new(key, value));
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if !self.answered {
            self.set("error.type", Some("cancelled".into()));
        }
        if let Some(mut data) = self.data.take() {
            data.end_time = SystemTime::now();
            self.exporter.take(data);
        }
    }
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpan").finish_non_exhaustive()
    }
}

fn micros(duration: Duration) -> Value {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).into()
}

/// The list was validated; what the library can't hold is left out of the span.
fn state_of(context: &TraceContext) -> TraceState {
    context.state.as_ref().and_then(|s| s.to_str().ok()).and_then(|s| s.parse().ok()).unwrap_or_default()
}
