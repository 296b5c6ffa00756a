//! `revocation`, checked: where revocations come from and who is believed.

use super::{Kafka, Redis, problems};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// `revocation`
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The feed.
    pub feed: Feed,
    /// Whether unsigned plain events are believed.
    pub accept_plain: bool,
    /// How long the feed may be silent.
    pub max_staleness: Duration,
    /// What to do when it is silent for longer.
    pub on_stale: OnStale,
    /// The index's bound, in entries.
    pub max_entries: usize,
}

/// `revocation.feed`
#[derive(Clone, Debug)]
pub enum Feed {
    /// A JSON-lines journal.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A NATS JetStream stream.
    Nats(Nats),
    /// A Redis stream.
    Redis(Redis),
    /// A Kafka topic.
    Kafka(Kafka),
}

/// A NATS JetStream stream; its Debug shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// `nats://` or `tls://`.
    pub url: String,
    /// The stream.
    pub stream: String,
    /// The subject: a filter where it is read, without wildcards where it is published to.
    pub subject: String,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("url", &problems::without_passwords(&self.url))
            .field("stream", &self.stream)
            .field("subject", &self.subject)
            .finish()
    }
}

/// `revocation.on_stale`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// Refuse with 503.
    Deny,
    /// Let pass.
    Allow,
}
