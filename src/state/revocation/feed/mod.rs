//! Where events come from, and what becomes of each.
//!
//! A feed hands bytes to the intake, which reads, judges, counts and applies them. A bad event is
//! counted, told with its reason and place (never its content, which may hold anything) and does not
//! stop the feed. An event that finds no room is not taken: the feed holds it, and everything behind it,
//! until there is room, and the status says so meanwhile.

mod attempts;
pub(super) mod bus;
pub mod file;
mod intake;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "kafka/absent.rs"]
mod kafka;
pub mod nats;
pub(super) mod parked;
pub(super) mod polled;
pub mod publish;
pub mod redis;
mod rejections;
mod streams;

use super::event::Refusal;
use crate::config;
use crate::pop::Timestamp;
use crate::state::audit::Position;
pub(super) use intake::Intake;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The one feed, until dropped.
#[derive(Debug)]
pub(super) enum Feed {
    File { journal: file::Journal },
    Nats { follower: nats::Follower },
    Redis { follower: redis::Follower },
    Kafka { follower: kafka::Follower },
}

/// How far a feed has come, as far as it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The place of the last event that was handed on.
    pub position: Option<String>,
    /// How many events the feed has that this replica has not had.
    pub lag: Option<u64>,
    /// Why the feed can forget an event before the tokens that it revokes have expired.
    pub retention_warning: Option<String>,
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
            config::Feed::File { path } => Feed::File { journal: file::Journal::start(path, intake)? },
            config::Feed::Nats(nats) => {
                Feed::Nats { follower: nats::Follower::start(nats, intake, position)? }
            }
            config::Feed::Redis(redis) => Feed::Redis { follower: redis::Follower::start(redis, intake)? },
            config::Feed::Kafka(kafka) => Feed::Kafka { follower: kafka::Follower::start(kafka, intake)? },
        })
    }

    /// How far the feed has been applied, in its own words: everything up to there is in the index. `None` as long as
    /// there is no such place, and for a journal, which is read whole at every start.
    pub(super) fn position(&self) -> Option<Vec<u8>> {
        match self {
            Feed::File { .. } | Feed::Redis { .. } | Feed::Kafka { .. } => None,
            Feed::Nats { follower } => follower.position(),
        }
    }

    /// The same for whoever looks for the event in the feed. `None` before there is such a place.
    pub(super) fn place(&self) -> Option<Position> {
        match self {
            Feed::File { journal } => Some(Position::Number(journal.place())),
            Feed::Nats { follower } => Some(Position::Number(follower.place())),
            Feed::Redis { follower } => follower.place(),
            Feed::Kafka { follower } => follower.place(),
        }
    }

    /// `revocation.feed.kind`
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Feed::File { .. } => "file",
            Feed::Nats { .. } => "nats",
            Feed::Redis { .. } => "redis",
            Feed::Kafka { .. } => "kafka",
        }
    }

    pub(super) fn progress(&self) -> Progress {
        match self {
            Feed::File { journal } => journal.progress(),
            Feed::Nats { follower } => follower.progress(),
            Feed::Redis { follower } => follower.progress(),
            Feed::Kafka { follower } => follower.progress(),
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

/// How often a feed offers an event again for which there was no room.
const RETRY_FULL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
