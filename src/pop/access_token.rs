//! The access token, once it is known to be genuine: a JWT after RFC 9068 that we verified, or any token that
//! its issuer vouched for ([`introspection`](super::introspection)).
//!
//! Who the caller is to the service is decided later, by [`confirmation`] and proof: a genuine token
//! alone admits nobody. Whether it was revoked is not decided here.
//!
//! [`confirmation`]: super::confirmation

pub(super) mod claims;
mod jwt;

pub use jwt::{Unverified, check_signature};

use super::algorithm::Algorithm;
use super::confirmation::Confirmation;
use super::dpop::key::KnownKey;
use super::jose::{Object, base64url};
use super::sha256;
use super::{Denial, Timestamp, identity};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// SHA-256 of an access token exactly as received: the name it has in the cache, and the `ath` of
/// its proofs (RFC 9449 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a token.
    pub fn of(token: &str) -> TokenHash {
        TokenHash(sha256::of(token.as_bytes()))
    }

    /// In base64url: the name of a token that has no `jti`.
    pub(super) fn to_text(self) -> String {
        base64url(self.0)
    }

    /// The first 64 bits: enough for statistics, and no other's to choose.
    pub fn short(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|at| self.0[at]))
    }

    /// The `ath` text is base64url of the hash; other spellings are other texts (DPOP-17).
    pub fn is_ath(&self, ath: &str) -> bool {
        sha256::text(&self.0) == *ath.as_bytes()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// What is expected of an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `iss`, compared code point by code point.
    pub issuer: Arc<str>,
    /// `aud` must contain one of these.
    pub audiences: Vec<String>,
    /// The allow-list of algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ` values in lower case, without `application/`.
    pub token_types: Vec<String>,
    /// The longest `exp - iat`.
    pub max_lifetime: Duration,
}

/// A genuine access token: verified by [`Unverified::verify`], or told of by its issuer
/// ([`introspection`](super::introspection)).
pub struct AccessToken {
    hash: TokenHash,
    expected: Arc<Expected>,
    subject: String,
    client: String,
    token_id: String,
    signing_key: Option<String>,
    scope: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    confirmation: Confirmation,
    claims: Object<'static>,
    headers: identity::TokenHeaders,
    proof_key: OnceLock<Box<KnownKey>>,
    weight: usize,
}

/// What a token says, checked.
pub(super) struct Said<'a> {
    pub(super) subject: &'a str,
    pub(super) client: &'a str,
    pub(super) token_id: &'a str,
    pub(super) signing_key: Option<&'a str>,
    pub(super) scope: &'a str,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) confirmation: Confirmation,
}

impl AccessToken {
    /// Of what was checked, here or by [`introspection`](super::introspection).
    pub(super) fn of(
        hash: TokenHash,
        expected: &Arc<Expected>,
        said: Said<'_>,
        claims: Object<'static>,
    ) -> AccessToken {
        let headers = identity::TokenHeaders::of(&expected.issuer, &said);
        let Said { subject, client, token_id, signing_key, scope, issued_at, expires_at, confirmation } =
            said;
        // Twice: most of them are in the headers for the service, too.
        let texts = 2 * (subject.len() + client.len() + token_id.len() + scope.len());
        let weight = size_of::<AccessToken>() + size_of::<KnownKey>() + texts + claims.weight();
        AccessToken {
            weight,
            hash,
            expected: Arc::clone(expected),
            headers,
            proof_key: OnceLock::new(),
            subject: subject.to_owned(),
            client: client.to_owned(),
            token_id: token_id.to_owned(),
            signing_key: signing_key.map(str::to_owned),
            scope: scope.to_owned(),
            issued_at,
            expires_at,
            confirmation,
            claims,
        }
    }

    /// The same token, of which it is known now which of the issuer's keys signed it.
    pub(super) fn signed_with(self, key: String) -> AccessToken {
        AccessToken { signing_key: Some(key), ..self }
    }

    /// The same token with less scope or less time.
    pub(super) fn restricted(&self, scope: &str, expires_at: Timestamp) -> AccessToken {
        let said = Said {
            subject: &self.subject,
            client: &self.client,
            token_id: &self.token_id,
            signing_key: self.signing_key.as_deref(),
            scope,
            issued_at: self.issued_at,
            expires_at,
            confirmation: self.confirmation,
        };
        AccessToken::of(self.hash, &self.expected, said, self.claims.clone())
    }

    /// About how many bytes of memory it takes: for whoever keeps many.
    pub fn weight(&self) -> usize {
        self.weight
    }
    /// The hash of its text.
    pub fn hash(&self) -> TokenHash {
        self.hash
    }
    /// What was expected of it when it was verified.
    pub fn expected(&self) -> &Arc<Expected> {
        &self.expected
    }
    /// `iss`
    pub fn issuer(&self) -> &str {
        &self.expected.issuer
    }
    /// `sub`
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// `client_id`
    pub fn client(&self) -> &str {
        &self.client
    }
    /// `jti`
    pub fn token_id(&self) -> &str {
        &self.token_id
    }
    /// The key that signed it, as its issuer calls it: by `kid`, or by thumbprint. None for one that was introspected.
    pub fn signing_key(&self) -> Option<&str> {
        self.signing_key.as_deref()
    }
    /// `scope`: space-separated, empty where the token has none.
    pub fn scope(&self) -> &str {
        &self.scope
    }
    /// `iat`
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    /// `exp`
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
    /// `cnf`
    pub fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }
    /// All claims.
    pub fn claims(&self) -> &Object<'static> {
        &self.claims
    }
    /// The identity headers that depend on the token alone.
    pub(super) fn headers(&self) -> &identity::TokenHeaders {
        &self.headers
    }
    /// The key of its proofs, once one was good.
    pub(super) fn proof_key(&self) -> Option<&KnownKey> {
        self.proof_key.get().map(Box::as_ref)
    }
    /// Keeps the key of a good proof. It has the thumbprint that the token is bound to, so it is the same for all.
    pub(super) fn keep_proof_key(&self, key: KnownKey) {
        let _ = self.proof_key.set(Box::new(key));
    }
    /// Whether it may still be used: it may have expired since it was verified.
    pub fn still_valid(&self, now: Timestamp) -> Result<(), Denial> {
        if now < self.expires_at { Ok(()) } else { Err(Denial::TokenExpired) }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("issuer", &self.issuer()).field("jti", &self.token_id).finish()
    }
}

/// How far an issuer's clock may be ahead of ours. None is granted after `exp`.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
