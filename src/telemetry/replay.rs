//! The metrics of a replay store that replicas share.
//!
//! Labels are names of closed tables: what came of an operation, and the states a store can be in.

use super::metrics::{Label, family, histogram, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Handles to them; cheap clones.
#[derive(Clone, Debug)]
pub struct ReplayMetrics {
    /// Proofs admitted on this process's own memory alone, because the store gave no answer.
    pub admitted_alone: Counter,
    /// How often the store was found to have lost its memory.
    pub losses: Counter,
    operations: Family<Label, Counter>,
    seconds: Histogram,
    state: Family<Label, Gauge>,
    refused_blindly: Counter,
}

impl ReplayMetrics {
    pub(super) fn register(all: &mut Registry) -> ReplayMetrics {
        ReplayMetrics {
            admitted_alone: register(all, "replay_admitted_alone", ADMITTED_ALONE),
            losses: register(all, "replay_store_losses", "Times the replay store had lost its memory"),
            operations: family(all, "replay_store_operations", "Questions to the replay store, by result"),
            seconds: histogram(all, "replay_store_seconds", "Time to the store's answer", &BUCKETS),
            state: family(all, "replay_store_state", "1 for the state the replay store is in"),
            refused_blindly: register(all, "replay_refused_blindly", REFUSED_BLINDLY),
        }
    }

    /// The store was asked, with a result of a closed set; `elapsed` if it answered.
    pub fn asked(&self, result: &'static str, elapsed: Option<Duration>) {
        self.operations.get_or_create(&[("result", result)]).inc();
        if let Some(elapsed) = elapsed {
            self.seconds.observe(elapsed.as_secs_f64());
        }
    }

    /// The store is in this state, a name of a closed set, and in no other.
    pub fn set_state(&self, state: &'static str) {
        for known in STATES {
            self.state.get_or_create(&[("state", known)]).set(i64::from(known == state));
        }
    }

    /// How many proofs so far could not be told from used ones because the clock was stepped back.
    pub fn set_refused_blindly(&self, count: u64) {
        self.refused_blindly.inner().store(count, Relaxed);
    }
}

const ADMITTED_ALONE: &str =
    "Proofs admitted although the replay store gave no answer (on_unavailable: allow)";
const REFUSED_BLINDLY: &str =
    "Proofs refused because the clock was stepped back to where used ones are forgotten";
const STATES: [&str; 5] = ["off", "connecting", "up", "reconnecting", "down"];
/// Seconds.
const BUCKETS: [f64; 12] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0];
