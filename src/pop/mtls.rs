//! The client certificate of the connection (RFC 8705).
//!
//! It comes from the TLS layer, which has checked the handshake's signature; never from a header
//! (section 3). Whether its chain was validated is the listener's configuration.

use super::Timestamp;
use super::sha256;
use std::fmt;

/// `x5t#S256`: base64url of the SHA-256 of the whole DER certificate (RFC 8705 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateThumbprint([u8; 43]);

impl CertificateThumbprint {
    /// Of a certificate in DER.
    pub fn of_der(der: &[u8]) -> Self {
        CertificateThumbprint(sha256::text(&sha256::of(der)))
    }

    /// Reads the canonical base64url text of 32 bytes; anything else is no thumbprint.
    pub fn parse(text: &str) -> Option<Self> {
        sha256::canonical(text).map(CertificateThumbprint)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The client certificate as the TLS layer saw it; made once per connection.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// `x5t#S256`.
    pub thumbprint: CertificateThumbprint,
    /// The subject's distinguished name (RFC 4514 text); empty where it can't be read.
    pub subject: String,
    /// `notAfter`; long ago where it can't be read.
    pub expires_at: Timestamp,
}

impl ClientCertificate {
    /// From the leaf's DER.
    pub fn from_der(der: &[u8]) -> Self {
        let (subject, expires_at) = x509_parser::parse_x509_certificate(der)
            .map(|(_, leaf)| (leaf.subject().to_string(), leaf.validity().not_after.timestamp()))
            .unwrap_or_default();
        let thumbprint = CertificateThumbprint::of_der(der);
        ClientCertificate { thumbprint, subject, expires_at: Timestamp::from_secs(expires_at) }
    }

    /// Whether it is still one: a connection may outlive its certificate (RFC 5280 section 4.1.2.5).
    pub fn still_valid(&self, now: Timestamp) -> bool {
        now.as_secs() <= self.expires_at.as_secs()
    }
}
