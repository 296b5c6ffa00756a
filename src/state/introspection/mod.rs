//! Token introspection (RFC 7662): the issuers that are asked whether a token is active.
//!
//! Two cases. A token that is no JWT is nobody's by its looks: every issuer with an endpoint is asked in turn until
//! one knows it. A JWT of an issuer with `when: always` is verified first, and then its issuer is asked too.
//! Whatever is established here goes the way of every other token: possession, revocation and replay are
//! judged after it. What an answer means is decided by [`pop::introspection`](crate::pop::introspection).

mod answers;
mod ask;
mod authority;
mod breaker;
mod flights;
#[cfg(test)]
pub(super) mod scripted;
#[cfg(test)]
mod tests;

pub use authority::Authority;

use super::https::system_roots;
use super::issuers::Issuers;
use crate::config::Issuer;
use crate::pop::access_token::{AccessToken, TokenHash};
use crate::pop::{Denial, Timestamp};
use crate::telemetry::{Metrics, Steps};
use authority::Question;
use flights::Outcome;
use std::sync::Arc;

/// Every issuer that is asked, in the order of the config.
#[derive(Debug, Default)]
pub struct Introspection(Vec<Arc<Authority>>);

impl Introspection {
    /// Those of the config that have an `introspection` section. Fails if TLS can't be set up.
    pub fn new(issuers: &[Issuer], keys: &Arc<Issuers>, metrics: &Metrics) -> anyhow::Result<Introspection> {
        let asked = issuers.iter().filter_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)));
        let mut roots = None;
        let mut authorities = Vec::new();
        for (issuer, config) in asked {
            let roots = roots.get_or_insert_with(system_roots).clone();
            let authority = Authority::new(issuer, config, roots, Arc::clone(keys), metrics.clone())?;
            authorities.push(Arc::new(authority));
        }
        Ok(Introspection(authorities))
    }

    /// From now on these are asked, and no longer those.
    pub fn takes_over(&self, before: &Introspection, metrics: &Metrics) {
        let among = |all: &[Arc<Authority>], name: &str| all.iter().any(|one| one.name() == name);
        let gone = before.0.iter().filter(|one| !among(&self.0, one.name()));
        gone.for_each(|one| metrics.introspections.forgotten(&one.name));
        let new = self.0.iter().filter(|one| !before.0.iter().any(|other| Arc::ptr_eq(one, other)));
        new.for_each(|one| metrics.introspections.breaker(&one.name, false));
    }

    /// Whom to ask about a JWT of this issuer, even after it was verified.
    pub fn confirms(&self, issuer: &str) -> Option<&Arc<Authority>> {
        self.of(issuer).filter(|authority| authority.always)
    }

    /// Whom to ask about a token of this issuer, if anybody can be asked.
    pub fn of(&self, issuer: &str) -> Option<&Arc<Authority>> {
        self.0.iter().find(|authority| authority.name() == issuer)
    }

    /// A token that is no JWT, by whoever knows it: `TokenMalformed` where nobody is asked, `TokenInactive` if
    /// nobody knows it, `IntrospectionUnavailable` if somebody could not be asked, and so may know it. (TK-025)
    /// `trusted`: whether the caller may have somebody asked.
    pub async fn establish(
        &self,
        token: &str,
        hash: TokenHash,
        trusted: Result<(), Denial>,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Result<Arc<AccessToken>, Denial> {
        // Whoever knew it a moment ago knows it still: nobody before it in the list is asked again.
        if let Some(good) = self.0.iter().find_map(|authority| authority.answers.good(&hash, now)) {
            return good;
        }
        trusted?;
        let mut denial = Denial::TokenMalformed;
        for authority in &self.0 {
            let question = Question { token, hash, verified: None, now, steps };
            denial = match (authority.outcome(question).await, denial) {
                (Err(Denial::TokenInactive), Denial::IntrospectionUnavailable) => denial,
                (Err(denial @ (Denial::TokenInactive | Denial::IntrospectionUnavailable)), _) => denial,
                (settled, _) => return settled,
            };
        }
        Err(denial)
    }
}

impl Authority {
    /// A JWT that we verified, if its issuer says the same of it.
    pub async fn confirm(
        self: &Arc<Self>,
        token: &str,
        verified: Arc<AccessToken>,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Outcome {
        let hash = verified.hash();
        self.outcome(Question { token, hash, verified: Some(verified), now, steps }).await
    }
}
