//! The client certificate of the connection (RFC 8705).

/// base64url of the SHA-256 of the certificate's DER: `x5t#S256` (RFC 8705 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CertificateThumbprint([u8; 43]);
impl CertificateThumbprint {
    /// Of a certificate.
    pub fn of_der(_der: &[u8]) -> Self {
        todo!()
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        todo!()
    }
}
/// The client certificate as the TLS layer saw it; made once per connection.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// `x5t#S256`
    pub thumbprint: CertificateThumbprint,
    /// The subject, RFC 4514 text
    pub subject: String,
}
impl ClientCertificate {
    /// From the leaf's DER.
    pub fn from_der(_der: &[u8]) -> Self {
        todo!()
    }
}
