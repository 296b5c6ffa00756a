//! The load: requests made ready before the clock starts, sent over connections that stay open.

use crate::account::cpu_nanos;
use crate::scene::{Credential, Proxy, Scene};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::cell::RefCell;
use std::sync::Arc;
use std::vec::IntoIter;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The client's protocol. The service is always asked over HTTP/1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "h1",
            Protocol::Http2 => "h2",
        }
    }
}

type Message = Request<Empty<Bytes>>;

/// Requests, and how to connect.
pub(crate) struct Load {
    protocol: Protocol,
    tls: TlsConnector,
    warm_up: Vec<Message>,
    requests: Vec<Message>,
}

impl Load {
    /// Signs what is to be signed.
    pub(crate) fn new(scene: &Scene, protocol: Protocol, credential: Credential, count: usize) -> Load {
        let mut tls = scene.client_tls(credential);
        let (alpn, version) = match protocol {
            Protocol::Http1 => (b"http/1.1".to_vec(), Version::HTTP_11),
            Protocol::Http2 => (b"h2".to_vec(), Version::HTTP_2),
        };
        tls.alpn_protocols = vec![alpn];
        let message = |number| {
            let mut request = scene.request(credential, number);
            *request.version_mut() = version;
            if version == Version::HTTP_11 {
                *request.uri_mut() = request.uri().path().parse().unwrap();
            } else {
                request.headers_mut().remove(http::header::HOST);
            }
            request
        };
        let warm_up = (0..WARM_UP).map(message).collect();
        Load { protocol, tls: Arc::new(tls).into(), warm_up, requests: (0..count).map(message).collect() }
    }

    /// Connects: handshakes and the first requests are not counted.
    pub(crate) async fn warmed_up(self, proxy: &Proxy) -> Warm {
        let mut senders = Vec::new();
        match self.protocol {
            Protocol::Http1 => {
                for _ in 0..CONNECTIONS {
                    let stream = connect(&self.tls, proxy).await;
                    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
                    tokio::spawn(connection);
                    senders.push(Sender::Http1(sender));
                }
            }
            Protocol::Http2 => {
                for _ in 0..CONNECTIONS / STREAMS {
                    let stream = connect(&self.tls, proxy).await;
                    let builder = http2::Builder::new(TokioExecutor::new());
                    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
                    tokio::spawn(connection);
                    senders.extend((0..STREAMS).map(|_| Sender::Http2(sender.clone())));
                }
            }
        }
        send_all(&mut senders, self.warm_up.into_iter()).await;
        Warm { senders, requests: self.requests }
    }
}

/// Open connections, and the requests that count.
pub(crate) struct Warm {
    senders: Vec<Sender>,
    requests: Vec<Message>,
}

impl Warm {
    /// Sends them and waits for the answers.
    pub(crate) async fn send(mut self) {
        send_all(&mut self.senders, self.requests.into_iter()).await;
    }

    async fn send_some(&mut self) {
        let some = self.requests.split_off(self.requests.len().saturating_sub(SLICE));
        send_all(&mut self.senders, some.into_iter()).await;
    }
}

/// Microseconds of each proxy's CPU per request, of as many requests for each. They take turns of a tenth of a second, there and
/// back again, so that a slow moment of the machine is everybody's. What a process does between its turns counts, too.
pub(crate) async fn side_by_side(loads: Vec<(Load, &Proxy)>) -> Vec<f64> {
    let count = loads[0].0.requests.len();
    let mut all = Vec::new();
    for (load, proxy) in loads {
        all.push((load.warmed_up(proxy).await, proxy.process()));
    }
    let before: Vec<u64> = all.iter().map(|(_, process)| cpu_nanos(*process)).collect();
    while all.iter().any(|(warm, _)| !warm.requests.is_empty()) {
        for (warm, _) in &mut all {
            warm.send_some().await;
        }
        all.reverse();
        for (warm, _) in &mut all {
            warm.send_some().await;
        }
        all.reverse();
    }
    let spent = all.iter().zip(before).map(|((_, process), before)| cpu_nanos(*process) - before);
    spent.map(|nanos| nanos as f64 / 1000.0 / count as f64).collect()
}

/// Asks the service itself until `until` has ended; microseconds of its CPU per request.
pub(crate) async fn direct<T>(service: &Proxy, until: &JoinHandle<T>) -> f64 {
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(service.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        senders.push(Sender::Http1(sender));
    }
    let (before, mut count) = (cpu_nanos(service.process()), 0);
    while !until.is_finished() {
        let host = (header::HOST, HeaderValue::from_static("localhost"));
        let request = || Request::get("/accounts/7").header(&host.0, &host.1).body(Empty::new()).unwrap();
        let lot: Vec<Message> = (0..LOT).map(|_| request()).collect();
        send_all(&mut senders, lot.into_iter()).await;
        count += LOT;
    }
    (cpu_nanos(service.process()) - before) as f64 / 1000.0 / count as f64
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Sender {
    async fn send(&mut self, request: Message) {
        let response = match self {
            Sender::Http1(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await
            }
        };
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
    }
}

pub(crate) async fn connect(tls: &TlsConnector, proxy: &Proxy) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// A closed loop: each sender takes the next request when its last one is answered.
async fn send_all(senders: &mut [Sender], requests: IntoIter<Message>) {
    let requests = RefCell::new(requests);
    let each = senders.iter_mut().map(|sender| async {
        loop {
            let Some(request) = requests.borrow_mut().next() else { return };
            sender.send(request).await;
        }
    });
    futures_util::future::join_all(each).await;
}

const CONNECTIONS: usize = 32;
const STREAMS: usize = 8;
const WARM_UP: usize = 500;
const LOT: usize = 1000;
/// How many requests a turn has.
const SLICE: usize = 500;
