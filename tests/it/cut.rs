//! What is open is cut: the revocation of its token ends a response on both sides within a moment (RV-039), and `exp`
//! ends what is a stream by then.

#![allow(clippy::print_stdout, reason = "the figures of each run")]

mod expiry;
mod kept;
mod many;
mod responses;
mod sockets;

use crate::support::eventually;
use crate::support::front::Front;
use crate::support::nats::{Nats, STREAM, SUBJECT};
use crate::support::proof::{Proof, claims, now, unique};
use crate::support::streaming::Streaming;
use crate::support::wire::{H2, get, plain_get};
use crate::support::world::url;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// clinch before a service that streams, with a journal of revocations, or NATS.
struct Scene {
    front: Front,
    service: Streaming,
    nats: Option<(Nats, async_nats::jetstream::Context)>,
}

const ROUTES: &str = "  - { path: '/lasting/{*rest}', proof: [dpop], outlive_token: true }
  - { path: '/{*rest}', proof: [dpop] }
revocation:
  accept_plain: true
";

impl Scene {
    async fn start() -> Scene {
        Scene::with_feed("{ kind: file, path: revocations.jsonl }", None).await
    }

    async fn with_nats() -> Scene {
        let nats = Nats::start().await;
        let feed = format!("{{ kind: nats, url: '{}', stream: {STREAM}, subject: '{SUBJECT}' }}", nats.url());
        let client = async_nats::connect(nats.url()).await.unwrap();
        Scene::with_feed(&feed, Some((nats, async_nats::jetstream::new(client)))).await
    }

    /// Before a service with these keys of `upstream`, with a journal.
    async fn over(upstream: &str) -> Scene {
        let front = front(upstream, "", "{ kind: file, path: revocations.jsonl }").await;
        Scene { front, service: Streaming::start().await, nats: None }
    }

    async fn with_feed(feed: &str, nats: Option<(Nats, async_nats::jetstream::Context)>) -> Scene {
        let service = Streaming::start().await;
        let front = front(&at(service.address), "", feed).await;
        Scene { front, service, nats }
    }

    /// Before another service, with a journal and these lines more of `listen`.
    async fn before(address: SocketAddr, listen: &str) -> Scene {
        let front = front(&at(address), listen, "{ kind: file, path: revocations.jsonl }").await;
        Scene { front, service: Streaming::start().await, nats: None }
    }

    /// A token of its own name.
    fn token(&self) -> String {
        self.front.token(&json!({ "jti": unique() }))
    }

    /// Publishes that what this selects is revoked; since when it is published.
    async fn revoke(&self, what: Value) -> Instant {
        let event = json!({ "id": unique(), "iss": self.front.issuer.name, "revoke": what, "at": now() });
        match &self.nats {
            None => {
                let journal = self.front.config.with_file_name("revocations.jsonl");
                let mut journal = std::fs::OpenOptions::new().append(true).open(journal).unwrap();
                let since = Instant::now();
                journal.write_all(format!("{event}\n").as_bytes()).unwrap();
                since
            }
            Some((_, stream)) => {
                let since = Instant::now();
                stream.publish("clinch.revocations.test", event.to_string().into()).await.unwrap();
                since
            }
        }
    }

    /// Revokes one token.
    async fn revoke_token(&self, token: &str) -> Instant {
        self.revoke(json!({ "jti": claims(token)["jti"] })).await
    }

    fn fields(&self, path: &str, token: &str) -> [(&'static str, String); 2] {
        let proof = Proof::new(&self.front.client, "GET", &url(path), token).sign(&self.front.client);
        [("authorization", format!("DPoP {token}")), ("dpop", proof)]
    }

    /// Sends a GET over a connection of its own.
    async fn send(&self, path: &str, token: &str) -> TlsStream<TcpStream> {
        let mut stream = self.front.caller(None).connect().await;
        let fields = self.fields(path, token);
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        stream.write_all(get(path, &fields).as_bytes()).await.unwrap();
        stream
    }

    /// The same, and reads until the first event is there.
    async fn open(&self, path: &str, token: &str) -> TlsStream<TcpStream> {
        let mut stream = self.send(path, token).await;
        let mut read = Vec::new();
        while !contains(&read, b"still here") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
        assert!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
        stream
    }

    /// A GET on an HTTP/2 connection: its answer's head.
    async fn open_h2(&self, client: &mut H2, path: &str, token: &str) -> Response<Incoming> {
        let fields = self.fields(path, token);
        let request = fields.iter().fold(Request::get(url(path)), |r, (name, value)| r.header(*name, value));
        client.ready().await.unwrap();
        client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
    }

    async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.front.clinch.admin, "/metrics").await.expect("metrics").body;
        page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }

    async fn cuts(&self, reason: &str) -> u64 {
        self.metric(&format!("clinch_cut_total{{reason=\"{reason}\"}}")).await
    }

    /// The service has no request any more.
    async fn service_is_rid_of_all(&self) {
        eventually("the service's side to end", async || (self.service.open() == 0).then_some(())).await;
    }

    /// The log lines of cuts.
    fn told(&self) -> Vec<Value> {
        let output = self.front.clinch.program.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let fields = lines.map(|line| line.get("fields").cloned().unwrap_or(line));
        fields.filter(|fields| fields["message"] == "request cut").collect()
    }
}

fn at(service: SocketAddr) -> String {
    format!("url: 'http://{service}'")
}

async fn front(upstream: &str, listen: &str, feed: &str) -> Front {
    let listen = format!(
        "  public_origins: ['https://api.example.com']\n  limits: {{ in_flight: 5000, in_flight_per_key: 5000 }}{listen}"
    );
    Front::before_upstream(
        upstream,
        &listen,
        &format!("{ROUTES}  feed: {feed}\naudit: {{ file: audit.jsonl, replica: one }}\n"),
    )
    .await
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

/// Reads to the end of the connection; what was read, and when it ended. However it ended, the last chunk is not there.
async fn broken_off(stream: &mut TlsStream<TcpStream>) -> (Vec<u8>, Instant) {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(crate::support::PATIENCE, stream.read_to_end(&mut read)).await;
    let _ = ended.expect("the stream is cut");
    let ended = Instant::now();
    assert!(!contains(&read, b"\r\n0\r\n\r\n"), "the response looks complete");
    (read, ended)
}

/// The code that the stream is reset with.
async fn reset(body: &mut Incoming) -> h2::Reason {
    loop {
        let frame = tokio::time::timeout(crate::support::PATIENCE, body.frame()).await;
        if let Err(error) = frame.expect("the stream is cut").expect("the response looks complete") {
            let error: &(dyn std::error::Error + 'static) = &error;
            let mut chain = std::iter::successors(Some(error), |error| error.source());
            let reset = chain.find_map(|error| error.downcast_ref::<h2::Error>());
            return reset.and_then(h2::Error::reason).expect("a reset");
        }
    }
}

/// The machine may be busy with other things at one moment; it is not at each of these.
struct Times(&'static str, Vec<Duration>);

impl Times {
    fn within_a_moment(mut self) {
        self.1.sort();
        println!("{}, from publication to the end of the stream: {:.1?}", self.0, self.1);
        assert!(self.1[0] < Duration::from_millis(500), "{}: {:?}", self.0, self.1);
    }
}

const ROUNDS: usize = 5;
