//! The confirmation claim `cnf` (RFC 7800): which key the token is bound to.
use super::jwk::Thumbprint;
use super::mtls::CertificateThumbprint;

/// What the token is bound to. Both may be set; then both must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// RFC 9449 section 6.1
    pub jkt: Option<Thumbprint>,
    /// RFC 8705 section 3.1
    pub x5t: Option<CertificateThumbprint>,
}
