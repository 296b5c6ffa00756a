//! The admin port, in plain HTTP: `/live`, `/ready` and `/metrics` for the kubelet and Prometheus, `/status` and
//! `/revocations` for operators, and for the service `/.well-known/jwks.json`, the keys of identity assertions. None of it is served by the public listener.
//!
//! Ready means: the keys of every issuer are usable, the revocation feed has caught up and is not stale, a
//! shared replay store is in reach if requests depend on it, the audit log can be written if they do on that, the service
//! answers if it is asked (`upstream.readiness`), and we are not stopping. A feed that reconnects within `max_staleness` is still ready, and said so; so is a store that was lost a moment ago.

mod query;
mod revocations;
mod status;

use super::connection::Phase;
use super::current::Current;
use super::proxy::now;
use super::upstream::Health;
use super::workload::Workload;
use crate::gate::Gate;
use crate::pop::Timestamp;
use crate::state::audit::AuditStatus;
use crate::state::replay::shared::StoreStatus;
use crate::state::revocation::FeedStatus;
use crate::telemetry::{Format, Telemetry};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

/// What the admin port tells.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) current: Arc<Current>,
    pub(super) workload: Option<Arc<Workload>>,
    pub(super) phase: watch::Receiver<Phase>,
}

/// Whether requests can be decided, and what is missing.
#[derive(Debug)]
struct Readiness {
    draining: bool,
    unready_issuers: Vec<String>,
    revocations: FeedStatus,
    replay: StoreStatus,
    remembers: bool,
    upstream: Health,
    certificate: &'static str,
    audit: AuditStatus,
}

impl Admin {
    /// Serves, and sends metrics to the collector where that is wished, until it is dropped.
    pub(super) async fn run(self: Arc<Admin>, socket: TcpListener) {
        tokio::join!(Arc::clone(&self).send_metrics(), self.serve(socket));
    }

    async fn send_metrics(self: Arc<Admin>) {
        let Some(period) = self.telemetry.period() else { return };
        loop {
            sleep(period).await;
            self.read_gauges();
            self.telemetry.send_metrics().await;
        }
    }

    async fn serve(self: Arc<Admin>, socket: TcpListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = socket.accept().await else {
                sleep(BACK_OFF).await;
                continue;
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let (uri, method) = (request.uri(), request.method());
                    let response = admin.answer(method, uri.path(), uri.query(), request.headers());
                    async move { Ok::<_, Infallible>(response) }
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER);
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                drop(permit);
            });
        }
    }

    /// How our certificate is; one from files is what they say.
    fn certificate(&self) -> &'static str {
        self.workload.as_ref().map_or("current", |workload| workload.status(now()))
    }

    /// Whether requests can be decided.
    pub(super) fn is_ready(&self) -> bool {
        self.readiness().is_ready()
    }

    /// What is missing before requests can be decided, in words.
    pub(super) fn missing(&self) -> Vec<String> {
        self.readiness().missing()
    }

    fn readiness(&self) -> Readiness {
        let proxy = self.current.proxy();
        let gate = &proxy.gate;
        Readiness {
            draining: *self.phase.borrow() != Phase::Running,
            unready_issuers: gate.tokens.issuers().unready(),
            revocations: gate.revocations.status(),
            replay: gate.replay.status(),
            remembers: gate.replay.is_ready(),
            upstream: proxy.upstream.health(),
            certificate: self.certificate(),
            audit: gate.audit.status(),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.read_gauges();
        let format = Format::wanted(headers);
        let mut response = text(StatusCode::OK, format.content_type(), self.telemetry.page(format));
        response.headers_mut().insert(header::VARY, HeaderValue::from_name(header::ACCEPT));
        response
    }

    /// What nobody moves, as it is at this moment.
    pub(super) fn read_gauges(&self) {
        let metrics = &self.telemetry.metrics;
        let proxy = self.current.proxy();
        let Gate { revocations, replay, audit, .. } = &proxy.gate;
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.revocations.entries.set(gauge(revocations.entries()));
        let (connections, waiting) = proxy.upstream.load();
        metrics.upstream.set(proxy.upstream.health() == Health::Up, gauge(connections), gauge(waiting));
        metrics.audit.queue.set(gauge(audit.queued()));
        metrics.in_flight.set(gauge(proxy.shares.total()));
        metrics.replay_entries.set(gauge(replay.len()));
        metrics.replay.set_refused_blindly(replay.refused_blindly());
        metrics.replay.set_state(replay.status().name());
        metrics.revocations.set_feed_state(revocations.status().name());
        let (applied, ignored) = (revocations.applied(), revocations.ignored());
        metrics.revocations.set_events(applied, ignored, revocations.refused());
        if let Some(feed) = revocations.feed() {
            metrics.revocations.set_feed(&feed.transitions, feed.silence, feed.progress.lag);
        }
        let terms = self.current.tls.terms();
        let left = |end: Timestamp| end.as_secs() - now().as_secs();
        if let Some(end) = terms.expires_at {
            metrics.certificate_seconds_left.set(left(end));
        }
        metrics.client_ca_seconds_left.set(terms.clients_until.map(left));
    }

    /// By which keys the service checks `clinch-identity` (RFC 7517 section 5).
    fn keys_of_assertions(&self) -> Response<Full<Bytes>> {
        match &self.current.proxy().gate.assertions {
            Some(assertions) => text(StatusCode::OK, JWK_SET, assertions.document()),
            None => text(StatusCode::NOT_FOUND, TEXT, "there are no identity assertions\n"),
        }
    }

    /// What is asked for, GET or HEAD.
    pub(super) fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let answer: &dyn Fn() -> Response<Full<Bytes>> = match path {
            "/live" => &|| text(StatusCode::OK, JSON, "{\"live\":true}\n"),
            "/ready" => &|| self.readiness().response(),
            "/metrics" => &|| self.metrics(headers),
            "/status" => &|| json(StatusCode::OK, &self.status()),
            "/.well-known/jwks.json" => &|| self.keys_of_assertions(),
            "/revocations" => &|| revocations::answer(&self.current.proxy().gate.revocations, query),
            _ => &not_found,
        };
        if method == Method::GET || method == Method::HEAD { answer() } else { get_only() }
    }
}

/// There is nothing of this name.
pub(super) fn not_found() -> Response<Full<Bytes>> {
    plain(StatusCode::NOT_FOUND, "not found\n")
}

/// Nothing here can be changed.
pub(super) fn get_only() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A fixed text.
pub(super) fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    text(status, TEXT, body)
}

impl Readiness {
    fn is_ready(&self) -> bool {
        let fed = self.revocations.is_ready() && self.unready_issuers.is_empty();
        let served = self.upstream != Health::Down;
        let kept = self.remembers && self.audit.is_ready();
        fed && served && self.is_certified() && kept && !self.draining
    }

    /// What the Workload API said last is good as long as it has not expired.
    fn is_certified(&self) -> bool {
        matches!(self.certificate, "current" | "unreachable")
    }

    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> =
            self.unready_issuers.iter().map(|issuer| format!("the keys of {issuer}")).collect();
        if !self.is_certified() {
            missing.push(format!("the certificate from the Workload API ({})", self.certificate));
        }
        if !self.revocations.is_ready() {
            missing.push(format!("the revocation feed ({})", self.revocations.name()));
        }
        if !self.remembers {
            missing.push(format!("the replay store ({})", self.replay.name()));
        }
        if !self.audit.is_ready() {
            missing.push("the audit log, which can't be written".to_owned());
        }
        if self.upstream == Health::Down {
            missing.push("the service".to_owned());
        }
        missing
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let document = serde_json::json!({
            "ready": self.is_ready(),
            "draining": self.draining,
            "keys": if self.unready_issuers.is_empty() { "current" } else { "unavailable" },
            "issuers_without_keys": self.unready_issuers,
            "revocations": self.revocations.name(),
            "replay": self.replay.name(),
            "upstream": self.upstream.name(),
            "certificate": self.certificate,
            "audit": self.audit.name(),
        });
        let status = if self.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &document)
    }
}

fn json(status: StatusCode, document: &serde_json::Value) -> Response<Full<Bytes>> {
    text(status, JSON, format!("{document}\n"))
}

/// In UTC, to the millisecond.
fn rfc3339(time: Timestamp) -> String {
    let since_1970 = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(0));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_1970).to_string()
}

fn text(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");
const MAX_CONNECTIONS: usize = 64;
const MAX_HEADER: usize = 16 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const BACK_OFF: Duration = Duration::from_millis(100);
