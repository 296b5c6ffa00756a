//! What is counted of the webhook. Labels are of closed sets.

use super::question::Question;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// The counters, and the page of them.
#[derive(Debug)]
pub struct Metrics {
    reviews: Family<[(&'static str, &'static str); 2], Counter>,
    seconds: Histogram,
    unreadable: Family<[(&'static str, &'static str); 1], Counter>,
    handshakes: Counter,
    pub(super) connections: Gauge,
    bundles: Counter,
    troubles: Family<[(&'static str, &'static str); 1], Counter>,
    /// When the certificate ends, in seconds since 1970; 0 before there is one.
    certificate: Arc<AtomicI64>,
    registry: Registry,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("clinch_injector");
        let reviews = Family::default();
        registry.register("reviews", "Reviews by question and outcome", reviews.clone());
        let seconds = Histogram::new(BUCKETS);
        registry.register("review_seconds", "Time for a review, from its last byte", seconds.clone());
        let unreadable = Family::default();
        registry.register("unreadable", "Requests that were no AdmissionReview", unreadable.clone());
        let handshakes = Counter::default();
        registry.register("handshakes_failed", "TLS handshakes that failed", handshakes.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let bundles = Counter::default();
        registry.register("ca_bundles_written", "Times that a caBundle was put right", bundles.clone());
        let troubles = Family::default();
        registry.register("kubernetes_failures", "What the API server did not do for us", troubles.clone());
        let certificate = Arc::new(AtomicI64::new(0));
        registry.register_collector(Box::new(Left(Arc::clone(&certificate))));
        let started = Gauge::<i64>::default();
        started.set(now());
        registry.register("start_time_seconds", "When it started, in seconds since 1970", started);
        Metrics {
            reviews,
            seconds,
            unreadable,
            handshakes,
            connections,
            bundles,
            troubles,
            certificate,
            registry,
        }
    }

    pub(super) fn reviewed(&self, question: Question, outcome: &'static str, took: Duration) {
        self.reviews.get_or_create(&[("question", question.name()), ("outcome", outcome)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub(super) fn unreadable(&self, reason: &'static str) {
        self.unreadable.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn handshake_failed(&self) {
        self.handshakes.inc();
    }

    /// A `caBundle` was not what it must be.
    pub(in crate::inject) fn bundle_written(&self) {
        self.bundles.inc();
    }

    /// The API server did not do something for us.
    pub(in crate::inject) fn trouble(&self, what: &'static str) {
        self.troubles.get_or_create(&[("what", what)]).inc();
    }

    /// When the certificate that is served ends, in seconds since 1970.
    pub(in crate::inject) fn certificate_until(&self, until: i64) {
        self.certificate.store(until, Relaxed);
    }

    /// In seconds; `None` before there is one.
    pub(super) fn certificate_left(&self) -> Option<i64> {
        Some(self.certificate.load(Relaxed)).filter(|until| *until != 0).map(|until| until - now())
    }

    pub(super) fn page(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// How long the certificate is still good for, when the page is read.
#[derive(Debug)]
struct Left(Arc<AtomicI64>);

impl Collector for Left {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let until = self.0.load(Relaxed);
        if until == 0 {
            return Ok(());
        }
        let gauge = ConstGauge::new(until - now());
        // The registry's prefix goes before the name.
        let help = "How long the certificate that is served is still valid; absent before there is one";
        let kind = gauge.metric_type();
        gauge.encode(encoder.encode_descriptor("certificate_seconds", help, None, kind)?)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// In seconds; 20 ms are what the API server is promised for 99 of 100.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.25, 1.0];
