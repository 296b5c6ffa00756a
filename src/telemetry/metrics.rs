//! Every metric there is, its name written once, in OpenMetrics text.
//!
//! Labels come from the configuration and from closed tables, never from a request, so their number is
//! bounded. Handles are cheap clones; the request path finds its counters without building a label.

use super::Passed;
use super::age::Age;
use super::audit::AuditMetrics;
use super::cuts;
use super::introspections::Introspections;
use super::logs;
use super::reloads::Reloads;
use super::replay::ReplayMetrics;
use super::requests::Requests;
use super::revocations::RevocationMetrics;
use super::upstream::UpstreamMetrics;
use crate::pop::Denial;
use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Handles to every metric that other modules move.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open connections.
    pub connections: Gauge,
    /// TLS handshakes under way.
    pub handshakes: Gauge,
    /// Until our own certificate expires.
    pub certificate_seconds_left: Gauge,
    /// Requests between their head and the head of their response; moved by the request's span.
    pub in_flight: Gauge,
    /// Access tokens whose signature had been verified before.
    pub token_cache_hits: Counter,
    /// Access tokens whose signature had to be verified.
    pub token_cache_misses: Counter,
    /// Proofs in the replay memory.
    pub replay_entries: Gauge,
    /// The replay store.
    pub replay: ReplayMetrics,
    /// Reloads of the configuration.
    pub reloads: Reloads,
    /// The service behind us.
    pub upstream: UpstreamMetrics,
    /// Revocation.
    pub revocations: RevocationMetrics,
    /// The audit log.
    pub audit: AuditMetrics,
    /// Granted requests that were ended before their end.
    pub(super) cut: Family<Label, Counter>,
    /// Questions to introspection endpoints.
    pub(crate) introspections: Introspections,
    connections_refused: Family<Label, Counter>,
    handshake_failures: Family<Label, Counter>,
    proxy_protocol_failures: Family<Label, Counter>,
    unreadable_requests: Family<Label, Counter>,
    upstream_failures: Family<Label, Counter>,
    jwks_fetches: Family<FetchLabels, Counter>,
    jwks_age: Family<IssuerLabel, Age>,
    transmitter_jwks_fetches: Family<FetchLabels, Counter>,
    transmitter_jwks_age: Family<IssuerLabel, Age>,
    span_exports: Family<Label, Counter>,
    decision_seconds: Histogram,
    upstream_seconds: Histogram,
    responses: [Counter; CLASSES.len()],
    requests: Arc<Requests>,
}

impl Metrics {
    /// All metrics at zero, and the registry that renders them.
    pub(super) fn new() -> (Metrics, Registry) {
        let mut registry = Registry::with_prefix("clinch");
        let all = &mut registry;
        all.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        all.register("start_time_seconds", "When it started, in seconds since 1970", started());
        let requests = Arc::new(Requests::default());
        all.register("requests", "Requests decided", requests.family());
        let decision_seconds = histogram(all, "decision_seconds", "Time to a decision", &DECISION_BUCKETS);
        let answers: Family<Label, Counter> = family(all, "responses", "Responses by class of status");
        let responses = CLASSES.map(|class| answers.get_or_create_owned(&[("code", class)]));
        let help = "Time to the head of the service's response";
        let upstream_seconds = histogram(all, "upstream_seconds", help, &UPSTREAM_BUCKETS);
        let introspections = Introspections::default();
        all.register("introspections", "Tokens asked about, by result", introspections.asked.clone());
        all.register("introspection_seconds", "Time to an answer", introspections.seconds.clone());
        let help = "1 while an issuer that keeps failing is not asked";
        all.register("introspection_breaker_open", help, introspections.breaker_open.clone());
        let metrics = Metrics {
            introspections,
            connections: register(all, "connections", "Open connections"),
            handshakes: register(all, "tls_handshakes_in_flight", "TLS handshakes under way"),
            certificate_seconds_left: register(all, "certificate_seconds_left", "Until it expires"),
            in_flight: register(all, "in_flight", "Requests in flight"),
            token_cache_hits: register(all, "token_cache_hits", "Tokens already known to be genuine"),
            token_cache_misses: register(all, "token_cache_misses", "Tokens that had to be verified"),
            replay_entries: register(all, "replay_entries", "Proofs remembered"),
            replay: ReplayMetrics::register(all),
            reloads: Reloads::register(all),
            upstream: UpstreamMetrics::register(all),
            revocations: RevocationMetrics::register(all),
            audit: AuditMetrics::register(all),
            cut: cuts::register(all),
            connections_refused: family(
                all,
                "connections_refused",
                "Connections closed before their handshake, by reason",
            ),
            handshake_failures: family(
                all,
                "tls_handshake_failures",
                "TLS handshakes that failed, by reason",
            ),
            proxy_protocol_failures: family(all, "proxy_protocol_failures", PROXY_PROTOCOL),
            unreadable_requests: family(
                all,
                "unreadable_requests",
                "Connections ended over no HTTP, by reason",
            ),
            upstream_failures: family(
                all,
                "upstream_failures",
                "Requests the service did not answer, by reason",
            ),
            jwks_fetches: family(all, "jwks_fetches", "Fetches of issuers' keys"),
            jwks_age: family(all, "jwks_age_seconds", JWKS_AGE),
            transmitter_jwks_fetches: family(
                all,
                "transmitter_jwks_fetches",
                "Fetches of the keys that sign security events",
            ),
            transmitter_jwks_age: family(all, "transmitter_jwks_age_seconds", JWKS_AGE),
            span_exports: family(all, "span_exports", "Batches of spans sent to the collector"),
            decision_seconds,
            upstream_seconds,
            responses,
            requests,
        };
        all.register("log_lines_dropped", "Log lines lost to a slow output", DroppedLines);
        (metrics, registry)
    }

    /// A decision on this route, or on none.
    pub(super) fn decided(&self, route: Option<&str>, verdict: Result<Passed, Denial>, elapsed: Duration) {
        self.requests.count(route, verdict);
        self.decision_seconds.observe(elapsed.as_secs_f64());
    }

    /// A response head, and how long the service took for it.
    pub(super) fn answered(&self, status: StatusCode, upstream: Option<Duration>) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.responses[class - 1].inc();
        if let Some(upstream) = upstream {
            self.upstream_seconds.observe(upstream.as_secs_f64());
        }
    }

    /// The service did not answer, for a reason of a closed set.
    pub(super) fn upstream_failed(&self, reason: &'static str) {
        self.upstream_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// A connection was closed before its handshake, for a reason of a closed set.
    pub fn connection_refused(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// A TLS handshake failed, for a reason of a closed set.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// A load balancer did not say whose connection it is, for a reason of a closed set.
    pub fn proxy_protocol_failed(&self, reason: &'static str) {
        self.proxy_protocol_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// What came was no request, for a reason of a closed set.
    pub fn request_unreadable(&self, reason: &'static str) {
        self.unreadable_requests.get_or_create(&[("reason", reason)]).inc();
    }

    /// A batch of spans was taken by the collector, or not.
    pub(super) fn spans_exported(&self, result: &'static str) {
        self.span_exports.get_or_create(&[("result", result)]).inc();
    }

    /// The same, where issuers' keys are those of transmitters: one that also issues tokens has two key sets.
    pub(crate) fn of_transmitters(&self) -> Metrics {
        Metrics {
            jwks_fetches: self.transmitter_jwks_fetches.clone(),
            jwks_age: self.transmitter_jwks_age.clone(),
            ..self.clone()
        }
    }

    /// A configured issuer: its good fetches are counted from zero. Its keys have no age before the first.
    pub(crate) fn jwks_expected(&self, issuer: &Arc<str>) {
        drop(self.jwks_fetches.get_or_create(&FetchLabels { issuer: Arc::clone(issuer), result: "ok" }));
    }

    /// An issuer that is configured no longer.
    pub(crate) fn jwks_forgotten(&self, issuer: &Arc<str>) {
        self.jwks_age.remove(&IssuerLabel { issuer: Arc::clone(issuer) });
    }

    /// A fetch of a configured issuer's keys: `ok`, or what went wrong as a name of a closed set.
    pub(crate) fn jwks_fetched(&self, issuer: &Arc<str>, result: &'static str) {
        if result == "ok" {
            self.jwks_age.get_or_create(&IssuerLabel { issuer: Arc::clone(issuer) }).restart();
        }
        self.jwks_fetches.get_or_create(&FetchLabels { issuer: Arc::clone(issuer), result }).inc();
    }
}

/// One label of a closed set.
pub(super) type Label = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabel {
    issuer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    issuer: Arc<str>,
    result: &'static str,
}

/// Counted by the log writer itself.
#[derive(Debug)]
struct DroppedLines;

impl EncodeMetric for DroppedLines {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&logs::dropped_lines(), None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

pub(super) fn register<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

pub(super) fn family<S, M>(registry: &mut Registry, name: &str, help: &str) -> Family<S, M>
where
    S: Clone + std::fmt::Debug + std::hash::Hash + Eq + EncodeLabelSet + Send + Sync + 'static,
    M: prometheus_client::registry::Metric + TypedMetric + Default,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

pub(super) fn histogram(registry: &mut Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let histogram = Histogram::new(buckets.iter().copied());
    registry.register(name, help, histogram.clone());
    histogram
}

fn started() -> Gauge {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let gauge = Gauge::default();
    gauge.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    gauge
}

const JWKS_AGE: &str = "Time since an issuer's keys were last fetched; absent before the first good fetch: \
                        alert on absent, and on jwks_fetches with result ok at 0";
const PROXY_PROTOCOL: &str = "Connections closed for want of a PROXY protocol header, by reason";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Seconds: a cached decision takes microseconds, one signature fifty, a fetch of keys up to five seconds.
const DECISION_BUCKETS: [f64; 12] =
    [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 2.5];
/// Seconds.
const UPSTREAM_BUCKETS: [f64; 14] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
