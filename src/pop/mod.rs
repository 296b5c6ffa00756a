//! The pure core: is this request made by the holder of the key that its access token is bound to?
//!
//! No I/O, no clock, no globals, no async: everything that a verdict depends on is a parameter, so
//! every rule can be tested, replayed and fuzzed. The order of the story:
//!
//! 1. [`Request::of`](request::Request::of): is it beyond doubt what is asked for, and is it our own
//!    [`metadata`] or a browser's [`preflight`]?
//! 2. [`policy`]: what does the operator demand there?
//! 3. [`credentials`]: where is the access token, under which scheme?
//! 4. [`access_token`]: is it genuine, for us, and valid now, as we read it or as its issuer says
//!    ([`introspection`])?
//! 5. [`verify`], below: does the caller hold the key it is bound to ([`confirmation`], [`dpop`] with its
//!    [`nonce`], [`mtls`] with its [`client_cert`]), and does it carry what the route demands ([`step_up`])?
//!
//! Where the operator only observes ([`unproved`]), a want of proof is waived, and nothing else.
//!
//! Not decided here: whether anything was revoked, and whether the proof was used before. Those need
//! memory ([`state`](crate::state)), and the gate asks them last.

#![deny(clippy::disallowed_methods)]

pub mod access_token;
pub mod algorithm;
pub mod assertion;
pub mod because;
pub mod challenge;
pub mod client_cert;
pub mod confirmation;
pub mod credentials;
pub mod denial;
pub mod dpop;
pub mod identity;
pub mod introspection;
pub mod jose;
pub mod jwk;
pub mod key_set;
mod lookalike;
pub mod metadata;
pub mod mtls;
pub mod nonce;
pub(crate) mod percent;
pub mod policy;
pub mod preflight;
pub mod proxy_protocol;
pub mod request;
pub mod sha256;
pub mod spiffe;
pub mod step_up;
pub mod target_uri;
pub mod time;
pub mod unproved;

pub use denial::Denial;
pub use request::Request;
pub use time::Timestamp;

use access_token::AccessToken;
use credentials::{Credentials, Scheme};
use http::HeaderName;
use mtls::ClientCertificate;
use nonce::Nonces;
use policy::{DpopPolicy, ProofKind, Requirements};
use std::sync::Arc;

/// The header of the proof (RFC 9449 section 4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header of a nonce, in our answers only (RFC 9449 section 8).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The core's verdict: the token is genuine, the caller holds its key, and the route's demands are
/// met. Its only constructor is [`verify`].
#[derive(Debug)]
pub struct Verified {
    token: Arc<AccessToken>,
    kind: ProofKind,
    proof: Option<dpop::Proof>,
    certificate: Option<Arc<ClientCertificate>>,
}

impl Verified {
    /// The access token.
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }
    /// How possession was proved.
    pub fn kind(&self) -> ProofKind {
        self.kind
    }
    /// The DPoP proof, where there was one.
    pub fn proof(&self) -> Option<&dpop::Proof> {
        self.proof.as_ref()
    }
    /// The caller's certificate, valid now, where one was shown; bound to the token or not.
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.certificate.as_ref()
    }
}

/// Verifies that the caller holds the key of an established token, and that this is enough here.
///
/// The token decides what has to be proved, not the route and not the scheme: whatever it is bound to
/// must be shown (CNF-05, DPOP-20), and only then is the route asked whether it admits that (FAPI-05). Last
/// come scopes and authentication, so that nobody learns by guessing what they must be (STEP-05).
pub fn verify(
    request: &Request<'_>,
    credentials: &Credentials<'_>,
    token: Arc<AccessToken>,
    demands: &Requirements,
    dpop: &DpopPolicy,
    nonces: &Nonces,
    now: Timestamp,
) -> Result<Verified, Denial> {
    token.still_valid(now)?;
    let proof = match credentials.scheme {
        Scheme::Dpop => Some(prove_dpop(request, &token, dpop, nonces, now)?),
        Scheme::Bearer => no_proof_expected(request, &token).map(|()| None)?,
    };
    let shown = request.certificate.filter(|certificate| certificate.still_valid(now));
    let certificate = prove_certificate(shown, &token)?;
    let kind = match (&proof, certificate) {
        (Some(_), true) => ProofKind::DpopAndMtls,
        (Some(_), false) => ProofKind::Dpop,
        (None, true) => ProofKind::Mtls,
        (None, false) => ProofKind::Bearer,
    };
    if !demands.proof.admits(kind) {
        return Err(if kind == ProofKind::Bearer { Denial::TokenUnbound } else { Denial::ProofKindRefused });
    }
    check_demands(&token, shown, demands, now)?;
    Ok(Verified { token, kind, proof, certificate: shown.cloned() })
}

/// What the route demands besides proof of possession.
fn check_demands(
    token: &AccessToken,
    shown: Option<&Arc<ClientCertificate>>,
    demands: &Requirements,
    now: Timestamp,
) -> Result<(), Denial> {
    check_principals(token, demands)?;
    check_workload(shown, demands)?;
    // Scopes are compared as they are written (RFC 6749 section 3.3): AT-09, SBCP-03, FAPI-04.
    let scoped = demands.scopes.iter().all(|needed| token.scope().split(' ').any(|has| has == needed));
    match (step_up::is_authenticated_well_enough(token, demands, now), scoped) {
        (true, true) => Ok(()),
        (true, false) => Err(Denial::ScopeInsufficient),
        (false, true) => Err(Denial::AuthenticationInsufficient),
        (false, false) => Err(Denial::AuthenticationAndScopeInsufficient),
    }
}

/// Whose tokens the route admits. `sub` plays no part: a client may have chosen its own to look like a
/// user's (RFC 9068 section 5; AT-11).
fn check_principals(token: &AccessToken, demands: &Requirements) -> Result<(), Denial> {
    let admitted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
    if !admitted(&demands.issuers, token.issuer()) {
        return Err(Denial::IssuerRefused); // FAPI-11
    }
    if admitted(&demands.clients, token.client()) { Ok(()) } else { Err(Denial::ClientRefused) }
}

/// Which workloads the route admits, by certificates that somebody vouches for, however possession was proved.
fn check_workload(shown: Option<&Arc<ClientCertificate>>, demands: &Requirements) -> Result<(), Denial> {
    let id = shown.and_then(|certificate| certificate.spiffe_id.as_ref());
    let admitted = |id| demands.spiffe_ids.iter().any(|pattern| pattern.admits(id));
    if demands.spiffe_ids.is_empty() || id.is_some_and(admitted) {
        Ok(())
    } else {
        Err(Denial::WorkloadRefused)
    }
}

/// The DPoP scheme: a proof by the key the token is bound to (RFC 9449 section 7.1; DPOP-23). An unbound token
/// has no business here: any key would do.
fn prove_dpop(
    request: &Request<'_>,
    token: &AccessToken,
    policy: &DpopPolicy,
    nonces: &Nonces,
    now: Timestamp,
) -> Result<dpop::Proof, Denial> {
    if !request.headers.contains_key(DPOP) {
        return Err(Denial::ProofMissing);
    }
    let jkt = token.confirmation().jkt.as_ref().ok_or(Denial::TokenNotDpopBound)?;
    dpop::verify(request, token, jkt, policy, nonces, now)
}

/// The Bearer scheme: never for a DPoP-bound token (RFC 9449 section 7.2; DPOP-31), and never with a proof,
/// which would be a promise that nobody checks.
fn no_proof_expected(request: &Request<'_>, token: &AccessToken) -> Result<(), Denial> {
    if token.confirmation().jkt.is_some() {
        return Err(Denial::TokenBoundAsBearer);
    }
    if request.headers.contains_key(DPOP) { Err(Denial::BearerWithProof) } else { Ok(()) }
}

/// A certificate-bound token: the connection's certificate and no other (RFC 8705 section 3; MTLS-01, MTLS-03,
/// MTLS-08, MTLS-12). False if the token is not bound to one.
fn prove_certificate(shown: Option<&Arc<ClientCertificate>>, token: &AccessToken) -> Result<bool, Denial> {
    let Some(bound_to) = token.confirmation().x5t else { return Ok(false) };
    let certificate = shown.ok_or(Denial::CertificateMissing)?;
    if certificate.thumbprint == bound_to { Ok(true) } else { Err(Denial::CertificateMismatch) }
}

#[cfg(test)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
