//! What is known of the service behind us.

use super::metrics::register;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Set when the metrics are read.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    up: Gauge,
    connections: Gauge,
    waiting: Gauge,
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &mut Registry) -> UpstreamMetrics {
        UpstreamMetrics {
            up: register(
                registry,
                "upstream_up",
                "1 while the service answers; 0, too, where it is not asked",
            ),
            connections: register(registry, "upstream_connections", "Open connections to the service"),
            waiting: register(
                registry,
                "upstream_queue",
                "Requests that wait for their turn with the service",
            ),
        }
    }

    /// Whether it answers, how many connections there are, how many requests wait for their turn.
    pub fn set(&self, up: bool, connections: i64, waiting: i64) {
        self.up.set(i64::from(up));
        self.connections.set(connections);
        self.waiting.set(waiting);
    }
}
