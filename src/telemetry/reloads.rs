//! Reloads of the configuration: how they ended, and whether what runs is what is written.

use super::metrics::{Label, family, register};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Handles to the metrics of reloads.
#[derive(Clone, Debug)]
pub struct Reloads {
    results: Family<Label, Counter>,
    generation: Gauge,
    pending: Gauge,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// What is written is in force.
    Applied,
    /// It is in force but for keys that need a restart.
    InPart,
    /// The one before stays in force.
    Refused,
    /// The one before stays in force, with what its files hold now.
    Renewed,
}

impl Reloads {
    pub(super) fn register(all: &mut Registry) -> Reloads {
        let results = family(all, "config_reloads", "Reloads of the configuration, by result");
        for result in [Reloaded::Applied, Reloaded::InPart, Reloaded::Refused, Reloaded::Renewed] {
            drop(results.get_or_create(&[("result", result.name())]));
        }
        let generation: Gauge =
            register(all, "config_generation", "How many configurations have been in force");
        generation.set(1);
        let pending = register(all, "config_pending", "1 while the files say something that is not in force");
        Reloads { results, generation, pending }
    }

    /// A reload has ended; `generation` is in force.
    pub fn ended(&self, how: Reloaded, generation: u64) {
        self.results.get_or_create(&[("result", how.name())]).inc();
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.pending.set(i64::from(how != Reloaded::Applied));
    }
}

impl Reloaded {
    /// As a metric label and in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Reloaded::Applied => "applied",
            Reloaded::InPart => "in_part",
            Reloaded::Refused => "refused",
            Reloaded::Renewed => "renewed",
        }
    }
}
