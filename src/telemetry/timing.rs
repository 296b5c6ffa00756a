//! `clinch_step_seconds{step}`: where the time of a decision goes.
//!
//! A clock is read at the end of each step, which costs more than some of the steps, so only one request in
//! [`ONE_IN`] is timed, drawn at random. What is shown are shares and quantiles, not counts.

use super::ids;
use super::latency::{Latencies, Latency};
use super::metrics::Label;
use prometheus_client::metrics::family::Family;
use std::time::{Duration, Instant};

/// A step of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Is the token genuine: cache or signature, and what was waited for: keys, introspection.
    Token,
    /// Waiting for keys because the token names an unknown one; part of `Token`.
    Keys,
    /// The question to the issuer whether the token is active; part of `Token`.
    Introspection,
    /// The proof, the binding, and what the route demands besides.
    Proof,
    /// The revocation index.
    Revocation,
    /// The replay memory or store.
    Replay,
    /// Signing the identity assertion for the service.
    Assertion,
    /// Waiting until the record of a grant is on the disk (`audit.sync: always`).
    Audit,
}

/// The histograms of the steps.
#[derive(Clone, Debug)]
pub struct Timing([Latency; PARTS.len()]);

/// Times the steps of one request, if it is one that is timed.
#[derive(Debug)]
pub struct Stopwatch<'a> {
    timing: &'a Timing,
    since: Option<Instant>,
}

impl Timing {
    /// All at zero, and what the registry renders.
    pub(super) fn new() -> (Timing, Latencies<Label>) {
        let family: Latencies<Label> = Family::new_with_constructor(|| Latency::new(&BOUNDS));
        let parts = PARTS.map(|(_, name)| family.get_or_create_owned(&[("step", name)]));
        (Timing(parts), family)
    }

    /// A request begins.
    pub fn begin(&self) -> Stopwatch<'_> {
        Stopwatch { timing: self, since: ids::one_in(ONE_IN).then(Instant::now) }
    }

    /// A step that somebody else has timed, and that not every request has.
    pub(crate) fn took(&self, step: Part, elapsed: Duration) {
        if ids::one_in(ONE_IN) {
            self.0[step as usize].observe(elapsed);
        }
    }
}

impl Stopwatch<'_> {
    /// A step has ended, with this outcome, and the next one begins.
    pub fn took<T>(&mut self, step: Part, outcome: T) -> T {
        if let Some(since) = &mut self.since {
            let now = Instant::now();
            self.timing.0[step as usize].observe(now.saturating_duration_since(*since));
            *since = now;
        }
        outcome
    }

    /// What was between is no step.
    pub fn skip(&mut self) {
        self.since = self.since.map(|_| Instant::now());
    }
}

/// In the order of [`Part`].
const PARTS: [(Part, &str); 8] = [
    (Part::Token, "token"),
    (Part::Keys, "keys"),
    (Part::Introspection, "introspection"),
    (Part::Proof, "proof"),
    (Part::Revocation, "revocation"),
    (Part::Replay, "replay"),
    (Part::Assertion, "assertion"),
    (Part::Audit, "audit"),
];
/// One request in so many is timed; a power of two.
pub(super) const ONE_IN: u64 = 8;
/// Seconds: looking something up takes less than a microsecond, a signature fifty, a question to a store a millisecond.
const BOUNDS: [f64; 13] = [5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 0.1, 1.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_where_they_are_looked_for() {
        for (index, (step, _)) in PARTS.iter().enumerate() {
            assert_eq!(*step as usize, index);
        }
    }

    #[test]
    fn about_one_request_in_eight_is_timed() {
        let (timing, _) = Timing::new();
        let timed = (0..8000).filter(|_| timing.begin().since.is_some()).count();
        assert!((800..1200).contains(&timed), "{timed}");
    }

    #[test]
    fn the_outcome_of_a_step_passes_through() {
        let (timing, _) = Timing::new();
        let mut watch = Stopwatch { timing: &timing, since: Some(Instant::now()) };
        assert_eq!(watch.took(Part::Token, 7), 7);
        let mut untimed = Stopwatch { timing: &timing, since: None };
        assert_eq!(untimed.took(Part::Token, 8), 8);
        let counted = timing.0[0].clone();
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("x", "X", counted);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("x_count 1\n"), "{text}");
    }
}
