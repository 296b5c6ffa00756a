//! One request on its way: its trace context (W3C, continued or begun) and, if it is recorded, its span.
//!
//! Decides what the service is told. The caller's "not sampled" is respected where its trace is continued; its
//! "sampled" is only a wish, unless the operator trusts whoever can call (`context: trust`). A request that is not recorded may still be kept for a refusal: then only the time is
//! noted, the span is made after the verdict, and nobody downstream is told, for nothing goes there.

use super::ids::{self, RequestId, TraceId};
use super::sampling::{Sampler, new_trace, without_share};
use super::spans::{Called, Exporter, Kind, OpenSpan, Parent, SpanRef, Step, Steps, client, server};
use super::trace_context::{RANDOM, SAMPLED, TraceContext};
use super::{Handshake, Record, Remainder, baggage};
use crate::config::{Identifiers, TraceOrigin};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// One request on its way. One that goes away unanswered ends its span too.
#[derive(Debug)]
pub struct RequestSpan {
    /// What the service is told.
    context: TraceContext,
    id: RequestId,
    trace_id: TraceId,
    recorded: Recorded,
    /// Whether the decision had one; it is said then.
    has_target: bool,
    terms: Terms,
}

/// How requests' traces are treated, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) origin: TraceOrigin,
    pub(super) identifiers: Identifiers,
    pub(super) refusals: bool,
}

#[derive(Debug)]
pub(super) enum Recorded {
    Not,
    /// Only if it is refused.
    Refusal(Box<Waiting>),
    Yes(Box<OpenSpan>),
}

/// What a span is made of when there is one after all.
#[derive(Debug)]
pub(super) struct Waiting {
    exporter: Exporter,
    began: SystemTime,
    trace: [u8; 16],
    parent: Option<Parent>,
    link: Option<SpanRef>,
    flags: u8,
    state: Option<HeaderValue>,
}

impl RequestSpan {
    /// Continues the caller's trace or begins one. Whoever may say "sampled" for us is the operator's choice (TRACE-07).
    pub(super) fn begin(
        headers: &HeaderMap,
        sampler: &Sampler,
        exporter: Option<&Exporter>,
        terms: Terms,
    ) -> RequestSpan {
        let caller = TraceContext::of(headers);
        let (mut context, parent, link) = match (caller, terms.origin) {
            (Some(caller), TraceOrigin::Continue | TraceOrigin::Trust) => {
                let parent = Parent { span: caller.parent_id, remote: true };
                (caller, Some(parent), None)
            }
            (Some(caller), TraceOrigin::Restart) => (begin_trace(), None, Some(caller.span())),
            (None, TraceOrigin::Continue | TraceOrigin::Trust | TraceOrigin::Restart) => {
                (begin_trace(), None, None)
            }
        };
        let trusted = terms.origin == TraceOrigin::Trust;
        let sampled = match parent {
            None => sampler.share.has(&context.trace_id),
            // Nothing is recorded here, so the caller's context passes as it came.
            Some(_) if exporter.is_none() || trusted => context.sampled(),
            Some(_) => context.sampled() && sampler.admits(&context.trace_id, context.state_text()),
        };
        if exporter.is_some() && (sampled || context.sampled()) {
            context.parent_id = ids::random();
        }
        let dropped = context.sampled() && !sampled;
        context.set_sampled(sampled);
        if parent.is_some() && exporter.is_some() && !trusted {
            match (sampled, dropped) {
                (true, _) => context.correct_state(|state| sampler.share.corrected(state)),
                (false, true) => context.correct_state(without_share),
                (false, false) => {}
            }
        }
        let recorded = match exporter {
            Some(exporter) if sampled => Recorded::Yes(Box::new(open(exporter, &context, parent, link))),
            Some(exporter) if terms.refusals => {
                let (exporter, trace) = (exporter.clone(), context.trace_id);
                let began = SystemTime::now();
                let (flags, state) = (context.flags, context.state.clone());
                Recorded::Refusal(Box::new(Waiting { exporter, began, trace, parent, link, flags, state }))
            }
            Some(_) | None => Recorded::Not,
        };
        let trace_id = TraceId::of(context.trace_id);
        RequestSpan { context, id: RequestId::random(), trace_id, recorded, has_target: false, terms }
    }

    /// Writes `traceparent` and `tracestate` for the service; what the caller sent must be gone.
    pub fn write_context(&self, headers: &mut HeaderMap) {
        self.context.write(headers);
    }

    /// What of the caller's baggage the service may get, where callers' traces are continued. To be asked before it is
    /// removed, for requests whose caller has proved who it is: nobody vouches for that of others (TRACE-08).
    pub fn baggage(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self.terms.origin {
            TraceOrigin::Continue | TraceOrigin::Trust => baggage::of(headers),
            TraceOrigin::Restart => None,
        }
    }

    /// Writes it.
    pub fn write_baggage(&self, passing: Option<HeaderValue>, headers: &mut HeaderMap) {
        if let Some(passing) = passing {
            baggage::write(passing, headers);
        }
    }

    /// What the request is called everywhere.
    pub fn request_id(&self) -> RequestId {
        self.id
    }

    /// The trace id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Whether there is a trace for others to look up.
    pub fn is_recorded(&self) -> bool {
        self.open().is_some()
    }

    /// The trace, where there is one for others to look up.
    pub(super) fn recorded_trace(&self) -> Option<TraceId> {
        self.is_recorded().then_some(self.trace_id)
    }

    /// Where steps of the decision are begun.
    pub fn steps(&self) -> Steps<'_> {
        Steps::of(self.open())
    }

    /// The call to the service, which begins now.
    pub fn call(&self, called: Called<'_>) -> Step {
        let open = self.open().and_then(|server| called.begin(server, self.context.parent_id));
        Step::of(open)
    }

    /// What the connection and the request's head say; to be called after the decision. `socket`: the other end of the
    /// connection; `handshake`: what is still to be told of it.
    pub fn received(
        &mut self,
        parts: &Parts,
        socket: SocketAddr,
        handshake: impl FnOnce() -> Option<Handshake>,
    ) {
        if let Recorded::Yes(open) = &mut self.recorded {
            server::received(open, parts, socket, self.has_target);
            if let Some(handshake) = handshake() {
                handshake.record(open, socket);
            }
        }
    }

    /// The decision. A refusal that is to be kept becomes a span.
    pub(super) fn decided(&mut self, record: &Record<'_>) {
        if let Recorded::Refusal(waiting) = &self.recorded
            && record.verdict.is_err()
        {
            let mut open = waiting.begin();
            open.set("clinch.kept", "refusal");
            self.recorded = Recorded::Yes(Box::new(open));
        }
        if let Recorded::Yes(open) = &mut self.recorded {
            self.has_target = server::decided(open, record, self.terms.identifiers);
        }
    }

    /// Why the service did not answer.
    pub(super) fn unanswered(&mut self, reason: &'static str) {
        if let Recorded::Yes(open) = &mut self.recorded {
            open.set("clinch.reason", reason);
            open.fail(reason);
        }
    }

    pub(super) fn answered(mut self, status: StatusCode, upstream: Option<Duration>) {
        if let Recorded::Yes(open) = &mut self.recorded {
            server::answered(open, status, upstream);
            open.complete();
        }
    }

    /// The same of an answer that is still under way.
    pub(super) fn passes(mut self, status: StatusCode, upstream: Duration) -> Remainder {
        let Recorded::Yes(mut open) = std::mem::replace(&mut self.recorded, Recorded::Not) else {
            return Remainder::default();
        };
        server::answered(&mut open, status, Some(upstream));
        Remainder(Some(open))
    }

    fn open(&self) -> Option<&OpenSpan> {
        match &self.recorded {
            Recorded::Yes(open) => Some(open),
            Recorded::Not | Recorded::Refusal(_) => None,
        }
    }
}

impl Step {
    fn of(open: Option<OpenSpan>) -> Step {
        Step(open.map(Box::new))
    }

    /// The service answered.
    pub fn answered(mut self, status: StatusCode) {
        if let Some(open) = &mut self.0 {
            client::answered(open, status);
        }
    }
}

impl Waiting {
    fn begin(&self) -> OpenSpan {
        let of = SpanRef { trace: self.trace, span: ids::random() };
        let mut open = OpenSpan::begun(&self.exporter, of, self.parent, SERVER, self.began);
        open.carry(self.flags, self.state.clone());
        if let Some(link) = self.link {
            open.link(link, "caller");
        }
        open
    }
}

fn open(
    exporter: &Exporter,
    context: &TraceContext,
    parent: Option<Parent>,
    link: Option<SpanRef>,
) -> OpenSpan {
    let mut open = OpenSpan::begin(exporter, context.trace_id, parent, SERVER);
    open.carry(context.flags, context.state.clone());
    if let Some(link) = link {
        open.link(link, "caller");
    }
    open
}

fn begin_trace() -> TraceContext {
    TraceContext { trace_id: new_trace(), parent_id: ids::random(), flags: SAMPLED | RANDOM, state: None }
}

/// Until more is known of it.
const SERVER: (Kind, &str) = (Kind::Server, "HTTP");
