//! The demo's HTTP client: one request over a real TLS connection, with or without a client certificate.

use super::authority::Identity;
use super::outcome::Outcome;
use crate::pop::Denial;
use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A request of the story. Has secrets, so there is no Debug.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) url: String,
    /// `DPoP` or `Bearer`.
    pub(super) scheme: &'static str,
    pub(super) token: String,
    /// What the token is bound to, in words.
    pub(super) binding: &'static str,
    /// The proof, and where it comes from in words.
    pub(super) proof: Option<(String, &'static str)>,
    /// Whether the connection shows the client certificate; `None` where that is of no interest.
    pub(super) certificate: Option<bool>,
    /// Further headers.
    pub(super) extra: Vec<(&'static str, &'static str)>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) challenges: Vec<String>,
    pub(super) outcome: Outcome,
    /// The `clinch-` headers (in any spelling) that the service saw.
    pub(super) told: Vec<(String, String)>,
}

/// How to reach clinch.
pub(super) struct Network {
    address: SocketAddr,
    anonymous: TlsConnector,
    certified: TlsConnector,
}

/// An open connection to clinch.
pub(super) struct Connection(SendRequest<Empty<Bytes>>);

impl Network {
    pub(super) fn new(
        address: SocketAddr,
        trusted: CertificateDer<'static>,
        me: &Identity,
    ) -> anyhow::Result<Network> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted)?;
        let builder = || rustls::ClientConfig::builder().with_root_certificates(roots.clone());
        let (chain, key) = me.to_rustls();
        let connector = |mut config: rustls::ClientConfig| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Network {
            address,
            anonymous: connector(builder().with_no_client_auth()),
            certified: connector(builder().with_client_auth_cert(chain, key)?),
        })
    }

    /// A connection of its own for one request.
    pub(super) async fn send(&self, call: &Call) -> anyhow::Result<Answer> {
        self.connect(call.certificate == Some(true)).await?.send(call).await
    }

    pub(super) async fn connect(&self, certificate: bool) -> anyhow::Result<Connection> {
        let tls = if certificate { &self.certified } else { &self.anonymous };
        let tcp = TcpStream::connect(self.address).await.context("a connection to clinch")?;
        tcp.set_nodelay(true)?;
        let stream = tls.connect(ServerName::try_from("localhost")?, tcp).await.context("TLS with clinch")?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Connection(sender))
    }
}

impl Connection {
    pub(super) async fn send(&mut self, call: &Call) -> anyhow::Result<Answer> {
        let request = request(call)?;
        let answer = async {
            self.0.ready().await?;
            read(self.0.send_request(request).await?).await
        };
        tokio::time::timeout(PATIENCE, answer).await.context("clinch gave no answer in time")?
    }
}

fn request(call: &Call) -> anyhow::Result<Request<Empty<Bytes>>> {
    let uri: http::Uri = call.url.parse()?;
    let mut request = Request::builder()
        .method(call.method)
        .uri(uri.path())
        .header(header::HOST, uri.authority().context("an authority")?.as_str())
        .header(header::AUTHORIZATION, format!("{} {}", call.scheme, call.token));
    if let Some((proof, _)) = &call.proof {
        request = request.header("dpop", proof);
    }
    for (name, value) in &call.extra {
        request = request.header(*name, *value);
    }
    Ok(request.body(Empty::new())?)
}

async fn read(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, body) = response.into_parts();
    let body =
        Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let challenges = challenges(&head.headers);
    let told = told(&body);
    let outcome = if head.status == StatusCode::OK {
        Outcome::Admitted { subject: subjects(&told) }
    } else {
        reason(head.status, &body).map_or(Outcome::Strange(head.status), Outcome::Refused)
    };
    Ok(Answer { status: head.status, challenges, outcome, told })
}

fn challenges(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// The headers that the service could take for ours: `_` and `.` folded, as many frameworks do.
fn told(body: &serde_json::Value) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = serde_json::from_value(body["headers"].clone()).unwrap_or_default();
    pairs.into_iter().filter(|(name, _)| folded(name).starts_with("clinch-")).collect()
}

fn subjects(told: &[(String, String)]) -> String {
    let subjects = told.iter().filter(|(name, _)| is_subject(name));
    subjects.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether the service could take this header for the subject.
pub(super) fn is_subject(name: &str) -> bool {
    folded(name) == "clinch-subject"
}

fn folded(name: &str) -> String {
    name.replace(['_', '.'], "-")
}

/// The reason that the problem document gives, if it goes with the status.
fn reason(status: StatusCode, document: &serde_json::Value) -> Option<Denial> {
    let named = |denial: &Denial| denial.status() == status && document["reason"] == denial.reason();
    Denial::ALL.iter().copied().find(named)
}

const PATIENCE: Duration = Duration::from_secs(5);
const BODY_LIMIT: usize = 64 * 1024;
