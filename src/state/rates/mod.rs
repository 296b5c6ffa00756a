//! How much one client may ask for: requests of a key, and failures of an address.
//!
//! Two meters (`meter`), in 4 MiB whatever happens. They outlive a configuration: what a key has taken stands in them as
//! time, not as a count, so another rate goes on from there.

mod meter;

use crate::config::Rate;
use crate::pop::denial::OAuthError;
use crate::pop::{Denial, Verified};
use anyhow::Context;
use aws_lc_rs::rand;
use meter::{Key, Meter};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The rates of a configuration, and what was taken of them.
#[derive(Clone, Debug)]
pub struct Rates {
    requests_per_key: Option<Rate>,
    failures_per_peer: Option<Rate>,
    meters: Meters,
}

/// What was taken, for as long as the process lives.
#[derive(Clone, Debug)]
struct Meters {
    requests: Arc<Meter>,
    failures: Arc<Meter>,
}

/// A request is one too many: why, and when one more would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Why.
    pub denial: Denial,
    /// The time until one more would pass.
    pub wait: Duration,
}

impl Meters {
    /// Nothing taken.
    ///
    /// # Errors
    /// No randomness.
    fn new() -> anyhow::Result<Meters> {
        let meter = || {
            let mut secret = [0; 16];
            rand::fill(&mut secret).ok().context("no randomness")?;
            anyhow::Ok(Arc::new(Meter::new(secret, Instant::now())))
        };
        Ok(Meters { requests: meter()?, failures: meter()? })
    }

    fn requests_of(&self, verified: &Verified) -> Key {
        self.requests.key(&whose(verified).map(str::as_bytes))
    }
}

impl Rates {
    /// These rates; `None` sets no limit.
    ///
    /// # Errors
    /// No randomness.
    pub fn new(requests_per_key: Option<Rate>, failures_per_peer: Option<Rate>) -> anyhow::Result<Rates> {
        Ok(Rates { requests_per_key, failures_per_peer, meters: Meters::new()? })
    }

    /// Whether the client's key may have one more request admitted: that of the proof, else that of the certificate, else
    /// who the token says is calling (DS-012). Requests that ask at the same moment may all be told so.
    ///
    /// # Errors
    /// [`Denial::RateLimited`].
    pub fn admits(&self, verified: &Verified, now: Instant) -> Result<(), Excess> {
        let Some(rate) = self.requests_per_key else { return Ok(()) };
        let asked = self.meters.requests.ask(self.meters.requests_of(verified), rate, now);
        asked.map_err(|wait| Excess { denial: Denial::RateLimited, wait })
    }

    /// Counts a request that was admitted. Whoever got this far has shown that the key is theirs, by a proof that nobody
    /// has shown before, so nobody else's rate is used up.
    pub fn admitted(&self, verified: &Verified, now: Instant) {
        if let Some(rate) = self.requests_per_key {
            let _ = self.meters.requests.take(self.meters.requests_of(verified), rate, now);
        }
    }

    /// The rates of the next configuration. What was taken of one that has changed is forgotten, because it was counted
    /// in the time that the old one asks for.
    ///
    /// # Errors
    /// No randomness.
    pub fn changed_to(
        &self,
        requests_per_key: Option<Rate>,
        failures_per_peer: Option<Rate>,
    ) -> anyhow::Result<Rates> {
        let mut meters = self.meters.clone();
        let new = Meters::new()?;
        if requests_per_key != self.requests_per_key {
            meters.requests = new.requests;
        }
        if failures_per_peer != self.failures_per_peer {
            meters.failures = new.failures;
        }
        Ok(Rates { requests_per_key, failures_per_peer, meters })
    }

    /// Whether an address has failed too often for us to look at a token from it that we do not know.
    ///
    /// # Errors
    /// [`Denial::TooManyFailures`].
    pub fn trusts(&self, peer: IpAddr, now: Instant) -> Result<(), Excess> {
        let Some(rate) = self.failures_per_peer else { return Ok(()) };
        let meter = &self.meters.failures;
        let asked = meter.ask(meter.key(&[&network(peer)]), rate, now);
        asked.map_err(|wait| Excess { denial: Denial::TooManyFailures, wait })
    }

    /// Counts a [failure](is_failure) against an address. What is over the rate already gets no further over it.
    pub fn failed(&self, peer: IpAddr, now: Instant) {
        if let Some(rate) = self.failures_per_peer {
            let meter = &self.meters.failures;
            let _ = meter.take(meter.key(&[&network(peer)]), rate, now);
        }
    }
}

/// Whether a refusal means that the caller has not shown who it is. Not so where the token is genuine and its holder is
/// there, but it was revoked or will not do for the route; nor where nothing came that would have to be looked
/// at, or nothing but a nonce is missing.
pub fn is_failure(denial: Denial) -> bool {
    match denial.error() {
        OAuthError::InvalidToken | OAuthError::InvalidDpopProof => {
            ![Denial::TokenRevoked, Denial::IssuerRefused, Denial::ProofKindRefused].contains(&denial)
        }
        OAuthError::None
        | OAuthError::InvalidRequest
        | OAuthError::InsufficientScope
        | OAuthError::UseDpopNonce
        | OAuthError::InsufficientUserAuthentication => false,
    }
}

/// Whose a request is: the key's of the proof, else the certificate's that the token is bound to, else who the token says
/// is calling.
pub(super) fn whose(verified: &Verified) -> [&str; 3] {
    let token = verified.token();
    match (verified.proof(), &token.confirmation().x5t) {
        (Some(proof), _) => ["jkt", proof.key().as_str(), ""],
        (None, Some(x5t)) => ["x5t", x5t.as_str(), ""],
        (None, None) => [token.issuer(), token.client(), token.subject()],
    }
}

/// Those who are one to us: an IPv4 address, or the /64 of an IPv6 address, within which a host has as many addresses
/// as it likes (RFC 4291 section 2.5.1, RFC 8981).
pub fn network(peer: IpAddr) -> Network {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (u128::from(address) & (u128::MAX << 64)).to_be_bytes(),
    }
}

/// What [`network`] tells apart.
pub type Network = [u8; 16];

#[cfg(test)]
mod tests;
