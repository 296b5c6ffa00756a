//! `mode: observe`: what a request comes to whose caller did not prove to hold the key of its token.
//!
//! For finding out who could not keep up with `mode: enforce`, before it is in force. Decides which refusals are waived: those
//! for want of proof, and no others. Everything else that the route demands is checked as ever, and nobody is told who
//! the caller is: that would have to be true.

use super::access_token::AccessToken;
use super::policy::Requirements;
use super::{Denial, Request, Timestamp, check_demands};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// A genuine token that satisfies the route, in the hands of somebody who did not prove to be its holder. Its only
/// constructor is [`observe`].
#[derive(Debug)]
pub struct Unproved {
    token: Arc<AccessToken>,
    want: Denial,
}

impl Unproved {
    /// The access token.
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }
    /// Why it would be refused.
    pub fn want(&self) -> Denial {
        self.want
    }
    /// Tells the service that this is nobody who is known.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(OBSERVED, HeaderValue::from_static(self.want.reason()));
    }
}

/// Waives a refusal for want of proof, where nothing else is to be said against the request.
///
/// # Errors
/// The refusal as it was, if it is for anything else; or what the route demands besides proof.
pub fn observe(
    request: &Request<'_>,
    token: Arc<AccessToken>,
    demands: &Requirements,
    now: Timestamp,
    want: Denial,
) -> Result<Unproved, Denial> {
    if !want.is_want_of_proof() {
        return Err(want);
    }
    token.still_valid(now)?;
    let shown = request.certificate.filter(|certificate| certificate.still_valid(now));
    check_demands(&token, shown, demands, now)?;
    Ok(Unproved { token, want })
}

impl Denial {
    /// Whether it would not be, had the caller proved to hold the key of the token as the route wants it: the binding, the
    /// proof, its nonce, its having been used.
    pub fn is_want_of_proof(self) -> bool {
        use Denial as D;
        matches!(
            self,
            D::BearerWithProof
                | D::TokenUnbound
                | D::TokenBoundAsBearer
                | D::TokenNotDpopBound
                | D::KeyMismatch
                | D::CertificateMissing
                | D::CertificateMismatch
                | D::ProofKindRefused
                | D::ProofMissing
                | D::ProofDuplicate
                | D::ProofMalformed
                | D::ProofClaims
                | D::ProofType
                | D::ProofAlgorithm
                | D::ProofCritical
                | D::ProofKey
                | D::ProofSignature
                | D::ProofKeyPrivate
                | D::ProofMethod
                | D::ProofTarget
                | D::NonceMissing
                | D::NonceUnknown
                | D::NonceExpired
                | D::ProofBeforeStart
                | D::ProofExpired
                | D::ProofNotYetValid
                | D::ProofTokenHash
                | D::ProofReplayed
        )
    }
}

/// Why a request that went through would have been refused (`mode: observe`).
const OBSERVED: HeaderName = HeaderName::from_static("clinch-observed");
