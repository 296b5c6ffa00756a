//! The service behind us, over HTTP/1.1 or HTTP/2, by TCP or a Unix socket.
//!
//! Bodies stream both ways. A request is sent once: it goes out again only when nothing of it can have been acted on, be
//! it that a pooled connection turns out to be closed before a byte was written, or that an HTTP/2 service says so. The
//! time to answer counts from the last movement of the request body, so that slow uploads are not mistaken for a slow
//! service. `dial` connects, [`pool`](super::pool) keeps connections of HTTP/1.1 and `links` those of HTTP/2, on which a
//! `stream` is one request or becomes a `socket`; HTTP/1.1 is read in `sips`, `places` bounds how many there are at a time, and
//! `probe` asks whether anybody is there, and what was given up before its answer is `unanswered`. A request has its `lease` of a
//! connection until its answer has been read.

mod answer;
mod dial;
mod lease;
mod links;
mod places;
mod probe;
mod sips;
mod socket;
mod stream;
mod unanswered;

pub(super) use answer::{Answer, BrokenOff};
pub(super) use lease::Lease;
pub(super) use places::Place;
pub(super) use probe::Health;
pub(super) use socket::Socket;
pub(super) use unanswered::Unanswered;

use super::pool::{Connection, Pool};
use super::request_body::{Progress, RequestBody};
use super::response::Fault;
use super::upgrade;
use super::upload::Interrupted;
use crate::config;
use crate::telemetry::Called;
use dial::{Dialed, Dialer, Open};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use links::Links;
use places::{Places, Terms};
use probe::Probe;
use sips::Sips;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use unanswered::Duplex;

/// The service, as a client sees it. What it does in the background ends when it is dropped.
#[derive(Debug)]
pub(super) struct Upstream {
    pool: Arc<Pool>,
    /// Instead of the pool, where the service speaks HTTP/2.
    links: Option<Arc<Links>>,
    dialer: Arc<Dialer>,
    places: Arc<Places>,
    terms: Terms,
    probe: Option<Probe>,
    response_timeout: Duration,
    /// For people and traces.
    base: String,
}

/// The head of an answer, and what the request keeps until its end.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response<Answer>,
    pub(super) lease: Lease,
    pub(super) place: Place,
}

impl Answered {
    /// Whether the service agrees to a WebSocket.
    pub(super) fn switches(&self) -> bool {
        let switched = self.response.status() == StatusCode::SWITCHING_PROTOCOLS;
        switched || matches!(self.response.body(), Answer::WebSocket(_))
    }
}

impl Upstream {
    /// Connects lazily.
    pub(super) fn new(upstream: &config::Upstream) -> Upstream {
        Upstream::with(upstream, Places::of(&Terms::of(upstream)))
    }

    /// The same service under other terms. Whoever is with it keeps its place, and counts, once they
    /// [are in force](Upstream::takes_effect).
    pub(super) fn changed_to(&self, upstream: &config::Upstream) -> Upstream {
        Upstream::with(upstream, Arc::clone(&self.places))
    }

    /// From now on as many may be with the service as its configuration says.
    pub(super) fn takes_effect(&self) {
        self.places.resize(&self.terms);
    }

    fn with(upstream: &config::Upstream, places: Arc<Places>) -> Upstream {
        let dialer = Arc::new(Dialer::new(upstream));
        let patience = upstream.connect_timeout + upstream.response_timeout.min(PROBE_TIMEOUT);
        let probe = upstream.readiness.clone();
        Upstream {
            pool: Arc::default(),
            links: upstream.http2.then(Arc::default),
            places,
            terms: Terms::of(upstream),
            probe: probe.map(|how| Probe::start(Arc::clone(&dialer), how, upstream.http2, patience)),
            dialer,
            response_timeout: upstream.response_timeout,
            base: upstream.address.to_string(),
        }
    }

    /// The request's URI towards the service: its path and query byte for byte (HTTP-12).
    pub(super) fn uri(target: &Uri) -> Uri {
        target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()
    }

    /// A call to it, as a trace tells of it.
    pub(super) fn called<'a>(&'a self, parts: &'a Parts) -> Called<'a> {
        let version = if self.links.is_some() { Version::HTTP_2 } else { Version::HTTP_11 };
        Called { method: &parts.method, base: &self.base, path: parts.uri.path(), version }
    }

    /// Whether the service is asked for a WebSocket by an extended CONNECT: over HTTP/2 there is no upgrade (RFC 9113
    /// section 8.6).
    pub(super) fn connects(&self) -> bool {
        self.links.is_some()
    }

    /// Whether the service answers.
    pub(super) fn health(&self) -> Health {
        self.probe.as_ref().map_or(Health::Off, Probe::health)
    }

    /// How many connections there are, and how many requests wait for their turn.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.dialer.connections(), self.places.waiting())
    }

    /// Sends a request and waits for the response's head. The connection is the lease's until the response
    /// has been read.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        progress: Option<Progress>,
        asks_for_websocket: bool,
    ) -> Result<Answered, Fault> {
        let place = self.places.take(&self.terms).await?;
        request.body_mut().kept.place(place.clone());
        let until = Instant::now() + self.response_timeout;
        let mut answer = pin!(self.exchange(request, until));
        let (response, lease) = loop {
            match timeout(self.response_timeout, answer.as_mut()).await {
                Ok(answered) => break answered?,
                Err(_) if progress.as_ref().is_some_and(Progress::take) => {}
                Err(_) => {
                    self.links.iter().for_each(|links| links.doubt());
                    return Err(Fault::UpstreamTimeout);
                }
            }
        };
        // A switch nobody asked for would smuggle the next bytes: HTTP-15.
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let agreed = asks_for_websocket && !self.connects() && upgrade::is_agreed(response.headers());
        if switches && !agreed || !is_framing_clear(response.headers()) {
            lease.close();
            return Err(Fault::UpstreamBroken);
        }
        Ok(Answered { response, lease, place })
    }

    /// `until`: how long a request holds what it does, at most, if nobody waits for its answer.
    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        until: Instant,
    ) -> Result<(Response<Answer>, Lease), Fault> {
        if let Some(links) = &self.links {
            // Boxed, as is what follows where it is rare: every request's future would be as large.
            let asked = Box::pin(stream::exchange(Arc::clone(links), &self.dialer, request));
            return asked.await.map(|(response, seat)| (response, Lease::Http2(seat)));
        }
        announce_content(&mut request);
        let is_head = request.method() == Method::HEAD;
        let mut fresh = 0;
        loop {
            let mut connection = match self.pool.take() {
                Some(connection) => connection,
                None if fresh == MOST_FRESH => return Err(Fault::UpstreamBroken),
                None => {
                    fresh += 1;
                    Box::pin(self.connect()).await.ok_or(Fault::UpstreamUnreachable)?
                }
            };
            connection.unanswered.asks(request.body().kept.clone(), until);
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    connection.unanswered.is_over();
                    let bodiless = is_head || BODILESS.contains(&response.status());
                    let lease = Lease::Http1(self.pool.lease(connection, bodiless));
                    return Ok((response.map(Answer::Http1), lease));
                }
                Err(mut error) => {
                    if !error.error().is_user() {
                        connection.unanswered.is_over();
                    }
                    match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(fault(&error.into_error())),
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Option<Connection> {
        match self.dialer.dial().await? {
            Dialed::Tcp(stream) => spoken_to(stream, self.dialer.opened()).await,
            Dialed::Unix(stream) => spoken_to(stream, self.dialer.opened()).await,
        }
    }
}

/// HTTP/1.1 over a new connection.
async fn spoken_to<S>(stream: S, counted: Open) -> Option<Connection>
where
    S: Duplex,
{
    let mut builder = http1::Builder::new();
    let unanswered = Unanswered::default();
    builder.max_buf_size(MAX_BUFFER);
    let (sender, connection) =
        builder.handshake(TokioIo::new(Sips::of(stream, unanswered.clone()))).await.ok()?;
    let driver = tokio::spawn(async move {
        let _counted = counted;
        let _ = connection.with_upgrades().await;
    });
    Some(Connection { sender, driver: driver.abort_handle(), unanswered })
}

/// Content without a length is chunked, whatever the method: hyper would drop that of a GET, which few have but any may
/// (RFC 9110 section 9.3.1).
fn announce_content(request: &mut Request<RequestBody>) {
    let length = request.body().size_hint().exact();
    if length.is_none() && !request.headers().contains_key(header::CONTENT_LENGTH) {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Whether everybody reads the same length (RFC 9112 section 6.3): hyper takes two equal lengths, a length beside a
/// coding, and codings besides chunked, and would pass them on (HD-055, HTTP-35).
fn is_framing_clear(headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut lines = headers.get_all(name).iter();
        (lines.next(), lines.next().is_none())
    };
    match (only(header::TRANSFER_ENCODING), only(header::CONTENT_LENGTH)) {
        ((None, _), (None, _)) => true,
        ((None, _), (Some(length), single)) => single && length.as_bytes().iter().all(u8::is_ascii_digit),
        ((Some(coding), single), (None, _)) => single && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        ((Some(_), _), (Some(_), _)) => false,
    }
}

fn fault(error: &hyper::Error) -> Fault {
    match error.is_user().then(|| Interrupted::of(error)) {
        Some(interrupted) => interrupted.map_or(Fault::RequestAborted, Interrupted::fault),
        None => Fault::UpstreamBroken,
    }
}

/// Answers that have no content (RFC 9110 section 6.4.1).
const BODILESS: [StatusCode; 2] = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];

/// What the head of an answer may take, in bytes.
const MAX_BUFFER: usize = 128 * 1024;

/// New connections for one request, should the service close the first one before a byte was written.
const MOST_FRESH: usize = 2;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
