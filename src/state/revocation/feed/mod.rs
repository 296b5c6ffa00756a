//! Where events come from, and what becomes of each.
//!
//! A feed hands bytes to the intake, which reads, judges, counts and applies them. A bad event is
//! counted, told with its reason and place (never its content, which may hold anything) and does not
//! stop the feed. An event that finds no room is not taken: the feed holds it, and everything behind it,
//! until there is room, and the status says so meanwhile.

mod attempts;
pub mod file;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "kafka/absent.rs"]
mod kafka;
pub mod nats;
pub mod publish;
pub mod redis;
mod rejections;

use super::event::plain::Plain;
use super::event::{Event, Refusal};
use super::health::Health;
use super::index::{Full, Index};
use crate::config;
use crate::pop::Timestamp;
use crate::telemetry::RevocationMetrics;
use rejections::Rejections;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The one feed, until dropped.
#[derive(Debug)]
pub(super) enum Feed {
    File { _journal: file::Journal },
    Nats { _follower: nats::Follower },
    Redis { _follower: redis::Follower },
    Kafka { _follower: kafka::Follower },
}

impl Feed {
    pub(super) fn start(config: &config::Feed, intake: &Arc<Intake>) -> anyhow::Result<Feed> {
        let intake = Arc::clone(intake);
        Ok(match config {
            config::Feed::File { path } => Feed::File { _journal: file::Journal::start(path, intake)? },
            config::Feed::Nats(nats) => Feed::Nats { _follower: nats::Follower::start(nats, intake)? },
            config::Feed::Redis(redis) => Feed::Redis { _follower: redis::Follower::start(redis, intake)? },
            config::Feed::Kafka(kafka) => Feed::Kafka { _follower: kafka::Follower::start(kafka, intake)? },
        })
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
    /// There is no room: to be offered again.
    Full,
}

/// What events go through on their way into the index.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) index: Index,
    pub(super) health: Health,
    /// `max_token_lifetime` by issuer.
    issuers: HashMap<String, Duration>,
    accept_plain: bool,
    applied: AtomicU64,
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
            issuers,
            accept_plain: config.accept_plain,
            applied: AtomicU64::new(0),
            metrics,
            rejections: Rejections::default(),
        }
    }

    /// Takes one event.
    pub(super) fn take(&self, delivery: &Delivery<'_>, now: Timestamp) -> Taken {
        match self.apply(delivery, now) {
            Ok(Ok(())) => {
                self.applied.fetch_add(1, Relaxed);
                self.health.set_full(false);
                Taken::Applied
            }
            Ok(Err(Full)) => {
                self.health.set_full(true);
                Taken::Full
            }
            Err(refusal) => {
                self.rejections.add(refusal, delivery.place, Instant::now());
                Taken::Refused(refusal)
            }
        }
    }

    /// A sign of life from a feed that has handed on all it had.
    pub(super) fn heard(&self) {
        self.health.heard();
        self.rejections.caught_up(Instant::now());
    }

    fn apply(&self, delivery: &Delivery<'_>, now: Timestamp) -> Result<Result<(), Full>, Refusal> {
        let plain = Plain::parse(delivery.bytes)?;
        if !self.accept_plain {
            return Err(Refusal::Plain);
        }
        if !self.issuers.contains_key(&plain.issuer) {
            return Err(Refusal::IssuerUnknown);
        }
        let event = plain.into();
        let entered = self.enter(&event, now);
        if entered.is_ok() && self.health.is_live() {
            self.metrics.applied(now.since(event.at), delivery.published.map(|at| now.since(at)));
        }
        Ok(entered)
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
