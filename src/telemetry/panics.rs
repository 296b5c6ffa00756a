//! Panics: in the log with their place, and counted, be they in a request or in the work beside.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// From now on a panic goes to the log with its place. Its message goes along only if it is a fixed text: one that was
/// put together may contain what a request brought.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(message withheld)");
        tracing::error!(place, text, "panic");
    }));
}

/// How many there were in this process.
#[derive(Debug)]
pub(super) struct Panics;

impl EncodeMetric for Panics {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&PANICS.load(Relaxed), None)
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

static PANICS: AtomicU64 = AtomicU64::new(0);
