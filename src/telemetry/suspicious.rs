//! `clinch_suspicious_total{kind}`: use that a thief, or a client at fault, would leave behind. Nothing is decided by it.
//!
//! * `many_tokens`: one proof key with [`MANY_TOKENS`] tokens in ten minutes. A gateway that keeps one key for all
//!   its users does that, too.
//! * `many_addresses`: one token from [`MANY_ADDRESSES`] networks (IPv6: /64) in ten minutes.
//! * `replay`: a proof that was used before; each of them.
//! * `failures`: one client with [`MANY_FAILURES`] refusals in a minute; one address, where no genuine token says
//!   which client it is.
//!
//! The first two see only genuine tokens, so nobody fills their tables without having some. Who it is goes to the log,
//! hashed, in at most one line in [`SILENCE`] for each kind; the request's own line has the rest.

mod sketch;

use super::Record;
use crate::pop::denial::OAuthError;
use crate::pop::{Denial, sha256};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use sketch::Sketch;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What is watched; clones watch together.
#[derive(Clone, Debug)]
pub(super) struct Suspicious(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    counters: [Counter; KINDS.len()],
    /// By kind and by whom: when it was last spoken of, in milliseconds, and how often it was not since.
    said: Box<[(AtomicU64, AtomicU64)]>,
    tokens: Sketch,
    addresses: Sketch,
    failures: Sketch,
    random: RandomState,
    began: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ManyTokens,
    ManyAddresses,
    Replay,
    Failures,
}

impl Suspicious {
    /// All at zero, and what the registry renders.
    pub(super) fn new() -> (Suspicious, Family<super::metrics::Label, Counter>) {
        let family: Family<super::metrics::Label, Counter> = Family::default();
        let counters = KINDS.map(|kind| family.get_or_create_owned(&[("kind", kind)]));
        let watched = Watched {
            counters,
            said: (0..PLACES).map(|_| Default::default()).collect(),
            tokens: Sketch::of_different(MANY_TOKENS),
            addresses: Sketch::of_different(MANY_ADDRESSES),
            failures: Sketch::of_times(MANY_FAILURES),
            random: RandomState::new(),
            began: Instant::now(),
        };
        (Suspicious(Arc::new(watched)), family)
    }

    /// A request was decided at this time.
    pub(super) fn decided(&self, record: &Record<'_>, trace_id: &str, at: Instant) {
        let watched = &*self.0;
        let age = at.saturating_duration_since(watched.began);
        let report = |kind, who: &dyn Fn() -> String| watched.report(kind, who, record, trace_id, age);
        if let Some(token) = record.token {
            let window = age.as_secs() / WINDOW.as_secs();
            let name = token.hash().short();
            if watched.addresses.seen_with(name, watched.random.hash_one(network(record.peer.ip())), window) {
                report(Kind::ManyAddresses, &|| token.token_id().to_owned());
            }
            let key = record.proof.and_then(|_| token.confirmation().thumbprint());
            if let Some(key) = key
                && watched.tokens.seen_with(short(key), name, window)
            {
                report(Kind::ManyTokens, &|| key.to_owned());
            }
        }
        let Some(denial) = record.denial() else { return };
        if denial == Denial::ProofReplayed {
            report(Kind::Replay, &|| record.client().unwrap_or_default().to_owned());
        }
        if is_failure(denial) && watched.failures.seen(watched.caller(record), age.as_secs() / MINUTE) {
            report(Kind::Failures, &|| {
                record.client().map_or_else(|| record.peer.ip().to_string(), str::to_owned)
            });
        }
    }
}

impl Watched {
    /// Who is refused: the client of a genuine token, else the address.
    fn caller(&self, record: &Record<'_>) -> u64 {
        match record.token {
            Some(token) => self.random.hash_one((token.issuer(), token.client())),
            None => self.random.hash_one(network(record.peer.ip())),
        }
    }

    #[cold]
    fn report(
        &self,
        kind: Kind,
        who: &dyn Fn() -> String,
        record: &Record<'_>,
        trace_id: &str,
        age: Duration,
    ) {
        self.counters[kind as usize].inc();
        let who = who();
        // Somebody who makes much noise takes nobody else's word.
        let place = self.random.hash_one((kind as usize, &who)) % PLACES as u64;
        let (last, unsaid) = &self.said[usize::try_from(place).unwrap_or_default()];
        let now = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).saturating_add(SILENCE_MILLIS);
        let before = last.load(Relaxed);
        let due = now.saturating_sub(before) >= SILENCE_MILLIS;
        if !due || last.compare_exchange(before, now, Relaxed, Relaxed).is_err() {
            unsaid.fetch_add(1, Relaxed);
            return;
        }
        let (kind, who, more) = (KINDS[kind as usize], hashed(&who), unsaid.swap(0, Relaxed));
        let request = record.request;
        let (request, route, issuer) = (request.as_str(), record.route, record.issuer());
        tracing::warn!(kind, who, more, route, issuer, request, trace_id, "suspicious use");
    }
}

/// 48 bits of a hash, from its first characters.
fn short(thumbprint: &str) -> u64 {
    thumbprint.bytes().take(8).fold(0, |bits, byte| bits << 8 | u64::from(byte)).swap_bytes()
}

/// The first half of the SHA-256, in hex.
fn hashed(who: &str) -> String {
    let mut text = [0; 32];
    super::trace_context::write_hex(&sha256::of(who.as_bytes())[..16], &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// An IPv4 address, or the /64 of an IPv6 address, within which a host has as many as it likes (RFC 8981).
pub(super) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & (u128::MAX << 64),
    }
}

/// Refusals of credentials. Not a nonce that is asked for, nor a stronger login, which are how things go, nor
/// what is our fault.
fn is_failure(denial: Denial) -> bool {
    match denial.error() {
        OAuthError::InvalidRequest
        | OAuthError::InvalidToken
        | OAuthError::InsufficientScope
        | OAuthError::InvalidDpopProof => true,
        OAuthError::None | OAuthError::UseDpopNonce | OAuthError::InsufficientUserAuthentication => false,
    }
}

/// In the order of [`Kind`].
const KINDS: [&str; 4] = ["many_tokens", "many_addresses", "replay", "failures"];
const MANY_TOKENS: u64 = 32;
const MANY_ADDRESSES: u64 = 8;
const MANY_FAILURES: u64 = 50;
/// What is seen in it is seen together.
const WINDOW: Duration = Duration::from_secs(600);
const MINUTE: u64 = 60;
/// Whose lines are told apart.
const PLACES: usize = 64;
/// Between two lines of a kind about somebody.
const SILENCE: Duration = Duration::from_secs(10);
const SILENCE_MILLIS: u64 = SILENCE.as_millis() as u64;

#[cfg(test)]
mod tests;
