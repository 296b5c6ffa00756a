//! What became of spans: batches that were sent, and spans that were lost.

use crate::telemetry::metrics::{Label, family};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counters; cheap clones.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct SpanCounts {
    exports: Family<Label, Counter>,
    dropped: Family<Label, Counter>,
}

/// Why the collector did not get a span.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// The collector is too slow, or not there.
    QueueFull,
    /// A batch was not taken, however often it was tried.
    NotTaken,
    /// The collector took the batch and not this one of it.
    Rejected,
}

impl SpanCounts {
    pub(in crate::telemetry) fn register(all: &mut Registry) -> SpanCounts {
        let counts = SpanCounts {
            exports: family(all, "span_exports", "Batches of spans sent to the collector"),
            dropped: family(all, "spans_dropped", "Spans that the collector did not get, by reason"),
        };
        for lost in [Lost::QueueFull, Lost::NotTaken, Lost::Rejected] {
            counts.lost(lost, 0);
        }
        counts
    }

    /// A batch was taken, or not.
    pub(super) fn exported(&self, taken: bool) {
        self.exports.get_or_create(&[("result", if taken { "ok" } else { "failed" })]).inc();
    }

    /// So many spans.
    pub(super) fn lost(&self, why: Lost, count: u64) {
        let reason = match why {
            Lost::QueueFull => "queue_full",
            Lost::NotTaken => "not_taken",
            Lost::Rejected => "rejected",
        };
        self.dropped.get_or_create(&[("reason", reason)]).inc_by(count);
    }
}
