//! The caller's certificate (RFC 8705).
//!
//! It comes from the TLS layer, which has checked the handshake's signature (section 3), or from a TLS
//! terminator that the operator trusts with that ([`client_cert`](super::client_cert), section 6.5). Whether
//! its chain was validated is the listener's configuration, and decides whether its names mean anything.

use super::spiffe::SpiffeId;
use super::{Timestamp, identity, sha256};
use http::HeaderValue;
use std::fmt;

/// `x5t#S256`: base64url of the SHA-256 of the whole DER certificate (RFC 8705 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateThumbprint([u8; 43]);

impl CertificateThumbprint {
    /// Of a certificate in DER, all of it (MTLS-04).
    pub fn of_der(der: &[u8]) -> Self {
        CertificateThumbprint(sha256::text(&sha256::of(der)))
    }

    /// Reads the canonical base64url text of 32 bytes; anything else is no thumbprint (MTLS-04).
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

/// The caller's certificate; made once per connection.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// `x5t#S256`.
    pub thumbprint: CertificateThumbprint,
    /// The subject's distinguished name (RFC 4514 text); empty where it can't be read or nobody vouches for it.
    pub subject: String,
    /// The subject as the service is told of it, written once; none where it is empty.
    pub(super) subject_header: Option<HeaderValue>,
    /// The SPIFFE ID of an X509-SVID that somebody vouches for.
    pub spiffe_id: Option<SpiffeId>,
    /// `notBefore`.
    pub valid_from: Timestamp,
    /// `notAfter`; long ago where it can't be read.
    pub expires_at: Timestamp,
}

/// Whether what a certificate says about its holder was checked by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// By an authority that was configured for it.
    Vouched,
    /// By nobody (RFC 8705 section 6.2): it stands for its key alone, and its names are not told (MTLS-11).
    Unvouched,
}

impl ClientCertificate {
    /// From the leaf's DER; what can't be read is not valid at any time.
    pub fn from_der(der: &[u8], names: Names) -> Self {
        let never = Timestamp::from_secs(0);
        Self::read(der, names).unwrap_or_else(|| Self::of(der, String::new(), None, never, never))
    }

    /// From the leaf's DER; `None` if it is anything but one X.509 certificate.
    pub fn read(der: &[u8], names: Names) -> Option<Self> {
        let (rest, leaf) = x509_parser::parse_x509_certificate(der).ok()?;
        let validity = leaf.validity();
        let subject = || match names {
            Names::Vouched => leaf.subject().to_string(),
            Names::Unvouched => String::new(),
        };
        let spiffe_id = || match names {
            Names::Vouched => SpiffeId::of_svid(&leaf),
            Names::Unvouched => None,
        };
        let valid_from = Timestamp::from_secs(validity.not_before.timestamp());
        let expires_at = Timestamp::from_secs(validity.not_after.timestamp());
        rest.is_empty().then(|| Self::of(der, subject(), spiffe_id(), valid_from, expires_at))
    }

    fn of(
        der: &[u8],
        subject: String,
        spiffe_id: Option<SpiffeId>,
        valid_from: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        ClientCertificate {
            thumbprint: CertificateThumbprint::of_der(der),
            subject_header: identity::certificate_subject(&subject),
            subject,
            spiffe_id,
            valid_from,
            expires_at,
        }
    }

    /// Whether it is one at this time: a connection may outlive its certificate (RFC 5280 section 4.1.2.5), and
    /// with an unchecked chain nobody has looked before.
    pub fn still_valid(&self, now: Timestamp) -> bool {
        self.valid_from.as_secs() <= now.as_secs() && now.as_secs() <= self.expires_at.as_secs()
    }
}
