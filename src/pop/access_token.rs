//! The access token: a JWT after RFC 9068, read strictly and judged against `now`.
//!
//! Signature, header and claims are all checked here, by us: the library verifies the signature
//! and nothing else. Who the caller is to the service is decided later, by [`confirmation`] and proof:
//! a genuine token alone admits nobody. Whether it was revoked is not decided here.
//!
//! [`confirmation`]: super::confirmation

use super::algorithm::Algorithm;
use super::confirmation::Confirmation;
use super::jose::{Compact, Json, Object};
use super::key_set::KeySet;
use super::sha256;
use super::{Denial, Timestamp, identity};
use std::fmt;
use std::sync::Arc;
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

    /// The `ath` text is base64url of the hash; other spellings are other texts.
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

/// A token whose parts have been read and nothing more: good for finding its issuer.
#[derive(Debug)]
pub struct Unverified<'a> {
    compact: Compact<'a>,
    header: Object<'static>,
    claims: Object<'static>,
}

/// A genuine access token. Its only constructor is [`Unverified::verify`].
pub struct AccessToken {
    hash: TokenHash,
    expected: Arc<Expected>,
    subject: String,
    client: String,
    token_id: String,
    scope: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    confirmation: Confirmation,
    claims: Object<'static>,
    headers: identity::TokenHeaders,
}

impl<'a> Unverified<'a> {
    /// Splits the token and reads header and claims.
    pub fn parse(jwt: &'a str) -> Result<Unverified<'a>, Denial> {
        let compact = Compact::split(jwt).ok_or(Denial::TokenMalformed)?;
        let read = |part: Option<Vec<u8>>| {
            let text = part?;
            Json::parse_object(&text).map(Object::into_owned)
        };
        let header = read(compact.header()).ok_or(Denial::TokenMalformed)?;
        let claims = read(compact.payload()).ok_or(Denial::TokenMalformed)?;
        Ok(Unverified { compact, header, claims })
    }

    /// The `iss` claim: a string, and not yet to be believed.
    pub fn issuer(&self) -> Result<&str, Denial> {
        string(&self.claims, "iss").ok_or(Denial::TokenIssuer)
    }

    /// Verifies the token. `TokenKeyUnknown` means that fresher keys may help.
    pub fn verify(
        self,
        hash: TokenHash,
        expected: &Arc<Expected>,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<AccessToken, Denial> {
        if self.issuer()? != &*expected.issuer {
            return Err(Denial::TokenIssuer);
        }
        let algorithm = self.check_header(expected)?;
        let token = self.check_claims(hash, expected, now)?;
        self.check_signature(algorithm, keys)?;
        Ok(token)
    }

    fn check_header(&self, expected: &Expected) -> Result<Algorithm, Denial> {
        let typ = string(&self.header, "typ").ok_or(Denial::TokenType)?.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if !expected.token_types.iter().any(|accepted| accepted == typ) {
            return Err(Denial::TokenType);
        }
        // We understand no extension, and no JWT is unencoded (RFC 7797 section 7).
        if self.header.has("crit") || self.header.has("b64") {
            return Err(Denial::TokenCritical);
        }
        let claims_of_an_id_token = ["nonce", "at_hash", "c_hash"].iter().any(|name| self.claims.has(name));
        if typ == "jwt" && claims_of_an_id_token {
            return Err(Denial::TokenType); // RFC 8725 section 3.12
        }
        string(&self.header, "alg")
            .and_then(Algorithm::from_name)
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or(Denial::TokenAlgorithm)
    }

    fn check_claims(
        &self,
        hash: TokenHash,
        expected: &Arc<Expected>,
        now: Timestamp,
    ) -> Result<AccessToken, Denial> {
        let text = |name| string(&self.claims, name).filter(|t| !t.is_empty()).ok_or(Denial::TokenClaims);
        let date = |name| {
            let value = self.claims.get(name);
            value.map(|v| v.as_numeric_date().ok_or(Denial::TokenClaims)).transpose()
        };
        self.check_audience(expected)?;
        let expires_at = date("exp")?.ok_or(Denial::TokenClaims)?;
        let issued_at = date("iat")?.ok_or(Denial::TokenClaims)?;
        let not_before = date("nbf")?.unwrap_or(issued_at);
        if now >= expires_at {
            return Err(Denial::TokenExpired);
        }
        if issued_at.max(not_before) > now.plus(CLOCK_SKEW) {
            return Err(Denial::TokenNotYetValid);
        }
        if issued_at >= expires_at || expires_at.since(issued_at) > expected.max_lifetime {
            return Err(Denial::TokenLifetime);
        }
        let scope = match self.claims.get("scope") {
            None => "",
            Some(scope) => scope.as_str().ok_or(Denial::TokenClaims)?,
        };
        // Servers that do not follow RFC 9068 name the client in `azp`.
        let client = text("client_id")
            .or_else(|denial| if self.claims.has("client_id") { Err(denial) } else { text("azp") })?;
        let (subject, token_id) = (text("sub")?, text("jti")?);
        Ok(AccessToken {
            hash,
            expected: Arc::clone(expected),
            headers: identity::TokenHeaders::of(&expected.issuer, subject, client, scope, token_id),
            subject: subject.to_owned(),
            client: client.to_owned(),
            token_id: token_id.to_owned(),
            scope: scope.to_owned(),
            issued_at,
            expires_at,
            confirmation: Confirmation::of(&self.claims)?,
            claims: self.claims.clone(),
        })
    }

    fn check_audience(&self, expected: &Expected) -> Result<(), Denial> {
        let ours =
            |value: &Json<'_>| value.as_str().is_some_and(|aud| expected.audiences.iter().any(|a| a == aud));
        let accepted = match self.claims.get("aud").ok_or(Denial::TokenAudience)? {
            value @ Json::String(_) => ours(value),
            Json::Array(values) => values.iter().all(|v| v.as_str().is_some()) && values.iter().any(ours),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => false,
        };
        if accepted { Ok(()) } else { Err(Denial::TokenAudience) }
    }

    fn check_signature(&self, algorithm: Algorithm, keys: &KeySet) -> Result<(), Denial> {
        let kid = match self.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(Denial::TokenMalformed)?),
        };
        let mut candidates = keys.candidates(kid, algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Denial::TokenKeyUnknown);
        }
        let message = self.compact.signing_input.as_bytes();
        if candidates.any(|key| key.verifies(algorithm, message, self.compact.signature)) {
            Ok(())
        } else {
            Err(Denial::TokenSignature)
        }
    }
}

impl AccessToken {
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

fn string<'o>(object: &'o Object<'_>, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str()
}

/// How far an issuer's clock may be ahead of ours. None is granted after `exp`.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
