//! The records that no signature vouches for yet: which is the first, and over how long a time they go.
//!
//! Times are the records' own, so the earliest and the latest count, wherever they stand.

use std::time::{Duration, SystemTime};

/// Since the last signature, or since the beginning.
#[derive(Debug)]
pub(super) struct Stretch {
    first: Option<u64>,
    /// Of the runs that ended in it.
    past: Option<Span>,
    /// Of the run that goes on.
    run: Option<Span>,
    /// Whether anything of the run that goes on is signed.
    signed: bool,
    /// Whether it decided on requests before anything of it was signed.
    decided: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    earliest: SystemTime,
    latest: SystemTime,
}

impl Stretch {
    /// `signed`: what comes first belongs to a run of which something may be signed already.
    pub(super) fn new(signed: bool) -> Stretch {
        Stretch { first: None, past: None, run: None, signed, decided: false }
    }

    /// One more record.
    pub(super) fn takes(&mut self, record: u64, time: SystemTime, is_decision: bool) {
        self.first.get_or_insert(record);
        self.run = join(self.run, Some(Span { earliest: time, latest: time }));
        self.decided |= is_decision && !self.signed;
    }

    /// What comes now another process writes. How long that is after the one before is nobody's fault.
    pub(super) fn pauses(&mut self) {
        self.past = join(self.past, self.run.take());
    }

    /// It says that it begins.
    pub(super) fn begins(&mut self) {
        (self.signed, self.decided) = (false, false);
    }

    /// All of it is vouched for.
    pub(super) fn ends(&mut self) {
        *self = Stretch::new(true);
    }

    /// The first record of it.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// Whether a run decided on requests and ended without a single signature.
    pub(super) fn has_decided(&self) -> bool {
        self.decided
    }

    /// Over how long a time the run that goes on is unsigned.
    pub(super) fn of_run(&self) -> Duration {
        length(self.run)
    }

    /// The same, with the runs before and the time between them.
    pub(super) fn of_all(&self) -> Duration {
        length(join(self.past, self.run))
    }
}

fn join(one: Option<Span>, other: Option<Span>) -> Option<Span> {
    match (one, other) {
        (Some(one), Some(other)) => {
            Some(Span { earliest: one.earliest.min(other.earliest), latest: one.latest.max(other.latest) })
        }
        (one, other) => one.or(other),
    }
}

fn length(span: Option<Span>) -> Duration {
    span.map_or(Duration::ZERO, |span| span.latest.duration_since(span.earliest).unwrap_or_default())
}
