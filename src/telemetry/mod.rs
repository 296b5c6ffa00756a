//! Seen from outside: one span, one log line, one set of metrics per request.
//!
//! The shell [begins](Telemetry::begin) a request and [answers](Telemetry::answered) it; the gate records its
//! decision in between. Nothing in here can fail, slow down or change a request.

mod age;
mod audit;
mod cuts;
mod ids;
mod introspections;
mod logs;
mod metrics;
mod otlp;
mod reloads;
mod replay;
mod requests;
mod revocations;
#[cfg(test)]
pub(crate) mod sink;
mod span;
mod trace_context;
mod upstream;

pub use audit::AuditMetrics;
pub use cuts::Cut as CutRecord;
pub use ids::{RequestId, TraceId};
pub use logs::install_logging;
pub(crate) use logs::{breaks_lines, cut};
pub use metrics::Metrics;
pub use reloads::{Reloaded, Reloads};
pub use replay::ReplayMetrics;
pub use revocations::RevocationMetrics;
pub use upstream::UpstreamMetrics;

use crate::pop::Denial;
use crate::pop::access_token::AccessToken;
use crate::pop::because::Because;
use crate::pop::policy::ProofKind;
use http::{HeaderMap, StatusCode};
use otlp::Exporter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use span::OpenSpan;
use std::sync::Arc;
use std::time::Duration;
use trace_context::{SAMPLED, TraceContext};

/// Logs, traces and metrics of the process.
#[derive(Debug)]
pub struct Telemetry {
    /// What is counted and measured; every module moves its own.
    pub metrics: Metrics,
    registry: Registry,
    exporter: Option<Exporter>,
    sample: f64,
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
    /// Why it was refused, in more words than the caller gets.
    pub because: Option<&'a Because>,
    /// Granted, and what for, or why not.
    pub verdict: Result<Passed, Denial>,
    /// How long the decision took.
    pub elapsed: Duration,
}

impl<'a> Record<'a> {
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
}

impl Passed {
    /// The stable reason; none for what is the rule.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Passed::Request => None,
            Passed::Preflight => Some("preflight"),
            Passed::Metadata => Some("metadata"),
        }
    }
}

/// One request on its way: its trace context (W3C, continued or begun) and, when traces are exported, its
/// span. A request that goes away unanswered ends its span too.
#[derive(Debug)]
pub struct RequestSpan {
    context: TraceContext,
    id: RequestId,
    trace_id: TraceId,
    open: Option<Box<OpenSpan>>,
    in_flight: Gauge,
}

impl Telemetry {
    /// Starts the exporters; logging is installed separately by [`install_logging`]. Needs a tokio runtime
    /// when traces are exported, and fails only if the exporter can't be built.
    pub fn start(config: &crate::config::Telemetry) -> anyhow::Result<Arc<Telemetry>> {
        let (metrics, registry) = Metrics::new();
        let exporter =
            config.otlp.as_ref().map(|endpoint| Exporter::start(endpoint, metrics.clone())).transpose()?;
        Ok(Arc::new(Telemetry { metrics, registry, exporter, sample: config.sample }))
    }

    /// Metrics only: nothing is exported.
    pub fn off() -> Arc<Telemetry> {
        let (metrics, registry) = Metrics::new();
        Arc::new(Telemetry { metrics, registry, exporter: None, sample: 1.0 })
    }

    /// A new request: continues `traceparent` (W3C Trace Context) or begins a trace.
    pub fn begin(&self, headers: &HeaderMap) -> RequestSpan {
        let caller = TraceContext::of(headers);
        let (context, open) = self.continued(caller);
        let trace_id = TraceId::of(context.trace_id);
        self.metrics.in_flight.inc();
        RequestSpan {
            context,
            id: RequestId::random(),
            trace_id,
            open,
            in_flight: self.metrics.in_flight.clone(),
        }
    }

    /// The decision, recorded exactly once per request: log line, metrics, span attributes. Called by the
    /// gate only.
    pub fn decided(&self, span: &mut RequestSpan, record: &Record<'_>) {
        self.metrics.decided(record.route, record.verdict, record.elapsed);
        if let Some(mark) = record.revocation.filter(|_| record.verdict.is_ok()) {
            self.metrics.revocations.passed(mark);
        }
        if let Some(open) = &mut span.open {
            open.decided(record);
        }
        log(span.trace_id.as_str(), record);
    }

    /// The response head is known: ends the span. `upstream`: how long the service took, when it was asked.
    pub fn answered(&self, mut span: RequestSpan, status: StatusCode, upstream: Option<Duration>) {
        self.metrics.answered(status, upstream);
        if let Some(open) = &mut span.open {
            open.answered(status, upstream);
        }
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
        if let Some(open) = &mut span.open {
            open.unanswered(reason);
        }
        tracing::warn!(
            method,
            route,
            reason,
            trace_id = span.trace_id.as_str(),
            "no answer from the service"
        );
    }

    /// The metrics as Prometheus text (OpenMetrics).
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String can't fail; a half-written page ends without `# EOF` and is not taken.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Sends what is pending, at most this long.
    pub async fn shutdown(&self, limit: Duration) {
        if let Some(exporter) = &self.exporter {
            exporter.shutdown(limit).await;
        }
    }

    /// What the service is told, and the span if this trace is recorded here.
    ///
    /// A caller's "not sampled" is respected; its "sampled" is only a wish, drawn for like a new trace, so a
    /// stranger can't make us record more than the configured share.
    fn continued(&self, caller: Option<TraceContext>) -> (TraceContext, Option<Box<OpenSpan>>) {
        let parent = caller.as_ref().map(|c| c.parent_id);
        let wanted = caller.as_ref().is_none_or(TraceContext::sampled);
        let begun = caller.is_none();
        let mut context = caller.unwrap_or_else(begin_trace);
        match &self.exporter {
            None if begun => context.set_sampled(ids::chance(self.sample)),
            None => {}
            Some(exporter) if wanted && ids::chance(self.sample) => {
                context.parent_id = ids::random();
                context.set_sampled(true);
                let open = OpenSpan::new(&context, parent, exporter);
                return (context, Some(Box::new(open)));
            }
            Some(_) if wanted => {
                context.parent_id = ids::random();
                context.set_sampled(false);
            }
            Some(_) => {}
        }
        (context, None)
    }
}

impl RequestSpan {
    /// Writes `traceparent` and `tracestate` for the service; what the caller sent must be gone.
    pub fn write_context(&self, headers: &mut HeaderMap) {
        self.context.write(headers);
    }
    /// What the request is called everywhere.
    pub fn request_id(&self) -> RequestId {
        self.id
    }
    /// The trace id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

fn begin_trace() -> TraceContext {
    TraceContext { trace_id: ids::random(), parent_id: ids::random(), flags: SAMPLED, state: None }
}

/// One line per decision: refusals are worth a line, our own failures a warning, grants only for debugging.
fn log(trace_id: &str, record: &Record<'_>) {
    macro_rules! line {
        ($level:ident, $verdict:literal, $reason:expr) => {
            tracing::event!(
                target: "clinch::decision",
                tracing::Level::$level,
                method = record.method,
                url = record.target,
                host = record.host,
                route = record.route,
                peer = %record.peer,
                scheme = record.scheme,
                proof = record.proof.map(ProofKind::as_str),
                issuer = record.issuer(),
                subject = record.subject(),
                client = record.client(),
                token_id = record.token_id(),
                revocation = record.revocation,
                verdict = $verdict,
                reason = $reason,
                elapsed_us = u64::try_from(record.elapsed.as_micros()).unwrap_or(u64::MAX),
                request = record.request.as_str(),
                trace_id,
                "request {}", $verdict
            )
        };
    }
    match record.verdict {
        Ok(passed) => line!(DEBUG, "granted", passed.reason()),
        Err(denial) if denial.status().is_server_error() => line!(WARN, "refused", denial.reason()),
        Err(denial) => line!(INFO, "refused", denial.reason()),
    }
}

#[cfg(test)]
mod tests;
