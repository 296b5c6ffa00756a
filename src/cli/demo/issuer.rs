//! The demo's authorization server: a signing key, its metadata (RFC 8414), its keys, and tokens on request.

use super::authority::Identity;
use super::hosting;
use crate::cli::holder::{Holder, random_id};
use crate::pop::Timestamp;
use anyhow::Context as _;
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The authorization server. Its URL is the `iss` of its tokens.
pub(super) struct Issuer {
    pub(super) url: String,
    key: Holder,
}

/// An access token (RFC 9068). A secret, so there is no Debug.
pub(super) struct Token {
    /// The token itself.
    pub(super) text: String,
    /// Its `jti`.
    pub(super) id: String,
}

/// What a token is to say.
#[derive(Clone, Copy)]
pub(super) struct Claims<'a> {
    pub(super) subject: &'a str,
    pub(super) client: &'a str,
    pub(super) audience: &'a str,
    pub(super) scope: &'a str,
    /// The member of `cnf`: its name and the thumbprint.
    pub(super) bound_to: (&'static str, &'a str),
}

impl Issuer {
    /// Starts it on a free loopback port.
    pub(super) async fn start(identity: &Identity) -> anyhow::Result<Issuer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port for the issuer")?;
        let url = format!("https://{}", listener.local_addr()?);
        let key = Holder::generate();
        let (metadata, keys) = (metadata(&url), keys(&key));
        tokio::spawn(hosting::host(listener, Some(acceptor(identity)?), move |request| {
            match request.uri().path() {
                "/.well-known/oauth-authorization-server" => hosting::json(StatusCode::OK, &metadata),
                "/jwks" => hosting::json(StatusCode::OK, &keys),
                _ => hosting::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
            }
        }));
        Ok(Issuer { url, key })
    }

    /// A new token, valid from now on.
    pub(super) fn mint(&self, what: Claims<'_>, lifetime: Duration, now: Timestamp) -> Token {
        let id = random_id();
        let claims = json!({
            "iss": self.url,
            "sub": what.subject,
            "client_id": what.client,
            "aud": what.audience,
            "scope": what.scope,
            "iat": now.as_secs(),
            "exp": now.plus(lifetime).as_secs(),
            "jti": id,
            "cnf": { what.bound_to.0: what.bound_to.1 },
        });
        let mut header = Map::new();
        header.insert("typ".into(), "at+jwt".into());
        header.insert("kid".into(), self.key.thumbprint().into());
        Token { text: self.key.sign(header, &claims), id }
    }
}

fn acceptor(identity: &Identity) -> anyhow::Result<tokio_rustls::TlsAcceptor> {
    let (chain, key) = identity.to_rustls();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(Arc::new(config).into())
}

fn metadata(url: &str) -> Value {
    json!({
        "issuer": url,
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "tls_client_certificate_bound_access_tokens": true,
    })
}

fn keys(key: &Holder) -> Value {
    let mut jwk = key.public_jwk();
    jwk["kid"] = key.thumbprint().into();
    jwk["alg"] = "ES256".into();
    jwk["use"] = "sig".into();
    json!({ "keys": [jwk] })
}
