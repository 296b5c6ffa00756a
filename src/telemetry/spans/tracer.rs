//! What happens apart from requests, as traces of its own.

use super::{Exporter, Kind, LONGEST_TEXT, OpenSpan, SpanRef, Step, cut};
use crate::pop::Timestamp;
use crate::telemetry::ids;
use crate::telemetry::sampling::Share;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where work that belongs to no request leaves its spans. Cheap clones; nothing is recorded without a collector.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    exporter: Exporter,
    share: Share,
    events: Mutex<Spending>,
}

/// How many events may still be recorded.
#[derive(Debug)]
struct Spending {
    left: f64,
    at: Instant,
}

/// An event that was applied, as its span tells of it.
#[derive(Clone, Copy, Debug)]
pub struct RevocationSpan<'a> {
    /// Its `jti` or `id`.
    pub id: &'a str,
    /// What it revokes by, such as `sub`; not whom.
    pub facts: &'a str,
    /// Whose tokens.
    pub issuer: &'a str,
    /// When the feed had it, where it says so.
    pub published: Option<Timestamp>,
}

impl Tracer {
    pub(in crate::telemetry) fn new(exporter: Exporter, share: Share) -> Tracer {
        let events = Mutex::new(Spending { left: EVENTS_AT_ONCE, at: Instant::now() });
        Tracer(Some(Arc::new(Tracing { exporter, share, events })))
    }

    pub(in crate::telemetry) fn exporter(&self) -> Option<&Exporter> {
        self.0.as_deref().map(|tracing| &tracing.exporter)
    }

    /// The time, where there is anybody to tell it to.
    pub fn clock(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|_| SystemTime::now())
    }

    /// A trace that begins now, in the configured share of calls.
    #[must_use]
    pub fn root(&self, name: &'static str) -> Step {
        self.root_since(name, None)
    }

    /// The same with a beginning that has passed.
    #[must_use]
    pub fn root_since(&self, name: &'static str, began: Option<SystemTime>) -> Step {
        let Some(tracing) = self.0.as_deref() else { return Step::default() };
        let of = SpanRef { trace: ids::random(), span: ids::random() };
        if !tracing.share.has(&of.trace) {
            return Step::default();
        }
        let began = began.unwrap_or_else(SystemTime::now);
        let open = OpenSpan::begun(&tracing.exporter, of, None, (Kind::Internal, name), began);
        Step(Some(Box::new(open)))
    }

    /// An event that was applied: from its publication, if the feed knows it, until now. Recorded whatever the share is,
    /// for refusals link to it, but only so many each second.
    pub fn revocation(&self, event: RevocationSpan<'_>) -> Option<SpanRef> {
        let tracing = self.0.as_deref()?;
        tracing.events.lock().spend(Instant::now()).then_some(())?;
        let of = SpanRef { trace: ids::random(), span: ids::random() };
        let now = SystemTime::now();
        let published = event.published.and_then(|at| {
            let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).ok()?);
            // By another clock: what can't be is not told.
            now.duration_since(at).ok().filter(|since| *since < LONG_AGO).map(|_| at)
        });
        let what = (Kind::Consumer, "revocation event");
        let mut open = OpenSpan::begun(&tracing.exporter, of, None, what, published.unwrap_or(now));
        open.set("clinch.revocation.event", cut(event.id, LONGEST_TEXT));
        open.set("clinch.revocation.facts", cut(event.facts, LONGEST_TEXT));
        open.set("clinch.issuer", cut(event.issuer, LONGEST_TEXT));
        open.complete();
        Some(of)
    }
}

impl Spending {
    fn spend(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * EVENTS_A_SECOND;
        (self.left, self.at) = ((self.left + earned).min(EVENTS_AT_ONCE), now);
        let can = self.left >= 1.0;
        if can {
            self.left -= 1.0;
        }
        can
    }
}

const EVENTS_A_SECOND: f64 = 50.0;
const EVENTS_AT_ONCE: f64 = 200.0;
/// An event that took longer was late for another reason than the way to us.
const LONG_AGO: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_recorded_in_part() {
        let began = Instant::now();
        let mut spending = Spending { left: EVENTS_AT_ONCE, at: began };
        assert_eq!((0..100_000).filter(|_| spending.spend(began)).count(), 200);
        assert_eq!((0..100).filter(|_| spending.spend(began + Duration::from_secs(1))).count(), 50);
    }

    #[test]
    fn without_a_collector_there_is_nothing() {
        let tracer = Tracer::default();
        assert!(tracer.root("nothing").span().is_none() && tracer.clock().is_none());
        let event = RevocationSpan { id: "e", facts: "sub", issuer: "https://as", published: None };
        assert!(tracer.revocation(event).is_none());
    }
}
