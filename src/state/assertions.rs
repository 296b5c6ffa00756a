//! Identity assertions, signed and kept for a while ([`pop::assertion`](crate::pop::assertion) says what is in them).
//!
//! One is made for each token, kind of proof and certificate, and used again for half of its lifetime, at most a
//! minute, so that a signature is rare on the way of a request and what is sent has half of its life before it. Only
//! a [`Grant`](super::replay::Grant) asks for one. A changed key file is a new configuration, and with it come new
//! assertions: none is sent that a key of before has signed.

use crate::config;
use crate::pop::access_token::{AccessToken, TokenHash};
use crate::pop::assertion::{self, Keys, Rules};
use crate::pop::jose::base64url;
use crate::pop::mtls::CertificateThumbprint;
use crate::pop::policy::ProofKind;
use crate::pop::{Denial, Timestamp, Verified};
use aws_lc_rs::rand::SystemRandom;
use http::{HeaderName, HeaderValue};
use moka::sync::Cache;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Makes assertions, and tells by which keys they are checked.
#[derive(Debug)]
pub struct Assertions {
    rules: Rules,
    keys: Arc<Keys>,
    made: Cache<About, Made>,
    period: Duration,
}

/// What an assertion depends on, besides what is checked when it is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct About {
    token: TokenHash,
    kind: ProofKind,
    /// And whether its names are told.
    certificate: Option<(CertificateThumbprint, bool)>,
    standing: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Made {
    text: Arc<HeaderValue>,
    /// The very token: what an issuer says of one can change.
    token: Weak<AccessToken>,
    period: i64,
}

impl Assertions {
    /// With the keys that the configuration has read. `issuer`: the first public origin; `headers`: the operator's
    /// own identity headers.
    pub fn new(config: &config::Assertion, issuer: &str, headers: &[(HeaderName, String)]) -> Assertions {
        let rules = Rules {
            issuer: issuer.to_owned(),
            audience: config.audience.clone(),
            lifetime: config.lifetime,
            headers: headers.to_vec(),
        };
        let period = (config.lifetime / 2).min(LONGEST_PERIOD);
        let made = Cache::builder()
            .max_capacity(CAPACITY_BYTES)
            .weigher(|_, made: &Made| u32::try_from(made.text.len() + ENTRY_BYTES).unwrap_or(u32::MAX))
            .time_to_live(period)
            .build();
        Assertions { rules, keys: Arc::clone(&config.keys), made, period }
    }

    /// The JWK set that is published.
    pub fn document(&self) -> String {
        self.keys.document()
    }

    /// The assertion of a granted request.
    ///
    /// # Errors
    /// [`Denial::Internal`] if it can't be signed: a request without one does not pass where the service counts on it.
    pub(super) fn of(
        &self,
        verified: &Verified,
        standing: Option<&'static str>,
        now: Timestamp,
    ) -> Result<Arc<HeaderValue>, Denial> {
        let about = About {
            token: verified.token().hash(),
            kind: verified.kind(),
            certificate: verified.certificate().map(|shown| (shown.thumbprint, shown.subject.is_empty())),
            standing,
        };
        let period = self.period_of(now);
        let token = Arc::downgrade(verified.token());
        let holds = |made: &Made| made.period == period && made.token.ptr_eq(&token);
        if let Some(made) = self.made.get(&about).filter(holds) {
            return Ok(made.text);
        }
        let text = Arc::new(self.sign(verified, standing, now).ok_or(Denial::Internal)?);
        self.made.insert(about, Made { text: Arc::clone(&text), token, period });
        Ok(text)
    }

    fn sign(
        &self,
        verified: &Verified,
        standing: Option<&'static str>,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let (pair, kid) = self.keys.signer()?;
        let input = assertion::signing_input(verified, standing, &self.rules, kid, now);
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).ok()?;
        let mut text = HeaderValue::try_from(format!("{input}.{}", base64url(signature))).ok()?;
        text.set_sensitive(true);
        Some(text)
    }

    fn period_of(&self, now: Timestamp) -> i64 {
        let millis = i64::try_from(self.period.as_millis()).unwrap_or(i64::MAX).max(1);
        now.as_millis().div_euclid(millis)
    }
}

const LONGEST_PERIOD: Duration = Duration::from_secs(60);
/// Some twenty thousand assertions.
const CAPACITY_BYTES: u64 = 32 * 1024 * 1024;
const ENTRY_BYTES: usize = 400;

#[cfg(test)]
mod tests;
