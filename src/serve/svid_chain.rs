//! Who may show a client certificate where identities come from SPIFFE: X509-SVIDs of the trust domains that are named, each
//! by its own domain's bundle and no other (X509-SVID section 5.1, SPIFFE trust domain and bundle section 5).

use crate::pop::spiffe::SpiffeId;
use anyhow::Context;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Judges the chains of workloads.
#[derive(Debug)]
pub(super) struct SvidVerifier {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
    domains: HashMap<String, Arc<dyn ClientCertVerifier>>,
}

impl SvidVerifier {
    /// With the authorities of each trust domain that is accepted. A domain without any accepts nobody.
    ///
    /// # Errors
    /// An authority that can't be one.
    pub(super) fn new(
        bundles: &[(String, Vec<CertificateDer<'static>>)],
        mandatory: bool,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<SvidVerifier> {
        let mut domains = HashMap::new();
        for (domain, authorities) in bundles.iter().filter(|(_, authorities)| !authorities.is_empty()) {
            let mut anchors = RootCertStore::empty();
            for authority in authorities {
                anchors.add(authority.clone()).context("an authority of a bundle is none")?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider))
                    .build()
                    .context("a bundle can't be used")?;
            domains.insert(domain.to_owned(), verifier);
        }
        Ok(SvidVerifier { mandatory, provider: Arc::clone(provider), domains })
    }
}

impl ClientCertVerifier for SvidVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let (_, leaf) = x509_parser::parse_x509_certificate(end_entity).map_err(|_| refused())?;
        let id = SpiffeId::of_svid(&leaf).ok_or_else(refused)?;
        let domain = self.domains.get(id.trust_domain());
        let domain = domain.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        domain.verify_client_cert(end_entity, intermediates, now)
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
