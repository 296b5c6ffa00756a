//! Every metric there is, its name written once, in OpenMetrics text.
//!
//! Labels come from the configuration and from closed tables, never from a request, so their number is
//! bounded. Handles are cheap clones; the request path finds its counters without building a label.

use super::audit::AuditMetrics;
use super::cuts;
use super::handshakes::Handshaken;
use super::introspections::Introspections;
use super::keys::KeyFetches;
use super::known::Known;
use super::latency::Latency;
use super::nonces::NonceChallenges;
use super::otlp_metrics::PageCounts;
use super::panics::Panics;
use super::process::Process;
use super::registering::{BUILD, DroppedLines, KEYS, TRANSMITTERS, keys, latency, started};
use super::reloads::Reloads;
use super::replay::ReplayMetrics;
use super::requests::Requests;
use super::revocations::RevocationMetrics;
use super::spans::{SpanCounts, Tracer};
use super::suspicious::Suspicious;
use super::timing::Timing;
use super::upstream::UpstreamMetrics;
use super::verifications::Verifications;
use super::{Passed, TraceId};
use crate::pop::Denial;
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

pub(super) use super::registering::{Label, family, histogram, register};

/// Handles to every metric that other modules move.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open connections.
    pub connections: Gauge,
    /// TLS handshakes under way.
    pub handshakes: Gauge,
    /// Those that were completed.
    pub handshaken: Handshaken,
    /// Until our own certificate expires.
    pub certificate_seconds_left: Gauge,
    /// Until the first of the authorities expires that vouch for clients.
    pub client_ca_seconds_left: Known,
    /// Where the time of a decision goes.
    pub timing: Timing,
    /// What became of requests with credentials, by issuer.
    pub(crate) verifications: Verifications,
    pub(super) suspicious: Suspicious,
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
    /// Where work that belongs to no request leaves its spans.
    pub tracer: Tracer,
    /// Questions to introspection endpoints.
    pub(crate) introspections: Introspections,
    connections_refused: Family<Label, Counter>,
    handshake_failures: Family<Label, Counter>,
    proxy_protocol_failures: Family<Label, Counter>,
    unreadable_requests: Family<Label, Counter>,
    upstream_failures: Family<Label, Counter>,
    keys: KeyFetches,
    keys_of_transmitters: KeyFetches,
    challenges: NonceChallenges,
    pub(super) spans: SpanCounts,
    log_lines_left_out: Counter,
    pub(super) pages: PageCounts,
    decision_seconds: Latency,
    upstream_seconds: Latency,
    responses: [Counter; CLASSES.len()],
    requests: Arc<Requests>,
}

impl Metrics {
    /// All metrics at zero, and the registry that renders them.
    pub(super) fn new() -> (Metrics, Registry) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::starting()));
        let all = registry.sub_registry_with_prefix("clinch");
        all.register("build", "The version that runs", Info::new(BUILD));
        all.register("start_time_seconds", "When it started, in seconds since 1970", started());
        let requests = Arc::new(Requests::default());
        all.register("requests", "Requests decided", requests.family());
        let decision_seconds = latency(all, DECISION, "Time to a decision", &DECISION_BUCKETS);
        let (timing, of_timing) = Timing::new();
        all.register("step_seconds", STEP, of_timing);
        let verifications = Verifications::default();
        all.register("verifications", VERIFICATIONS, verifications.family.clone());
        let (suspicious, kinds) = Suspicious::new();
        all.register("suspicious", "Use that a thief might leave behind, by kind", kinds);
        let challenges = NonceChallenges::default();
        all.register("nonce_challenges", "Answers that ask for a nonce, by kind", challenges.family());
        let handshaken = Handshaken::default();
        all.register("tls_handshakes", "TLS handshakes that were completed", handshaken.done.clone());
        all.register("tls_handshake_seconds", "Time for one", handshaken.seconds.clone());
        let answers: Family<Label, Counter> = family(all, "responses", "Responses by class of status");
        let responses = CLASSES.map(|class| answers.get_or_create_owned(&[("code", class)]));
        let help = "Time to the head of the service's response";
        let upstream_seconds = latency(all, UPSTREAM, help, &UPSTREAM_BUCKETS);
        let introspections = Introspections::default();
        all.register("introspections", "Tokens asked about, by result", introspections.asked.clone());
        all.register("introspection_seconds", "Time to an answer", introspections.seconds.clone());
        let help = "1 while an issuer that keeps failing is not asked";
        all.register("introspection_breaker_open", help, introspections.breaker_open.clone());
        let metrics = Metrics {
            introspections,
            connections: register(all, "connections", "Open connections"),
            handshakes: register(all, "tls_handshakes_in_flight", "TLS handshakes under way"),
            handshaken,
            certificate_seconds_left: register(all, "certificate_seconds_left", "Until it expires"),
            client_ca_seconds_left: register(all, "client_ca_seconds_left", CLIENT_CA),
            timing,
            verifications,
            suspicious,
            challenges,
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
                "Connections closed before their handshake, or while idle, for others to have room, by reason",
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
            keys: keys(all, KEYS, JWKS_FETCHES),
            keys_of_transmitters: keys(all, TRANSMITTERS, TRANSMITTER_FETCHES),
            tracer: Tracer::default(),
            spans: SpanCounts::register(all),
            log_lines_left_out: register(
                all,
                "log_lines_left_out",
                "Lines about refusals like others before them",
            ),
            pages: PageCounts::register(all),
            decision_seconds,
            upstream_seconds,
            responses,
            requests,
        };
        all.register("panics", "Panics, in requests and beside them", Panics);
        all.register("log_lines_dropped", "Log lines lost to a slow output", DroppedLines);
        (metrics, registry)
    }

    /// A decision on this route, or on none.
    pub(super) fn decided(
        &self,
        route: Option<&str>,
        verdict: Result<Passed, Denial>,
        elapsed: Duration,
        recorded: Option<TraceId>,
    ) {
        self.requests.count(route, verdict);
        self.decision_seconds.observe_traced(elapsed, recorded);
        self.challenges.decided(verdict);
    }

    /// A response head, and how long the service took for it.
    pub(super) fn answered(&self, status: StatusCode, upstream: Option<Duration>, recorded: Option<TraceId>) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.responses[class - 1].inc();
        if let Some(upstream) = upstream {
            self.upstream_seconds.observe_traced(upstream, recorded);
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

    /// A refusal like others before it was not logged.
    pub(super) fn line_left_out(&self) {
        self.log_lines_left_out.inc();
    }

    /// From now on, work that belongs to no request is traced.
    pub(super) fn trace_with(&mut self, tracer: Tracer) {
        self.revocations.tracer = tracer.clone();
        self.tracer = tracer;
    }

    /// The latencies that have exemplars, by the names they have on the page.
    pub(super) fn exemplified(&self) -> [(&'static str, &Latency); 2] {
        [
            ("clinch_decision_seconds", &self.decision_seconds),
            ("clinch_upstream_seconds", &self.upstream_seconds),
        ]
    }

    /// The same, where issuers' keys are those of transmitters: one that also issues tokens has two key sets.
    pub(crate) fn of_transmitters(&self) -> Metrics {
        Metrics { keys: self.keys_of_transmitters.clone(), ..self.clone() }
    }

    /// A configured issuer whose keys will be fetched.
    pub(crate) fn jwks_expected(&self, issuer: &Arc<str>, refresh: Duration) {
        self.keys.expected(issuer, refresh);
    }

    /// An issuer that is configured no longer.
    pub(crate) fn jwks_forgotten(&self, issuer: &Arc<str>) {
        self.keys.forgotten(issuer);
    }

    /// A fetch of a configured issuer's keys: `ok`, or what went wrong as a name of a closed set, and how long it took.
    pub(crate) fn jwks_fetched(&self, issuer: &Arc<str>, result: &'static str, elapsed: Duration) {
        self.keys.fetched(issuer, result, elapsed);
    }
}

const DECISION: &str = "decision_seconds";
const UPSTREAM: &str = "upstream_seconds";
const STEP: &str = "Time for a step of a decision, of one request in 8, drawn at random";
const VERIFICATIONS: &str = "Requests with credentials, by the issuer of the token and what became of them: refused is \
                             the caller's fault, failed ours or the issuer's";
const CLIENT_CA: &str =
    "Until the first authority of client certificates expires; absent where there is none";
const JWKS_FETCHES: &str = "Fetches of issuers' keys";
const TRANSMITTER_FETCHES: &str = "Fetches of the keys that sign security events";
const PROXY_PROTOCOL: &str = "Connections closed for want of a PROXY protocol header, by reason";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Seconds: a cached decision takes microseconds, one signature fifty, a fetch of keys up to five seconds.
const DECISION_BUCKETS: [f64; 12] =
    [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 2.5];
/// Seconds.
const UPSTREAM_BUCKETS: [f64; 14] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
