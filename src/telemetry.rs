//! Seen from outside: one span, one log line, one set of metrics per request.
use crate::pop::Denial;
use crate::pop::policy::ProofKind;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Logs, traces and metrics of the process.
#[derive(Debug)]
pub struct Telemetry;

/// What is said of one decision. Nothing in here is a secret: no token, no proof.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The request method.
    pub method: &'a str,
    /// The target URI without its query, once it was beyond doubt.
    pub target: Option<&'a str>,
    /// The route's path pattern, once found.
    pub route: Option<&'a str>,
    /// The peer's address.
    pub peer: std::net::SocketAddr,
    /// The scheme of the credentials, once read.
    pub scheme: Option<&'static str>,
    /// How possession was proved, when it was.
    pub proof: Option<ProofKind>,
    /// `iss`, `sub`, `client_id`, `jti` of a verified token.
    pub issuer: Option<&'a str>,
    /// `sub`
    pub subject: Option<&'a str>,
    /// `client_id`
    pub client: Option<&'a str>,
    /// `jti`
    pub token_id: Option<&'a str>,
    /// Granted, or why not.
    pub verdict: Result<(), Denial>,
    /// How long the decision took.
    pub elapsed: Duration,
}

/// One request on its way: its trace context (W3C, continued or begun) and, when traces are exported, its span.
#[derive(Debug)]
pub struct RequestSpan;

impl Telemetry {
    /// Starts the exporters; logging is installed separately by [`install_logging`].
    pub fn start(_config: &crate::config::Telemetry) -> anyhow::Result<Arc<Telemetry>> {
        todo!()
    }
    /// A new request: continues `traceparent` (W3C Trace Context) or begins a trace.
    pub fn begin(&self, _headers: &HeaderMap) -> RequestSpan {
        todo!()
    }
    /// The decision, recorded exactly once per request: log line, metrics, span attributes. Called by the gate only.
    pub fn decided(&self, _span: &mut RequestSpan, _record: &Record<'_>) {
        todo!()
    }
    /// The response head is known: ends the span. `upstream`: how long the service took, when it was asked.
    pub fn answered(&self, _span: RequestSpan, _status: StatusCode, _upstream: Option<Duration>) {
        todo!()
    }
    /// The metrics as Prometheus text (OpenMetrics).
    pub fn render(&self) -> String {
        todo!()
    }
    /// Sends what is pending, at most this long.
    pub async fn shutdown(&self, _limit: Duration) {
        todo!()
    }
}
impl RequestSpan {
    /// Writes `traceparent` and `tracestate` for the service.
    pub fn write_context(&self, _headers: &mut HeaderMap) {
        todo!()
    }
    /// The trace id, 32 hex digits.
    pub fn trace_id(&self) -> &str {
        todo!()
    }
}
/// Installs the process-wide log subscriber. The guard writes what is left when dropped.
pub fn install_logging(_config: &crate::config::Telemetry) -> tracing_appender::non_blocking::WorkerGuard {
    todo!()
}
