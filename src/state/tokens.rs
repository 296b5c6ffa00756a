//! The verified-token cache: a signature is checked once, everything else every time.
//!
//! A token that is no JWT is its issuer's to judge, and so is a JWT whose issuer must always be asked
//! ([`introspection`](super::introspection)).
//!
//! Only genuine tokens are kept, under the hash of their exact text, never beyond `exp` and never beyond the
//! keys they were verified with: when the issuer's keys change or grow too old, they are verified again. A
//! decision is never kept, nor a refusal.

use super::introspection::{Authority, Introspection};
use super::issuers::{Edition, Issuers, Refetched};
use crate::pop::access_token::{AccessToken, TokenHash, Unverified};
use crate::pop::{Denial, Timestamp};
use crate::telemetry::{Metrics, Part, Steps};
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Access tokens that were verified and have not expired.
#[derive(Debug)]
pub struct Tokens {
    issuers: Arc<Issuers>,
    introspection: Introspection,
    genuine: Cache<TokenHash, Genuine>,
    metrics: Metrics,
}

/// A token with the keys it was verified with.
#[derive(Clone, Debug)]
struct Genuine {
    token: Arc<AccessToken>,
    edition: Edition,
    /// Who must be asked about it all the same.
    confirmed_by: Option<Arc<Authority>>,
    lifetime: Duration,
    weight: u32,
}

impl Tokens {
    /// An empty cache in front of the issuers.
    pub fn new(issuers: Arc<Issuers>, introspection: Introspection, metrics: Metrics) -> Tokens {
        let genuine = Cache::builder()
            .max_capacity(CAPACITY_BYTES)
            .weigher(|_, genuine: &Genuine| genuine.weight)
            // The newest tokens are the ones in use: frequency must not keep them out.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UntilExp)
            .build();
        issuers.names().iter().for_each(|issuer| metrics.verifications.expected(issuer));
        Tokens { issuers, introspection, genuine, metrics }
    }

    /// Whose tokens these are.
    pub fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// From now on these decide, and no longer those: nothing more is told of whom only those knew.
    pub fn take_over(&self, before: &Tokens) {
        before.issuers.forgotten_for(&self.issuers, &self.metrics);
        self.introspection.takes_over(&before.introspection, &self.metrics);
    }

    /// The token, from the cache or after its signature is verified; refetches keys once if its key is
    /// unknown. `KeysUnavailable` when the issuer can't be asked for a key nobody has seen,
    /// `IntrospectionUnavailable` when it can't be asked about the token.
    /// `ask`: its issuer must agree, whatever is configured. `trusts`: whether the caller may have a token looked at that
    /// is not known yet; asked before anything that costs more than a look into the cache (DS-011).
    pub async fn establish(
        &self,
        token: &str,
        ask: bool,
        trusts: impl Fn() -> Result<(), Denial>,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Result<Arc<AccessToken>, Denial> {
        let hash = TokenHash::of(token);
        if let Some(known) = self.genuine.get(&hash).filter(|known| known.edition.is_current()) {
            known.token.still_valid(now)?;
            self.metrics.token_cache_hits.inc();
            return self.confirmed(known, token, ask, now, steps).await;
        }
        // What follows is boxed where it waits: rare, and every request's future would be as large as this one.
        let trusted = trusts();
        let step = steps.begin("verify token");
        let verified = match trusted.and_then(|()| self.verify(token, hash, now)) {
            // Also of a caller who may not ask for what is not known: an answer may be there already.
            Err(Denial::TokenMalformed | Denial::TooManyFailures | Denial::TooManyInFlight)
                if Unverified::is_opaque(token) =>
            {
                let answer =
                    Box::pin(self.introspection.establish(token, hash, trusted, now, step.steps())).await;
                step.ends(&answer);
                return answer;
            }
            Err(denial @ (Denial::TooManyFailures | Denial::TooManyInFlight)) => {
                step.ends(&trusted);
                return Err(denial);
            }
            Err(Denial::TokenKeyUnknown) => {
                Box::pin(self.verify_with_fresh_keys(token, hash, now, step.steps())).await
            }
            settled => settled,
        };
        self.metrics.token_cache_misses.inc();
        step.ends(&verified);
        self.confirmed(verified?, token, ask, now, steps).await
    }

    /// Which configured issuer a token names that is not genuine: for statistics, because anybody can name one.
    pub fn issuer_named_by(&self, token: &str) -> Option<Arc<str>> {
        self.issuers.name(Unverified::parse(token).ok()?.issuer().ok()?)
    }

    /// The token; where its issuer must be asked too, only if it agrees.
    async fn confirmed(
        &self,
        known: Genuine,
        text: &str,
        ask: bool,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Result<Arc<AccessToken>, Denial> {
        let authority = match &known.confirmed_by {
            None if !ask => return Ok(known.token),
            None => self.introspection.of(known.token.issuer()),
            Some(authority) => Some(authority),
        };
        let authority = authority.ok_or(Denial::IntrospectionUnavailable)?;
        Box::pin(authority.confirm(text, known.token, now, steps)).await
    }

    fn verify(&self, text: &str, hash: TokenHash, now: Timestamp) -> Result<Genuine, Denial> {
        let unverified = Unverified::parse(text)?;
        let issuer = self.issuers.find(unverified.issuer()?)?;
        let token = Arc::new(unverified.verify(hash, &issuer.expected, &issuer.keys, now)?);
        let genuine = Genuine {
            edition: issuer.edition,
            confirmed_by: self.introspection.confirms(token.issuer()).cloned(),
            lifetime: token.expires_at().since(now),
            // Claims are kept as text and as parsed; the rest is the structures around them.
            weight: u32::try_from(text.len().saturating_mul(2) + ENTRY_BYTES).unwrap_or(u32::MAX),
            token,
        };
        self.genuine.insert(hash, genuine.clone());
        Ok(genuine)
    }

    async fn verify_with_fresh_keys(
        &self,
        text: &str,
        hash: TokenHash,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Result<Genuine, Denial> {
        let fetched = {
            let unverified = Unverified::parse(text)?;
            let begun = Instant::now();
            let fetched = self.fetched(unverified.issuer()?, steps).await;
            self.metrics.timing.took(Part::Keys, begun.elapsed());
            fetched
        };
        match fetched {
            Refetched::Fresh => self.verify(text, hash, now),
            Refetched::Recent => Err(Denial::TokenKeyUnknown),
            Refetched::Failed => Err(Denial::KeysUnavailable),
        }
    }

    /// Waits for the issuer's keys, which somebody else fetches: the two spans are linked.
    async fn fetched(&self, issuer: &str, steps: Steps<'_>) -> Refetched {
        let mut step = steps.begin("wait for keys");
        step.say("clinch.issuer", issuer);
        let fetched = self.issuers.refetch(issuer).await;
        step.link(self.issuers.last_fetch(issuer), "fetch");
        match fetched {
            Refetched::Fresh => step.done(),
            Refetched::Recent => {
                step.say("clinch.fetch", "too_recent");
                step.done();
            }
            Refetched::Failed => step.failed("keys_unavailable"),
        }
        fetched
    }
}

/// An entry leaves when its token expires; `now` is checked at every use as well.
struct UntilExp;

impl Expiry<TokenHash, Genuine> for UntilExp {
    fn expire_after_create(&self, _: &TokenHash, genuine: &Genuine, _: Instant) -> Option<Duration> {
        Some(genuine.lifetime)
    }
    fn expire_after_update(
        &self,
        _: &TokenHash,
        genuine: &Genuine,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(genuine.lifetime)
    }
}

const CAPACITY_BYTES: u64 = 128 * 1024 * 1024;
const ENTRY_BYTES: usize = 2048;

#[cfg(test)]
mod tests;
