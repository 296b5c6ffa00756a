//! `listen.tls`: already loaded and checked against each other and the clock.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// `listen.tls`: already loaded and checked against each other and the clock.
#[derive(Debug, PartialEq)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub certificate: Vec<CertificateDer<'static>>,
    /// The private key of the leaf.
    pub private_key: PrivateKeyDer<'static>,
    /// Whether clients present certificates.
    pub client_certificate: ClientCertificates,
    /// Whether somebody must vouch for them.
    pub client_chain: ClientChain,
    /// The trust anchors for client certificates.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The certificate revocation lists for client certificates.
    pub client_crl: Vec<CertificateRevocationListDer<'static>>,
}

/// `listen.tls.client_certificate`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Never asked for.
    Off,
    /// Asked for; a connection without one is fine, a bad one is not.
    Optional,
    /// No connection without one.
    Required,
}

/// `listen.tls.client_chain`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientChain {
    /// Up to an authority of `client_ca`.
    Verified,
    /// No authority: the token alone says which certificate counts (RFC 8705 section 6.2).
    Unchecked,
}
