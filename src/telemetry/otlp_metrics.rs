//! The metrics by OTLP, every `telemetry.otlp_metrics`: the same that `/metrics` shows, under the
//! same names, cumulative since the start. A collector that is slow or gone costs what it would have been told.

mod counts;
mod encode;

use super::collector::{Collector, Signal};
use super::latency::Latency;
use super::metrics::Metrics;
pub(super) use counts::PageCounts;
use encode::Times;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// The way out for metrics.
#[derive(Debug)]
pub(super) struct MetricsOut {
    collector: Collector,
    period: Duration,
    resource: Resource,
    started: SystemTime,
    taken: AtomicBool,
    whole: AtomicBool,
}

impl MetricsOut {
    /// As the configuration has it; needs a tokio runtime if metrics are sent at all.
    ///
    /// # Errors
    /// There is none, or no TLS.
    pub(super) fn of(
        config: &crate::config::Telemetry,
        resource: Resource,
    ) -> anyhow::Result<Option<MetricsOut>> {
        let Some((period, endpoint)) = config.otlp_metrics.zip(config.otlp.as_ref()) else { return Ok(None) };
        let collector = Collector::new(endpoint, config)?;
        let (started, taken, whole) = (SystemTime::now(), AtomicBool::new(true), AtomicBool::new(true));
        Ok(Some(MetricsOut { collector, period, resource, started, taken, whole }))
    }

    /// How often they are sent.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Sends a page in OpenMetrics, with the exemplars of these. Counts what comes of it, and says once when the
    /// collector takes no more, and once when it does again.
    pub(super) async fn send(&self, page: &str, latencies: &[(&str, &Latency)], metrics: &Metrics) {
        let times = Times::from(self.started, SystemTime::now());
        let request = encode::request(page, latencies, &self.resource, times);
        let outcome = self.collector.send(Signal::Metrics, request.encode_to_vec()).await;
        let good = outcome.is_ok();
        metrics.pages.exported(good);
        if let Ok(answer) = &outcome {
            self.tell_rejected(metrics.pages.answered(answer, encode::points(&request)));
        }
        if self.taken.swap(good, Relaxed) == good {
            return;
        }
        match outcome {
            Ok(_) => tracing::info!("the collector takes metrics again"),
            Err(failure) => tracing::warn!(why = failure.why, "the collector takes no metrics"),
        }
    }

    /// Says once when the collector begins to leave values out: it does so at every page.
    fn tell_rejected(&self, rejected: u64) {
        let whole = rejected == 0;
        match (self.whole.swap(whole, Relaxed), whole) {
            (true, false) => tracing::warn!(rejected, "the collector takes only a part of the metrics"),
            (false, true) => tracing::info!("the collector takes all metrics again"),
            (true, true) | (false, false) => (),
        }
    }
}
