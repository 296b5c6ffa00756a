//! `listen.tls`: already loaded and checked against each other and the clock.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// `listen.tls`: already loaded and checked against each other and the clock.
#[derive(Debug, PartialEq)]
pub struct Tls {
    /// Our own certificate.
    pub own: Own,
    /// Whether clients present certificates.
    pub client_certificate: ClientCertificates,
    /// Whether somebody must vouch for them.
    pub client_chain: ClientChain,
    /// The trust anchors for client certificates.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The certificate revocation lists for client certificates.
    pub client_crl: Vec<CertificateRevocationListDer<'static>>,
}

/// Where our own certificate comes from.
#[derive(Debug, PartialEq)]
pub enum Own {
    /// From files.
    Files {
        /// The certificate chain, leaf first.
        certificate: Vec<CertificateDer<'static>>,
        /// The private key of the leaf.
        private_key: PrivateKeyDer<'static>,
    },
    /// From the SPIFFE Workload API, and with it those of clients' authorities.
    Spiffe(Spiffe),
}

impl Own {
    /// Whether it comes from files.
    pub fn is_of_files(&self) -> bool {
        matches!(self, Own::Files { .. })
    }
}

/// `listen.tls.spiffe`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spiffe {
    /// The API: `unix://` and the path of its socket.
    pub endpoint: String,
    /// Whose workloads are accepted; empty means those of our own trust domain.
    pub trust_domains: Vec<String>,
}

impl Clone for Own {
    fn clone(&self) -> Own {
        match self {
            Own::Files { certificate, private_key } => {
                Own::Files { certificate: certificate.clone(), private_key: private_key.clone_key() }
            }
            Own::Spiffe(spiffe) => Own::Spiffe(spiffe.clone()),
        }
    }
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
