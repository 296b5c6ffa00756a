//! One request: build the neutral request, ask the gate, and translate its decision into HTTP.
//!
//! A refusal is decided before the body is read, so `Expect: 100-continue` gets its final status and no
//! 100 (RFC 9110 section 10.1.1), and an HTTP/1.1 connection with an unread body is closed, or its rest
//! would be read as the next request. Other expectations, and any in HTTP/1.0, are ignored and go no further
//! (`fields`), for nothing that the service decides depends on them. How an admitted request reaches the
//! service is in [`forward`].

use super::activity::Activity;
use super::body::ResponseBody;
use super::caller::Caller;
use super::cors::{self, BrowserOrigins};
use super::forward::{self, Admitted};
use super::forwarded::{Hop, Pseudonym, PublicHost};
use super::generation::Made;
use super::given_up::Asking;
use super::in_flight::InFlight;
use super::settled::Shown;
use super::trailers::RequestTrailers;
use super::upstream::Upstream;
use super::{grpc, refusal, response, upgrade};
use crate::config::{Identity, Limits};
use crate::gate::{Gate, Verdict};
use crate::pop::client_cert::Terminators;
use crate::pop::mtls::ClientCertificate;
use crate::pop::target_uri::Origin;
use crate::pop::{Denial, Request, Timestamp};
use crate::state::shares::Shares;
use crate::telemetry::RequestId;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use ipnet::IpNet;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::SystemTime;

/// What all requests share under one configuration.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) made_of: Made,
    pub(super) gate: Gate,
    pub(super) origins: Vec<Origin>,
    pub(super) hosts: Vec<PublicHost>,
    pub(super) browsers: BrowserOrigins,
    pub(super) terminators: Arc<Terminators>,
    /// Whose connections begin with a PROXY protocol header.
    pub(super) balancers: Vec<IpNet>,
    pub(super) identity: Identity,
    pub(super) trailers: Arc<RequestTrailers>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) pseudonym: Arc<Pseudonym>,
    pub(super) shares: Arc<Shares>,
    pub(super) limits: Limits,
}

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) proxy: Arc<Proxy>,
    pub(super) activity: Arc<Activity>,
    pub(super) address: SocketAddr,
    /// The other end of the connection: a balancer's, where one tells of the client.
    pub(super) socket: SocketAddr,
    pub(super) caller: Caller,
    pub(super) hop: Hop,
}

impl Peer {
    /// The last response on an HTTP/1.1 connection whose request was not read to its end. HTTP/2 resets
    /// the stream instead.
    pub(super) fn close_after(&self, version: Version, response: &mut Response<ResponseBody>) {
        if version != Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, CLOSE);
            self.activity.body_left_unread();
        }
    }
}

/// Answers a request. A panic costs this request alone: it is answered with 500, and nothing is forwarded.
pub(super) async fn serve(
    peer: Arc<Peer>,
    request: http::Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let asking = Asking::on(&peer.activity);
    let (version, method) = (request.version(), request.method().clone());
    let browser = peer.proxy.browsers.of(request.headers());
    // A success in answer to CONNECT would be a tunnel.
    let grpc = method != Method::CONNECT && grpc::is_spoken(version, request.headers());
    let decided = OnceLock::new();
    let answered = isolated(pin!(answer(&peer, request, &decided))).await;
    let panicked = answered.is_none();
    let mut response = match answered {
        Some(response) => response,
        None => Box::pin(after_panic(&peer, &method, decided.get().copied())).await,
    };
    if panicked {
        peer.close_after(version, &mut response);
    }
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let Some(origin) = browser.filter(|_| !switches) {
        cors::let_read(origin, &mut response);
    }
    let leaving = peer.activity.is_leaving() || peer.caller.is_unwelcome();
    if version != Version::HTTP_2 && !switches && leaving {
        response.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    if grpc {
        grpc::translate(&mut response);
    }
    if method == Method::HEAD {
        response::withhold(&mut response);
    }
    asking.answered();
    Ok(response)
}

/// The future's output, or `None` if it panicked.
fn isolated<T>(mut future: Pin<&mut impl Future<Output = T>>) -> impl Future<Output = Option<T>> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_panic) => Poll::Ready(None),
    })
}

/// `decided`: what the request is called, if its decision is told of already.
async fn after_panic(peer: &Peer, method: &Method, decided: Option<RequestId>) -> Response<ResponseBody> {
    let denial = Denial::Internal;
    let mut response = response::refusal(denial, Vec::new(), None);
    let telemetry = &peer.proxy.gate.telemetry;
    let mut span = telemetry.begin(&HeaderMap::new());
    if decided.is_none() {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = method.clone();
        let share = peer.proxy.shares.begin(None);
        peer.proxy.gate.decide(&parts, Err(denial), None, (peer.address, &share), &mut span, now).await;
    }
    response::tell_request_id(decided.unwrap_or(span.request_id()), &mut response);
    telemetry.answered(span, denial.status(), None);
    response
}

/// A block with what it owns, not an `async fn`: that would keep every argument twice, and the future is
/// moved with each request.
fn answer<'a>(
    peer: &'a Arc<Peer>,
    request: http::Request<Incoming>,
    decided: &'a OnceLock<RequestId>,
) -> impl Future<Output = Response<ResponseBody>> + 'a {
    let proxy = &*peer.proxy;
    let (parts, body) = request.into_parts();
    async move {
        let mut in_flight = InFlight::begin(peer, !body.is_end_stream());
        let share = proxy.shares.begin(peer.caller.is_client().then(|| peer.address.ip()));
        let mut span = proxy.gate.telemetry.begin(&parts.headers);
        let mut origin = 0;
        let certificate = peer.caller.certificate(&parts.headers, now);
        let judged = neutral(peer, &parts, &body, &certificate);
        let judged = judged.inspect(|request| origin = request.target.origin());
        let full = proxy.shares.total() > proxy.limits.in_flight || peer.activity.given_up.are_too_many();
        let overloaded = full.then_some(Denial::Overloaded);
        let whose = (peer.address, &share);
        let decision = proxy.gate.decide(&parts, judged, overloaded, whose, &mut span, now).await;
        let _ = decided.set(span.request_id());
        span.received(&parts, peer.socket, || peer.activity.take_handshake());
        match decision.verdict {
            Ok(Verdict::Admit(admission)) => {
                peer.activity.shows(Shown::of(&admission));
                #[cfg(feature = "panic-drill")]
                {
                    crate::gate::drill::panic_at("forward", &parts.headers);
                    in_flight.drill = crate::gate::drill::is_asked_for("body", &parts.headers);
                }
                let admitted = Admitted { admission, route: decision.route, scheme: decision.scheme, origin };
                in_flight.kept.share(share);
                forward::forward(peer, admitted, parts, body, in_flight, span).await
            }
            Ok(Verdict::Publish(document)) => {
                let mut response = response::metadata(document);
                if !body.is_end_stream() {
                    peer.close_after(parts.version, &mut response);
                }
                proxy.gate.telemetry.answered(span, response.status(), None);
                response
            }
            Err(denial) => {
                let mut response = refusal::refuse(peer, denial, &decision, &parts, &body, origin);
                response::tell_request_id(span.request_id(), &mut response);
                proxy.gate.telemetry.answered(span, response.status(), None);
                response
            }
        }
    }
}

/// The neutral request, or why its transport leaves doubts.
pub(super) fn neutral<'a>(
    peer: &'a Peer,
    parts: &'a Parts,
    body: &Incoming,
    certificate: &'a Result<Option<Arc<ClientCertificate>>, Denial>,
) -> Result<Request<'a>, Denial> {
    if !is_framing_clear(parts) {
        return Err(Denial::RequestMalformed);
    }
    let certificate = certificate.as_ref().map_err(|denial| *denial)?.as_ref();
    let origins = &peer.proxy.origins;
    let mut request = if upgrade::is_websocket_over_http2(parts) {
        Request::of_websocket(parts, certificate, origins)?
    } else {
        Request::of(parts, certificate, origins)?
    };
    request.has_content |= !body.is_end_stream();
    Ok(request)
}

/// hyper passes on transfer codings besides chunked (RFC 9112 section 6.1), and of HTTP/2 a length in several lines
/// (RFC 9110 section 8.6, HTTP-19) and edge spaces in values (RFC 9113 section 8.2.1), which would be trimmed, and so
/// become another value, on the way on. A length beside chunked is nothing that we could see (HTTP-16): hyper takes it
/// away, as RFC 9112 section 6.3 has it for those who do not refuse, and closes the connection after the answer.
fn is_framing_clear(parts: &Parts) -> bool {
    if parts.version == Version::HTTP_2 {
        let edge = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        let clear = |v: &HeaderValue| !edge(v.as_bytes().first()) && !edge(v.as_bytes().last());
        let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter().count();
        return lengths <= 1 && parts.headers.values().all(clear);
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

#[cfg(test)]
mod tests {
    use super::isolated;
    use std::pin::pin;

    #[tokio::test]
    async fn a_panic_ends_its_future_only() {
        assert_eq!(isolated(pin!(async { 7 })).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(isolated::<u8>(pin!(panics)).await, None);
    }
}
