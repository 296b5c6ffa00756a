//! A metric that grows by itself.

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::Arc;
use std::time::Instant;

/// A gauge of the time since it was last restarted, read when rendered.
#[derive(Clone, Debug)]
pub(super) struct Age(Arc<Mutex<Instant>>);

impl Default for Age {
    fn default() -> Age {
        Age(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Age {
    pub(super) fn restart(&self) {
        *self.0.lock() = Instant::now();
    }
}

impl TypedMetric for Age {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Age {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&self.0.lock().elapsed().as_secs_f64())
    }
    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
