//! In a pod: the port for the kubelet and Prometheus, on the pod's own addresses, in plain HTTP.
//!
//! `/live`, `/ready` and `/metrics` as on the admin port, and `/probe/CONTAINER/KIND`, which asks the service on
//! loopback what the kubelet asked it before clinch was there ([`ask`]). Of a caller's request nothing but this name is
//! used, and of the service's answer nothing but whether it is good: whoever reaches this port learns no more. Nothing else
//! of the admin port is here.
//!
//! The network reaches this port, so no address may take every connection, nor hold one for long.

mod ask;
mod grpc;

use super::admin::{Admin, get_only, not_found, plain};
use super::peers::Peers;
use crate::config::pod::PodProbe;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What the port tells.
#[derive(Debug)]
pub(super) struct Health {
    admin: Arc<Admin>,
    probes: BTreeMap<String, Probe>,
    peers: Arc<Peers>,
    connections: Arc<Semaphore>,
}

/// A question, and turns to ask it: who asks one of them often keeps nobody from asking another.
#[derive(Debug)]
struct Probe {
    question: PodProbe,
    turns: Semaphore,
    longest: Duration,
}

impl Health {
    pub(super) fn new(admin: &Arc<Admin>, probes: BTreeMap<String, PodProbe>) -> Arc<Health> {
        let probe = |(name, question): (String, PodProbe)| {
            let is_hook = matches!(name.split('/').nth(1), Some("pre-stop" | "post-start"));
            let longest = if is_hook { LONGEST_HOOK } else { LONGEST_QUESTION };
            (name, Probe { question, turns: Semaphore::new(TURNS), longest })
        };
        Arc::new(Health {
            admin: Arc::clone(admin),
            probes: probes.into_iter().map(probe).collect(),
            peers: Peers::up_to(Some(CONNECTIONS_PER_PEER)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Serves until it is dropped.
    pub(super) async fn run(self: Arc<Health>, socket: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            let Ok((stream, peer)) = socket.accept().await else {
                sleep(BACK_OFF).await;
                continue;
            };
            let Some(place) = self.peers.enter(peer.ip()) else { continue };
            let health = Arc::clone(&self);
            tokio::spawn(async move {
                let _ = timeout(LONGEST_CONNECTION, health.serve(stream)).await;
                drop((permit, place));
            });
        }
    }

    /// One request: the kubelet makes a connection for each. If it hangs up, hyper drops the answer that is being made.
    async fn serve(&self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(self.answer(&request).await)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER);
        let _ = builder.keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        if matches!(path, "/live" | "/ready" | "/metrics") {
            return self.admin.answer(method, path, None, request.headers());
        }
        let Some(probe) = path.strip_prefix("/probe/").and_then(|name| self.probes.get(name)) else {
            return not_found();
        };
        if method != Method::GET && method != Method::HEAD {
            return get_only();
        }
        let asked = async {
            let _turn = probe.turns.acquire().await.ok()?;
            ask::ask(&probe.question).await
        };
        match timeout(probe.longest, asked).await {
            Ok(Some(())) => plain(StatusCode::OK, "ok\n"),
            Ok(None) => plain(StatusCode::SERVICE_UNAVAILABLE, "the service does not answer well\n"),
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "the service does not answer in time\n"),
        }
    }
}

/// Enough for a kubelet that asks of every container at once, and for Prometheus, beside somebody who means no good.
const CONNECTIONS: usize = 256;
const CONNECTIONS_PER_PEER: usize = 32;
/// Of one question, at a time; further ones wait.
const TURNS: usize = 8;
/// The kubelet's own `timeoutSeconds` ends most before; no probe of sense waits longer.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);
/// A hook may drain what is open: the kubelet ends it with the grace period.
const LONGEST_HOOK: Duration = Duration::from_secs(3600);
const LONGEST_CONNECTION: Duration = Duration::from_secs(3660);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER: usize = 16 * 1024;
const BACK_OFF: Duration = Duration::from_millis(100);
