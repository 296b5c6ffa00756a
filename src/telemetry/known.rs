//! A gauge that is absent while nobody knows.

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use std::sync::Arc;

/// A whole number, or nothing; clones are one gauge.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<Option<i64>>>);

impl Known {
    /// What is known now.
    pub fn set(&self, value: Option<i64>) {
        *self.0.lock() = value;
    }
}

impl EncodeMetric for Known {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match *self.0.lock() {
            Some(value) => encoder.encode_gauge(&value),
            None => Ok(()),
        }
    }
    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
