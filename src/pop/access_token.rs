//! The access token: an RFC 9068 JWT, its header and claims read strictly and judged against `now`.
use super::confirmation::Confirmation;
use super::jose::Object;
use super::jwk::{Algorithm, KeySet};
use super::{Denial, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// SHA-256 of an access token: key of the token cache, and (as base64url) the `ath` of its proofs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TokenHash([u8; 32]);
impl TokenHash {
    /// Of the token exactly as received.
    pub fn of(_token: &str) -> TokenHash {
        todo!()
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
    /// Accepted `typ` values, lower case, without `application/`.
    pub token_types: Vec<String>,
    /// The longest `exp - iat`.
    pub max_lifetime: Duration,
}

/// A token whose claims have been read but nothing else: only good for finding its issuer.
#[derive(Debug)]
pub struct Unverified<'a> {
    _jwt: &'a str,
}
impl<'a> Unverified<'a> {
    /// Splits and reads header and claims.
    pub fn parse(_jwt: &'a str) -> Result<Unverified<'a>, Denial> {
        todo!()
    }
    /// The `iss` claim, unverified.
    pub fn issuer(&self) -> Result<&str, Denial> {
        todo!()
    }
    /// Verifies it: the one constructor of [`AccessToken`]. `TokenKeyUnknown` means that fresher keys may help.
    pub fn verify(
        self,
        _hash: TokenHash,
        _expected: &Arc<Expected>,
        _keys: &KeySet,
        _now: Timestamp,
    ) -> Result<AccessToken, Denial> {
        todo!()
    }
}

/// A genuine access token, valid when it was verified.
#[derive(Debug)]
pub struct AccessToken {
    pub(crate) hash: TokenHash,
    pub(crate) expected: Arc<Expected>,
    pub(crate) subject: String,
    pub(crate) client: String,
    pub(crate) token_id: String,
    pub(crate) scope: String,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) confirmation: Confirmation,
    pub(crate) claims: Object<'static>,
}
impl AccessToken {
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
    /// `scope`, space-separated
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
    pub fn confirmation(&self) -> Confirmation {
        self.confirmation
    }
    /// All claims.
    pub fn claims(&self) -> &Object<'static> {
        &self.claims
    }
    /// Checks the time again: `exp` may have passed since.
    pub fn still_valid(&self, now: Timestamp) -> Result<(), Denial> {
        if now < self.expires_at { Ok(()) } else { Err(Denial::TokenExpired) }
    }
}
