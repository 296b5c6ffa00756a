//! An issuer that does as it is told, over real TLS on loopback.

use super::*;
use crate::pop::forge;
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
    metadata_issuer: Mutex<Option<String>>,
    oauth_metadata: Mutex<bool>,
    fetches: AtomicUsize,
    ca: CertificateDer<'static>,
}

pub(in crate::state) const LIMIT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

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
        }
    }

    fn answer(&self, path: &str) -> Response<BoxBody<Bytes, Infallible>> {
        let full = |status: u16, text: String| {
            let body = BoxBody::new(Full::new(Bytes::from(text)));
            Response::builder().status(status).body(body).unwrap()
        };
        let issuer = self.metadata_issuer.lock().clone().unwrap_or_else(|| self.name.clone());
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{}/jwks", self.name) }).to_string();
        match path {
            "/.well-known/oauth-authorization-server/tenant" if *self.oauth_metadata.lock() => {
                full(200, metadata)
            }
            "/tenant/.well-known/openid-configuration" => full(200, metadata),
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
                    Behaviour::Hang => {
                        let first = futures_once(Bytes::from_static(b"{"));
                        Response::new(BoxBody::new(first))
                    }
                }
            }
            "/elsewhere" => full(200, jwks(&[(1, "k1")])),
            _ => full(404, String::new()),
        }
    }
}

/// A body of one frame that never ends.
fn futures_once(bytes: Bytes) -> impl hyper::body::Body<Data = Bytes, Error = Infallible> {
    Hanging(Some(bytes))
}
struct Hanging(Option<Bytes>);
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

fn jwks(keys: &[(u8, &'static str)]) -> String {
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
                let response = published.answer(request.uri().path());
                async move { Ok::<_, Infallible>(response) }
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
    let issuers = Issuers::start_with(std::slice::from_ref(config), &telemetry.metrics, LIMIT).unwrap();
    (issuers, telemetry)
}

/// Starts, and waits for the first keys.
async fn ready(config: &Issuer) -> (Arc<Issuers>, Arc<Telemetry>) {
    let (issuers, telemetry) = start(config);
    eventually("ready", || issuers.unready().is_empty()).await;
    (issuers, telemetry)
}

fn one_key() -> Behaviour {
    Behaviour::Keys(vec![(1, "k1")])
}

/// Never ready, for this reason as the metric names it.
async fn refused(published: &Published, config: &Issuer, fault: &str) {
    let (issuers, telemetry) = start(config);
    let line = format!("clinch_jwks_fetches_total{{issuer=\"{}\",result=\"{fault}\"}}", published.name);
    eventually(fault, || telemetry.render().contains(&line)).await;
    assert_eq!(issuers.find(&published.name).unwrap_err(), Denial::KeysUnavailable);
    assert_eq!(issuers.unready(), [published.name.clone()]);
}

#[tokio::test]
async fn keys_are_discovered_in_either_place() {
    let published = Published::start(one_key()).await;
    for oauth in [true, false] {
        *published.oauth_metadata.lock() = oauth;
        let (issuers, telemetry) = ready(&published.config()).await;
        let known = issuers.find(&published.name).unwrap();
        assert_eq!(known.keys.len(), 1);
        assert!(known.edition.is_current());
        assert!(telemetry.render().contains("result=\"ok\"} 1\n"));
    }
}

#[tokio::test]
async fn an_unlisted_issuer_is_refused_and_causes_nothing() {
    let published = Published::start(one_key()).await;
    let (issuers, telemetry) = ready(&published.config()).await;
    let before = published.fetches();
    for name in ["https://evil.example", &format!("{}/", published.name), ""] {
        assert_eq!(issuers.find(name).unwrap_err(), Denial::TokenIssuer);
        assert_eq!(issuers.refetch(name).await, Refetched::Recent);
    }
    assert_eq!(published.fetches(), before);
    assert!(!telemetry.render().contains("evil"));
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let published = Published::start(one_key()).await;
    *published.metadata_issuer.lock() = Some(format!("{}/", published.name));
    refused(&published, &published.config(), "issuer_mismatch").await;
    assert_eq!(published.fetches(), 0);
}

#[tokio::test]
async fn what_is_not_a_key_set_is_refused() {
    let published = Published::start(Behaviour::Status(500)).await;
    let config =
        Issuer { jwks_uri: Some(format!("{}/jwks", published.name).parse().unwrap()), ..published.config() };
    refused(&published, &config, "status").await;
    published.set(Behaviour::Redirect("/elsewhere".to_owned()));
    refused(&published, &config, "status").await;
    published.set(Behaviour::Body("<html>".to_owned()));
    refused(&published, &config, "malformed").await;
    published.set(Behaviour::Body(r#"{"keys":[],"keys":[]}"#.to_owned()));
    refused(&published, &config, "malformed").await;
    published.set(Behaviour::Body(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_owned()));
    refused(&published, &config, "no_keys").await;
    published.set(Behaviour::Body(format!("{}{}", jwks(&[(1, "k1")]), " ".repeat(600 * 1024))));
    refused(&published, &config, "too_large").await;
    published.set(Behaviour::Hang);
    refused(&published, &config, "slow").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let published = Published::start(one_key()).await;
    let stranger = Published::start(one_key()).await;
    refused(&published, &Issuer { ca: vec![], ..published.config() }, "unreachable").await;
    refused(&published, &Issuer { ca: vec![stranger.ca.clone()], ..published.config() }, "unreachable").await;
    assert_eq!(published.fetches(), 0);
}

#[tokio::test]
async fn an_outage_at_start_ends() {
    let published = Published::start(Behaviour::Status(503)).await;
    let (issuers, _telemetry) = start(&published.config());
    eventually("a second attempt", || published.fetches() > 1).await;
    published.set(one_key());
    eventually("ready", || issuers.unready().is_empty()).await;
}

#[tokio::test]
async fn a_refresh_replaces_the_keys_and_their_edition() {
    let published = Published::start(Behaviour::Keys(vec![(1, "k1"), (2, "k2")])).await;
    let (issuers, _telemetry) =
        ready(&Issuer { jwks_refresh: Duration::from_millis(20), ..published.config() }).await;
    let before = issuers.find(&published.name).unwrap();
    let fetches = published.fetches();
    eventually("two refreshes", || published.fetches() > fetches + 2).await;
    assert!(before.edition.is_current(), "the same content is the same edition");
    published.set(Behaviour::Keys(vec![(2, "k2")]));
    eventually("one key", || issuers.find(&published.name).unwrap().keys.len() == 1).await;
    assert!(!before.edition.is_current());
}

#[tokio::test]
async fn an_outage_keeps_the_last_good_keys_until_they_are_too_old() {
    let published = Published::start(one_key()).await;
    let refresh = Duration::from_millis(20);
    let max_stale = Duration::from_secs(1);
    let config = Issuer { jwks_refresh: refresh, jwks_max_stale: max_stale, ..published.config() };
    let (issuers, _telemetry) = ready(&config).await;
    let known = issuers.find(&published.name).unwrap();
    published.set(Behaviour::Body(r#"{"keys":[]}"#.to_owned()));
    let fetches = published.fetches();
    eventually("failures", || published.fetches() > fetches + 2).await;
    assert!(issuers.find(&published.name).is_ok() && known.edition.is_current());
    eventually("too old", || issuers.find(&published.name).is_err()).await;
    assert_eq!(issuers.find(&published.name).unwrap_err(), Denial::KeysUnavailable);
    assert!(!known.edition.is_current());
    published.set(one_key());
    eventually("back", || issuers.find(&published.name).is_ok()).await;
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_fetch_per_cooldown() {
    let published = Published::start(one_key()).await;
    let (issuers, _telemetry) = ready(&published.config()).await;
    let flood = async |issuers: &Arc<Issuers>| {
        let mut waiting = JoinSet::new();
        for _ in 0..200 {
            let (issuers, name) = (Arc::clone(issuers), published.name.clone());
            waiting.spawn(async move { issuers.refetch(&name).await });
        }
        waiting.join_all().await
    };
    let first = flood(&issuers).await;
    assert!(first.contains(&Refetched::Fresh));
    assert!(!first.contains(&Refetched::Failed));
    assert_eq!(published.fetches(), 2, "the first and one more");
    let then = flood(&issuers).await;
    assert!(then.iter().all(|r| *r == Refetched::Recent), "at once");
    assert_eq!(published.fetches(), 2);
}

#[tokio::test]
async fn an_error_during_the_flood_leaves_known_keys_working() {
    let published = Published::start(one_key()).await;
    let config = Issuer { jwks_cooldown: Duration::ZERO, ..published.config() };
    let (issuers, _telemetry) = ready(&config).await;
    let known = issuers.find(&published.name).unwrap();
    for trouble in [Behaviour::Status(500), Behaviour::Hang, Behaviour::Body(String::new())] {
        published.set(trouble);
        let asked = std::time::Instant::now();
        assert_eq!(issuers.refetch(&published.name).await, Refetched::Failed);
        assert!(asked.elapsed() < PATIENCE / 2);
        assert!(known.edition.is_current() && issuers.find(&published.name).is_ok());
    }
}

#[tokio::test]
async fn dropping_the_issuers_ends_the_refresh() {
    let published = Published::start(one_key()).await;
    let (issuers, _telemetry) =
        ready(&Issuer { jwks_refresh: Duration::from_millis(5), ..published.config() }).await;
    let keys = Arc::downgrade(issuers.by_name.values().next().unwrap());
    drop(issuers);
    eventually("the task is gone", || keys.strong_count() == 0).await;
}
