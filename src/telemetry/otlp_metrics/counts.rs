//! What became of pages of metrics that were sent, and of values in them that the collector did not want.

use crate::telemetry::metrics::{Label, family, register};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use prost::Message;

/// The counters; cheap clones.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct PageCounts {
    exports: Family<Label, Counter>,
    rejected: Counter,
}

impl PageCounts {
    pub(in crate::telemetry) fn register(all: &mut Registry) -> PageCounts {
        PageCounts {
            exports: family(all, "metric_exports", "Pages of metrics sent to the collector"),
            rejected: register(
                all,
                "metric_points_rejected",
                "Values that the collector did not take of pages that it took",
            ),
        }
    }

    /// A page was taken, or not.
    pub(super) fn exported(&self, taken: bool) {
        self.exports.get_or_create(&[("result", if taken { "ok" } else { "failed" })]).inc();
    }

    /// Counts what the collector says that it did not take of `sent` values (OTLP, "Partial Success"); how many.
    pub(super) fn answered(&self, answer: &[u8], sent: u64) -> u64 {
        let partial =
            ExportMetricsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        let rejected = partial.and_then(|partial| u64::try_from(partial.rejected_data_points).ok());
        // It can't reject what it was not given.
        let rejected = rejected.unwrap_or(0).min(sent);
        self.rejected.inc_by(rejected);
        rejected
    }
}
