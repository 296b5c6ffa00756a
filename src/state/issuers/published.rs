//! For tests: an issuer that does as it is told, over real TLS on loopback.

use super::*;
use crate::pop::forge;
use crate::state::introspection::scripted::Script;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// What the issuer does when asked for its keys.
#[derive(Clone)]
pub(in crate::state) enum Behaviour {
    Keys(Vec<(u8, &'static str)>),
    Status(u16),
    Redirect(String),
    Body(String),
    /// One byte, and then nothing for ever.
    Hang,
}

/// A running issuer.
pub(in crate::state) struct Published {
    pub(in crate::state) name: String,
    behaviour: Mutex<Behaviour>,
    pub(super) metadata_issuer: Mutex<Option<String>>,
    pub(super) oauth_metadata: Mutex<bool>,
    fetches: AtomicUsize,
    pub(in crate::state) introspection: Script,
    pub(super) ca: CertificateDer<'static>,
}

pub(in crate::state) const LIMIT: Duration = Duration::from_secs(3);
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

impl Published {
    pub(in crate::state) async fn start(behaviour: Behaviour) -> Arc<Published> {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &rcgen::Issuer::from_params(&ca, &ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let published = Arc::new(Published {
            name: format!("https://localhost:{}/tenant", listener.local_addr().unwrap().port()),
            behaviour: Mutex::new(behaviour),
            metadata_issuer: Mutex::default(),
            oauth_metadata: Mutex::new(true),
            fetches: AtomicUsize::new(0),
            introspection: Script::default(),
            ca: ca_certificate.der().clone(),
        });
        tokio::spawn(serve(listener, tokio_rustls::TlsAcceptor::from(Arc::new(tls)), Arc::clone(&published)));
        published
    }

    pub(in crate::state) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    pub(in crate::state) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Its entry in the config: no refresh in sight, a long cooldown, found by discovery.
    pub(in crate::state) fn config(&self) -> Issuer {
        let mut expected = Expected::clone(&forge::expected());
        expected.issuer = self.name.as_str().into();
        Issuer {
            expected: Arc::new(expected),
            jwks_uri: None,
            ca: vec![self.ca.clone()],
            jwks_refresh: Duration::from_secs(3600),
            jwks_cooldown: Duration::from_secs(3600),
            jwks_max_stale: Duration::from_secs(3600),
            introspection: None,
        }
    }

    fn answer(&self, path: &str) -> Response<BoxBody<Bytes, Infallible>> {
        let full = |status: u16, text: String| {
            let body = BoxBody::new(Full::new(Bytes::from(text)));
            Response::builder().status(status).body(body).unwrap()
        };
        let issuer = self.metadata_issuer.lock().clone().unwrap_or_else(|| self.name.clone());
        let metadata = json!({
            "issuer": issuer, "jwks_uri": format!("{}/jwks", self.name),
            "introspection_endpoint": format!("{}/introspect", self.name),
        })
        .to_string();
        match path {
            "/.well-known/oauth-authorization-server/tenant" if *self.oauth_metadata.lock() => {
                full(200, metadata)
            }
            "/tenant/.well-known/openid-configuration" | "/.well-known/ssf-configuration/tenant" => {
                full(200, metadata)
            }
            "/tenant/jwks" => {
                self.fetches.fetch_add(1, Ordering::SeqCst);
                match self.behaviour.lock().clone() {
                    Behaviour::Keys(keys) => full(200, jwks(&keys)),
                    Behaviour::Status(status) => full(status, String::new()),
                    Behaviour::Body(text) => full(200, text),
                    Behaviour::Redirect(to) => {
                        let mut response = full(302, String::new());
                        response.headers_mut().insert("location", to.parse().unwrap());
                        response
                    }
                    Behaviour::Hang => Response::new(BoxBody::new(Hanging(Some(Bytes::from_static(b"{"))))),
                }
            }
            "/elsewhere" => full(200, jwks(&[(1, "k1")])),
            _ => full(404, String::new()),
        }
    }
}

/// A body of one frame that never ends.
pub(in crate::state) struct Hanging(pub(in crate::state) Option<Bytes>);
impl hyper::body::Body for Hanging {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .take()
            .map_or(std::task::Poll::Pending, |bytes| std::task::Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

pub(super) fn jwks(keys: &[(u8, &'static str)]) -> String {
    let jwk = |(seed, kid): &(u8, &'static str)| {
        let mut jwk = forge::Key::seeded(*seed).jwk();
        jwk["kid"] = json!(kid);
        jwk
    };
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
}

async fn serve(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, published: Arc<Published>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, published) = (acceptor.clone(), Arc::clone(&published));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let published = Arc::clone(&published);
                async move {
                    let path = request.uri().path().to_owned();
                    Ok::<_, Infallible>(match path.as_str() {
                        "/tenant/introspect" => published.introspection.answer(request).await,
                        path => published.answer(path),
                    })
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Waits, within bounds, until it holds.
pub(in crate::state) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}

pub(in crate::state) fn start(config: &Issuer) -> (Arc<Issuers>, Arc<Telemetry>) {
    let telemetry = Telemetry::off();
    let issuers = Issuers::start_with(
        std::slice::from_ref(config),
        Metadata::AuthorizationServer,
        &telemetry.metrics,
        LIMIT,
    )
    .unwrap();
    (issuers, telemetry)
}
