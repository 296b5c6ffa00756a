//! The metrics of the audit log.

use super::metrics::register;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Handles to them; cheap clones.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    /// Records that were written.
    pub records: Counter,
    /// Decisions and events that could not be kept.
    pub lost: Counter,
    /// How often others had changed, moved or removed a file of it.
    pub touched: Counter,
    /// 1 while the log can't be written.
    pub failing: Gauge,
    /// The number of the last record that was written.
    pub sequence: Gauge,
    /// What waits to be written; set when the metrics are read.
    pub queue: Gauge,
}

impl AuditMetrics {
    pub(super) fn register(all: &mut Registry) -> AuditMetrics {
        AuditMetrics {
            records: register(all, "audit_records", "Records written to the audit log"),
            lost: register(all, "audit_lost", "Decisions and events that the audit log lacks"),
            touched: register(
                all,
                "audit_touched",
                "Times that others had changed, moved or removed a file of the audit log",
            ),
            failing: register(all, "audit_failing", "1 while the audit log can't be written"),
            sequence: register(all, "audit_sequence", "The number of the last record of the audit log"),
            queue: register(all, "audit_queue", "Records that wait to be written"),
        }
    }
}
