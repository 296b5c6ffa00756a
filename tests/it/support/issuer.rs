//! A small issuer over TLS that signs whatever a test asks for and publishes whatever a test tells it to.
//!
//! It serves RFC 8414 and OpenID metadata and a JWKS; what any path answers can be changed at any time, and
//! every request is remembered.

use super::echo::Received;
use super::oauth_client::HOST;
use super::pki::Pki;
use super::proof::{Jwt, ProofKey, now, unique};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A running issuer; it ends with the test's runtime.
pub struct Issuer {
    /// Its issuer identifier, `https://localhost:port`.
    pub name: String,
    /// The key that it publishes as `k1` and signs with, for ES256.
    pub key: ProofKey,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    received: Mutex<Vec<Received>>,
    dark: AtomicBool,
}

/// What a path answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
    drip: Option<Duration>,
}

/// Where the keys are.
pub const JWKS: &str = "/jwks";
/// Where RFC 8414 puts the metadata.
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Where OpenID Connect Discovery puts it.
pub const OPENID: &str = "/.well-known/openid-configuration";

impl Issuer {
    /// Starts one whose TLS certificate `pki` signed; its metadata is complete and its key published.
    pub async fn start(pki: &Pki) -> Issuer {
        Issuer::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), "localhost", pki)
    }

    /// Starts one on a socket, at a host that is in its certificate.
    pub fn on(listener: TcpListener, host: &str, pki: &Pki) -> Issuer {
        let name = format!("https://{host}:{}", listener.local_addr().unwrap().port());
        let shared = Arc::<Shared>::default();
        tokio::spawn(serve(listener, acceptor(pki), Arc::clone(&shared)));
        let issuer = Issuer { name, key: ProofKey::new(), shared };
        let metadata = json!({ "issuer": issuer.name, "jwks_uri": issuer.at(JWKS) });
        issuer.answer(METADATA, Reply::json(&metadata));
        issuer.answer(OPENID, Reply::json(&metadata));
        issuer.publish(&[("k1", &issuer.key)]);
        issuer
    }

    /// The URL of a path.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.name)
    }

    /// Lets a path answer like this from now on; every other path answers 404.
    pub fn answer(&self, path: &str, reply: Reply) {
        self.shared.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Publishes these keys under these names, and no others.
    pub fn publish(&self, keys: &[(&str, &ProofKey)]) {
        let jwk = |(kid, key): &(&str, &ProofKey)| {
            let mut jwk = key.jwk();
            jwk["kid"] = json!(kid);
            jwk
        };
        self.publish_jwks(keys.iter().map(jwk).collect());
    }

    /// Publishes these JWKs as they are.
    pub fn publish_jwks(&self, jwks: Vec<Value>) {
        self.answer(JWKS, Reply::json(&json!({ "keys": jwks })));
    }

    /// Hangs up on everybody before TLS, or no longer.
    pub fn go_dark(&self, dark: bool) {
        self.shared.dark.store(dark, Ordering::SeqCst);
    }

    /// The requests to a path so far, query or not.
    pub fn received(&self, path: &str) -> Vec<Received> {
        let all = self.shared.received.lock().unwrap();
        all.iter().filter(|r| r.target.split('?').next() == Some(path)).cloned().collect()
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.received(JWKS).len()
    }

    /// A good access token (RFC 9068) with this `cnf`, or none for `null`: to be changed and signed.
    pub fn token(&self, cnf: impl Into<Value>) -> Jwt {
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" });
        let claims = json!({
            "iss": self.name, "aud": format!("https://{HOST}"), "sub": "alice", "client_id": "app",
            "iat": now(), "exp": now() + 300, "jti": unique(), "scope": "accounts.read",
        });
        Jwt::of(header, claims).claim("cnf", cnf)
    }

    /// A good access token that is bound to the key of its proofs.
    pub fn token_for(&self, key: &ProofKey) -> Jwt {
        self.token(json!({ "jkt": key.thumbprint() }))
    }

    /// Signs with the published key.
    pub fn sign(&self, token: &Jwt) -> String {
        token.sign(&self.key)
    }
}

impl Reply {
    /// 200 with a JSON document.
    pub fn json(document: &Value) -> Reply {
        Reply::text(200, &document.to_string()).with("content-type", "application/json")
    }

    /// Any status with any body.
    pub fn text(status: u16, body: &str) -> Reply {
        Reply { status, headers: vec![], body: body.to_owned(), delay: Duration::ZERO, drip: None }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Reply {
        Reply::text(302, "").with("location", to)
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// After this long.
    pub fn after(mut self, delay: Duration) -> Reply {
        self.delay = delay;
        self
    }

    /// With this long between every two bytes of the body.
    pub fn dripping(mut self, interval: Duration) -> Reply {
        self.drip = Some(interval);
        self
    }

    fn response(self) -> Response<BoxBody<Bytes, Infallible>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let body = Bytes::from(self.body);
        let body = match self.drip {
            None => Full::new(body).boxed(),
            Some(interval) => BodyExt::boxed(StreamBody::new(Box::pin(drops(body, interval)))),
        };
        response.body(body).expect("a valid response")
    }
}

fn drops(
    body: Bytes,
    interval: Duration,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync {
    stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(interval).await;
        let drop = rest.split_to(1);
        Some((Ok(Frame::data(drop)), rest))
    })
}

/// TLS with the server's certificate.
pub fn acceptor(pki: &Pki) -> TlsAcceptor {
    let (chain, key) = pki.server.der();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if shared.dark.load(Ordering::SeqCst) {
            continue;
        }
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| respond(request, Arc::clone(&shared)));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let received = Received::read(request).await;
    let path = received.target.split('?').next().unwrap_or_default().to_owned();
    shared.received.lock().unwrap().push(received);
    let reply = shared.replies.lock().unwrap().get(&path).cloned();
    let reply = reply.unwrap_or_else(|| Reply::text(404, ""));
    tokio::time::sleep(reply.delay).await;
    Ok(reply.response())
}
