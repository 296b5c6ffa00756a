//! Where events come from, and what becomes of each.
//!
//! A feed hands bytes to the intake, which reads, judges, counts and applies them. A bad event is
//! counted, told with its reason and place (never its content, which may hold anything) and does not
//! stop the feed. An event that finds no room is not taken: the feed holds it, and everything behind it,
//! until there is room, and the status says so meanwhile.

pub mod file;
pub mod nats;
pub(super) mod parked;
pub mod publish;
mod rejections;
mod streams;

use super::event::effects::Message;
use super::event::plain::Plain;
use super::event::set::Unverified;
use super::event::{Event, MAX_BYTES, Refusal};
use super::health::Health;
use super::index::{Full, Index};
use super::open::OpenRequests;
use super::transmitters::{Transmitters, Unread};
use crate::config;
use crate::pop::Timestamp;
use crate::telemetry::RevocationMetrics;
use parked::Parked;
use rejections::Rejections;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};
use streams::Streams;

/// The one feed, until dropped.
#[derive(Debug)]
pub(super) enum Feed {
    File { _journal: file::Journal },
    Nats { follower: nats::Follower },
}

impl Feed {
    /// Begins behind `position`, if it has one that it understands.
    pub(super) fn start(
        config: &config::Feed,
        intake: &Arc<Intake>,
        position: Option<&[u8]>,
    ) -> anyhow::Result<Feed> {
        let intake = Arc::clone(intake);
        Ok(match config {
            config::Feed::File { path } => Feed::File { _journal: file::Journal::start(path, intake)? },
            config::Feed::Nats(nats) => {
                Feed::Nats { follower: nats::Follower::start(nats, intake, position)? }
            }
        })
    }

    /// How far the feed has been applied, in its own words: everything up to there is in the index. `None` as long as
    /// there is no such place, and for a journal, which is read whole at every start.
    pub(super) fn position(&self) -> Option<Vec<u8>> {
        match self {
            Feed::File { .. } => None,
            Feed::Nats { follower } => follower.position(),
        }
    }
}

/// One event as it arrives.
#[derive(Clone, Copy)]
pub(super) struct Delivery<'a> {
    /// Its text: a plain event in JSON, or a Security Event Token.
    pub(super) bytes: &'a [u8],
    /// Where the feed has it, for whoever mends a bad one.
    pub(super) place: &'a (dyn fmt::Display + Sync),
    /// When the bus took it, if the bus tells.
    pub(super) published: Option<Timestamp>,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It counts from now on, or was over already.
    Applied,
    /// It can't be acted on.
    Refused(Refusal),
    /// It waits here for the key that signed it, and is not to be offered again.
    Parked,
    /// There is no room: to be offered again.
    Full,
}

/// What events go through on their way into the index.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) index: Index,
    pub(super) health: Health,
    /// What an event may end.
    pub(super) open: Arc<OpenRequests>,
    /// `max_token_lifetime` by issuer.
    issuers: HashMap<String, Duration>,
    accept_plain: bool,
    transmitters: Option<Transmitters>,
    parked: Parked,
    streams: Streams,
    applied: AtomicU64,
    ignored: AtomicU64,
    metrics: RevocationMetrics,
    rejections: Rejections,
}

impl Intake {
    pub(super) fn new(
        config: &config::Revocation,
        issuers: HashMap<String, Duration>,
        metrics: RevocationMetrics,
    ) -> Intake {
        Intake {
            index: Index::new(config.max_entries),
            health: Health::new(config.max_staleness),
            open: Arc::default(),
            issuers,
            accept_plain: config.accept_plain,
            transmitters: None,
            parked: Parked::default(),
            streams: Streams::default(),
            applied: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            metrics,
            rejections: Rejections::default(),
        }
    }

    /// The same, believing what these sign.
    pub(super) fn believing(self, transmitters: Transmitters) -> Intake {
        Intake { transmitters: Some(transmitters), ..self }
    }

    pub(super) fn transmitters(&self) -> Option<&Transmitters> {
        self.transmitters.as_ref()
    }

    /// Takes one event. To take it again does no harm, whenever and in whatever order (RV-013, RV-014).
    pub(super) fn take(&self, delivery: &Delivery<'_>, now: Timestamp) -> Taken {
        match self.read(delivery.bytes, now) {
            Ok(message) => match self.act(message, delivery.published, now) {
                Ok(()) => Taken::Applied,
                Err(Full) => Taken::Full,
            },
            Err(Unread::Refused(refusal)) => {
                self.rejections.add(refusal, delivery.place, Instant::now());
                Taken::Refused(refusal)
            }
            Err(Unread::NoKey { transmitter, .. }) => match self.parked.park(delivery, transmitter) {
                true => Taken::Parked,
                false => Taken::Full,
            },
        }
    }

    /// A sign of life from a feed that has handed on all it had. The backlog has been applied when nothing of it waits
    /// for a key; what has to wait later is a silence of that length, and so is a paused stream.
    pub(super) fn heard(&self) {
        let now = Timestamp::from_system(SystemTime::now());
        let paused = self.streams.silent_since().map(|since| now.since(since));
        let waiting = self.parked.longest_wait();
        self.health.hold(waiting.max(paused));
        if waiting.is_some() && !self.health.is_live() {
            return;
        }
        self.health.heard();
        self.rejections.caught_up(Instant::now());
    }

    /// Whether something was heard that is not in the index.
    pub(super) fn holds_back(&self) -> bool {
        self.parked.longest_wait().is_some() || self.streams.silent_since().is_some()
    }

    /// Reads an event: a plain one begins with a brace, which no SET does.
    fn read(&self, bytes: &[u8], now: Timestamp) -> Result<Message, Unread> {
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

    /// Does what an event says, all of it or nothing that is counted as done.
    fn act(&self, message: Message, published: Option<Timestamp>, now: Timestamp) -> Result<(), Full> {
        match message {
            Message::Event(event) if event.revokes.is_empty() => {
                self.ignored.fetch_add(1, Relaxed);
                return Ok(());
            }
            Message::Event(event) => {
                let entered = self.enter(&event, now);
                self.health.set_full(entered.is_err());
                entered?;
                self.open.news();
                if self.health.is_live() {
                    self.metrics.applied(now.since(event.at), published.map(|at| now.since(at)));
                }
            }
            Message::Stream(stream) => self.streams.updated(stream),
            Message::Verification => {}
        }
        self.applied.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Enters all that an event revokes.
    fn enter(&self, event: &Event, now: Timestamp) -> Result<(), Full> {
        for selector in &event.revokes {
            let lifetime = self.issuers.get(&selector.issuer).copied().unwrap_or_default();
            let until = event.until.unwrap_or(event.at.plus(lifetime));
            if until.plus(LONG_OVER) >= now {
                self.index.revoke(selector, event.at, until, now)?;
            }
        }
        Ok(())
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Relaxed)
    }

    /// How many events there was nothing to do about.
    pub(super) fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.rejections.count(refusal)
    }

    /// The longest life of any token: what a stream must retain.
    fn longest_lifetime(&self) -> Duration {
        self.issuers.values().max().copied().unwrap_or_default()
    }
}

/// An event in the backlog that ended this long ago is not worth its place.
const LONG_OVER: Duration = Duration::from_secs(300);
/// How often a feed offers an event again for which there was no room.
const RETRY_FULL: Duration = Duration::from_millis(100);
