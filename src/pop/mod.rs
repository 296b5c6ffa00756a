//! The pure core: is this request made by the holder of the key its access token is bound to?

pub mod access_token;
pub mod challenge;
pub mod confirmation;
pub mod credentials;
pub mod denial;
pub mod dpop;
pub mod identity;
pub mod jose;
pub mod jwk;
pub mod mtls;
pub mod policy;
pub mod request;
pub mod target_uri;
pub mod time;

pub use denial::Denial;
pub use request::Request;
pub use time::Timestamp;

use access_token::AccessToken;
use credentials::Credentials;
use policy::{DpopPolicy, ProofKind, Requirements};
use std::sync::Arc;

/// The core's verdict: the token is genuine, the caller holds its key, and the route's demands are
/// met. Not yet: whether anything was revoked, whether the proof was seen before.
#[derive(Debug)]
pub struct Verified {
    token: Arc<AccessToken>,
    kind: ProofKind,
    proof: Option<dpop::Proof>,
    certificate: Option<mtls::CertificateThumbprint>,
}

impl Verified {
    /// The token that was verified.
    pub fn token(&self) -> &AccessToken {
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
}

/// Verifies a request whose access token is already established.
pub fn verify(
    request: &Request<'_>,
    credentials: &Credentials<'_>,
    token: Arc<AccessToken>,
    demands: &Requirements,
    dpop: &DpopPolicy,
    now: Timestamp,
) -> Result<Verified, Denial> {
    let _ = (request, credentials, token, demands, dpop, now);
    todo!()
}
