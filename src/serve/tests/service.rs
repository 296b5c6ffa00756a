//! The service behind the sidecar: echoes what it got, or misbehaves as the path says.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// A running service.
pub(super) struct Service {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    requests: AtomicUsize,
    arrived: Notify,
    released: Notify,
}

impl Service {
    pub(super) async fn start() -> Service {
        Service::speaking(Version::HTTP_11).await
    }
    /// HTTP/1.1, or HTTP/2 by prior knowledge.
    pub(super) async fn speaking(version: Version) -> Service {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, SeqCst);
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
                let io = TokioIo::new(stream);
                if version == Version::HTTP_2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(io, service);
                    tokio::spawn(async move { drop(connection.await) });
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let connection = builder.serve_connection(io, service);
                    tokio::spawn(async move { drop(connection.await) });
                }
            }
        });
        Service { address, state, task }
    }
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
    pub(super) fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }
    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }
    /// A request for a `/open/wait` is here.
    pub(super) async fn arrived(&self) {
        tokio::time::timeout(super::PATIENCE, self.state.arrived.notified()).await.unwrap();
    }
    /// Lets one of them be answered.
    pub(super) fn release(&self) {
        self.state.released.notify_one();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Answer, std::io::Error> {
    state.requests.fetch_add(1, SeqCst);
    match request.uri().path() {
        "/open/wait" => {
            state.arrived.notify_one();
            state.released.notified().await;
            Ok(echo(request).await)
        }
        "/open/never" => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(echo(request).await)
        }
        "/open/break" => Err(std::io::Error::other("broken on purpose")),
        "/open/close" => {
            let mut response = Response::new(own("the last one".to_owned()));
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            Ok(response)
        }
        "/open/early" => Ok(Response::new(own("before the body".to_owned()))),
        "/open/stream" => Ok(Response::new(request.into_body().boxed_unsync())),
        "/open/trailers" => Ok(trailers()),
        "/open/nothing" => {
            let mut response = Response::new(own(String::new()));
            *response.status_mut() = http::StatusCode::NO_CONTENT;
            Ok(response)
        }
        _ => Ok(echo(request).await),
    }
}

/// The request as text: its first line, its fields in order of name, a blank line, its body.
async fn echo(request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body.collect().await;
    let mut lines: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.insert(0, format!("{} {} {:?}", parts.method, parts.uri, parts.version));
    let trailers = body.as_ref().ok().and_then(|body| body.trailers().cloned()).unwrap_or_default();
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut text = format!("{}\n\n{}", lines.join("\n"), String::from_utf8_lossy(&body));
    for (name, value) in &trailers {
        text += &format!("\ntrailer {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let mut response = Response::new(own(text));
    for (name, value) in [
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("clinch-subject", "mallory"),
        ("dpop-nonce", "n"),
        ("x-service", "kept"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn own(text: String) -> UnsyncBoxBody<Bytes, hyper::Error> {
    Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn trailers() -> Answer {
    let mut fields = HeaderMap::new();
    fields.insert("x-checksum", HeaderValue::from_static("c"));
    fields.insert("clinch-subject", HeaderValue::from_static("mallory"));
    let frames = vec![Frame::trailers(fields), Frame::data(Bytes::from("data"))];
    let mut response = Response::new(Frames(frames).boxed_unsync());
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-checksum, clinch-subject"));
    response
}

/// Frames, the last one first.
struct Frames(Vec<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = hyper::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}
