//! What is counted of a decision besides, and the page of metrics on its ways out.

use super::otlp_metrics::MetricsOut;
use super::{Format, Record, RequestSpan, Telemetry};
use std::time::{Duration, Instant};

impl Telemetry {
    /// What else is counted of a decision that was begun at this time. `issuer`: the configured one that a token
    /// names which was not found to be genuine.
    pub fn noticed(&self, span: &RequestSpan, record: &Record<'_>, issuer: Option<&str>, begun: Instant) {
        if record.scheme.is_some() {
            self.metrics.verifications.count(record.issuer().or(issuer), record.verdict);
        }
        self.metrics.suspicious.decided(record, span.trace_id().as_str(), begun);
    }

    /// The metrics, in OpenMetrics.
    pub fn render(&self) -> String {
        self.page(Format::OpenMetrics)
    }

    /// The metrics in this format.
    pub fn page(&self, format: Format) -> String {
        format.page(self.text(), &self.metrics.exemplified())
    }

    /// How often metrics are sent to the collector, if they are.
    pub fn period(&self) -> Option<Duration> {
        self.out.as_ref().map(MetricsOut::period)
    }

    /// Sends the metrics to the collector.
    pub async fn send_metrics(&self) {
        if let Some(out) = &self.out {
            out.send(&self.text(), &self.metrics.exemplified(), &self.metrics).await;
        }
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        // Writing to a String can't fail; a half-written page ends without `# EOF` and is not taken.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
