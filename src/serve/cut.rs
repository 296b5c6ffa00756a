//! A granted request that may be ended before its end: by the revocation of its token, or its expiry.
//!
//! Decides what is told of that. When it happens is decided in
//! [`state::revocation`](crate::state::revocation), what the client gets in `forward`, `body` and `tunnel`.

use super::proxy::Peer;
use crate::pop::policy::{Access, Route};
use crate::state::audit::{self, Event};
use crate::state::revocation::{Cut, OpenRequest};
use crate::telemetry::{CutRecord, RequestId, RequestSpan, TraceId};
use std::sync::Arc;

/// A granted request, on its route.
#[derive(Debug)]
pub(super) struct Cuttable {
    pub(super) open: OpenRequest,
    route: Arc<str>,
    outlives_token: bool,
    request: RequestId,
    trace: TraceId,
}

impl Cuttable {
    pub(super) fn new(open: OpenRequest, route: &Route, span: &RequestSpan) -> Cuttable {
        let outlives_token = match &route.access {
            Access::Protected(demands) => demands.outlive_token,
            Access::Unprotected => true,
        };
        let (request, trace) = (span.request_id(), span.trace_id());
        Cuttable { open, route: Arc::clone(&route.path), outlives_token, request, trace }
    }

    /// The response's head is there, its content is not: a stream from now on, which ends with its token unless the
    /// route says otherwise.
    pub(super) fn streams(&self) {
        if !self.outlives_token {
            self.open.ends_with_its_token();
        }
    }

    /// Tells the log, the metrics and the audit log of its end.
    pub(super) fn tell(&self, why: Cut, peer: &Peer) {
        let (gate, token) = (&peer.proxy.gate, self.open.token());
        let event = match why {
            Cut::Revoked => gate.revocations.cause(token),
            Cut::Expired => None,
        };
        let open_for = self.open.age();
        gate.telemetry.cut(&CutRecord {
            request: self.request,
            reason: why.reason(),
            route: &self.route,
            issuer: token.issuer(),
            subject: token.subject(),
            client: token.client(),
            token_id: token.token_id(),
            event: event.as_deref(),
            trace_id: self.trace,
            open_for,
        });
        gate.audit.tell(Event::Cut(Box::new(audit::Cut {
            request: self.request,
            trace: self.trace,
            peer: peer.address,
            route: Arc::clone(&self.route),
            token: Arc::clone(token),
            reason: why.reason(),
            event,
            open_for,
            generation: gate.generation,
            position: gate.revocations.position(),
        })));
    }
}
