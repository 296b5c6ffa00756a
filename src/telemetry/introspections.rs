//! The metrics of token introspection; their names are in `metrics`. All by issuer, which is a configured one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::Arc;
use std::time::Duration;

/// What became of the questions to introspection endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Introspections {
    pub(super) asked: Family<ResultLabels, Counter>,
    pub(super) seconds: Family<IssuerLabel, Histogram, Buckets>,
    pub(super) breaker_open: Family<IssuerLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    issuer: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct IssuerLabel {
    issuer: Arc<str>,
}

/// Seconds: a server nearby answers in milliseconds, and nobody waits for longer than ten seconds.
#[derive(Clone, Debug)]
pub(super) struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
    }
}

impl Default for Introspections {
    fn default() -> Introspections {
        Introspections {
            asked: Family::default(),
            seconds: Family::new_with_constructor(Buckets),
            breaker_open: Family::default(),
        }
    }
}

impl Introspections {
    /// An issuer that may be asked: its answers are counted from zero.
    pub(crate) fn expected(&self, issuer: &Arc<str>) {
        for result in ["active", "inactive"] {
            drop(self.asked.get_or_create(&ResultLabels { issuer: Arc::clone(issuer), result }));
        }
        // What it says stays: who asks now may be followed by somebody who is never in force.
        drop(self.breaker_open.get_or_create(&IssuerLabel { issuer: Arc::clone(issuer) }));
    }

    /// An issuer that is not asked any more.
    pub(crate) fn forgotten(&self, issuer: &Arc<str>) {
        self.breaker_open.remove(&IssuerLabel { issuer: Arc::clone(issuer) });
    }

    /// A question was answered, or not: `result` is a name of a closed set. `elapsed` if the server was asked.
    pub(crate) fn done(&self, issuer: &Arc<str>, result: &'static str, elapsed: Option<Duration>) {
        self.asked.get_or_create(&ResultLabels { issuer: Arc::clone(issuer), result }).inc();
        if let Some(elapsed) = elapsed {
            let labels = IssuerLabel { issuer: Arc::clone(issuer) };
            self.seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
        }
    }

    /// The circuit breaker in front of the issuer opened or closed.
    pub(crate) fn breaker(&self, issuer: &Arc<str>, open: bool) {
        self.breaker_open.get_or_create(&IssuerLabel { issuer: Arc::clone(issuer) }).set(i64::from(open));
    }
}
