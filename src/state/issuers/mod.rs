//! The issuers' keys: discovered, fetched over TLS, kept fresh in the background.
//!
//! A fetch replaces the keys, so a key the issuer withdrew is gone; a failed one keeps the last
//! good keys until `max_stale`. Looking keys up never waits. Nobody but a configured issuer causes a
//! fetch, a metric or a line of log. Not decided here: whether a token is genuine.

pub(super) mod discovery;
mod fetch;
#[cfg(test)]
pub(super) mod published;
mod refresh;
#[cfg(test)]
mod tests;

use crate::config::Issuer;
use crate::pop::Denial;
use crate::pop::access_token::Expected;
use crate::pop::key_set::KeySet;
use crate::state::audit::{Audit, Signer};
use crate::state::https::system_roots;
use crate::telemetry::{Metrics, SpanRef};
use discovery::Metadata;
use fetch::Fetcher;
use refresh::Keys;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// All issuers of the config. Dropping it ends the background refresh.
#[derive(Debug, Default)]
pub struct Issuers {
    by_name: HashMap<Arc<str>, Arc<Tended>>,
}

/// An issuer's keys, and the task that keeps them fresh until nobody has them any more.
#[derive(Debug)]
struct Tended {
    config: Issuer,
    keys: Arc<Keys>,
    _task: JoinSet<()>,
}

/// What is known of one issuer right now.
#[derive(Debug)]
pub struct Known {
    /// What is expected of its tokens.
    pub expected: Arc<Expected>,
    /// The last good keys.
    pub keys: Arc<KeySet>,
    /// The edition of the keys: a token verified with another edition must be verified again.
    pub edition: Edition,
    /// When the fetch began that brought the keys: what was published before is among them.
    pub asked: Instant,
}

/// One content of one issuer's key set; changes only when the set changes.
#[derive(Clone, Debug)]
pub struct Edition {
    keys: Arc<Keys>,
    number: u64,
}

impl Edition {
    /// Whether these are still the issuer's keys, and still to be trusted.
    pub fn is_current(&self) -> bool {
        self.keys.current().is_some_and(|set| set.edition == self.number)
    }
}

/// What a fetch that an unknown key caused has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refetched {
    /// The keys were fetched: look again.
    Fresh,
    /// No fetch: the last one was good and too recent.
    Recent,
    /// The issuer could not be asked, so nobody knows whether the key exists.
    Failed,
}

impl Issuers {
    /// Starts the background refresh of every issuer; needs a tokio runtime. Fails if TLS can't be set up.
    pub fn start(issuers: &[Issuer], metrics: &Metrics) -> anyhow::Result<Arc<Issuers>> {
        Issuers::start_with(issuers, Metadata::AuthorizationServer, metrics, FETCH_LIMIT)
    }

    /// The same for those who sign security events, which publish their metadata elsewhere (SSF section 7.2; SSF-06).
    pub(in crate::state) fn start_transmitters(
        transmitters: &[Issuer],
        metrics: &Metrics,
    ) -> anyhow::Result<Arc<Issuers>> {
        Issuers::start_with(transmitters, Metadata::Transmitter, &metrics.of_transmitters(), FETCH_LIMIT)
    }

    /// The issuer of this name, found before any of its keys (JWKS-08, BCP-07): `TokenIssuer` if not listed,
    /// `KeysUnavailable` if never fetched or beyond `max_stale`. There are no other keys (JWKS-10).
    pub fn find(&self, issuer: &str) -> Result<Known, Denial> {
        let keys = &self.by_name.get(issuer).ok_or(Denial::TokenIssuer)?.keys;
        let set = keys.current().ok_or(Denial::KeysUnavailable)?;
        Ok(Known {
            expected: Arc::clone(keys.expected()),
            keys: Arc::clone(&set.keys),
            edition: Edition { keys: Arc::clone(keys), number: set.edition },
            asked: set.asked,
        })
    }

    /// What is expected of an issuer's tokens, whether its keys are known or not; `None` if it is not listed.
    pub fn expected(&self, issuer: &str) -> Option<Arc<Expected>> {
        Some(Arc::clone(self.by_name.get(issuer)?.keys.expected()))
    }

    /// After `TokenKeyUnknown`: causes at most one fetch per cooldown and waits for it, no longer than a
    /// fetch may take (JWKS-05).
    pub async fn refetch(&self, issuer: &str) -> Refetched {
        match self.by_name.get(issuer) {
            Some(tended) => tended.keys.refetch().await,
            None => Refetched::Recent,
        }
    }

    /// From now on the audit log is told which keys there are, and of every change.
    pub fn recorded_in(&self, audit: &Audit) {
        self.by_name.values().for_each(|tended| tended.keys.recorded_in(audit));
    }

    /// The span of the last fetch of its keys, if it was recorded.
    pub fn last_fetch(&self, issuer: &str) -> Option<SpanRef> {
        self.by_name.get(issuer).and_then(|tended| tended.keys.last_fetch())
    }

    /// Every issuer.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// The name of an issuer, if it is one of them.
    pub fn name(&self, issuer: &str) -> Option<Arc<str>> {
        self.by_name.get_key_value(issuer).map(|(name, _)| Arc::clone(name))
    }

    /// For `/ready`: every issuer whose keys are not usable.
    pub fn unready(&self) -> Vec<String> {
        let unusable = self.by_name.iter().filter(|(_, tended)| tended.keys.current().is_none());
        let mut names: Vec<String> = unusable.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    fn start_with(
        issuers: &[Issuer],
        metadata: Metadata,
        metrics: &Metrics,
        limit: Duration,
    ) -> anyhow::Result<Arc<Issuers>> {
        Issuers::default().succeeded_by(issuers, metadata, metrics, limit)
    }

    /// Those of a new configuration. Who is in both as they were keeps the keys and all that is known of them.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn reconfigured(&self, issuers: &[Issuer], metrics: &Metrics) -> anyhow::Result<Arc<Issuers>> {
        self.succeeded_by(issuers, Metadata::AuthorizationServer, metrics, FETCH_LIMIT)
    }

    /// Nothing is told any more of those who are not among the others.
    pub fn forgotten_for(&self, others: &Issuers, metrics: &Metrics) {
        let gone = self.by_name.keys().filter(|name| !others.by_name.contains_key(*name));
        gone.for_each(|name| metrics.jwks_forgotten(name));
    }

    fn succeeded_by(
        &self,
        issuers: &[Issuer],
        metadata: Metadata,
        metrics: &Metrics,
        limit: Duration,
    ) -> anyhow::Result<Arc<Issuers>> {
        let roots = system_roots();
        let mut by_name = HashMap::new();
        for issuer in issuers {
            let name = &issuer.expected.issuer;
            let before = self.by_name.get(name).filter(|before| before.config == *issuer);
            let tended = match before {
                Some(before) => Arc::clone(before),
                None => {
                    let fetcher = Fetcher::new(issuer, metadata, roots.clone(), limit)?;
                    Tended::begin(issuer, fetcher, metadata.signer(), metrics, limit)
                }
            };
            by_name.insert(Arc::clone(name), tended);
        }
        Ok(Arc::new(Issuers { by_name }))
    }
}

impl Tended {
    fn begin(
        issuer: &Issuer,
        fetcher: Fetcher,
        signer: Signer,
        metrics: &Metrics,
        limit: Duration,
    ) -> Arc<Tended> {
        let keys = Arc::new(Keys::new(issuer, signer, limit, metrics.clone()));
        metrics.jwks_expected(&issuer.expected.issuer, issuer.jwks_refresh);
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&keys).keep_fresh(fetcher));
        Arc::new(Tended { config: issuer.clone(), keys, _task: task })
    }
}

/// For discovery and keys together.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
