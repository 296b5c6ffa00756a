//! The access token as a JWT (RFC 9068), read strictly and judged against `now`.
//!
//! Signature, header and claims are all checked here, by us: the library verifies the signature
//! and nothing else.

use super::{AccessToken, Expected, Said, TokenHash, claims};
use crate::pop::algorithm::Algorithm;
use crate::pop::confirmation::Confirmation;
use crate::pop::jose::{Compact, Json, Object};
use crate::pop::key_set::KeySet;
use crate::pop::{Denial, Timestamp};
use std::sync::Arc;

/// A token whose parts have been read and nothing more: good for finding its issuer.
#[derive(Debug)]
pub struct Unverified<'a> {
    compact: Compact<'a>,
    header: Object<'static>,
    claims: Object<'static>,
}

impl<'a> Unverified<'a> {
    /// Splits the token and reads header and claims. An encrypted one has too many parts (AT-02).
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

    /// Whether a token that can't be parsed is no JWT at all. What has the header of one is one, however broken
    /// the rest; dots are nothing to go by, for opaque tokens have them too (RFC 9449 section 7.1 shows one).
    /// (TK-025)
    pub fn is_opaque(token: &str) -> bool {
        let header = Compact::split(token).and_then(|compact| compact.header());
        header.is_none_or(|header| Json::parse_object(&header).is_none())
    }

    /// The `iss` claim: a string, and not yet to be believed.
    pub fn issuer(&self) -> Result<&str, Denial> {
        string(&self.claims, "iss").ok_or(Denial::TokenIssuer)
    }

    /// Verifies the token: header, claims, signature, each failure an `invalid_token` (AT-03, AT-05, AT-07, BCP-04,
    /// BCP-07). `TokenKeyUnknown` means that fresher keys may help.
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
        Ok(token.signed_with(check_signature(&self.compact, &self.header, algorithm, keys)?))
    }

    /// The type is an access token's (AT-01, BCP-11), the algorithm on the issuer's list (BCP-01, BCP-03).
    fn check_header(&self, expected: &Expected) -> Result<Algorithm, Denial> {
        let typ = string(&self.header, "typ").ok_or(Denial::TokenType)?.to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if !expected.token_types.iter().any(|accepted| accepted == typ) {
            return Err(Denial::TokenType);
        }
        // We understand no extension, and no JWT is unencoded (RFC 7797 section 7): JWS-03, JWS-05.
        if self.header.has("crit") || self.header.has("b64") {
            return Err(Denial::TokenCritical);
        }
        if typ == "jwt" && is_of_another_kind(&self.claims) {
            return Err(Denial::TokenType);
        }
        string(&self.header, "alg")
            .and_then(Algorithm::from_name)
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or(Denial::TokenAlgorithm)
    }

    /// All that RFC 9068 section 2.2 requires is there and of its type (AT-08).
    fn check_claims(
        &self,
        hash: TokenHash,
        expected: &Arc<Expected>,
        now: Timestamp,
    ) -> Result<AccessToken, Denial> {
        let claims = &self.claims;
        let text = |name| claims::text(claims, name)?.ok_or(Denial::TokenClaims);
        claims::check_audience(claims.get("aud").ok_or(Denial::TokenAudience)?, expected)?;
        let expires_at = claims::date(claims, "exp")?.ok_or(Denial::TokenClaims)?;
        let issued_at = claims::date(claims, "iat")?.ok_or(Denial::TokenClaims)?;
        claims::check_times(issued_at, claims::date(claims, "nbf")?, expires_at, expected, now)?;
        let said = Said {
            scope: claims::scope(claims)?,
            client: claims::client(claims)?.ok_or(Denial::TokenClaims)?,
            subject: text("sub")?,
            token_id: text("jti")?,
            signing_key: None,
            issued_at,
            expires_at,
            confirmation: Confirmation::of(claims)?,
        };
        Ok(AccessToken::of(hash, expected, said, claims.clone()))
    }
}

/// Whether the claims say what a `typ` of `JWT` does not: that this is an ID token, by what only those have,
/// or anything else than an access token, by what some servers write, Keycloak and Cognito among them (AT-14,
/// RFC 8725 section 3.12).
fn is_of_another_kind(claims: &Object<'_>) -> bool {
    let access = |kind: &str| ACCESS_TOKENS.iter().any(|name| name.eq_ignore_ascii_case(kind));
    let says_else = |name: &str| claims.get(name).is_some_and(|kind| !kind.as_str().is_some_and(access));
    ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.has(name))
        || ["typ", "token_use"].into_iter().any(says_else)
}

/// Whether one of the keys that the header asks for made the signature, of a token or of anything else that an issuer
/// signs in compact form; and what the issuer calls that key, whatever the header says.
///
/// # Errors
/// `TokenKeyUnknown` means that there is no such key; `TokenSignature` that none of them made it; `TokenMalformed`
/// that `kid` is no text.
pub fn check_signature(
    compact: &Compact<'_>,
    header: &Object<'_>,
    algorithm: Algorithm,
    keys: &KeySet,
) -> Result<String, Denial> {
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(Denial::TokenMalformed)?),
    };
    let mut candidates = keys.candidates(kid, algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(Denial::TokenKeyUnknown);
    }
    let message = compact.signing_input.as_bytes();
    let made = candidates.find(|one| one.key.verifies(algorithm, message, compact.signature));
    made.map(|one| one.name()).ok_or(Denial::TokenSignature)
}

/// What servers call an access token in a claim.
const ACCESS_TOKENS: &[&str] = &["Bearer", "DPoP", "access", "access_token", "at+jwt"];

fn string<'o>(object: &'o Object<'_>, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str()
}
