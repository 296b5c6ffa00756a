//! Sessions that are resumed from a ticket.

use crate::support::authority::{Authority, Shown, valid};
use crate::support::proof::now;
use crate::support::stage::{Setting, Stage, status};
use crate::support::wire::get;
use crate::support::{PATIENCE, eventually};
use rustls::{ClientConfig, HandshakeKind};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const TLS: &str = "client_certificate: required\n    client_ca: [clients.crt]";

async fn stage(root: &Authority) -> Stage {
    Stage::set(Setting { tls: TLS, files: vec![("clients.crt", root.pem())], ..Setting::default() }).await
}

/// How the handshake went, as the client sees it, and what was answered.
async fn ask(stage: &Stage, client: &Arc<ClientConfig>) -> (Option<HandshakeKind>, Option<u16>) {
    let stream = TcpStream::connect(stage.clinch.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let Ok(mut stream) = TlsConnector::from(Arc::clone(client)).connect(name, stream).await else {
        return (None, None);
    };
    let mut answer = Vec::new();
    let talk = async {
        let _ = stream.write_all(get("/open/1", &[]).as_bytes()).await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("the connection ends");
    (stream.get_ref().1.handshake_kind(), status(std::str::from_utf8(&answer).ok()))
}

/// TL-019, CC-09: the ticket remembers a certificate that was good when it was written. It is judged again, as of now.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_outlive_its_certificate() {
    let root = Authority::root("clients");
    let stage = stage(&root).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let end = now() + 5;
        let shown: Shown = root.issue(|params| valid(params, end - 3600, end));
        let client = Arc::new(shown.by(stage.pki.roots(), version));
        assert_eq!(ask(&stage, &client).await, (Some(HandshakeKind::Full), Some(200)), "{version:?}");
        let (kind, admitted) = ask(&stage, &client).await;
        assert_eq!((kind, admitted), (Some(HandshakeKind::Resumed), Some(200)), "{version:?}");
        let refused = async || {
            let over = now() > end;
            let (kind, admitted) = ask(&stage, &client).await;
            assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}: nothing but the ticket is judged");
            assert!(!(over && admitted.is_some()), "{version:?}: let in after its end");
            (over && admitted.is_none()).then_some(())
        };
        eventually("the certificate to expire", refused).await;
    }
    let failures = stage.metric("clinch_tls_handshake_failures_total{reason=\"client_certificate\"}").await;
    assert!(failures >= 2, "{failures}");
}

/// TL-018, TL-020: a ticket is good for the configuration that wrote it. Another sidecar with the same files is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_no_good_elsewhere() {
    let root = Authority::root("clients");
    let mut one = stage(&root).await;
    let client = Arc::new(root.client().by(one.pki.roots(), &rustls::version::TLS13));
    assert_eq!(ask(&one, &client).await, (Some(HandshakeKind::Full), Some(200)));
    one.restart().await;
    assert_ne!(ask(&one, &client).await.0, Some(HandshakeKind::Resumed));
}
