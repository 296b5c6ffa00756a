//! What is counted of a decision besides, and the page of metrics on its ways out.

use super::otlp_metrics::MetricsOut;
use super::{Format, Record, RequestSpan, Telemetry, TraceId};
use crate::pop::Denial;
use std::time::{Duration, Instant};

impl Telemetry {
    /// What else is counted of a decision that was begun at this time. `issuer`: the configured one that a token
    /// names which was not found to be genuine.
    pub fn noticed(&self, span: &RequestSpan, record: &Record<'_>, issuer: Option<&str>, begun: Instant) {
        // What fails before its credentials are read is nobody's fault but ours, whether it has any or not.
        let failed = record.verdict.is_err_and(Denial::is_ours);
        if record.scheme.is_some() || failed {
            self.metrics.verifications.count(record.issuer().or(issuer), record.verdict);
        }
        self.metrics.suspicious.decided(record, span.trace_id().as_str(), begun);
    }

    /// A request whose client went away before it was decided: its span says so by itself.
    pub fn cancelled(&self, trace: TraceId, record: &Record<'_>) {
        self.metrics.decided(record.route, record.verdict, record.elapsed, None);
        self.log(trace.as_str(), record);
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
