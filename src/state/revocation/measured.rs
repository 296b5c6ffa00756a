//! What the bench of revocation measures: the index behind its intake without a feed, and a feed's effect without
//! a request around it. Nothing else has use for it; it decides nothing and lets nobody in.

use super::event::Fact;
use super::feed::{Delivery, Intake, Taken};
use super::index::Bearer;
use super::{Revocations, Timestamp};
use crate::config::{self, OnStale};
use crate::pop::access_token::Expected;
use crate::telemetry::Telemetry;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The index, and the one way into it.
#[derive(Debug)]
pub struct Measured(Intake);

/// A token of [`ISSUER`], by what it says of itself.
#[derive(Clone, Debug)]
pub struct Token {
    /// `iat`
    pub issued_at: Timestamp,
    /// Its facts.
    pub facts: Vec<(Fact, String)>,
}

impl Measured {
    /// An empty index of so many entries at most.
    pub fn new(max_entries: usize) -> Measured {
        let feed = config::Feed::File { path: Default::default() };
        let metrics = Telemetry::off().metrics.revocations.clone();
        let issuers = [(ISSUER.to_owned(), LIFETIME)].into();
        Measured(Intake::new(&revocation(feed, max_entries), issuers, metrics))
    }

    /// Takes one event in. False if it was not.
    pub fn take(&self, event: &[u8], now: Timestamp) -> bool {
        let delivery = Delivery { bytes: event, place: &"the bench", published: None };
        self.0.take(&delivery, now) == Taken::Applied
    }

    /// Whether a token is revoked.
    pub fn is_revoked(&self, token: &Token) -> bool {
        self.0.index.is_revoked(token)
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.0.index.len()
    }

    /// Bytes of the index's tables.
    pub fn bytes(&self) -> usize {
        self.0.index.bytes()
    }
}

/// Follows a NATS stream for [`ISSUER`], as a replica does. Needs a tokio runtime.
///
/// # Errors
/// Those of [`Revocations::start`].
pub fn follow(nats: config::Nats, max_entries: usize) -> anyhow::Result<Arc<Revocations>> {
    let expected = Expected {
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        algorithms: Vec::new(),
        token_types: Vec::new(),
        max_lifetime: LIFETIME,
    };
    let issuer = config::Issuer {
        expected: Arc::new(expected),
        jwks_uri: None,
        ca: Vec::new(),
        jwks_refresh: LIFETIME,
        jwks_cooldown: LIFETIME,
        jwks_max_stale: LIFETIME,
        introspection: None,
    };
    let config = revocation(config::Feed::Nats(nats), max_entries);
    Revocations::start(Some(&config), &[issuer], &Telemetry::off().metrics)
}

/// Whether a replica refuses a token by now.
pub fn refuses(replica: &Revocations, token: &Token) -> bool {
    replica.admits(token, &replica.belief()).is_err()
}

impl Bearer for Token {
    fn issuer(&self) -> &str {
        ISSUER
    }
    fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        self.facts.iter().find(|(name, _)| *name == fact).map(|(_, value)| value.into())
    }
}

fn revocation(feed: config::Feed, max_entries: usize) -> config::Revocation {
    config::Revocation {
        transmitters: Vec::new(),
        feed,
        push: None,
        accept_plain: true,
        max_staleness: Duration::from_secs(30),
        on_stale: OnStale::Deny,
        max_entries,
        snapshot: None,
    }
}

/// Whose tokens are measured.
pub const ISSUER: &str = "https://as.example.com";
/// How long they live.
const LIFETIME: Duration = Duration::from_secs(3600);
