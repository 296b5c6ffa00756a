//! One request: build the neutral request, ask the gate, and translate its decision into HTTP.
//!
//! A refusal is decided before the body is read, so `Expect: 100-continue` gets its final status and no
//! 100 (RFC 9110 section 10.1.1), and an HTTP/1.1 connection with an unread body is closed, or its rest
//! would be read as the next request. An admitted request is cleaned, and only then told who calls.

use super::body::{RequestBody, ResponseBody};
use super::connection::Activity;
use super::fields;
use super::forwarded::{Hop, Pseudonym, PublicHost};
use super::response::{self, Fault};
use super::upstream::Upstream;
use crate::config::Identity;
use crate::gate::{Admission, Gate};
use crate::pop::mtls::ClientCertificate;
use crate::pop::policy::Access;
use crate::pop::target_uri::Origin;
use crate::pop::{Denial, Request, Timestamp, challenge, identity};
use crate::telemetry::RequestSpan;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, Version};
use hyper::body::{Body as _, Incoming};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Instant, SystemTime};

/// What all requests share.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) gate: Gate,
    pub(super) origins: Vec<Origin>,
    pub(super) hosts: Vec<PublicHost>,
    pub(super) identity: Identity,
    pub(super) upstream: Upstream,
    pub(super) pseudonym: Pseudonym,
    pub(super) in_flight: AtomicUsize,
    pub(super) max_in_flight: usize,
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Peer {
    proxy: Arc<Proxy>,
    activity: Arc<Activity>,
    address: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
    hop: Hop,
}

/// A request in flight, until its response's body has ended.
#[derive(Debug)]
pub(super) struct InFlight {
    peer: Arc<Peer>,
}

impl InFlight {
    /// Counts the request; the number includes it.
    fn begin(peer: &Arc<Peer>) -> (InFlight, usize) {
        peer.activity.request_began();
        let before = peer.proxy.in_flight.fetch_add(1, Relaxed);
        (InFlight { peer: Arc::clone(peer) }, before + 1)
    }
}
impl Drop for InFlight {
    fn drop(&mut self) {
        self.peer.proxy.in_flight.fetch_sub(1, Relaxed);
        self.peer.activity.request_ended();
    }
}

impl Peer {
    pub(super) fn new(
        proxy: Arc<Proxy>,
        activity: Arc<Activity>,
        address: SocketAddr,
        certificate: Option<Arc<ClientCertificate>>,
    ) -> Peer {
        let hop = Hop::new(address, &proxy.hosts);
        Peer { proxy, activity, address, certificate, hop }
    }
}

/// Answers a request. A panic costs this request alone: it is answered with 500, and nothing is forwarded.
pub(super) async fn serve(
    peer: Arc<Peer>,
    request: http::Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (version, method) = (request.version(), request.method().clone());
    let decided = AtomicBool::new(false);
    let answered = {
        let mut answer = pin!(answer(&peer, request, &decided));
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_panic) => Poll::Ready(None),
        })
        .await
    };
    let panicked = answered.is_none();
    let mut response = match answered {
        Some(response) => response,
        None => after_panic(&peer, &method, decided.load(Relaxed)).await,
    };
    if version != Version::HTTP_2 && (panicked || peer.activity.is_leaving()) {
        response.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    Ok(response)
}

async fn after_panic(peer: &Peer, method: &Method, decided: bool) -> Response<ResponseBody> {
    let denial = Denial::Internal;
    if !decided {
        let telemetry = &peer.proxy.gate.telemetry;
        let mut span = telemetry.begin(&HeaderMap::new());
        peer.proxy.gate.decide(method, Err(denial), peer.address, &mut span, now()).await;
        telemetry.answered(span, denial.status(), None);
    }
    response::refusal(denial, Vec::new(), None)
}

async fn answer(
    peer: &Arc<Peer>,
    request: http::Request<Incoming>,
    decided: &AtomicBool,
) -> Response<ResponseBody> {
    let proxy = &*peer.proxy;
    let (parts, body) = request.into_parts();
    let (in_flight, count) = InFlight::begin(peer);
    let mut span = proxy.gate.telemetry.begin(&parts.headers);
    let mut origin = 0;
    let judged = if count > proxy.max_in_flight {
        Err(Denial::Overloaded)
    } else {
        neutral(peer, &parts).inspect(|request| origin = proxy.origin_of(request))
    };
    let decision = proxy.gate.decide(&parts.method, judged, peer.address, &mut span, now()).await;
    decided.store(true, Relaxed);
    match decision.verdict {
        Ok(admission) => forward(peer, admission, origin, parts, body, in_flight, span).await,
        Err(denial) => {
            let response = refuse(peer, denial, &decision, &parts, &body);
            proxy.gate.telemetry.answered(span, response.status(), None);
            response
        }
    }
}

/// The neutral request, or why its transport leaves doubts.
fn neutral<'a>(peer: &'a Peer, parts: &'a Parts) -> Result<Request<'a>, Denial> {
    if !is_framing_clear(parts) {
        return Err(Denial::RequestMalformed);
    }
    Request::of(parts, peer.certificate.as_ref(), &peer.proxy.origins)
}

/// hyper passes on transfer codings besides chunked (RFC 9112 section 6.1), and edge spaces in values of
/// HTTP/2 (RFC 9113 section 8.2.1) that would be trimmed, and so become another value, on the way on.
fn is_framing_clear(parts: &Parts) -> bool {
    if parts.version == Version::HTTP_2 {
        let edge = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        return parts.headers.values().all(|v| !edge(v.as_bytes().first()) && !edge(v.as_bytes().last()));
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

impl Proxy {
    /// Which of the public origins the target has.
    fn origin_of(&self, request: &Request<'_>) -> usize {
        let authority = request.target.authority();
        self.origins.iter().position(|origin| origin.authority() == authority).unwrap_or(0)
    }
}

fn refuse(
    peer: &Peer,
    denial: Denial,
    decision: &crate::gate::Decision<'_>,
    parts: &Parts,
    body: &Incoming,
) -> Response<ResponseBody> {
    let policy = &peer.proxy.gate.policy;
    let demands = decision.route.and_then(|route| match &route.access {
        Access::Protected(demands) => Some(demands),
        Access::Unprotected => None,
    });
    let challenges = challenge::challenges(denial, decision.scheme, demands, &policy.dpop.algorithms);
    let allow = (denial == Denial::MethodNotAllowed).then(|| allowed(peer, parts)).flatten();
    let mut response = response::refusal(denial, challenges, allow);
    let doubtful = denial == Denial::RequestMalformed;
    if parts.version != Version::HTTP_2 && (doubtful || !body.is_end_stream()) {
        response.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    response
}

/// The methods that the path does have, of those that its routes or HTTP name.
fn allowed(peer: &Peer, parts: &Parts) -> Option<HeaderValue> {
    let routes = &peer.proxy.gate.policy.routes;
    let path = neutral(peer, parts).ok()?.target;
    let common = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let mut methods: Vec<Method> = Vec::from(common);
    methods.extend(routes.iter().flat_map(|route| route.methods.iter().cloned()));
    let mut names: Vec<String> = Vec::new();
    for method in methods {
        if routes.find(&method, path.path()).is_ok() && !names.iter().any(|name| name == method.as_str()) {
            names.push(method.to_string());
        }
    }
    HeaderValue::try_from(names.join(", ")).ok()
}

async fn forward(
    peer: &Arc<Peer>,
    admission: Admission,
    origin: usize,
    mut parts: Parts,
    body: Incoming,
    in_flight: InFlight,
    span: RequestSpan,
) -> Response<ResponseBody> {
    let proxy = &*peer.proxy;
    let received = parts.version;
    let unread = !body.is_end_stream();
    let asked = Instant::now();
    let answered = if proxy.pseudonym.is_in(&parts.headers) {
        Err(Fault::Loop)
    } else {
        prepare(peer, admission, origin, &mut parts, &span);
        let (body, progress) = RequestBody::new(body);
        proxy.upstream.send(http::Request::from_parts(parts, body), progress).await
    };
    let response = match answered {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            fields::clean_response(&mut parts.headers);
            parts.version = received;
            parts.extensions.clear();
            Response::from_parts(parts, ResponseBody::service(body, in_flight))
        }
        Err(fault) => {
            tracing::warn!(reason = fault.reason(), trace_id = span.trace_id(), "no answer from the service");
            let mut response = response::fault(fault);
            if received != Version::HTTP_2 && unread {
                response.headers_mut().insert(header::CONNECTION, CLOSE);
            }
            response
        }
    };
    proxy.gate.telemetry.answered(span, response.status(), Some(asked.elapsed()));
    response
}

/// Turns the client's request into ours: first everything of the client's that must not pass, then what we say.
fn prepare(peer: &Peer, admission: Admission, origin: usize, parts: &mut Parts, span: &RequestSpan) {
    let proxy = &*peer.proxy;
    let received = parts.version;
    let headers = &mut parts.headers;
    fields::clean_request(headers, proxy.identity.forward_authorization);
    identity::strip(headers, &proxy.identity.headers);
    match admission {
        Admission::Granted(grant) => grant.write_identity(&proxy.identity.headers, headers),
        Admission::Unprotected => {}
    }
    peer.hop.write(&proxy.hosts, origin, headers);
    proxy.pseudonym.write(received, headers);
    span.write_context(headers);
    parts.uri = proxy.upstream.uri(&parts.uri);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
}

fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");
