//! The handshake: versions, groups, client certificates, revocation lists, resumption.

use super::pki::{Authority, Identity};
use super::*;
use crate::config::{ClientCertificates, ClientChain, Tls};
use crate::serve::client_chain;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Connects and asks: TLS 1.3 clients only learn then that their certificate was refused.
async fn admitted(sidecar: &Sidecar, identity: Option<&Identity>) -> bool {
    let client = sidecar.pki.client(identity, b"http/1.1");
    let Ok(mut stream) = sidecar.connect(client).await else { return false };
    let request = b"GET /open/a HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end"));
    answer.starts_with(b"HTTP/1.1 200 ")
}

/// FAPI-09
#[tokio::test]
async fn tls_13_is_post_quantum() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let stream = sidecar.tls(b"h2").await;
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
}

/// MTLS-06, TL-005
#[tokio::test]
async fn required_means_required_and_optional_means_valid_or_none() {
    let service = Service::start().await;
    let stranger = Authority::root().issue("client", 7, &[]);
    for (mode, none, foreign) in
        [(ClientCertificates::Required, false, false), (ClientCertificates::Optional, true, false)]
    {
        let ca = Authority::root();
        let sidecar = Sidecar::with(&service, |config| {
            config.listen.tls.client_certificate = mode;
            config.listen.tls.client_ca = vec![ca.certificate.der().clone()];
        })
        .await;
        assert!(admitted(&sidecar, Some(&ca.issue("client", 7, &[]))).await, "{mode:?}");
        assert_eq!(admitted(&sidecar, None).await, none, "{mode:?}");
        assert_eq!(admitted(&sidecar, Some(&stranger)).await, foreign, "{mode:?}");
    }
}

/// TL-009, TL-010
#[tokio::test]
async fn revoked_and_unknown_certificates_are_refused() {
    let service = Service::start().await;
    let root = Authority::root();
    let middle = root.intermediate();
    let other = Authority::root();
    let (good, revoked) = (root.issue("good", 7, &[]), root.issue("revoked", 8, &[]));
    let below = middle.issue("below", 9, &[&middle]);
    let crls = |lists: Vec<rustls::pki_types::CertificateRevocationListDer<'static>>| {
        let anchor = root.certificate.der().clone();
        move |config: &mut Config| {
            config.listen.tls.client_certificate = ClientCertificates::Required;
            config.listen.tls.client_ca = vec![anchor];
            config.listen.tls.client_crl = lists;
        }
    };
    let listed = Sidecar::with(&service, crls(vec![root.crl(&[8], 2099)])).await;
    assert!(admitted(&listed, Some(&good)).await);
    assert!(!admitted(&listed, Some(&revoked)).await);
    assert!(!admitted(&listed, Some(&below)).await, "the intermediate has no list");
    let both = Sidecar::with(&service, crls(vec![root.crl(&[8], 2099), middle.crl(&[], 2099)])).await;
    assert!(admitted(&both, Some(&below)).await);
    let foreign = Sidecar::with(&service, crls(vec![other.crl(&[], 2099)])).await;
    assert!(!admitted(&foreign, Some(&good)).await, "no list of its issuer");
    let expired = Sidecar::with(&service, crls(vec![root.crl(&[8], 2025)])).await;
    assert!(!admitted(&expired, Some(&good)).await, "a list that has expired tells nothing");
}

/// How the handshake went, after a request so that tickets have arrived.
async fn handshake(sidecar: &Sidecar, client: &ClientConfig) -> Option<HandshakeKind> {
    let mut stream = sidecar.connect(client.clone()).await.unwrap();
    stream.write_all(b"GET /open/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream.get_ref().1.handshake_kind()
}

/// TL-018, TL-020
#[tokio::test]
async fn sessions_resume_but_not_across_configurations() {
    let service = Service::start().await;
    let one = Sidecar::in_front_of(&service).await;
    let two = Sidecar::with(&service, |config| config.listen.tls = one.pki.server()).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = one.pki.client_of(version, None, b"http/1.1");
        assert_ne!(handshake(&one, &client).await, Some(HandshakeKind::Resumed));
        assert_eq!(handshake(&one, &client).await, Some(HandshakeKind::Resumed));
        assert_ne!(handshake(&two, &client).await, Some(HandshakeKind::Resumed));
    }
}

/// TL-019: what rustls restores from a ticket is judged again, by the rules and at the time of now.
#[test]
fn the_chain_of_a_resumed_session_is_judged_again() {
    let (pki, root, other) = (Pki::new(), Authority::root(), Authority::root());
    let identity = root.issue("client", 7, &[]);
    let judged = |change: &dyn Fn(&mut Tls), chain: &[CertificateDer<'_>], year: u64| {
        let mut tls = pki.server();
        tls.client_certificate = ClientCertificates::Required;
        tls.client_ca = vec![root.certificate.der().clone()];
        change(&mut tls);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = client_chain::verifier(&tls, &provider).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        client_chain::verify_again(&*verifier, chain, now).is_ok()
    };
    let chain = &identity.chain;
    assert!(judged(&|_| {}, chain, 2030));
    assert!(!judged(&|_| {}, chain, 5000), "expired since");
    assert!(!judged(&|tls| tls.client_crl = vec![root.crl(&[7], 2099)], chain, 2030), "revoked since");
    assert!(!judged(&|tls| tls.client_crl = vec![root.crl(&[8], 2026)], chain, 2030), "the list has expired");
    assert!(!judged(&|tls| tls.client_ca = vec![other.certificate.der().clone()], chain, 2030), "another CA");
    assert!(!judged(&|_| {}, &[], 2030), "none, where one is required");
    assert!(judged(&|tls| tls.client_certificate = ClientCertificates::Optional, &[], 2030));
    assert!(judged(&|tls| tls.client_certificate = ClientCertificates::Off, &[], 2030));
    assert!(!judged(&|tls| tls.client_certificate = ClientCertificates::Off, chain, 2030), "nobody asked");
    let unchecked = |tls: &mut Tls| {
        tls.client_chain = ClientChain::Unchecked;
        tls.client_ca.clear();
    };
    assert!(judged(&unchecked, chain, 2030));
    assert!(!judged(&unchecked, &[CertificateDer::from(vec![0x30, 0])], 2030), "not a certificate");
}
