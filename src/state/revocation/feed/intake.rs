//! What becomes of each event on its way into the index: read, judged, counted, applied, and remembered for a while.
//!
//! Bad events are counted and told with their reason and place, never with their content. One that can't be verified
//! yet is [parked](super::parked); one that finds no room is for the feed to hold.

use super::parked::Parked;
use super::polled::Polled;
use super::rejections::Rejections;
use super::streams::Streams;
use super::{Delivery, Taken};
use crate::config;
use crate::pop::Timestamp;
use crate::state::revocation::causes::Causes;
use crate::state::revocation::event::effects::Message;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::event::set::Unverified;
use crate::state::revocation::event::{self, Event, MAX_BYTES, Refusal};
use crate::state::revocation::health::Health;
use crate::state::revocation::index::{Full, Index};
use crate::state::revocation::open::OpenRequests;
use crate::state::revocation::recent::{Outcome, Recent};
use crate::state::revocation::transmitters::{Transmitters, Unread};
use crate::telemetry::{RevocationMetrics, RevocationSpan, SpanRef};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

/// What events go through on their way into the index.
#[derive(Debug)]
pub(in crate::state::revocation) struct Intake {
    pub(in crate::state::revocation) index: Index,
    /// What an event may end.
    pub(in crate::state::revocation) open: Arc<OpenRequests>,
    pub(in crate::state::revocation) health: Arc<Health>,
    pub(in crate::state::revocation) recent: Recent,
    pub(in crate::state::revocation) causes: Causes,
    /// `max_token_lifetime` by issuer.
    issuers: HashMap<String, Duration>,
    accept_plain: bool,
    pub(super) transmitters: Option<Transmitters>,
    pub(super) parked: Parked,
    streams: Streams,
    pub(in crate::state::revocation) polled: Polled,
    /// When the feed had handed on all it had for the first time.
    backlog_read: OnceLock<Instant>,
    applied: AtomicU64,
    ignored: AtomicU64,
    metrics: RevocationMetrics,
    pub(super) rejections: Rejections,
}

impl Intake {
    pub(in crate::state::revocation) fn new(
        config: &config::Revocation,
        issuers: HashMap<String, Duration>,
        metrics: RevocationMetrics,
    ) -> Intake {
        Intake {
            index: Index::new(config.max_entries),
            open: Arc::default(),
            health: Arc::new(Health::new(config.max_staleness, config.on_stale)),
            recent: Recent::default(),
            causes: Causes::default(),
            issuers,
            accept_plain: config.accept_plain,
            transmitters: None,
            parked: Parked::default(),
            streams: Streams::default(),
            polled: Polled::default(),
            backlog_read: OnceLock::new(),
            applied: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            metrics,
            rejections: Rejections::default(),
        }
    }

    /// The same, believing what these sign.
    pub(in crate::state::revocation) fn believing(self, transmitters: Transmitters) -> Intake {
        Intake { transmitters: Some(transmitters), ..self }
    }

    pub(in crate::state::revocation) fn transmitters(&self) -> Option<&Transmitters> {
        self.transmitters.as_ref()
    }

    /// Takes one event. To take it again does no harm, whenever and in whatever order (RV-013, RV-014). One that makes
    /// us panic is rejected as our own failure, and stops nothing (ATTACKS RV-020).
    pub(in crate::state::revocation) fn take(&self, delivery: &Delivery<'_>, now: Timestamp) -> Taken {
        let place = self.health.is_live().then_some(delivery.place as &dyn fmt::Display);
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let message = self.read(delivery.bytes, now)?;
            Ok(self.act(message, delivery.published, now, place))
        }));
        match taken.unwrap_or(Err(Unread::Refused(Refusal::Internal))) {
            Ok(Ok(())) => Taken::Applied,
            Ok(Err(Full)) => Taken::Full,
            Err(Unread::Refused(refusal)) => {
                self.reject(refusal, delivery.bytes, delivery.place, now);
                Taken::Refused(refusal)
            }
            Err(Unread::NoKey { transmitter, .. }) => match self.parked.park(delivery, transmitter) {
                true => Taken::Parked,
                false => Taken::Full,
            },
        }
    }

    pub(in crate::state::revocation) fn reject(
        &self,
        refusal: Refusal,
        bytes: &[u8],
        place: &(dyn fmt::Display + Sync),
        now: Timestamp,
    ) {
        if let Some(id) = event::name(bytes) {
            let news = self.health.is_live().then_some(place as &dyn fmt::Display);
            self.recent.rejected(&id, refusal, now, news);
        }
        self.rejections.add(refusal, place, Instant::now());
    }

    /// A sign of life from a feed that has handed on all it had. The backlog has been applied when nothing of it waits
    /// for a key and whoever is polled has told all; what has to wait later is a silence of that length, and so is a
    /// paused stream, or a transmitter that can't be polled.
    pub(in crate::state::revocation) fn heard(&self) {
        let now = Timestamp::from_system(SystemTime::now());
        let paused = self.streams.silent_since().map(|since| now.since(since));
        // What comes to wait later is news, and does not keep us from being ready. Moments are compared, not how long they
        // are past, for time goes by between two looks at the clock.
        let backlog = *self.backlog_read.get_or_init(Instant::now);
        let waiting = self.parked.waiting_since();
        let unready = waiting.is_some_and(|since| since <= backlog);
        let waited = waiting.map(|since| since.elapsed());
        self.health.hold(waited.max(paused).max(self.polled.longest_silence()));
        if (unready || self.polled.is_awaited()) && !self.health.is_live() {
            return;
        }
        self.health.heard();
        self.rejections.caught_up(Instant::now());
    }

    /// Whether something was heard that is not in the index.
    pub(in crate::state::revocation) fn holds_back(&self) -> bool {
        self.parked.waiting_since().is_some() || self.streams.silent_since().is_some()
    }

    /// Reads an event: a plain one begins with a brace, which no SET does.
    pub(super) fn read(&self, bytes: &[u8], now: Timestamp) -> Result<Message, Unread> {
        if bytes.len() > MAX_BYTES {
            return Err(Unread::Refused(Refusal::TooLong));
        }
        if bytes.trim_ascii_start().starts_with(b"{") {
            return self.plain(bytes).map(Message::Event).map_err(Unread::Refused);
        }
        match &self.transmitters {
            Some(transmitters) => transmitters.read(bytes, now),
            None if Unverified::parse(bytes).is_ok() => Err(Unread::Refused(Refusal::Transmitter)),
            None => Err(Unread::Refused(Refusal::NotAnObject)),
        }
    }

    fn plain(&self, bytes: &[u8]) -> Result<Event, Refusal> {
        let plain = Plain::parse(bytes)?;
        if !self.accept_plain {
            return Err(Refusal::Plain);
        }
        if !self.issuers.contains_key(&plain.issuer) {
            return Err(Refusal::IssuerUnknown);
        }
        Ok(plain.into())
    }

    /// Does what an event says, all of it or nothing that is counted as done. `place` is given of news only.
    pub(in crate::state::revocation) fn act(
        &self,
        message: Message,
        published: Option<Timestamp>,
        now: Timestamp,
        place: Option<&dyn fmt::Display>,
    ) -> Result<(), Full> {
        let event = match message {
            Message::Event(event) => event,
            Message::Stream(stream) => {
                self.streams.updated(stream);
                self.applied.fetch_add(1, Relaxed);
                return Ok(());
            }
            Message::Verification => {
                self.applied.fetch_add(1, Relaxed);
                return Ok(());
            }
        };
        let entered = self.enter(&event, event.told.or(published).unwrap_or(now), now);
        self.health.set_full(entered.is_err());
        let outcome = entered?;
        if outcome == Outcome::Applied {
            self.applied.fetch_add(1, Relaxed);
            let live = self.health.is_live();
            let span = live.then(|| self.traced(&event, published)).flatten();
            self.causes.remember(&event, &self.index, span);
            // Whoever is cut now is told by which event.
            self.open.news();
            if live {
                self.metrics.applied(now.since(event.at), published.map(|at| now.since(at)));
            }
        } else {
            self.ignored.fetch_add(1, Relaxed);
        }
        self.recent.read(event, outcome, now, place);
        Ok(())
    }

    /// What is news has a span; of the backlog there are too many, and nobody waited for it.
    fn traced(&self, event: &Event, published: Option<Timestamp>) -> Option<SpanRef> {
        let first = event.revokes.first()?;
        let facts: Vec<&str> = first.facts.iter().map(|(fact, _)| fact.name()).collect();
        let (id, issuer) = (event.id.as_str(), first.issuer.as_str());
        self.metrics.tracer.revocation(RevocationSpan { id, facts: &facts.join(","), issuer, published })
    }

    /// Enters all that an event revokes. What is revoked by a name or a key of its own may have been issued after `at`,
    /// so it is remembered as long as a token may live that was issued when this was `told`.
    fn enter(&self, event: &Event, told: Timestamp, now: Timestamp) -> Result<Outcome, Full> {
        #[cfg(test)]
        assert_ne!(event.id, "event-panic", "a test wants a panic");
        let mut outcome = Outcome::Ignored(if event.revokes.is_empty() { "nothing_to_do" } else { "over" });
        for selector in &event.revokes {
            let lifetime = self.issuers.get(&selector.issuer).copied().unwrap_or_default();
            let for_ever = selector.facts.iter().any(|(fact, _)| fact.is_for_ever());
            let last = if for_ever { event.at.max(told) } else { event.at };
            let until = event.until.unwrap_or(last.plus(lifetime));
            if until.plus(LONG_OVER) >= now {
                self.index.revoke(selector, event.at, until, now)?;
                outcome = Outcome::Applied;
            }
        }
        Ok(outcome)
    }

    pub(in crate::state::revocation) fn applied(&self) -> u64 {
        self.applied.load(Relaxed)
    }

    /// How many events there was nothing to do about.
    pub(in crate::state::revocation) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    pub(in crate::state::revocation) fn refused(&self, refusal: Refusal) -> u64 {
        self.rejections.count(refusal)
    }

    /// The longest life of this issuer's tokens.
    pub(super) fn lifetime(&self, issuer: &str) -> Option<Duration> {
        self.issuers.get(issuer).copied()
    }

    /// The longest life of any token: what a stream must retain.
    pub(super) fn longest_lifetime(&self) -> Duration {
        self.issuers.values().max().copied().unwrap_or_default()
    }
}

/// An event in the backlog that ended this long ago is not worth its place.
const LONG_OVER: Duration = Duration::from_secs(300);
