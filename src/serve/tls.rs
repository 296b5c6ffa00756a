//! TLS of the public listener: versions, groups, sessions, and what the handshake agreed upon.
//!
//! TLS 1.3 and 1.2 on aws-lc-rs with X25519MLKEM768 first; no early data, because it can be replayed
//! (RFC 8470); extended master secret required, because without it a client certificate of TLS 1.2 can
//! be carried over to another session (RFC 7627). There is one configuration whatever name the client asks for,
//! so no name leads to a weaker one (TL-023). Renegotiation and post-handshake authentication, where another
//! certificate could come in later, do not exist in rustls (TL-021).
//! Client certificates are judged in [`client_chain`](super::client_chain).

mod refused;

pub(super) use refused::{Refused, failure};

use super::client_chain;
use super::client_chain::Judged;
use super::svid_chain::Svids;
use super::workload::{Svid, Wishes};
use crate::config::{ClientCertificates, ClientChain, Own, Tls};
use crate::pop::mtls::{ClientCertificate, Names};
use crate::pop::{Timestamp, sha256};
use crate::telemetry;
use anyhow::Context;
use arc_swap::{ArcSwap, Guard};
use refused::Noted;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCertUsingSni, WebPkiClientVerifier};
use rustls::{ConfigBuilder, HandshakeKind, ProtocolVersion, ServerConfig, WantsVerifier};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts TLS with the configuration of the moment.
#[derive(Debug)]
pub(super) struct Terminator {
    protocols: &'static [&'static [u8]],
    current: ArcSwap<Terms>,
}

/// The configuration of the moment, and what is made of who connected under it. A session can be resumed under the terms that it began under and no others
/// (TL-018, TL-020): the ticket keys are made with them and end with them, so a reload is one new `Terms`.
#[derive(Debug)]
pub(super) struct Terms {
    server: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
    names: Names,
    /// SHA-256 of our own certificate, in base64url.
    pub(super) own: Option<[u8; 43]>,
    /// When our own certificate does; `None` where there is none.
    pub(super) expires_at: Option<Timestamp>,
    /// When the first authority does that vouches for clients; `None` where none does.
    pub(super) clients_until: Option<Timestamp>,
}

/// What the handshake agreed upon.
pub(super) struct Handshake {
    /// The encrypted stream.
    pub(super) stream: TlsStream<TcpStream>,
    /// ALPN chose HTTP/2 (RFC 9113 section 3.2); anything else is HTTP/1.1.
    pub(super) http2: bool,
    /// What the client showed, whose key it has.
    pub(super) chain: Chain,
    /// What it agreed upon that under.
    pub(super) terms: Arc<Terms>,
}

impl Handshake {
    /// TLS 1.3, not 1.2.
    pub(super) fn is_tls13(&self) -> bool {
        self.stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }
    /// It went on with a session of before.
    pub(super) fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// A client's own certificate and those that vouch for it, as it sent them; empty where it showed none.
pub(super) type Chain = Box<[CertificateDer<'static>]>;

impl Terminator {
    /// From the checked configuration.
    pub(super) fn new(tls: &Tls) -> anyhow::Result<Terminator> {
        Terminator::speaking(&[H2, HTTP11], tls)
    }

    /// The same without HTTP/2.
    pub(super) fn http1(tls: &Tls) -> anyhow::Result<Terminator> {
        Terminator::speaking(&[HTTP11], tls)
    }

    fn speaking(protocols: &'static [&'static [u8]], tls: &Tls) -> anyhow::Result<Terminator> {
        Ok(Terminator { protocols, current: ArcSwap::from_pointee(Terms::new(tls, protocols)?) })
    }

    /// The terms of a configuration to come.
    ///
    /// # Errors
    /// The material does not fit.
    pub(super) fn draft(&self, tls: &Tls) -> anyhow::Result<Arc<Terms>> {
        Terms::new(tls, self.protocols).map(Arc::new)
    }

    /// The terms of an identity from the Workload API.
    ///
    /// # Errors
    /// The material does not fit.
    pub(super) fn draft_of(&self, svid: &Svid, wishes: &Wishes) -> anyhow::Result<Arc<Terms>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mandatory = match wishes.client_certificate {
            ClientCertificates::Off => None,
            ClientCertificates::Optional => Some(false),
            ClientCertificates::Required => Some(true),
        };
        let clients: Arc<dyn ClientCertVerifier> = match mandatory {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(mandatory) => {
                let svids = Svids::of(&svid.accepted(wishes), &provider)?;
                Arc::new(Judged::by(svids, mandatory, &provider))
            }
        };
        let own = (&*svid.chain, &svid.key);
        let bundles = svid.accepted(wishes);
        let authorities = bundles.iter().flat_map(|(_, authorities)| authorities);
        let clients_until = mandatory.and_then(|_| first_end(authorities));
        let terms = Terms::made(self.protocols, provider, clients, Names::Vouched, own)?;
        Ok(Arc::new(Terms { clients_until, ..terms }))
    }

    /// The terms after an identity from the Workload API has expired: nobody can connect.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub(super) fn closed_since(&self, end: Timestamp) -> anyhow::Result<Arc<Terms>> {
        Terms::waiting(self.protocols, Arc::new(aws_lc_rs::default_provider()), Some(end)).map(Arc::new)
    }

    /// Whoever connects from now on does so under these terms, and so is judged who is connected.
    pub(super) fn renew(&self, terms: Arc<Terms>) {
        self.current.store(terms);
    }

    /// The terms of the moment.
    pub(super) fn terms(&self) -> Guard<Arc<Terms>> {
        self.current.load()
    }

    /// The handshake. The caller limits its time.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Handshake> {
        let terms = self.current.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(&terms.server));
        let stream = refused::noting(acceptor.accept(stream)).await?;
        let session = stream.get_ref().1;
        let http2 = session.alpn_protocol() == Some(H2);
        let chain = session.peer_certificates().unwrap_or_default();
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            terms.still_welcome(chain).map_err(|error| Refused::again(error, chain))?;
        }
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        Ok(Handshake { stream, http2, chain, terms })
    }
}

impl Handshake {
    /// What a trace tells of it; it began then, and is done now.
    pub(super) fn told(&self, began: SystemTime) -> telemetry::Handshake {
        let session = self.stream.get_ref().1;
        telemetry::Handshake {
            began,
            ended: SystemTime::now(),
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
                Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
                Some(_) | None => None,
            },
            protocol: if self.http2 { "h2" } else { "http/1.1" },
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: !self.chain.is_empty(),
        }
    }
}

impl Terms {
    fn new(tls: &Tls, protocols: &[&[u8]]) -> anyhow::Result<Terms> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let names = match tls.client_chain {
            ClientChain::Verified => Names::Vouched,
            ClientChain::Unchecked => Names::Unvouched,
        };
        match &tls.own {
            Own::Files { certificate, private_key } => {
                let clients = client_chain::verifier(tls, &provider)?;
                let terms = Terms::made(protocols, provider, clients, names, (certificate, private_key))?;
                Ok(Terms { clients_until: first_end(&tls.client_ca), ..terms })
            }
            Own::Spiffe(_) => Terms::waiting(protocols, provider, None),
        }
    }

    fn made(
        protocols: &[&[u8]],
        provider: Arc<CryptoProvider>,
        clients: Arc<dyn ClientCertVerifier>,
        names: Names,
        (certificate, key): (&[CertificateDer<'static>], &PrivateKeyDer<'static>),
    ) -> anyhow::Result<Terms> {
        let server = versions(provider)?
            .with_client_cert_verifier(Arc::new(Noted(Arc::clone(&clients))))
            .with_single_cert(certificate.to_vec(), key.clone_key())
            .context("listen.tls: certificate and private key do not fit")?;
        let own = certificate.first().map(|der| sha256::text(&sha256::of(der)));
        let (expires_at, clients_until) = (certificate.first().and_then(end), None);
        Ok(Terms { server: settled(server, protocols)?, clients, names, own, expires_at, clients_until })
    }

    /// Nobody can connect: there is no certificate yet, or none any more.
    fn waiting(
        protocols: &[&[u8]],
        provider: Arc<CryptoProvider>,
        expires_at: Option<Timestamp>,
    ) -> anyhow::Result<Terms> {
        let clients = WebPkiClientVerifier::no_client_auth();
        let server = versions(provider)?
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        let server = settled(server, protocols)?;
        let clients_until = None;
        Ok(Terms { server, clients, names: Names::Unvouched, own: None, expires_at, clients_until })
    }

    /// The client's certificate, as far as it says something.
    pub(super) fn certificate(&self, chain: &Chain) -> Option<Arc<ClientCertificate>> {
        chain.first().map(|leaf| Arc::new(ClientCertificate::from_der(leaf, self.names)))
    }

    /// Whether who connected before could connect now (TL-019, TL-020).
    pub(super) fn still_welcome(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let now = self.server.time_provider.current_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        client_chain::verify_again(&*self.clients, chain, now)
    }
}

/// When a certificate expires.
fn end(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Timestamp::from_secs(parsed.validity().not_after.timestamp()))
}

fn first_end<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Option<Timestamp> {
    certificates.into_iter().filter_map(end).min()
}

fn versions(provider: Arc<CryptoProvider>) -> anyhow::Result<ConfigBuilder<ServerConfig, WantsVerifier>> {
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]) // FAPI-09
        .context("TLS 1.3 and 1.2 are not available")
}

fn settled(mut server: ServerConfig, protocols: &[&[u8]]) -> anyhow::Result<Arc<ServerConfig>> {
    server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    server.max_early_data_size = 0; // HTTP-37
    server.require_ems = true;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.ticketer = aws_lc_rs::Ticketer::new().context("no ticket keys")?;
    Ok(Arc::new(server))
}

/// Seeds the process's random generator, which takes some 30 ms at first use: not at the expense of
/// the first handshake.
pub(super) fn seed_randomness() -> anyhow::Result<u64> {
    let mut random = [0; 8];
    ::aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(u64::from_ne_bytes(random))
}

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";
