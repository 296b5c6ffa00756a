//! `/live`, `/ready` and `/metrics`, in plain HTTP: for the kubelet and Prometheus.
//!
//! Ready means: there is a certificate that has not ended, and we are not stopping.

use super::peers::Peers;
use super::{Core, Phase};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Serves until it is dropped.
pub(super) async fn run(core: Arc<Core>, socket: TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let peers = Peers::up_to(PER_ADDRESS, 0);
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, peer)) = socket.accept().await else {
            sleep(BACK_OFF).await;
            continue;
        };
        // Whoever has too many is not waited for: the kubelet may be behind it.
        let Some(place) = peers.enter(peer.ip()) else { continue };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let response = answer(&core, &request);
                async { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_BYTES);
            let _ = timeout(LONGEST, server.serve_connection(TokioIo::new(stream), answer)).await;
            drop((place, permit));
        });
    }
}

fn answer(core: &Core, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
    }
    match request.uri().path() {
        "/live" => text(StatusCode::OK, TEXT, "live\n"),
        "/ready" => match missing(core) {
            None => text(StatusCode::OK, TEXT, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        "/metrics" => text(StatusCode::OK, METRICS, core.metrics.page()),
        _ => text(StatusCode::NOT_FOUND, TEXT, "/live, /ready and /metrics are here\n"),
    }
}

fn missing(core: &Core) -> Option<&'static str> {
    if *core.phase.borrow() >= Phase::Leaving {
        return Some("stopping");
    }
    match core.metrics.certificate_left() {
        None => Some("no certificate yet"),
        Some(..=0) => Some("the certificate has ended"),
        Some(_) => None,
    }
}

fn text(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const CONNECTIONS: usize = 256;
/// Of one address: the kubelet needs one for each probe.
const PER_ADDRESS: usize = 16;
const HEADER_BYTES: usize = 16 << 10;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection of a probe.
const LONGEST: Duration = Duration::from_secs(60);
const BACK_OFF: Duration = Duration::from_millis(100);
