//! The gate: one decision per request, recorded exactly once.
use crate::pop::credentials::{Credentials, Scheme};
use crate::pop::policy::{Access, Policy, Route};
use crate::pop::{self, Denial, Request, Timestamp};
use crate::state::replay::{Grant, ReplayStore};
use crate::state::revocation::Revocations;
use crate::state::tokens::Tokens;
use std::sync::Arc;

/// Everything a decision needs.
#[derive(Debug)]
pub struct Gate {
    /// The operator's policy.
    pub policy: Policy,
    /// Access tokens.
    pub tokens: Tokens,
    /// The revocation index.
    pub revocations: Arc<Revocations>,
    /// Used proofs.
    pub replay: ReplayStore,
}

/// The decision on one request.
#[derive(Debug)]
pub struct Decision<'g> {
    /// The route, once found.
    pub route: Option<&'g Route>,
    /// The scheme the caller used, once read.
    pub scheme: Option<Scheme>,
    /// The verdict.
    pub verdict: Result<Admission, Denial>,
}

/// Why a request may pass.
#[derive(Debug)]
pub enum Admission {
    /// The caller proved who it is.
    Granted(Grant),
    /// The route is `danger_unprotected`.
    Unprotected,
}

impl Gate {
    /// Decides on a request.
    pub async fn decide(&self, request: &Request<'_>, now: Timestamp) -> Decision<'_> {
        let mut decision = Decision { route: None, scheme: None, verdict: Err(Denial::Internal) };
        decision.verdict = self.judge(request, now, &mut decision.route, &mut decision.scheme).await;
        decision
    }

    async fn judge<'g>(
        &'g self,
        request: &Request<'_>,
        now: Timestamp,
        route_found: &mut Option<&'g Route>,
        scheme: &mut Option<Scheme>,
    ) -> Result<Admission, Denial> {
        let route = self.policy.routes.find(request.method, request.target.path())?;
        *route_found = Some(route);
        let demands = match &route.access {
            Access::Unprotected => return Ok(Admission::Unprotected),
            Access::Protected(demands) => demands,
        };
        let credentials = Credentials::of(request)?;
        *scheme = Some(credentials.scheme);
        let token = self.tokens.establish(credentials.token(), now).await?;
        let verified = pop::verify(request, &credentials, token, demands, &self.policy.dpop, now)?;
        let unrevoked = self.revocations.check(verified, now)?;
        let grant = self.replay.claim(unrevoked, now).await?;
        Ok(Admission::Granted(grant))
    }
}
