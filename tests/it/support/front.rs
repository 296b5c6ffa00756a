//! clinch with listen keys and routes of the test's own, and an issuer that signs whatever claims it likes.

use super::clinch::Clinch;
use super::echo::Echo;
use super::issuer::Issuer;
use super::oauth_client::HOST;
use super::pki::{Identity, Pki};
use super::proof::{Proof, ProofKey, jwt, now};
use super::temporary::Folder;
use super::wire::{Answer, Caller};
use super::world::write;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// The parts, running.
pub struct Front {
    /// Certificates.
    pub pki: Pki,
    /// The service.
    pub service: Echo,
    /// The sidecar.
    pub clinch: Clinch,
    /// The issuer.
    pub issuer: Issuer,
    /// Its config.
    pub config: PathBuf,
    /// The client's key, which tokens are bound to.
    pub client: ProofKey,
    _folder: Folder,
}

impl Front {
    /// With these keys of `listen` and these routes, both as YAML lines.
    pub async fn start(listen: &str, routes: &str) -> Front {
        let service = Echo::start().await;
        let address = service.address;
        Front::before(service, &at(address), listen, routes).await
    }

    /// The same before a service that answers every request with these bytes.
    pub async fn of_canned(answer: &'static str, listen: &str, routes: &str) -> Front {
        let address = canned(answer).await;
        Front::before(Echo::start().await, &at(address), listen, routes).await
    }

    /// The same before a service of the test's own.
    pub async fn before_service(address: SocketAddr, listen: &str, routes: &str) -> Front {
        Front::before(Echo::start().await, &at(address), listen, routes).await
    }

    /// The same with these keys of `upstream`.
    pub async fn before_upstream(upstream: &str, listen: &str, routes: &str) -> Front {
        Front::before(Echo::start().await, upstream, listen, routes).await
    }

    async fn before(service: Echo, upstream: &str, listen: &str, routes: &str) -> Front {
        let (pki, folder) = (Pki::new(), Folder::new());
        let issuer = Issuer::start(&pki).await;
        let text = format!(
            "listen:
  address: 127.0.0.1:0
{listen}
  tls: {{ certificate: server.crt, private_key: server.key, client_certificate: optional, client_ca: [ca.crt] }}
upstream: {{ {upstream} }}
issuers:
  - {{ issuer: '{}', audiences: ['https://{HOST}'], algorithms: [ES256], ca: ca.crt }}
routes:
{routes}
admin: {{ address: '127.0.0.1:0' }}
",
            issuer.name
        );
        let config = write(&folder, &pki, &text);
        let clinch = Clinch::start(&config).await;
        let client = ProofKey::new();
        Front { pki, service, clinch, issuer, config, client, _folder: folder }
    }

    /// A token bound to the client's key, with these claims instead of its own; `null` leaves one out.
    pub fn token(&self, claims: &Value) -> String {
        let mut all = json!({
            "iss": self.issuer.name, "aud": format!("https://{HOST}"), "sub": "alice", "client_id": "app",
            "jti": format!("token of {}", now()), "iat": now() - 5, "exp": now() + 300, "scope": "read",
            "cnf": { "jkt": self.client.thumbprint() },
        });
        let members = all.as_object_mut().unwrap();
        members.extend(claims.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        jwt(&json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k1" }), &all, &self.issuer.key)
    }

    /// A GET of a path with a token and a proof for this URL.
    pub async fn get(&self, path: &str, htu: &str, token: &str) -> Answer {
        let proof = Proof::new(&self.client, "GET", htu, token).sign(&self.client);
        self.ask("GET", path, &[("Authorization", &format!("DPoP {token}")), ("DPoP", &proof)]).await
    }

    /// A request without content, with these fields.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{fields}\r\n");
        self.caller(None).send(&request).await
    }

    /// Someone who calls clinch.
    pub fn caller(&self, identity: Option<&Identity>) -> Caller {
        Caller::new(self.clinch.address, &self.pki, identity)
    }
}

async fn canned(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(reply(stream, answer));
        }
    });
    address
}

/// Reads the head of one request and answers it.
async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn at(address: SocketAddr) -> String {
    format!("url: 'http://{address}'")
}
