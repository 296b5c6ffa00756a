//! Nonces of ours (RFC 9449 sections 8 and 9): what they say, and which are still good.
//!
//! A nonce is the moment it was issued and the process that issued it, sealed. Nothing is stored: whoever has
//! the secret can open it, so replicas that share one accept each other's nonces, and a process with a secret
//! of its own accepts nobody else's, which binds a proof to that one replica. The seal is AES-256-GCM-SIV
//! (RFC 8452), safe without randomness: within a millisecond everybody gets the same nonce, and nobody can
//! foresee it (DPOP-34). All 43 characters are base64url, which section 8.1 allows (DPOP-36).
//! Not decided here: whether a proof was used before.

use super::jose::{base64url, base64url_decode};
use super::{Denial, Timestamp};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce as Iv, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::fmt;
use std::time::Duration;

/// The process that issued a nonce: drawn at its start.
pub type Life = [u8; 8];

/// The keys that seal and open nonces, made of the operator's secrets.
pub struct Keys(Vec<LessSafeKey>);

/// The rules for nonces, and the keys.
#[derive(Debug)]
pub struct Nonces {
    /// Whether every proof must carry one.
    pub required: bool,
    /// How long one is accepted.
    pub lifetime: Duration,
    /// This process.
    pub life: Life,
    /// The first key seals; all of them open, so that keys can be exchanged without a gap.
    pub keys: Keys,
}

/// A nonce of ours that came back with a proof, still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whether this process issued it; else another replica did.
    pub ours: bool,
    /// Whether a key sealed it that seals no more.
    retiring: bool,
}

impl Keys {
    /// Reads the operator's secret file: one secret a line, at least 32 bytes each, the one in use first.
    ///
    /// # Errors
    /// What is wrong with it, in words that show nothing of it.
    pub fn read(file: &str) -> Result<Keys, &'static str> {
        let secrets: Vec<&str> = file.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if secrets.is_empty() {
            return Err("there is no secret in this file");
        }
        if secrets.len() > MAX_SECRETS {
            return Err("there are more than four secrets in this file");
        }
        if secrets.iter().any(|secret| secret.len() < MIN_SECRET_BYTES) {
            return Err("a secret in this file is shorter than 32 bytes");
        }
        if (1..secrets.len()).any(|at| secrets[..at].contains(&secrets[at])) {
            return Err("a secret is in this file twice");
        }
        secrets.iter().map(|secret| key(secret.as_bytes())).collect::<Option<_>>().map(Keys).ok_or(NO_KEY)
    }

    /// The key of one secret that nobody else has.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn of_this_process(secret: &[u8; 32]) -> Result<Keys, &'static str> {
        key(secret).map(|key| Keys(vec![key])).ok_or(NO_KEY)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Nonces {
    /// None are demanded, and none can be issued.
    pub fn off() -> Nonces {
        Nonces { required: false, lifetime: Duration::ZERO, life: [0; 8], keys: Keys(Vec::new()) }
    }

    /// A nonce of this moment; `None` if it can't be sealed.
    pub fn issue(&self, now: Timestamp) -> Option<String> {
        let mut text = Vec::with_capacity(SEALED_BYTES);
        text.extend(now.as_millis().to_be_bytes());
        text.extend(self.life);
        let key = self.keys.0.first()?;
        key.seal_in_place_append_tag(iv(), Aad::from(CONTEXT), &mut text).ok()?;
        Some(base64url(text))
    }

    /// Check 10 of RFC 9449 section 4.3: the nonce is one of ours and recent, compared exactly (DPOP-13, DPOP-40).
    /// Once nonces are in use, a proof without one is refused (DPOP-44). Where they are not, a nonce of ours
    /// still proves that the proof is no older than it, and any other is somebody else's business.
    pub fn check(&self, nonce: Option<&str>, now: Timestamp) -> Result<Option<Nonce>, Denial> {
        let judged = nonce.ok_or(Denial::NonceMissing).and_then(|text| self.judge(text, now));
        if self.required { judged.map(Some) } else { Ok(judged.ok()) }
    }

    /// The next nonce, for an answer to a proof with this one: when half its life is over, or its key's. The
    /// old one stays good (DPOP-37).
    pub fn renewal(&self, nonce: &Nonce, now: Timestamp) -> Option<String> {
        let due = nonce.retiring || now.since(nonce.issued_at) > self.lifetime / 2;
        if self.required && due { self.issue(now) } else { None }
    }

    fn judge(&self, text: &str, now: Timestamp) -> Result<Nonce, Denial> {
        let nonce = self.open(text).ok_or(Denial::NonceUnknown)?;
        let timely = now.since(nonce.issued_at) <= self.lifetime && nonce.issued_at.since(now) <= CLOCK_SKEW;
        if timely { Ok(nonce) } else { Err(Denial::NonceExpired) }
    }

    fn open(&self, text: &str) -> Option<Nonce> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let sealed = base64url_decode(text)?;
        self.keys.0.iter().enumerate().find_map(|(at, key)| {
            let mut sealed = sealed.clone();
            let opened = key.open_in_place(iv(), Aad::from(CONTEXT), &mut sealed).ok()?;
            let (millis, life) = opened.split_first_chunk::<8>()?;
            Some(Nonce {
                issued_at: Timestamp::from_millis(i64::from_be_bytes(*millis)),
                ours: *life == self.life,
                retiring: at > 0,
            })
        })
    }
}

/// HKDF (RFC 5869), because operators write secrets of any form.
fn key(secret: &[u8]) -> Option<LessSafeKey> {
    let mut bytes = [0; 32];
    let secret = Salt::new(HKDF_SHA256, CONTEXT).extract(secret);
    secret.expand(&[b"key"], HKDF_SHA256).and_then(|key| key.fill(&mut bytes)).ok()?;
    UnboundKey::new(&AES_256_GCM_SIV, &bytes).ok().map(LessSafeKey::new)
}

/// Always the same: see above.
fn iv() -> Iv {
    Iv::assume_unique_for_key([0; 12])
}

const CONTEXT: &[u8] = b"clinch dpop nonce 1";
/// Moment, process, tag.
const SEALED_BYTES: usize = 8 + 8 + 16;
/// The same in base64url.
const TEXT_BYTES: usize = 43;
/// How far the clock of another replica may be ahead.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// A new one, the one in use, and room for a mistake.
const MAX_SECRETS: usize = 4;
const MIN_SECRET_BYTES: usize = 32;
const NO_KEY: &str = "no key can be made of a secret in this file";

#[cfg(test)]
mod tests;
