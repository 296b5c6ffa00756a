//! Steady, honest traffic: clients that do what the RFCs ask of them, and remember every request that failed.
//!
//! A nonce that is demanded is used (RFC 9449 section 8), a request that never left is sent on another connection (RFC 9110
//! section 9.2.2), and `Connection: close` is heeded. Nothing else is tried again.

use super::oauth_client::HOST;
use super::proof::{Proof, ProofKey};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// What everybody does.
pub struct Plan {
    /// Where clinch is.
    pub address: SocketAddr,
    /// How to speak TLS with it; ALPN is chosen by each client.
    pub tls: ClientConfig,
    /// A token, and the key that it is bound to.
    pub token: String,
    /// That key.
    pub key: ProofKey,
    /// The path that is asked for.
    pub path: &'static str,
    /// Between the end of a request and the next one.
    pub pause: Duration,
}

/// Traffic that goes on until it is ended.
pub struct Traffic {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

struct Shared {
    plan: Plan,
    over: AtomicBool,
    good: AtomicU64,
    challenged: AtomicU64,
    connections: AtomicU64,
    failed: Mutex<Vec<String>>,
}

/// What became of it.
#[derive(Debug)]
pub struct Tally {
    /// Requests that were answered with 200.
    pub good: u64,
    /// Nonces that were demanded.
    pub challenged: u64,
    /// Connections that were made.
    pub connections: u64,
    /// What went wrong with each of the others.
    pub failed: Vec<String>,
}

enum Connection {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Traffic {
    /// So many clients over HTTP/1.1, and as many over HTTP/2.
    pub fn of(plan: Plan, each: usize) -> Traffic {
        let shared = Arc::new(Shared {
            plan,
            over: AtomicBool::new(false),
            good: AtomicU64::new(0),
            challenged: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            failed: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for http2 in [false, true] {
            for _ in 0..each {
                clients.spawn(Arc::clone(&shared).client(http2));
            }
        }
        Traffic { shared, clients }
    }

    /// Requests that were answered so far.
    pub fn good(&self) -> u64 {
        self.shared.good.load(Relaxed)
    }

    /// Waits until so many more requests were answered.
    pub async fn flows(&self, more: u64) {
        let aim = self.good() + more;
        super::eventually("traffic to flow", async || (self.good() >= aim).then_some(())).await;
    }

    /// Ends it, after the requests under way.
    pub async fn end(mut self) -> Tally {
        self.shared.over.store(true, Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client panicked");
        }
        Tally {
            good: self.good(),
            challenged: self.shared.challenged.load(Relaxed),
            connections: self.shared.connections.load(Relaxed),
            failed: self.shared.failed.lock().unwrap().clone(),
        }
    }
}

impl Shared {
    async fn client(self: Arc<Shared>, http2: bool) {
        let mut connection = None;
        while !self.over.load(Relaxed) {
            match self.ask(&mut connection, http2).await {
                Ok(()) => drop(self.good.fetch_add(1, Relaxed)),
                Err(why) => {
                    connection = None;
                    let version = if http2 { "h2" } else { "h1" };
                    self.failed.lock().unwrap().push(format!("{version}: {why}"));
                }
            }
            tokio::time::sleep(self.plan.pause).await;
        }
    }

    /// One request, until it is answered with 200.
    async fn ask(&self, connection: &mut Option<Connection>, http2: bool) -> Result<(), String> {
        let mut nonce = None;
        for _ in 0..MOST_CHALLENGES {
            let response = self.send(connection, http2, nonce.as_deref()).await?;
            let status = response.status();
            let demanded =
                response.headers().get("dpop-nonce").and_then(|n| n.to_str().ok()).map(str::to_owned);
            if response.headers().get("connection").is_some_and(|option| option == "close") {
                *connection = None;
            }
            let body = response.into_body().collect().await.map_err(|e| format!("the body: {e}"))?.to_bytes();
            match (status.as_u16(), demanded) {
                (200, _) => return Ok(()),
                (401, Some(demanded)) => nonce = Some(demanded),
                _ => return Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
            }
            self.challenged.fetch_add(1, Relaxed);
        }
        Err("challenged again and again".to_owned())
    }

    async fn send(
        &self,
        connection: &mut Option<Connection>,
        http2: bool,
        nonce: Option<&str>,
    ) -> Result<Response<Incoming>, String> {
        loop {
            if connection.is_none() {
                self.connections.fetch_add(1, Relaxed);
                *connection = Some(self.connect(http2).await.map_err(|e| format!("no connection: {e}"))?);
            }
            let request = self.request(http2, nonce);
            let sent = match connection.as_mut().expect("made above") {
                Connection::One(sender) => match sender.ready().await {
                    Ok(()) => sender.try_send_request(request).await,
                    Err(_) => {
                        *connection = None;
                        continue;
                    }
                },
                Connection::Two(sender) => match sender.ready().await {
                    Ok(()) => sender.try_send_request(request).await,
                    Err(_) => {
                        *connection = None;
                        continue;
                    }
                },
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(_unsent) => *connection = None,
                    None if is_refused(error.error()) => *connection = None,
                    None => return Err(format!("{:?}", error.into_error())),
                },
            }
        }
    }

    fn request(&self, http2: bool, nonce: Option<&str>) -> Request<Empty<Bytes>> {
        let Plan { token, key, path, .. } = &self.plan;
        let url = format!("https://{HOST}{path}");
        let proof = Proof::new(key, "GET", &url, token);
        let proof = nonce.into_iter().fold(proof, |proof, nonce| proof.claim("nonce", nonce)).sign(key);
        let target = if http2 { &*url } else { path };
        let request =
            Request::get(target).header("authorization", format!("DPoP {token}")).header("dpop", proof);
        let request = if http2 { request } else { request.header("host", HOST) };
        request.body(Empty::new()).unwrap()
    }

    async fn connect(&self, http2: bool) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
        let mut tls = self.plan.tls.clone();
        tls.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(self.plan.address).await?;
        let name = ServerName::try_from(HOST)?;
        let io = TokioIo::new(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?);
        if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            return Ok(Connection::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        Ok(Connection::One(sender))
    }
}

/// The server says that it has not looked at the request (RFC 9113 section 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let h2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

const MOST_CHALLENGES: usize = 3;
