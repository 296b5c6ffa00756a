//! The metrics of revocation: what the index holds, what became of events, how the feed is, how long news took.
//!
//! Labels are names of closed tables.

use super::known::Known;
use super::metrics::{Label, family, register};
use super::spans::Tracer;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Handles to them; cheap clones.
#[derive(Clone, Debug)]
pub struct RevocationMetrics {
    /// Entries of the index.
    pub entries: Gauge,
    /// Where events leave their spans.
    pub(crate) tracer: Tracer,
    events: Family<Label, Counter>,
    rejected: Family<Label, Counter>,
    feed_state: Family<Label, Gauge>,
    feed_transitions: Family<Label, Counter>,
    feed_silence: Gauge<f64, AtomicU64>,
    feed_lag: Known,
    passed: Family<Label, Counter>,
    received: Family<[(&'static str, &'static str); 2], Counter>,
    since_event: Histogram,
    since_publication: Histogram,
}

impl RevocationMetrics {
    pub(super) fn register(all: &mut Registry) -> RevocationMetrics {
        let propagation = Family::<Label, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        all.register("revocation_propagation_seconds", PROPAGATION, propagation.clone());
        let passed: Family<Label, Counter> = family(all, "revocation_unchecked_requests", UNCHECKED);
        for mark in MARKS {
            drop(passed.get_or_create(&[("how", mark)]));
        }
        RevocationMetrics {
            tracer: Tracer::default(),
            entries: register(all, "revocation_entries", "Revocations remembered"),
            events: family(all, "revocation_events", "Revocation events by what became of them"),
            rejected: family(all, "revocation_rejected", "Revocation events refused, by reason"),
            feed_state: family(all, "feed_state", "1 for the state the revocation feed is in"),
            feed_transitions: family(all, "feed_transitions", "Changes of the feed's state, by the new one"),
            feed_silence: register(all, "feed_silence_seconds", SILENCE),
            feed_lag: register(all, "feed_lag_events", LAG),
            passed,
            received: family(all, "revocation_received", RECEIVED),
            since_event: propagation.get_or_create_owned(&[("since", "event")]),
            since_publication: propagation.get_or_create_owned(&[("since", "publication")]),
        }
    }

    /// An event was applied so long after what it tells of, and after the bus took it, where the bus says when.
    pub(crate) fn applied(&self, since_event: Duration, since_publication: Option<Duration>) {
        self.since_event.observe(since_event.as_secs_f64());
        if let Some(since) = since_publication {
            self.since_publication.observe(since.as_secs_f64());
        }
    }

    /// An event was brought to us or fetched: how, and what became of it, both of closed sets.
    pub(crate) fn received(&self, how: &'static str, result: &'static str) {
        self.received.get_or_create(&[("how", how), ("result", result)]).inc();
    }

    /// A request passed while the feed was silent, marked so.
    pub(super) fn passed(&self, mark: &'static str) {
        self.passed.get_or_create(&[("how", mark)]).inc();
    }

    /// Events so far: how many were applied, about how many there was nothing to do, and how many were refused, by
    /// reasons of a closed set.
    pub(crate) fn set_events(
        &self,
        applied: u64,
        ignored: u64,
        refused: impl Iterator<Item = (&'static str, u64)>,
    ) {
        let set = |counter: &Counter, count| counter.inner().store(count, Relaxed);
        set(&self.events.get_or_create(&[("result", "applied")]), applied);
        set(&self.events.get_or_create(&[("result", "ignored")]), ignored);
        let mut total = 0;
        for (reason, count) in refused {
            total += count;
            set(&self.rejected.get_or_create(&[("reason", reason)]), count);
        }
        set(&self.events.get_or_create(&[("result", "rejected")]), total);
    }

    /// The feed is now in this state, a name of a closed set, and in no other.
    pub(crate) fn set_feed_state(&self, state: &'static str) {
        for known in FEED_STATES {
            self.feed_state.get_or_create(&[("state", known)]).set(i64::from(known == state));
        }
    }

    /// How often the feed came into each state, how long it has been silent, and how many events it has that were
    /// not had here, if it knows.
    pub(crate) fn set_feed(&self, transitions: &[(&'static str, u64)], silence: Duration, lag: Option<u64>) {
        for (state, count) in transitions {
            set(&self.feed_transitions.get_or_create(&[("state", *state)]), *count);
        }
        self.feed_silence.set(silence.as_secs_f64());
        self.feed_lag.set(lag.map(|lag| i64::try_from(lag).unwrap_or(i64::MAX)));
    }
}

fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Relaxed);
}

const SILENCE: &str = "Time since the revocation feed's last word";
const LAG: &str =
    "Events that the feed has and this replica has not had; absent where the feed does not tell";

const PROPAGATION: &str = "Time until a revocation counted here: since the event (in whole seconds where it is \
                           told so), and since its publication; of events that came after the start";
const UNCHECKED: &str = "Requests granted while the revocation feed was stale: introspected or unchecked";
const RECEIVED: &str = "Security event tokens that were pushed or polled, by what became of them";
/// There at zero from the start: what is born in a burst has not grown, and nobody would be told.
const MARKS: [&str; 2] = ["introspected", "unchecked"];
const FEED_STATES: [&str; 6] = ["off", "catching_up", "current", "reconnecting", "stale", "full"];
/// Seconds: a bus on the same host takes a millisecond, an outage minutes.
const BUCKETS: [f64; 14] =
    [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0];
