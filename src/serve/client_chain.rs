//! Who may show a client certificate: the chain's verdict, at the handshake and again when a session resumes.
//!
//! `verified`: up to a configured authority, for client authentication, valid now and on no revocation list.
//! Certificate revocation lists are strict: the status of every certificate between the client's and the trust
//! anchor must be known from a list that has not expired. To do without the list of an intermediate CA, name it
//! as a trust anchor. `unchecked` (RFC 8705 section 6.2): any certificate, for it is the token that says which
//! one counts. Either way the handshake's signature is verified: whoever shows a certificate has its key.
//! Whether the certificate is the one of the token is decided in [`mtls`](crate::pop::mtls).

use crate::config::{ClientCertificates, ClientChain, Tls};
use anyhow::Context;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::sync::Arc;

/// What judges the client certificates of a configuration.
pub(super) fn verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mandatory = match tls.client_certificate {
        ClientCertificates::Off => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional => false,
        ClientCertificates::Required => true,
    };
    match tls.client_chain {
        ClientChain::Verified => verified(tls, provider, mandatory),
        ClientChain::Unchecked => Ok(Arc::new(Judged::by(Unchecked, mandatory, provider))),
    }
}

/// The chain of a resumed session, judged again as of now (TL-019, CC-09): rustls restores it from the ticket
/// and asks nobody, but the certificate may have expired or been revoked since. In the order in which it was
/// sent.
pub(super) fn verify_again(
    verifier: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    match chain.split_first() {
        None if verifier.offer_client_auth() && verifier.client_auth_mandatory() => {
            Err(Error::NoCertificatesPresented)
        }
        None => Ok(()),
        Some(_) if !verifier.offer_client_auth() => {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
        Some((leaf, above)) => verifier.verify_client_cert(leaf, above, now).map(|_| ()),
    }
}

fn verified(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
    mandatory: bool,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut anchors = RootCertStore::empty();
    for anchor in &tls.client_ca {
        anchors.add(anchor.clone()).context("listen.tls.client_ca: not usable as a trust anchor")?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider));
    if !tls.client_crl.is_empty() {
        builder = builder.with_crls(tls.client_crl.iter().cloned()).enforce_revocation_expiration();
    }
    if !mandatory {
        builder = builder.allow_unauthenticated();
    }
    builder.build().context("listen.tls: client certificates can't be verified")
}

/// What a certificate has to be, besides shown by whoever has its key.
pub(super) trait Judge: fmt::Debug + Send + Sync {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error>;
}

/// Certificates by a judge of our own; the handshake's signature as the provider verifies it for everybody else.
#[derive(Debug)]
pub(super) struct Judged<J> {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
    judge: J,
}

impl<J> Judged<J> {
    pub(super) fn by(judge: J, mandatory: bool, provider: &CryptoProvider) -> Judged<J> {
        Judged { mandatory, algorithms: provider.signature_verification_algorithms, judge }
    }
}

impl<J: Judge> ClientCertVerifier for Judged<J> {
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
        self.judge.judge(end_entity, intermediates, now)
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Possession alone (MTLS-07): no authority, no names, no time. That an expired certificate proves nothing is decided
/// with the request, when the time is known (`pop::verify`).
#[derive(Debug)]
struct Unchecked;

impl Judge for Unchecked {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(end_entity).map(|_| ClientCertVerified::assertion())
    }
}
