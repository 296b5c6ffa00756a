//! Why a handshake failed, and which certificate the client showed whose handshake was refused for it.
//!
//! rustls tells why, and not of whom. The verifier sees the certificate, so it leaves its thumbprint for the handshake
//! under way: nothing is computed for a certificate that will do.

use crate::pop::sha256;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::Cell;
use std::sync::Arc;
use std::{fmt, io};

/// A client was refused for its certificate, or for want of one.
#[derive(Debug)]
pub(in crate::serve) struct Refused {
    error: Error,
    /// SHA-256 of the certificate that it showed, in base64url. Whether it has its key is not said by that.
    pub(in crate::serve) thumbprint: Option<[u8; 43]>,
}

impl Refused {
    /// Of a handshake that failed, if that was why.
    pub(in crate::serve) fn of(error: &io::Error) -> Option<&Refused> {
        error.get_ref()?.downcast_ref()
    }

    fn because_of(error: Error, thumbprint: Option<[u8; 43]>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Refused { error, thumbprint })
    }

    /// The chain of a resumed session, which will not do any more.
    pub(super) fn again(error: Error, chain: &[CertificateDer<'_>]) -> io::Error {
        Refused::because_of(error, chain.first().map(thumbprint))
    }

    /// Why, as a name of a closed set.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the faults are rustls's, and more of them may come")]
    pub(in crate::serve) fn reason(&self) -> &'static str {
        use CertificateError as Bad;
        let Error::InvalidCertificate(bad) = &self.error else { return "certificate_missing" };
        match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "certificate_expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "certificate_not_yet_valid",
            Bad::Revoked => "certificate_revoked",
            Bad::UnknownIssuer => "certificate_issuer_unknown",
            Bad::UnknownRevocationStatus
            | Bad::ExpiredRevocationList
            | Bad::ExpiredRevocationListContext { .. } => "certificate_status_unknown",
            Bad::BadEncoding => "certificate_malformed",
            Bad::BadSignature => "certificate_signature",
            _ => "certificate_unfit",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
impl std::error::Error for Refused {}

/// Goes through a handshake. If the client is refused for its certificate, the error says so ([`Refused::of`]).
pub(super) async fn noting<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    SHOWN
        .scope(Cell::new(None), async {
            let error = match handshake.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(why @ (Error::InvalidCertificate(_) | Error::NoCertificatesPresented)) => {
                    Err(Refused::because_of(why.clone(), SHOWN.with(Cell::take)))
                }
                Some(_) | None => Err(error),
            }
        })
        .await
}

/// A verifier of whose refusals it is known whom they met.
#[derive(Debug)]
pub(super) struct Noted(pub(super) Arc<dyn ClientCertVerifier>);

impl Noted {
    fn note<T>(certificate: &CertificateDer<'_>, verified: Result<T, Error>) -> Result<T, Error> {
        verified.inspect_err(|_| {
            // Outside of a handshake nobody wants to know.
            let _ = SHOWN.try_with(|shown| shown.set(Some(thumbprint(certificate))));
        })
    }
}

impl ClientCertVerifier for Noted {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }
    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Noted::note(end_entity, self.0.verify_client_cert(end_entity, intermediates, now))
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Noted::note(certificate, self.0.verify_tls12_signature(message, certificate, signature))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Noted::note(certificate, self.0.verify_tls13_signature(message, certificate, signature))
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}

/// Why a handshake failed: the label of a metric, one of a closed set.
pub(in crate::serve) fn failure(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (tls, error.kind()) {
        _ if Refused::of(error).is_some() => CLIENT_CERTIFICATE,
        (Some(Error::AlertReceived(_)), _) => "refused_by_client",
        (Some(Error::InvalidMessage(_)), _) => "not_tls",
        (Some(_), _) => "protocol",
        (None, io::ErrorKind::TimedOut) => "timeout",
        (None, io::ErrorKind::ResourceBusy) => "crowded_out",
        (None, _) => "broken_off",
    }
}

fn thumbprint(certificate: &CertificateDer<'_>) -> [u8; 43] {
    sha256::text(&sha256::of(certificate))
}

tokio::task_local! {
    /// The certificate that was refused in the handshake under way.
    static SHOWN: Cell<Option<[u8; 43]>>;
}

/// The client's certificate is missing or will not do.
const CLIENT_CERTIFICATE: &str = "client_certificate";
