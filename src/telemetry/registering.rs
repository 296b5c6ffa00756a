//! How a metric comes into the registry.

use super::keys::KeyFetches;
use super::latency::Latency;
use super::logs;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use std::time::SystemTime;

/// One label of a closed set.
pub(super) type Label = [(&'static str, &'static str); 1];

/// Counted by the log writer itself.
#[derive(Debug)]
pub(super) struct DroppedLines;

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

pub(super) fn latency(registry: &mut Registry, name: &str, help: &str, bounds: &'static [f64]) -> Latency {
    let latency = Latency::new(bounds);
    registry.register(name, help, latency.clone());
    latency
}

pub(super) fn keys(
    registry: &mut Registry,
    [fetches, age, seconds, refresh]: [&str; 4],
    help: &str,
) -> KeyFetches {
    let keys = KeyFetches::default();
    registry.register(fetches, help, keys.fetches.clone());
    registry.register(age, JWKS_AGE, keys.age.clone());
    registry.register(seconds, "Time for a fetch, good or not", keys.seconds.clone());
    registry.register(refresh, "How often they are fetched, by the configuration", keys.refresh.clone());
    keys
}

pub(super) fn started() -> Gauge {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let gauge = Gauge::default();
    gauge.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    gauge
}

const JWKS_AGE: &str = "Time since an issuer's keys were last fetched; absent before the first good fetch: \
                        alert on absent, and on jwks_fetches with result ok at 0";
/// What runs: a packager may say which commit it was built of.
pub(super) const BUILD: [(&str, &str); 3] = [
    ("version", env!("CARGO_PKG_VERSION")),
    ("features", if cfg!(feature = "kafka") { "kafka" } else { "" }),
    (
        "commit",
        match option_env!("CLINCH_COMMIT") {
            Some(commit) => commit,
            None => "unknown",
        },
    ),
];
pub(super) const KEYS: [&str; 4] =
    ["jwks_fetches", "jwks_age_seconds", "jwks_fetch_seconds", "jwks_refresh_seconds"];
pub(super) const TRANSMITTERS: [&str; 4] = [
    "transmitter_jwks_fetches",
    "transmitter_jwks_age_seconds",
    "transmitter_jwks_fetch_seconds",
    "transmitter_jwks_refresh_seconds",
];
