//! A histogram of durations that the request path pays two atomic additions for, and its exemplars.
//!
//! The library's own takes one lock for each observation, and two with exemplars. Here only a request whose trace is
//! recorded takes one, that of its bucket, and not if somebody else has it. The page's library can't be given exemplars
//! from outside, so they are written beside their lines by [`exposition`](super::exposition).

use super::TraceId;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// Durations by buckets; clones are one histogram.
#[derive(Clone, Debug)]
pub(super) struct Latency(Arc<Buckets>);

/// Histograms by labels, all with the same bounds.
pub(super) type Latencies<L> = Family<L, Latency, fn() -> Latency>;

#[derive(Debug)]
struct Buckets {
    /// The upper bounds in seconds, without the last one, which is infinite.
    bounds: &'static [f64],
    nanos: Box<[u64]>,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    exemplars: Box<[Mutex<Option<Exemplar>>]>,
}

/// One request of a bucket, to be looked up among the traces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) seconds: f64,
    pub(super) at: SystemTime,
}

impl Latency {
    /// With these upper bounds, in seconds and ascending.
    pub(super) fn new(bounds: &'static [f64]) -> Latency {
        let nanos = bounds.iter().map(|seconds| nanos(Duration::from_secs_f64(*seconds))).collect();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        let exemplars = (0..=bounds.len()).map(|_| Mutex::new(None)).collect();
        Latency(Arc::new(Buckets { bounds, nanos, counts, sum: AtomicU64::new(0), exemplars }))
    }

    /// Counts one; returns its bucket.
    pub(super) fn observe(&self, duration: Duration) -> usize {
        let nanos = nanos(duration);
        let bucket = self.0.nanos.partition_point(|bound| *bound < nanos);
        self.0.counts[bucket].fetch_add(1, Relaxed);
        self.0.sum.fetch_add(nanos, Relaxed);
        bucket
    }

    /// Counts one of a request whose trace is recorded, if it is.
    pub(super) fn observe_traced(&self, duration: Duration, trace: Option<TraceId>) {
        let bucket = self.observe(duration);
        let Some(trace) = trace else { return };
        // Whoever meets another one here has an exemplar already.
        if let Some(mut exemplar) = self.0.exemplars[bucket].try_lock() {
            *exemplar = Some(Exemplar { trace, seconds: duration.as_secs_f64(), at: SystemTime::now() });
        }
    }

    /// The exemplars, bucket by bucket.
    pub(super) fn exemplars(&self) -> impl Iterator<Item = Option<Exemplar>> {
        self.0.exemplars.iter().map(|exemplar| *exemplar.lock())
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(&self.0.counts).map(|(bound, count)| (bound, count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    fn page(latency: &Latency) -> String {
        let mut registry = Registry::default();
        registry.register("x", "X", latency.clone());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let latency = Latency::new(&[0.001, 0.1]);
        for micros in [0, 999, 1000, 1001, 100_000, 100_001, 9_000_000] {
            latency.observe(Duration::from_micros(micros));
        }
        let page = page(&latency);
        for line in [
            "x_bucket{le=\"0.001\"} 3\n",
            "x_bucket{le=\"0.1\"} 5\n",
            "x_bucket{le=\"+Inf\"} 7\n",
            "x_count 7\n",
            "x_sum 9.203001\n",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn the_last_traced_request_of_a_bucket_is_its_exemplar() {
        let latency = Latency::new(&[0.001, 0.1]);
        let trace = |byte| TraceId::of([byte; 16]);
        latency.observe_traced(Duration::from_micros(10), None);
        latency.observe_traced(Duration::from_micros(20), Some(trace(1)));
        latency.observe_traced(Duration::from_micros(30), Some(trace(2)));
        latency.observe_traced(Duration::from_secs(1), Some(trace(3)));
        let traces: Vec<_> = latency
            .exemplars()
            .map(|one| one.map(|e| (e.trace.as_str()[..2].to_owned(), e.seconds)))
            .collect();
        assert_eq!(traces, [Some(("02".to_owned(), 3e-5)), None, Some(("03".to_owned(), 1.0))]);
    }

    #[test]
    fn racing_threads_lose_no_count() {
        let latency = Latency::new(&[0.001]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| latency.observe_traced(Duration::from_nanos(5), None)));
            }
        });
        assert!(page(&latency).contains("x_count 4000\nx_bucket{le=\"0.001\"} 4000\n"));
    }
}
