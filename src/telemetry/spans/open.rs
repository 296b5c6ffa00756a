//! A span that has begun, and goes to the queue when it is dropped.

use super::{Attributes, Exporter, Kind, Parent, Span, SpanRef, Value};
use crate::telemetry::ids;
use crate::telemetry::trace_context::SAMPLED;
use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

/// A span under way.
pub(in crate::telemetry) struct OpenSpan {
    exporter: Exporter,
    span: Option<Span>,
    /// Whether it came to its end; what is dropped before was cancelled.
    complete: bool,
    /// When, if that has passed.
    ended: Option<SystemTime>,
}

impl OpenSpan {
    /// Begins now, in this trace.
    pub(in crate::telemetry) fn begin(
        exporter: &Exporter,
        trace: [u8; 16],
        parent: Option<Parent>,
        (kind, name): (Kind, &'static str),
    ) -> OpenSpan {
        let of = SpanRef { trace, span: ids::random() };
        OpenSpan::begun(exporter, of, parent, (kind, name), SystemTime::now())
    }

    /// The same with an id that is known already, and a beginning that may have passed.
    pub(in crate::telemetry) fn begun(
        exporter: &Exporter,
        of: SpanRef,
        parent: Option<Parent>,
        (kind, name): (Kind, &'static str),
        began: SystemTime,
    ) -> OpenSpan {
        let span = Span {
            of,
            parent,
            flags: SAMPLED,
            state: None,
            kind,
            name: name.into(),
            began,
            ended: began,
            attributes: Attributes::with_room(if kind == Kind::Server { 1024 } else { 256 }),
            links: Vec::new(),
            failed: false,
        };
        OpenSpan { exporter: exporter.clone(), span: Some(span), complete: false, ended: None }
    }

    /// A part of it, which begins now.
    pub(in crate::telemetry) fn child(&self, kind: Kind, name: &'static str) -> Option<OpenSpan> {
        let trace = self.of()?.trace;
        self.part(SpanRef { trace, span: ids::random() }, (kind, name))
    }

    /// The same under an id that is known already. All spans of a trace here have its flags and state.
    pub(in crate::telemetry) fn part(&self, of: SpanRef, what: (Kind, &'static str)) -> Option<OpenSpan> {
        let whole = self.span.as_ref()?;
        let parent = Parent { span: whole.of.span, remote: false };
        let mut part = OpenSpan::begun(&self.exporter, of, Some(parent), what, SystemTime::now());
        part.carry(whole.flags, whole.state.clone());
        Some(part)
    }

    pub(in crate::telemetry) fn of(&self) -> Option<SpanRef> {
        self.span.as_ref().map(|span| span.of)
    }

    pub(in crate::telemetry) fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    pub(in crate::telemetry) fn set<'a>(&mut self, key: &'static str, value: impl Into<Value<'a>>) {
        if let Some(span) = &mut self.span {
            span.attributes.push(key, value.into());
        }
    }

    /// Nothing where there is nothing to say.
    pub(in crate::telemetry) fn maybe<'a>(&mut self, key: &'static str, value: Option<impl Into<Value<'a>>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    pub(in crate::telemetry) fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.span {
            span.name = name.into();
        }
    }

    pub(in crate::telemetry) fn link(&mut self, to: SpanRef, why: &'static str) {
        if let Some(span) = &mut self.span {
            span.links.push((to, why));
        }
    }

    /// What of the caller's context goes with it.
    pub(in crate::telemetry) fn carry(&mut self, flags: u8, state: Option<http::HeaderValue>) {
        if let Some(span) = &mut self.span {
            span.flags = flags | SAMPLED;
            span.state = state;
        }
    }

    /// It ended badly, for a reason of a closed set; the first one counts.
    pub(in crate::telemetry) fn fail<'a>(&mut self, error: impl Into<Value<'a>>) {
        if let Some(span) = self.span.as_mut().filter(|span| !span.failed) {
            span.failed = true;
            span.attributes.push("error.type", error.into());
        }
    }

    /// It has come to its end: from here on, to drop it is not to cancel it.
    pub(in crate::telemetry) fn complete(&mut self) {
        self.complete = true;
    }

    /// It came to its end then.
    pub(in crate::telemetry) fn end_at(mut self, ended: SystemTime) {
        (self.complete, self.ended) = (true, Some(ended));
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if !self.complete {
            self.fail("cancelled");
        }
        if let Some(mut span) = self.span.take() {
            span.ended = self.ended.unwrap_or_else(SystemTime::now).max(span.began);
            self.exporter.take(span);
        }
    }
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpan").finish_non_exhaustive()
    }
}
