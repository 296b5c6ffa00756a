//! The metrics of fetching issuers' keys. All by issuer, which is a configured one.

use super::age::Age;
use super::latency::{Latencies, Latency};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Handles to them; cheap clones.
#[derive(Clone, Debug)]
pub(super) struct KeyFetches {
    pub(super) fetches: Family<FetchLabels, Counter>,
    pub(super) age: Family<IssuerLabel, Age>,
    pub(super) seconds: Latencies<IssuerLabel>,
    pub(super) refresh: Family<IssuerLabel, Gauge<f64, AtomicU64>>,
    /// Who is configured: what somebody fetches for a request of an earlier configuration is not told.
    known: Arc<Mutex<HashSet<Arc<str>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct IssuerLabel {
    issuer: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FetchLabels {
    issuer: Arc<str>,
    result: &'static str,
}

impl Default for KeyFetches {
    fn default() -> KeyFetches {
        let seconds: Latencies<_> = Family::new_with_constructor(|| Latency::new(&BOUNDS));
        KeyFetches {
            fetches: Family::default(),
            age: Family::default(),
            seconds,
            refresh: Family::default(),
            known: Arc::default(),
        }
    }
}

impl KeyFetches {
    /// A configured issuer: its good fetches are counted from zero. Its keys have no age before the first.
    pub(super) fn expected(&self, issuer: &Arc<str>, refresh: Duration) {
        self.known.lock().insert(Arc::clone(issuer));
        self.refresh.get_or_create(&IssuerLabel { issuer: Arc::clone(issuer) }).set(refresh.as_secs_f64());
        drop(self.fetches.get_or_create(&FetchLabels { issuer: Arc::clone(issuer), result: "ok" }));
    }

    /// An issuer that is configured no longer, or was never in force.
    pub(super) fn forgotten(&self, issuer: &Arc<str>) {
        self.known.lock().remove(issuer);
        let label = IssuerLabel { issuer: Arc::clone(issuer) };
        self.age.remove(&label);
        self.refresh.remove(&label);
        self.fetches.remove(&FetchLabels { issuer: Arc::clone(issuer), result: "ok" });
    }

    /// A fetch has ended after this time: `ok`, or what went wrong as a name of a closed set.
    pub(super) fn fetched(&self, issuer: &Arc<str>, result: &'static str, elapsed: Duration) {
        if !self.known.lock().contains(issuer) {
            return;
        }
        let label = IssuerLabel { issuer: Arc::clone(issuer) };
        if result == "ok" {
            self.age.get_or_create(&label).restart();
        }
        self.seconds.get_or_create(&label).observe(elapsed);
        self.fetches.get_or_create(&FetchLabels { issuer: Arc::clone(issuer), result }).inc();
    }
}

/// Seconds: discovery and keys together, up to the five seconds that they may take.
const BOUNDS: [f64; 9] = [5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0];
