//! Who may show a client certificate where identities come from SPIFFE: X509-SVIDs of the trust domains that are named, each
//! by its own domain's bundle and no other (X509-SVID section 5.1, SPIFFE trust domain and bundle section 5).

use super::client_chain::Judge;
use crate::pop::spiffe::SpiffeId;
use anyhow::Context;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, Error, RootCertStore};
use std::collections::HashMap;
use std::sync::Arc;

/// Judges the chains of workloads, by the authorities of each trust domain.
#[derive(Debug)]
pub(super) struct Svids(HashMap<String, Arc<dyn ClientCertVerifier>>);

impl Svids {
    /// With the authorities of each trust domain that is accepted. A domain without any accepts nobody.
    ///
    /// # Errors
    /// An authority that can't be one.
    pub(super) fn of(
        bundles: &[(String, Vec<CertificateDer<'static>>)],
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<Svids> {
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
        Ok(Svids(domains))
    }
}

impl Judge for Svids {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let (_, leaf) = x509_parser::parse_x509_certificate(end_entity).map_err(|_| refused())?;
        let id = SpiffeId::of_svid(&leaf).ok_or_else(refused)?;
        let domain = self.0.get(id.trust_domain());
        let domain = domain.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        domain.verify_client_cert(end_entity, intermediates, now)
    }
}
