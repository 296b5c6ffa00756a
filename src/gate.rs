//! The gate: one decision per request, recorded exactly once.
//!
//! Find the route, read the credentials, establish the token, verify possession, check for
//! revocation and that the client does not ask for too much, and last, because it is the write that counts, remember
//! the proof. Two kinds of request carry nothing
//! to verify: those for our own metadata, and CORS preflights where the route lets them pass.

#[cfg(feature = "panic-drill")]
pub(crate) mod drill;
mod observing;
mod undecided;

use crate::pop::credentials::{Credentials, Scheme};
use crate::pop::policy::{Access, Policy, Route};
use crate::pop::{self, Denial, Request, Timestamp, preflight};
use crate::state::assertions::Assertions;
use crate::state::audit::{Audit, Unwritten};
use crate::state::nonces::Nonces;
use crate::state::rates::{self, Rates};
use crate::state::replay::{Grant, ReplayStore};
use crate::state::revocation::{Observed, OpenRequest, Revocations};
use crate::state::shares::Share;
use crate::state::tokens::Tokens;
use crate::telemetry::{self, Part, Passed, RequestSpan, Steps, Telemetry};
use http::request::Parts;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use undecided::{Findings, Undecided};

/// Everything a decision needs.
#[derive(Debug)]
pub struct Gate {
    /// Which configuration this is, counted from 1.
    pub generation: u64,
    /// The operator's policy.
    pub policy: Policy,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// The revocation index.
    pub revocations: Arc<Revocations>,
    /// Nonces.
    pub nonces: Arc<Nonces>,
    /// How much one client may ask for.
    pub rates: Rates,
    /// How many requests one client may have in flight.
    pub in_flight_per_key: usize,
    /// Used proofs.
    pub replay: Arc<ReplayStore>,
    /// Identity assertions, where the service gets them.
    pub assertions: Option<Assertions>,
    /// Where decisions are kept.
    pub audit: Audit,
    /// Where decisions are recorded.
    pub telemetry: Arc<Telemetry>,
}

/// The decision on one request.
#[derive(Debug)]
pub struct Decision<'g> {
    /// The route, once found.
    pub route: Option<&'g Route>,
    /// The scheme the caller used, once read.
    pub scheme: Option<Scheme>,
    /// The verdict.
    pub verdict: Result<Verdict, Denial>,
    /// When a request would pass that was one too many.
    pub wait: Option<Duration>,
}

/// What is done with a request that is not refused.
#[derive(Debug)]
pub enum Verdict {
    /// It goes to the service.
    Admit(Admission),
    /// It asked for this document of ours: protected resource metadata (RFC 9728).
    Publish(String),
}

/// Why a request may pass.
#[derive(Debug)]
pub enum Admission {
    /// The caller proved who it is.
    Granted(Grant),
    /// The route is `danger_unprotected`.
    Unprotected,
    /// The operator only observes (`mode: observe`): the caller did not prove who it is, and would be refused.
    Observed(Observed),
    /// A CORS preflight, which carries nothing that could be verified, to a route that has `cors_preflight`.
    Preflight,
}

impl Gate {
    /// Decides on a request, or records why there is none to decide on. `refused`: that it is refused whatever it asks
    /// for. `share`: its place among those in flight.
    pub async fn decide(
        &self,
        parts: &Parts,
        request: Result<Request<'_>, Denial>,
        refused: Option<Denial>,
        (peer, share): (SocketAddr, &Share),
        span: &mut RequestSpan,
        clock: impl Fn() -> Timestamp,
    ) -> Decision<'_> {
        let mut undecided = Undecided::begin(self, parts, request.as_ref().ok(), peer, span);
        let found = &mut undecided.found;
        let verdict = match (&request, refused) {
            (_, Some(denial)) => Err(denial),
            (Ok(request), None) => match self.published(request) {
                Some(document) => document.map(Verdict::Publish),
                None => {
                    let admission =
                        self.judge(request, (peer.ip(), share), &clock, found, span.steps()).await;
                    admission.and_then(|admission| self.has_room(admission, share)).map(Verdict::Admit)
                }
            },
            (Err(denial), None) => Err(*denial),
        };
        if verdict.as_ref().is_err_and(|denial| rates::is_failure(*denial)) {
            self.rates.failed(peer.ip(), Instant::now());
        }
        let asked = request.as_ref().ok();
        let because = |denial| self.because(denial, asked, &undecided.found, clock());
        let passed =
            |verdict: &Result<Verdict, Denial>| verdict.as_ref().map(Verdict::passed).map_err(|d| *d);
        let why = telemetry::denial(passed(&verdict)).map(because);
        let mut record = undecided.record(why.as_ref(), passed(&verdict));
        let position = undecided.found.position.as_ref();
        let kept = match self.audit.decided(&record, span.trace_id(), position) {
            Ok(None) => Ok(()),
            // On the heap: few configurations wait, and every request's future would be larger for it.
            Ok(Some(waiting)) => {
                let since = Instant::now();
                let kept = Box::pin(waiting.on_disk()).await;
                self.telemetry.metrics.timing.took(Part::Audit, since.elapsed());
                // Whoever asked waited for that, too.
                record.elapsed = undecided.started().elapsed();
                kept
            }
            Err(unwritten) => Err(unwritten),
        };
        // What is refused stays refused, whether it can be kept or not.
        let unkept = kept.is_err().then(|| because(Denial::AuditUnavailable));
        let verdict = match kept {
            Ok(()) => verdict,
            Err(Unwritten) => verdict.and(Err(Denial::AuditUnavailable)),
        };
        if unkept.is_some() {
            record = undecided.record(unkept.as_ref(), passed(&verdict));
            // A refusal is never unwritten.
            let _ = self.audit.decided(&record, span.trace_id(), position);
        }
        self.telemetry.decided(span, &record);
        self.telemetry.noticed(span, &record, undecided.found.named.as_deref(), undecided.started());
        undecided.decided();
        let found = &undecided.found;
        Decision { route: found.route, scheme: found.scheme, verdict, wait: found.wait }
    }

    /// The metadata that a request asks for: public, and the same for everyone.
    fn published(&self, request: &Request<'_>) -> Option<Result<String, Denial>> {
        self.policy.metadata.as_ref()?.answer(request, &self.policy.routes)
    }

    /// The route that lets a preflight pass: that of the method which is asked about.
    fn route_of_preflight(&self, request: &Request<'_>) -> Option<&Route> {
        let method = preflight::asked_about(request)?;
        let route = self.policy.routes.find(&method, request.target.path()).ok()?;
        matches!(&route.access, Access::Protected(demands) if demands.cors_preflight).then_some(route)
    }

    /// Whoever proved nothing shares the places of its network (DS-010).
    fn has_room(&self, admission: Admission, share: &Share) -> Result<Admission, Denial> {
        match &admission {
            Admission::Granted(_) => {}
            Admission::Unprotected | Admission::Observed(_) | Admission::Preflight => {
                share.unproved(self.in_flight_per_key)?;
            }
        }
        Ok(admission)
    }

    async fn judge<'g>(
        &'g self,
        request: &Request<'_>,
        (peer, share): (IpAddr, &Share),
        clock: impl Fn() -> Timestamp,
        found: &mut Findings<'g>,
        steps: Steps<'_>,
    ) -> Result<Admission, Denial> {
        #[cfg(feature = "panic-drill")]
        drill::panic_at("check", request.headers);
        if let Some(route) = self.route_of_preflight(request) {
            found.route = Some(route);
            return Ok(Admission::Preflight);
        }
        let route = self.policy.routes.find(request.method_for_service(), request.target.path())?;
        found.route = Some(route);
        let demands = match &route.access {
            Access::Unprotected => return Ok(Admission::Unprotected),
            Access::Protected(demands) => demands,
        };
        let credentials = Credentials::of(request)?;
        found.scheme = Some(credentials.scheme);
        let belief = self.revocations.belief();
        found.position = self.revocations.position();
        let trusts = || self.rates.trusts(peer, Instant::now());
        let text = credentials.token();
        let mut stopwatch = self.telemetry.metrics.timing.begin();
        let token = self.tokens.establish(
            text,
            belief.asks_issuer(),
            || {
                trusts()
                    .map_err(|excess| excess.denial)
                    .and_then(|()| share.undecided(self.in_flight_per_key))
            },
            clock(),
            steps,
        );
        let token = stopwatch.took(Part::Token, token.await).inspect_err(|denial| {
            if *denial == Denial::TooManyFailures {
                found.wait = trusts().err().map(|excess| excess.wait);
            } else {
                found.named = self.tokens.issuer_named_by(text);
            }
        })?;
        // Keys may have had to be fetched: nothing after that is judged by a time that has passed.
        let now = clock();
        found.token = Some(Arc::clone(&token));
        let (dpop, nonces) = (&self.policy.dpop, self.nonces.current());
        let verified = pop::verify(request, &credentials, token, demands, dpop, &nonces, now);
        drop(nonces);
        let verified = match stopwatch.took(Part::Proof, verified) {
            Ok(verified) => verified,
            Err(want) => return self.observe(want, (request, demands), &belief, now, found),
        };
        found.proof = Some(verified.kind());
        let unrevoked = stopwatch.took(Part::Revocation, self.revocations.check(verified, &belief));
        let unrevoked = unrevoked.inspect_err(|denial| self.find_cause(*denial, found))?;
        found.revocation = unrevoked.standing().mark();
        share.admits(unrevoked.verified(), self.in_flight_per_key)?;
        self.rates.admits(unrevoked.verified(), Instant::now()).map_err(|excess| {
            found.wait = Some(excess.wait);
            excess.denial
        })?;
        stopwatch.skip();
        let grant = match stopwatch.took(Part::Replay, self.replay.claim(unrevoked, now, steps).await) {
            Ok(grant) => grant,
            Err(want) => return self.observe(want, (request, demands), &belief, now, found),
        };
        // Only now: a stolen proof that is shown again must not use up what its holder may ask for, or have under way.
        share.proved(grant.verified(), self.in_flight_per_key)?;
        self.rates.admitted(grant.verified(), Instant::now());
        let told = match &self.assertions {
            Some(assertions) => stopwatch.took(Part::Assertion, grant.asserted(assertions, now))?,
            None => grant,
        };
        #[cfg(feature = "panic-drill")]
        drill::panic_at("grant", request.headers);
        Ok(Admission::Granted(told))
    }
}

impl Admission {
    /// The request as one that may be ended while it is open; none where no token lets it in.
    pub fn into_open(self) -> Option<OpenRequest> {
        match self {
            Admission::Granted(grant) => Some(grant.into_open()),
            Admission::Observed(observed) => Some(observed.into_open()),
            Admission::Unprotected | Admission::Preflight => None,
        }
    }
}

impl Verdict {
    fn passed(&self) -> Passed {
        match self {
            Verdict::Admit(Admission::Granted(_) | Admission::Unprotected) => Passed::Request,
            Verdict::Admit(Admission::Observed(observed)) => Passed::Observed(observed.unproved().want()),
            Verdict::Admit(Admission::Preflight) => Passed::Preflight,
            Verdict::Publish(_) => Passed::Metadata,
        }
    }
}
