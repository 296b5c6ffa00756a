//! TLS of the public listener: versions, groups, client certificates and their revocation.
//!
//! TLS 1.3 and 1.2 on aws-lc-rs with X25519MLKEM768 first; no early data, because it can be replayed
//! (RFC 8470); extended master secret required, because without it a client certificate of TLS 1.2 can
//! be carried over to another session (RFC 7627). Certificate revocation lists are strict: the status of
//! every certificate between the client's and the trust anchor must be known from a list that has not
//! expired. To do without the list of an intermediate CA, name it as a trust anchor.
//! Whether the certificate is the one of the token is decided in [`mtls`](crate::pop::mtls).

use crate::config::{ClientCertificates, Tls};
use crate::pop::Timestamp;
use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts TLS with the configuration of the moment.
#[derive(Debug)]
pub(super) struct Terminator {
    current: ArcSwap<ServerConfig>,
}

/// What the handshake agreed upon.
pub(super) struct Handshake {
    /// The encrypted stream.
    pub(super) stream: TlsStream<TcpStream>,
    /// ALPN chose HTTP/2 (RFC 9113 section 3.2); anything else is HTTP/1.1.
    pub(super) http2: bool,
    /// The client's own certificate, verified.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

impl Terminator {
    /// From the checked configuration.
    pub(super) fn new(tls: &Tls) -> anyhow::Result<Terminator> {
        Ok(Terminator { current: ArcSwap::from_pointee(server_config(tls)?) })
    }

    /// The handshake. The caller limits its time.
    pub(super) async fn accept(&self, stream: TcpStream, now: Timestamp) -> io::Result<Handshake> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let stream = acceptor.accept(stream).await?;
        let session = stream.get_ref().1;
        let http2 = session.alpn_protocol() == Some(H2);
        let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
        let certificate = certificate.map(CertificateDer::into_owned);
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            still_valid(certificate.as_ref(), now)?;
        }
        Ok(Handshake { stream, http2, certificate })
    }
}

/// Why a handshake failed: the label of a metric, one of a closed set.
pub(super) fn failure(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented), _) => {
            "client_certificate"
        }
        (Some(rustls::Error::AlertReceived(_)), _) => "refused_by_client",
        (Some(rustls::Error::InvalidMessage(_)), _) => "not_tls",
        (Some(_), _) => "protocol",
        (None, io::ErrorKind::TimedOut) => "timeout",
        (None, _) => "broken_off",
    }
}

/// Seeds the process's random generator, which takes some 30 ms at first use: not at the expense of
/// the first handshake.
pub(super) fn seed_randomness() -> anyhow::Result<u64> {
    let mut random = [0; 8];
    ::aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(u64::from_ne_bytes(random))
}

/// A resumed session skips certificate verification; the certificate may have expired since.
fn still_valid(certificate: Option<&CertificateDer<'_>>, now: Timestamp) -> io::Result<()> {
    let Some(certificate) = certificate else { return Ok(()) };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(io::Error::other)?;
    let validity = parsed.validity();
    let seconds = now.as_secs();
    if validity.not_before.timestamp() <= seconds && seconds <= validity.not_after.timestamp() {
        Ok(())
    } else {
        Err(io::Error::other("the certificate of the resumed session is not valid any more"))
    }
}

fn server_config(tls: &Tls) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = client_verifier(tls, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("TLS 1.3 and 1.2 are not available")?
        .with_client_cert_verifier(verifier)
        .with_single_cert(tls.certificate.clone(), tls.private_key.clone_key())
        .context("listen.tls: certificate and private key do not fit")?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP11.to_vec()];
    config.max_early_data_size = 0;
    config.require_ems = true;
    // Resumption skips the revocation lists: every configuration has ticket keys of its own, so that
    // no session outlives a reload of them.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new().context("no ticket keys")?;
    Ok(config)
}

fn client_verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let optional = match tls.client_certificate {
        ClientCertificates::Off => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional => true,
        ClientCertificates::Required => false,
    };
    let mut anchors = RootCertStore::empty();
    for anchor in &tls.client_ca {
        anchors.add(anchor.clone()).context("listen.tls.client_ca: not usable as a trust anchor")?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider));
    if !tls.client_crl.is_empty() {
        builder = builder.with_crls(tls.client_crl.iter().cloned()).enforce_revocation_expiration();
    }
    if optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().context("listen.tls: client certificates can't be verified")
}

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";
