//! The DPoP proof: the twelve checks of RFC 9449 section 4.3.
//!
//! They are numbered as in the RFC and run cheapest first, as it allows: the signature comes last, so
//! that nobody can buy one with a proof that would fail anyway. A nonce comes late as well: it is asked for
//! when it is the only thing that is missing. Whether the proof was used before is decided by the
//! replay memory, after everything else.

pub(super) mod key;

use super::access_token::AccessToken;
use super::algorithm::Algorithm;
use super::jose::{Compact, Json, Object};
use super::jwk::{JwkFault, Thumbprint};
use super::nonce::{Nonce, Nonces};
use super::policy::DpopPolicy;
use super::{Denial, Request, Timestamp};
use http::HeaderMap;
use key::{Key, KnownKey};
use std::fmt;

/// A proof that passed every check but replay.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    key: Thumbprint,
    jti: String,
    issued_at: Timestamp,
    nonce: Option<Nonce>,
    acceptable_from: Timestamp,
    acceptable_until: Timestamp,
}

impl Proof {
    /// The thumbprint of the key that signed it, which is the key of the token.
    pub fn key(&self) -> &Thumbprint {
        &self.key
    }
    /// `jti`: unique together with the key.
    pub fn jti(&self) -> &str {
        &self.jti
    }
    /// `iat`, by the clock of the caller.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }
    /// The nonce of ours that it carries: it was made after that was issued.
    pub fn nonce(&self) -> Option<&Nonce> {
        self.nonce.as_ref()
    }
    /// The first moment at which it could pass these checks: `iat - max_future`. A memory that is older than
    /// this knows whether it was used.
    pub fn acceptable_from(&self) -> Timestamp {
        self.acceptable_from
    }
    /// Until when the same proof could pass these checks again, whatever the clock does within the
    /// tolerated skew: `iat + max_age + max_future`.
    pub fn acceptable_until(&self) -> Timestamp {
        self.acceptable_until
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Checks the proof of a request against the token it came with, which is bound to `jkt`: a JWT in compact
/// form (DPOP-03), of which every check must hold, in whatever order (DPOP-19, DPOP-23).
pub fn verify(
    request: &Request<'_>,
    token: &AccessToken,
    jkt: &Thumbprint,
    policy: &DpopPolicy,
    nonces: &Nonces,
    now: Timestamp,
) -> Result<Proof, Denial> {
    let jws = the_one_proof(request.headers)?; // 1
    let compact = Compact::split(jws).ok_or(Denial::ProofMalformed)?; // 2
    let header = compact.header().ok_or(Denial::ProofMalformed)?;
    let header = Json::parse_object(&header).ok_or(Denial::ProofMalformed)?;
    let payload = compact.payload().ok_or(Denial::ProofMalformed)?;
    let payload = Json::parse_object(&payload).ok_or(Denial::ProofMalformed)?;
    let claims = Claims::of(&payload)?; // 3

    check_type(&header)?; // 4
    let algorithm = check_algorithm(&header, policy)?; // 5
    let key = check_key(&header, algorithm, token.proof_key())?; // 7, and the key for 6
    check_method(&claims, request)?; // 8
    check_target(&claims, request)?; // 9
    check_time(&claims, policy, now)?; // 11
    check_token(&claims, token)?; // 12, first half
    let thumbprint = check_binding(&key, jkt)?; // 12, second half
    let nonce = nonces.check(claims.nonce, now)?; // 10
    check_signature(&compact, algorithm, &key)?; // 6

    if let Some(key) = key.into_known(thumbprint) {
        token.keep_proof_key(key);
    }
    Ok(Proof {
        key: thumbprint,
        jti: claims.jti.to_owned(),
        issued_at: claims.iat,
        nonce,
        acceptable_from: Timestamp::from_secs(claims.iat.as_secs()).minus(policy.max_future),
        acceptable_until: claims.iat.plus(policy.max_age).plus(policy.max_future),
    })
}

/// Check 1: "There is not more than one DPoP HTTP request header field." Two in one line have too many dots
/// (DPOP-01, DPOP-02).
fn the_one_proof(headers: &HeaderMap) -> Result<&str, Denial> {
    let mut fields = headers.get_all(super::DPOP).iter();
    let field = fields.next().ok_or(Denial::ProofMissing)?;
    if fields.next().is_some() {
        return Err(Denial::ProofDuplicate);
    }
    field.to_str().ok().filter(|jws| jws.len() <= MAX_PROOF_BYTES).ok_or(Denial::ProofMalformed)
}

/// The claims of section 4.2 that a resource server needs; others are ignored (DPOP-48).
struct Claims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    ath: &'a str,
    nonce: Option<&'a str>,
    iat: Timestamp,
    exp: Option<Timestamp>,
    nbf: Option<Timestamp>,
}

impl<'a> Claims<'a> {
    /// Check 3: all required claims are there, and of their type (DPOP-04).
    fn of(payload: &'a Object<'_>) -> Result<Self, Denial> {
        let text = |name| payload.get(name).and_then(|value| value.as_str()).ok_or(Denial::ProofClaims);
        let date = |name| {
            let value = payload.get(name);
            value.map(|v| v.as_numeric_date().ok_or(Denial::ProofClaims)).transpose()
        };
        let nonce = payload.has("nonce").then(|| text("nonce")).transpose()?;
        let jti = text("jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI_BYTES {
            return Err(Denial::ProofClaims); // RFC 9449 section 11.1: DPOP-42
        }
        let iat = date("iat")?.ok_or(Denial::ProofClaims)?;
        let (htm, htu, ath) = (text("htm")?, text("htu")?, text("ath")?);
        Ok(Claims { jti, htm, htu, ath, nonce, iat, exp: date("exp")?, nbf: date("nbf")? })
    }
}

/// Check 4: `typ` is `dpop+jwt`, in this spelling, so that no other JWT of the key is a proof (DPOP-05,
/// BCP-11).
fn check_type(header: &Object<'_>) -> Result<(), Denial> {
    match header.get("typ").and_then(|typ| typ.as_str()) {
        Some("dpop+jwt") => Ok(()),
        _ => Err(Denial::ProofType),
    }
}

/// Check 5: `alg` is on the list, which holds asymmetric signatures only. Nothing is
/// critical to us (DPOP-06, BCP-01, BCP-03, JWS-03, JWS-05).
fn check_algorithm(header: &Object<'_>, policy: &DpopPolicy) -> Result<Algorithm, Denial> {
    if header.has("crit") || header.has("b64") {
        return Err(Denial::ProofCritical);
    }
    let algorithm = header.get("alg").and_then(|alg| alg.as_str()).and_then(Algorithm::from_name);
    algorithm.filter(|a| policy.algorithms.contains(a)).ok_or(Denial::ProofAlgorithm)
}

/// Check 7: `jwk` has no private part. And it is a valid key for `alg`. There is no other place to get a key
/// from: `kid`, `jku`, `x5u` and `x5c` are not read (DPOP-07, DPOP-08, BCP-10).
fn check_key<'t>(
    header: &Object<'_>,
    algorithm: Algorithm,
    known: Option<&'t KnownKey>,
) -> Result<Key<'t>, Denial> {
    let jwk = header.get("jwk").and_then(|jwk| jwk.as_object()).ok_or(Denial::ProofKey)?;
    let key = Key::read(jwk, known).map_err(|fault| match fault {
        JwkFault::Private => Denial::ProofKeyPrivate,
        JwkFault::Invalid => Denial::ProofKey,
    })?;
    // What the issuer of the key says of it, it must mean (RFC 7517 section 4.2 to 4.4).
    let says = |name: &str, accepted: &dyn Fn(&Json<'_>) -> bool| jwk.get(name).is_none_or(accepted);
    let consistent = says("use", &|v| v.as_str() == Some("sig"))
        && says("alg", &|v| v.as_str().and_then(Algorithm::from_name) == Some(algorithm))
        && says("key_ops", &|v| {
            v.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")))
        });
    if consistent && key.fits(algorithm) { Ok(key) } else { Err(Denial::ProofKey) }
}

/// Check 8: `htm` is the method, case-sensitive (RFC 9110 section 9.1; DPOP-09).
fn check_method(claims: &Claims<'_>, request: &Request<'_>) -> Result<(), Denial> {
    if claims.htm == request.method.as_str() { Ok(()) } else { Err(Denial::ProofMethod) }
}

/// Check 9: `htu` is the target URI without query and fragment (DPOP-10).
fn check_target(claims: &Claims<'_>, request: &Request<'_>) -> Result<(), Denial> {
    if request.target.is_named_by(claims.htu) { Ok(()) } else { Err(Denial::ProofTarget) }
}

/// Check 11: `iat` lies within the window, both edges included, counted in whole seconds as clients
/// write it. `exp` and `nbf` are honoured where a client sets them (RFC 7519 section 4.1). A nonce does
/// not make up for an old `iat` (DPOP-14, DPOP-15, DPOP-16).
fn check_time(claims: &Claims<'_>, policy: &DpopPolicy, now: Timestamp) -> Result<(), Denial> {
    let latest = now.plus(policy.max_future);
    if claims.iat.as_secs() > latest.as_secs()
        || claims.nbf.is_some_and(|nbf| nbf.as_secs() > latest.as_secs())
    {
        return Err(Denial::ProofNotYetValid);
    }
    let oldest = claims.iat.plus(policy.max_age);
    if now.as_secs() > oldest.as_secs() || claims.exp.is_some_and(|exp| now >= exp) {
        return Err(Denial::ProofExpired);
    }
    Ok(())
}

/// Check 12, first half: `ath` is the hash of the access token exactly as received (DPOP-17).
fn check_token(claims: &Claims<'_>, token: &AccessToken) -> Result<(), Denial> {
    if token.hash().is_ath(claims.ath) { Ok(()) } else { Err(Denial::ProofTokenHash) }
}

/// Check 12, second half: the token is bound to the key of the proof. If not, the token is blamed, not the proof
/// (DPOP-18).
fn check_binding(key: &Key<'_>, jkt: &Thumbprint) -> Result<Thumbprint, Denial> {
    let thumbprint = key.thumbprint();
    if thumbprint == *jkt { Ok(thumbprint) } else { Err(Denial::KeyMismatch) }
}

/// Check 6: the signature verifies with the key in `jwk` (DPOP-07).
fn check_signature(compact: &Compact<'_>, algorithm: Algorithm, key: &Key<'_>) -> Result<(), Denial> {
    if key.verifies(algorithm, compact.signing_input.as_bytes(), compact.signature) {
        Ok(())
    } else {
        Err(Denial::ProofSignature)
    }
}

/// A proof with an RSA key of 4096 bits is under 3 KiB.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// A UUID is 36 bytes; a SHA-512 in hex is 128.
const MAX_JTI_BYTES: usize = 256;

#[cfg(test)]
mod tests;
