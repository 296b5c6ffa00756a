//! The DPoP proof (RFC 9449 section 4.3).
use super::Timestamp;
use super::jwk::Thumbprint;

/// A proof that passed every check but replay.
#[derive(Debug)]
pub struct Proof {
    /// The thumbprint of the key that signed it.
    pub key: Thumbprint,
    /// `jti`
    pub jti: String,
    /// Until when the same proof would be accepted again: `iat + max_age + max_future`.
    pub acceptable_until: Timestamp,
}
