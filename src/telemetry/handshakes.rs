//! The TLS handshakes that were completed: how many, by version and whether a session was resumed, and how long.

use super::latency::Latency;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::time::Duration;

/// Labels of closed sets.
pub(super) type Labels = [(&'static str, &'static str); 2];

/// Handles to them; cheap clones.
#[derive(Clone, Debug)]
pub struct Handshaken {
    pub(super) done: Family<Labels, Counter>,
    pub(super) seconds: Latency,
}

impl Default for Handshaken {
    fn default() -> Handshaken {
        let done = Family::default();
        for version in ["1.2", "1.3"] {
            for resumed in ["no", "yes"] {
                drop::<Counter>(done.get_or_create_owned(&[("version", version), ("resumed", resumed)]));
            }
        }
        Handshaken { done, seconds: Latency::new(&BOUNDS) }
    }
}

impl Handshaken {
    /// One was completed after this time.
    pub fn done(&self, is_tls13: bool, is_resumed: bool, elapsed: Duration) {
        let (version, resumed) =
            (if is_tls13 { "1.3" } else { "1.2" }, if is_resumed { "yes" } else { "no" });
        self.done.get_or_create(&[("version", version), ("resumed", resumed)]).inc();
        self.seconds.observe(elapsed);
    }
}

/// Seconds: the signature takes a fraction of a millisecond, the rest is the way to the client and back.
const BOUNDS: [f64; 11] = [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 5.0];
