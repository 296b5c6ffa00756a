//! A granted request that may be ended before its end: by the revocation of its token, or its expiry.
//!
//! Decides what is told of that. When it happens is decided in
//! [`state::revocation`](crate::state::revocation), what the client gets in `forward`, `body` and `tunnel`.

use super::proxy::Peer;
use crate::pop::policy::{Access, Route};
use crate::state::revocation::{Cut, OpenRequest};
use crate::telemetry::{CutRecord, RequestSpan, TraceId};
use std::sync::Arc;

/// A granted request, on its route.
#[derive(Debug)]
pub(super) struct Cuttable {
    pub(super) open: OpenRequest,
    route: Arc<str>,
    outlives_token: bool,
    trace_id: TraceId,
}

impl Cuttable {
    pub(super) fn new(open: OpenRequest, route: &Route, span: &RequestSpan) -> Cuttable {
        let outlives_token = match &route.access {
            Access::Protected(demands) => demands.outlive_token,
            Access::Unprotected => true,
        };
        Cuttable { open, route: Arc::clone(&route.path), outlives_token, trace_id: span.trace_id() }
    }

    /// The response's head is there, its content is not: a stream from now on, which ends with its token unless the
    /// route says otherwise.
    pub(super) fn streams(&self) {
        if !self.outlives_token {
            self.open.ends_with_its_token();
        }
    }

    /// Tells the log and the metrics of its end.
    pub(super) fn tell(&self, why: Cut, peer: &Peer) {
        let token = self.open.token();
        peer.proxy.gate.telemetry.cut(&CutRecord {
            reason: why.reason(),
            route: &self.route,
            issuer: token.issuer(),
            token_id: token.token_id(),
            trace_id: self.trace_id,
            open_for: self.open.age(),
        });
    }
}
