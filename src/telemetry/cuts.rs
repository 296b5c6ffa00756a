//! Requests that were granted and ended before their end: one log line and one count for each.

use super::metrics::{Label, family};
use super::{RequestId, RevokedBy, Telemetry, TraceId};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// What is said of one cut. Nothing in here is a secret: no token, no proof.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// What the request is called everywhere.
    pub request: RequestId,
    /// Why, as a name of a closed set.
    pub reason: &'static str,
    /// The route's path pattern.
    pub route: &'a str,
    /// `iss` of its token.
    pub issuer: &'a str,
    /// `sub` of its token.
    pub subject: &'a str,
    /// `client_id` of its token.
    pub client: &'a str,
    /// `jti` of its token.
    pub token_id: &'a str,
    /// The event that revoked it, while it is remembered.
    pub event: Option<&'a RevokedBy>,
    /// The trace of the request, which its decision was logged under.
    pub trace_id: TraceId,
    /// How long it had been open.
    pub open_for: Duration,
}

/// The counters, at zero from the start.
pub(super) fn register(all: &mut Registry) -> Family<Label, Counter> {
    let cut = family(all, "cut", "Granted requests ended before their end, by reason");
    for reason in REASONS {
        drop(cut.get_or_create(&[("reason", reason)]));
    }
    cut
}

impl Telemetry {
    /// An open request was ended. Its decision and its answer have been recorded, or will be, all the same.
    pub fn cut(&self, cut: &Cut<'_>) {
        let Cut { reason, route, issuer, subject, client, token_id, .. } = *cut;
        self.metrics.cut.get_or_create(&[("reason", reason)]).inc();
        let open_ms = u64::try_from(cut.open_for.as_millis()).unwrap_or(u64::MAX);
        let event = cut.event.map(|event| &*event.id);
        let (request, trace_id) = (cut.request.as_str(), cut.trace_id.as_str());
        tracing::info!(
            request,
            reason,
            route,
            issuer,
            subject,
            client,
            token_id,
            event,
            trace_id,
            open_ms,
            "request cut"
        );
    }
}

const REASONS: [&str; 2] = ["revoked", "expired"];
