//! The shell over real sockets: a sidecar on a free port, a service behind it, clients of all manners.
#![allow(clippy::unwrap_used)]

mod browsers;
mod drain;
mod forwarding;
mod h2c;
mod limits;
mod pki;
mod refusals;
mod service;
mod shares;
mod tls;
mod trailers;
mod upstream;

use crate::config::{self, Config, Limits, Listen};
use crate::pop::algorithm::Algorithm;
use crate::pop::policy::{Access, DpopPolicy, ProofRule, Requirements, Route, Routes};
use crate::pop::target_uri::Origin;
use crate::serve::Server;
use crate::state::replay::era::Before;
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::Pki;
use service::Service;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(20);

/// A sidecar in front of a service.
struct Sidecar {
    server: Server,
    pki: Pki,
}

impl Sidecar {
    async fn in_front_of(service: &Service) -> Sidecar {
        Sidecar::with(service, |_| {}).await
    }
    async fn with(service: &Service, change: impl FnOnce(&mut Config)) -> Sidecar {
        let pki = Pki::new();
        let mut config = config(&pki, service.address());
        change(&mut config);
        Sidecar { server: Server::start(config, Before::Orderly).await.unwrap(), pki }
    }
    async fn tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.connect(self.pki.client(None, protocol)).await.unwrap()
    }
    async fn connect(&self, client: rustls::ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.server.address()).await?;
        let name = "api.example.com".try_into().unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await
    }
    /// One request on a connection of its own.
    async fn ask<B>(&self, version: Version, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        timeout(PATIENCE, async {
            if version == Version::HTTP_2 {
                let io = TokioIo::new(self.tls(b"h2").await);
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            } else {
                let io = TokioIo::new(self.tls(b"http/1.1").await);
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        })
        .await
        .unwrap()
    }
}

/// A GET in the form that the version wants.
fn get(version: Version, path: &str) -> http::request::Builder {
    let builder = Request::builder();
    if version == Version::HTTP_2 {
        builder.uri(format!("https://api.example.com{path}"))
    } else {
        builder.uri(path).header("host", "api.example.com")
    }
}

fn empty() -> Full<Bytes> {
    Full::default()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn config(pki: &Pki, service: SocketAddr) -> Config {
    let mut routes = Routes::default();
    routes.add(route("/open/{*rest}", Vec::new(), Access::Unprotected)).unwrap();
    let proof = ProofRule { dpop: true, ..ProofRule::default() };
    let demands = Requirements { proof, ..Requirements::default() };
    routes
        .add(route("/orders/{*rest}", vec![Method::GET, Method::POST], Access::Protected(demands)))
        .unwrap();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config {
        observes: false,
        listen: Listen {
            address: anywhere,
            also: Vec::new(),
            public_origins: vec![
                Origin::parse("https://other.example.com").unwrap(),
                Origin::parse("https://api.example.com").unwrap(),
            ],
            browser_origins: vec!["https://app.example.com".to_owned()],
            resource_metadata: false,
            tls: pki.server(),
            client_cert_from: Default::default(),
            limits: Limits {
                connections: 100,
                header_bytes: 16 * 1024,
                header_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(30),
                in_flight: 100,
                in_flight_per_key: 100,
                connections_per_peer: None,
                handshakes: 100,
                streams: 200,
                body_timeout: Duration::from_secs(5),
                requests_per_key: None,
                failures_per_peer: None,
            },
            proxy_protocol_from: Vec::new(),
            reuse_port: false,
            drain: Duration::from_secs(5),
        },
        upstream: config::Upstream {
            address: config::UpstreamAddress::Tcp(service.to_string().parse().unwrap()),
            http2: false,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(5),
            in_flight: None,
            queue: 0,
            queue_timeout: Duration::ZERO,
            readiness: None,
            peer_uid: None,
        },
        issuers: Vec::new(),
        warnings: Vec::new(),
        dpop: DpopPolicy {
            algorithms: vec![Algorithm::Es256],
            max_age: Duration::from_secs(60),
            max_future: Duration::from_secs(5),
        },
        nonces: config::Nonces { required: false, lifetime: Duration::from_secs(300), secret: None },
        replay: crate::config::Replay::in_memory(1000),
        revocation: None,
        routes,
        identity: config::Identity::default(),
        telemetry: config::Telemetry { sample: 0.0, ..config::Telemetry::default() },
        audit: None,
        worker_threads: None,
        admin: anywhere,
        pod: None,
        written: config::Written::default(),
        files: Vec::new(),
    }
}

fn route(path: &str, methods: Vec<Method>, access: Access) -> Route {
    Route { path: path.into(), methods, access }
}
