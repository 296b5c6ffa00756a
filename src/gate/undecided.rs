//! A request while it is judged: what was found so far, and what is recorded of it.
//!
//! A client that goes away in the meantime, while keys, an issuer or a store are waited for, is recorded all the same: else
//! whoever guesses tokens would only have to hang up in time to leave no trace, and to be charged no failure.

use super::Gate;
use crate::pop::access_token::AccessToken;
use crate::pop::because::{Because, Scene};
use crate::pop::credentials::Scheme;
use crate::pop::policy::{ProofKind, Route};
use crate::pop::{Denial, Request, Timestamp};
use crate::state::audit::Position;
use crate::telemetry::{Passed, Record, RequestId, RequestSpan, RevokedBy, TraceId};
use http::header;
use http::request::Parts;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was learnt on the way to a decision.
#[derive(Default)]
pub(super) struct Findings<'g> {
    pub(super) route: Option<&'g Route>,
    pub(super) scheme: Option<Scheme>,
    pub(super) token: Option<Arc<AccessToken>>,
    /// The configured issuer that a token names which was not found to be genuine.
    pub(super) named: Option<Arc<str>>,
    pub(super) proof: Option<ProofKind>,
    pub(super) revocation: Option<&'static str>,
    /// How far the revocation feed had come, at least.
    pub(super) position: Option<Position>,
    pub(super) revoked_by: Option<Arc<RevokedBy>>,
    pub(super) wait: Option<Duration>,
}

/// A request that is not decided yet.
pub(super) struct Undecided<'a, 'g> {
    gate: &'g Gate,
    parts: &'a Parts,
    request: Option<&'a Request<'a>>,
    peer: SocketAddr,
    id: RequestId,
    trace: TraceId,
    started: Instant,
    decided: bool,
    pub(super) found: Findings<'g>,
}

impl<'a, 'g> Undecided<'a, 'g> {
    /// Begins now. `request` where there is one to judge.
    pub(super) fn begin(
        gate: &'g Gate,
        parts: &'a Parts,
        request: Option<&'a Request<'a>>,
        peer: SocketAddr,
        span: &RequestSpan,
    ) -> Undecided<'a, 'g> {
        let (id, trace, started) = (span.request_id(), span.trace_id(), Instant::now());
        Undecided {
            gate,
            parts,
            request,
            peer,
            id,
            trace,
            started,
            decided: false,
            found: Findings::default(),
        }
    }

    /// When its judgement began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// What there is to say of a decision, now.
    pub(super) fn record<'s>(
        &'s self,
        because: Option<&'s Because>,
        verdict: Result<Passed, Denial>,
    ) -> Record<'s> {
        let found = &self.found;
        Record {
            request: self.id,
            generation: self.gate.generation,
            method: self.parts.method.as_str(),
            target: self.request.map(|request| request.target.as_str()),
            host: if self.request.is_none() { named_host(self.parts) } else { None },
            route: found.route.map(|route| &*route.path),
            peer: self.peer,
            scheme: found.scheme.map(Scheme::name),
            proof: found.proof,
            token: found.token.as_ref(),
            revocation: found.revocation,
            revoked_by: found.revoked_by.as_deref(),
            because,
            verdict,
            elapsed: self.started.elapsed(),
        }
    }

    /// It was decided and recorded.
    pub(super) fn decided(&mut self) {
        self.decided = true;
    }
}

/// Not decided, and not because of a panic, which has an answer of its own: the client went away.
impl Drop for Undecided<'_, '_> {
    fn drop(&mut self) {
        if self.decided || std::thread::panicking() {
            return;
        }
        let denial = Denial::Cancelled;
        if self.found.scheme.is_some() && self.found.token.is_none() {
            self.gate.rates.failed(self.peer.ip(), Instant::now());
        }
        let because = Because { rule: denial.rule(), expected: None, found: None };
        let record = self.record(Some(&because), Err(denial));
        // Nothing was granted, so nothing hangs on whether it can be kept.
        let _ = self.gate.audit.decided(&record, self.trace, self.found.position.as_ref());
        self.gate.telemetry.cancelled(self.trace, &record);
    }
}

impl Gate {
    /// What there is to say of a refusal, put together only now that it is one.
    #[cold]
    pub(super) fn because(
        &self,
        denial: Denial,
        request: Option<&Request<'_>>,
        found: &Findings<'_>,
        now: Timestamp,
    ) -> Because {
        let issuers = self.tokens.issuers();
        let scene = Scene {
            request,
            route: found.route,
            token: found.token.as_deref(),
            expected: &|issuer| issuers.expected(issuer),
            issuers: &|| issuers.names().into_iter().map(str::to_owned).collect(),
            dpop: &self.policy.dpop,
            now,
        };
        let because = Because::of(denial, &scene);
        match found.revoked_by.as_ref().filter(|_| denial == Denial::TokenRevoked) {
            Some(event) => Because { found: Some(format!("revoked by the event {}", event.id)), ..because },
            None => because,
        }
    }
}

/// The authority a request names, for the log: nothing is decided by it. What is no host and port is not told, for
/// anything may be in it, a password or a token.
fn named_host(parts: &Parts) -> Option<&str> {
    let in_target = parts.uri.authority().map(|authority| authority.as_str());
    let named = in_target.or_else(|| parts.headers.get(header::HOST)?.to_str().ok())?;
    let named = named.rsplit('@').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    (named.len() <= LONGEST_HOST && named.bytes().all(plain)).then_some(named)
}

/// A name (RFC 1035 section 2.3.4) and a port.
const LONGEST_HOST: usize = 255 + 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str, host: &'static str) -> Option<String> {
        let request = http::Request::builder().uri(uri).header("host", host).body(()).unwrap();
        named_host(&request.into_parts().0).map(str::to_owned)
    }

    /// SBCP-06
    #[test]
    fn of_a_host_nothing_but_name_and_port_is_told() {
        assert_eq!(host("/", "api.example.org:8443").as_deref(), Some("api.example.org:8443"));
        assert_eq!(host("/", "[2001:db8::1]:443").as_deref(), Some("[2001:db8::1]:443"));
        assert_eq!(host("https://alice:hunter2@evil/", "x").as_deref(), Some("evil"));
        for odd in ["h/?access_token=eyJ", "a b", "evil client=bank", "h?x"] {
            assert_eq!(host("/", odd), None, "{odd}");
        }
    }
}
