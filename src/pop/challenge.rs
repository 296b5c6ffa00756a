//! The only writer of `WWW-Authenticate` (RFC 6750 section 3, RFC 9449 section 7.1).
use super::{Denial, credentials::Scheme, jwk::Algorithm, policy::Requirements};
use http::HeaderValue;

/// The challenges for a refusal: none for refusals that are not about credentials.
pub fn challenges(
    _denial: Denial,
    _attempted: Option<Scheme>,
    _demands: Option<&Requirements>,
    _algorithms: &[Algorithm],
) -> Vec<HeaderValue> {
    todo!()
}
