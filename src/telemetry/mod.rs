//! Seen from outside: one span, one log line, one set of metrics per request.
//!
//! The shell [begins](Telemetry::begin) a request and [answers](Telemetry::answered) it; the gate records its
//! decision in between. Nothing in here can fail, slow down or change a request.

mod age;
mod audit;
mod baggage;
#[cfg(test)]
mod catalogue;
mod collector;
mod cuts;
mod decisions;
mod exposition;
mod handshake;
mod handshakes;
mod ids;
mod introspections;
mod keys;
mod known;
mod latency;
mod logs;
mod metrics;
mod nonces;
mod otlp_metrics;
mod page;
mod panics;
mod passing;
mod process;
mod registering;
mod reloads;
mod repeats;
mod replay;
mod request;
mod requests;
mod resource;
mod revocations;
mod sampling;
#[cfg(test)]
pub(crate) mod sink;
mod spans;
mod suspicious;
mod timing;
mod trace_context;
mod upstream;
mod verifications;

pub use audit::AuditMetrics;
pub use cuts::Cut as CutRecord;
pub use exposition::Format;
pub use handshake::Handshake;
pub use handshakes::Handshaken;
pub use ids::{RequestId, TraceId};
pub use known::Known;
pub use logs::{ANCHORS, install_logging};
pub(crate) use logs::{breaks_lines, cut};
pub use metrics::Metrics;
pub use panics::report_panics;
pub use passing::Remainder;
pub use reloads::{Reloaded, Reloads};
pub use replay::ReplayMetrics;
pub use request::RequestSpan;
pub use revocations::RevocationMetrics;
pub use spans::{Called, RevocationSpan, SpanRef, Step, Steps, Tracer};
pub use timing::{Part, Stopwatch, Timing};
pub use upstream::UpstreamMetrics;

use crate::config::{Identifiers, TraceOrigin};
use crate::pop::Denial;
use crate::pop::Timestamp;
use crate::pop::access_token::AccessToken;
use crate::pop::because::Because;
use crate::pop::policy::ProofKind;
use collector::Collector;
use http::{HeaderMap, StatusCode};
use otlp_metrics::MetricsOut;
use prometheus_client::registry::Registry;
use repeats::Repeats;
use request::Terms;
use sampling::Sampler;
use spans::Exporter;
use std::sync::Arc;
use std::time::Duration;

/// Logs, traces and metrics of the process.
#[derive(Debug)]
pub struct Telemetry {
    /// What is counted and measured; every module moves its own.
    pub metrics: Metrics,
    registry: Registry,
    sampler: Sampler,
    terms: Terms,
    repeats: Repeats,
    out: Option<MetricsOut>,
}

/// What is said of one decision. Nothing in here is a secret: no token, no proof.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// What the request is called everywhere.
    pub request: RequestId,
    /// The configuration that decided, counted from 1.
    pub generation: u64,
    /// The request method.
    pub method: &'a str,
    /// The target URI without its query, once it was beyond doubt.
    pub target: Option<&'a str>,
    /// The authority the caller named, as it came, where there is no target: a host that is not served.
    pub host: Option<&'a str>,
    /// The route's path pattern, once found.
    pub route: Option<&'a str>,
    /// The peer's address.
    pub peer: std::net::SocketAddr,
    /// The scheme of the credentials, once read.
    pub scheme: Option<&'static str>,
    /// How possession was proved, when it was.
    pub proof: Option<ProofKind>,
    /// The token, once it was known to be genuine.
    pub token: Option<&'a Arc<AccessToken>>,
    /// How it is marked that the revocation feed did not vouch for the token.
    pub revocation: Option<&'static str>,
    /// The event that revoked the token, while it is remembered.
    pub revoked_by: Option<&'a RevokedBy>,
    /// Why it was refused, in more words than the caller gets.
    pub because: Option<&'a Because>,
    /// Granted, and what for, or why not.
    pub verdict: Result<Passed, Denial>,
    /// How long the decision took.
    pub elapsed: Duration,
}

impl<'a> Record<'a> {
    /// Why it was refused, or would have been if it were not only observed.
    pub fn denial(&self) -> Option<Denial> {
        denial(self.verdict)
    }
    /// `iss` of the token.
    pub fn issuer(&self) -> Option<&'a str> {
        self.token.map(|token| token.issuer())
    }
    /// `sub` of the token.
    pub fn subject(&self) -> Option<&'a str> {
        self.token.map(|token| token.subject())
    }
    /// `client_id` of the token.
    pub fn client(&self) -> Option<&'a str> {
        self.token.map(|token| token.client())
    }
    /// `jti` of the token.
    pub fn token_id(&self) -> Option<&'a str> {
        self.token.map(|token| token.token_id())
    }
}

/// What a request that was not refused was let in for. Of a closed set: the label `reason` of `granted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// For the service, as the policy demands.
    Request,
    /// As a CORS preflight, without credentials.
    Preflight,
    /// For our own metadata (RFC 9728), not for the service.
    Metadata,
    /// For the service, because the operator only observes; why it would have been refused.
    Observed(Denial),
}

impl Passed {
    /// The stable reason; none for what is the rule.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Passed::Request => None,
            Passed::Preflight => Some("preflight"),
            Passed::Metadata => Some("metadata"),
            Passed::Observed(want) => Some(want.reason()),
        }
    }
}

/// Why a request was refused, or would have been if it were not only observed.
pub fn denial(verdict: Result<Passed, Denial>) -> Option<Denial> {
    match verdict {
        Ok(Passed::Observed(want)) => Some(want),
        Ok(Passed::Request | Passed::Preflight | Passed::Metadata) => None,
        Err(denial) => Some(denial),
    }
}

/// The word for a verdict, everywhere.
pub fn verdict(verdict: Result<Passed, Denial>) -> &'static str {
    match verdict {
        Ok(Passed::Request | Passed::Preflight | Passed::Metadata) => "granted",
        Ok(Passed::Observed(_)) => "observed",
        Err(_) => "refused",
    }
}

/// An event that revoked something, for whoever asks why.
#[derive(Debug)]
pub struct RevokedBy {
    /// Its `jti` or `id`.
    pub id: Box<str>,
    /// Tokens issued then or before are revoked.
    pub at: Timestamp,
    /// Its span, if it has one.
    pub span: Option<SpanRef>,
}

impl Telemetry {
    /// Starts the exporter; logging is installed separately by [`install_logging`]. Needs a tokio runtime when traces
    /// are exported, and fails only if TLS can't be set up.
    pub fn start(config: &crate::config::Telemetry) -> anyhow::Result<Arc<Telemetry>> {
        let (mut metrics, registry) = Metrics::new();
        let sampler = Sampler::new(config.sample);
        let resource = resource::of_this_process();
        if let Some(endpoint) = &config.otlp {
            let collector = Collector::new(endpoint, config)?;
            let exporter = Exporter::start(collector, &resource, metrics.spans.clone());
            metrics.trace_with(Tracer::new(exporter, sampler.share));
        }
        let terms = Terms {
            origin: config.context,
            identifiers: config.identifiers,
            refusals: config.sample_refusals,
        };
        let out = MetricsOut::of(config, resource)?;
        let repeats = Repeats::up_to(config.repeats);
        Ok(Arc::new(Telemetry { metrics, registry, sampler, terms, repeats, out }))
    }

    /// Metrics only: nothing is exported.
    pub fn off() -> Arc<Telemetry> {
        let (metrics, registry) = Metrics::new();
        let terms =
            Terms { origin: TraceOrigin::Continue, identifiers: Identifiers::Hashed, refusals: false };
        Arc::new(Telemetry {
            metrics,
            registry,
            sampler: Sampler::new(1.0),
            terms,
            repeats: Repeats::up_to(0),
            out: None,
        })
    }

    /// A new request: continues `traceparent` (W3C Trace Context) or begins a trace.
    pub fn begin(&self, headers: &HeaderMap) -> RequestSpan {
        let exporter = self.metrics.tracer.exporter();
        RequestSpan::begin(headers, &self.sampler, exporter, self.terms)
    }

    /// The decision, recorded exactly once per request: log line, metrics, span attributes. Called by the gate only.
    pub fn decided(&self, span: &mut RequestSpan, record: &Record<'_>) {
        // First of all: a refusal that is kept has its span from here on, and the metrics name its trace.
        span.decided(record);
        self.metrics.decided(record.route, record.verdict, record.elapsed, span.recorded_trace());
        if let Some(mark) = record.revocation.filter(|_| record.verdict.is_ok()) {
            self.metrics.revocations.passed(mark);
        }
        self.log(span.trace_id().as_str(), record);
    }

    /// An answer of ours is known: ends the span. `upstream`: how long the service took, when it was asked.
    pub fn answered(&self, span: RequestSpan, status: StatusCode, upstream: Option<Duration>) {
        self.metrics.answered(status, upstream, span.recorded_trace());
        span.answered(status, upstream);
    }

    /// The service gave no answer to an admitted request: one warning, one count, by a reason of a closed set.
    pub fn unanswered(
        &self,
        span: &mut RequestSpan,
        method: &str,
        route: Option<&str>,
        reason: &'static str,
    ) {
        self.metrics.upstream_failed(reason);
        span.unanswered(reason);
        let trace_id = span.trace_id();
        let request = span.request_id();
        tracing::warn!(
            method,
            route,
            reason,
            request = request.as_str(),
            trace_id = trace_id.as_str(),
            "no answer from the service"
        );
    }

    /// Sends what is pending, at most this long.
    pub async fn shutdown(&self, limit: Duration) {
        if let Some(exporter) = self.metrics.tracer.exporter() {
            exporter.shutdown(limit).await;
        }
    }
}

#[cfg(test)]
mod tests;
