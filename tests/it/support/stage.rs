//! clinch with an issuer of the test's own: tokens of any binding, any rule for certificates, any service behind it.

use super::clinch::Clinch;
use super::echo::Echo;
use super::oauth_client::HOST;
use super::pki::Pki;
use super::proof::{ProofKey, jwt, now};
use super::temporary::Folder;
use super::wire::plain_get;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What differs from stage to stage.
#[derive(Default)]
pub struct Setting {
    /// Lines under `listen.tls`.
    pub tls: &'static str,
    /// Lines under `listen`.
    pub listen: String,
    /// Further files, by name.
    pub files: Vec<(&'static str, String)>,
    /// The service, where it is not the one that echoes.
    pub service: Option<SocketAddr>,
}

/// The parts, running.
pub struct Stage {
    /// Certificates.
    pub pki: Pki,
    /// The service.
    pub service: Echo,
    /// The sidecar.
    pub clinch: Clinch,
    key: ProofKey,
    config: PathBuf,
    _folder: Folder,
}

/// Client certificates are asked for, and judged by `ca.crt`.
pub const VERIFIED: &str = "client_certificate: optional\n    client_ca: [ca.crt]";
/// Client certificates are asked for, and judged by nobody.
pub const UNCHECKED: &str = "client_certificate: optional\n    client_chain: unchecked";

impl Stage {
    /// Starts everything and waits until it is ready.
    pub async fn set(setting: Setting) -> Stage {
        let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
        let key = ProofKey::new();
        let issuer = publish(&pki, &key).await;
        let behind = setting.service.unwrap_or(service.address);
        let config = config(&setting, issuer, behind);
        for (name, text) in
            [("ca.crt", &pki.ca_pem)].into_iter().chain(setting.files.iter().map(|(n, t)| (*n, t)))
        {
            folder.write(name, text);
        }
        folder.write("server.crt", &pki.server.certificate);
        folder.write("server.key", &pki.server.key);
        let config = folder.write("clinch.yaml", &config);
        let clinch = Clinch::start(&config).await;
        Stage { pki, service, clinch, key, config, _folder: folder }
    }

    /// Puts a new sidecar with the same files in the old one's place.
    pub async fn restart(&mut self) {
        self.clinch = Clinch::start(&self.config).await;
    }

    /// A good access token with this `cnf`.
    pub fn token(&self, cnf: &Value) -> String {
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k" });
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "client_id": "app", "aud": format!("https://{HOST}"), "scope": "a",
            "iat": now(), "exp": now() + 300, "jti": "token", "cnf": cnf,
        });
        jwt(&header, &claims, &self.key)
    }

    /// A TLS client that trusts the sidecar's certificate and has none of its own.
    pub fn anonymous(&self) -> ClientConfig {
        client(&rustls::version::TLS13).with_root_certificates(self.pki.roots()).with_no_client_auth()
    }

    /// A connection, its handshake done as far as the client can tell.
    pub async fn connect(&self, client: &ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.clinch.address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(client.clone())).connect(name, stream).await
    }

    /// Everything that comes back for these bytes until the connection ends; `None` if there is no connection, or not
    /// one byte on it.
    pub async fn ask(&self, client: &ClientConfig, request: &str) -> Option<String> {
        let mut stream = self.connect(client).await.ok()?;
        let mut answer = Vec::new();
        let talk = async {
            if stream.write_all(request.as_bytes()).await.is_ok() {
                let _ = stream.read_to_end(&mut answer).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, talk).await.expect("the connection ends");
        (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
    }

    /// The value of one line of the metrics, zero if it is not there.
    pub async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.clinch.admin, "/metrics").await.expect("metrics").body;
        let value = page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or_default()
    }
}

/// A TLS client of one version, before it has an opinion on certificates.
pub fn client(
    version: &'static rustls::SupportedProtocolVersion,
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap()
}

/// The status of a raw answer.
pub fn status(answer: Option<&str>) -> Option<u16> {
    answer?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

const ISSUER: &str = "https://issuer.example";

/// Serves the key set, and nothing else, over TLS.
async fn publish(pki: &Pki, key: &ProofKey) -> SocketAddr {
    let mut jwk = key.jwk();
    jwk["kid"] = json!("k");
    let keys = Bytes::from(json!({ "keys": [jwk] }).to_string());
    let (chain, private) = pki.server.der();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(tls)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, keys) = (acceptor.clone(), keys.clone());
            let service = service_fn(move |_| {
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(keys.clone()))))
            });
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

fn config(setting: &Setting, issuer: SocketAddr, service: SocketAddr) -> String {
    let (tls, listen, port) = (setting.tls, &setting.listen, issuer.port());
    format!(
        "listen:
  address: 127.0.0.1:0
  public_origins: [https://{HOST}, https://other.example.com]
  tls:
    certificate: server.crt
    private_key: server.key
    {tls}
  {listen}
upstream: {{ url: 'http://{service}', response_timeout: 1s }}
issuers:
  - {{ issuer: {ISSUER}, audiences: [https://{HOST}], jwks_uri: 'https://localhost:{port}/', ca: ca.crt }}
routes:
  - {{ path: '/open/{{*rest}}', danger_unprotected: true }}
  - {{ path: '/certified/{{*rest}}', proof: [mtls] }}
  - {{ path: '/either/{{*rest}}', proof: [dpop, mtls] }}
admin: {{ address: '127.0.0.1:0' }}
"
    )
}
