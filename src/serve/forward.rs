//! An admitted request's way to the service and back.
//!
//! The order is the point: first everything of the client's that must not pass goes, then what we say is
//! added. Only a grant writes an identity; on an unprotected route the names are ours all the same, and absent.

use super::body::ResponseBody;
use super::cut::Cuttable;
use super::fields;
use super::grpc;
use super::hops::{nothing_to_say, take_a_hop};
use super::in_flight::InFlight;
use super::proxy::{Peer, now};
use super::refusal;
use super::request_body::RequestBody;
use super::response::{self, Fault};
use super::switch;
use super::upgrade::{self, Wish};
use super::upload::Patience;
use super::upstream::{Answer, Answered, Lease, Upstream};
use crate::gate::Admission;
use crate::pop::credentials::Scheme;
use crate::pop::policy::Route;
use crate::pop::{DPOP_NONCE, identity};
use crate::state::revocation::Cut;
use crate::telemetry::{RequestSpan, Step};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, Version};
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What the gate let in.
pub(super) struct Admitted<'a> {
    pub(super) admission: Admission,
    /// Its route.
    pub(super) route: Option<&'a Route>,
    /// The scheme of its credentials.
    pub(super) scheme: Option<Scheme>,
    /// Which of the public origins it was sent to.
    pub(super) origin: usize,
}

/// Sends the request on and returns what the client gets. Everything is settled before the wait, so that
/// little is kept while it lasts.
pub(super) fn forward<'a>(
    peer: &'a Peer,
    admitted: Admitted<'a>,
    mut parts: Parts,
    body: Incoming,
    mut in_flight: InFlight,
    mut span: RequestSpan,
) -> impl Future<Output = Response<ResponseBody>> + 'a {
    let proxy = &*peer.proxy;
    let Admitted { admission, route, scheme, origin } = admitted;
    let (received, method) = (parts.version, parts.method.clone());
    let unread = !body.is_end_stream();
    let renewal = match &admission {
        Admission::Granted(grant) => proxy.gate.nonces.renewal_for(grant.verified(), now),
        Admission::Observed(_) | Admission::Unprotected | Admission::Preflight => None,
    };
    let asked = Instant::now();
    let mut cuttable = None;
    let mut called = None;
    let mut call = Step::default();
    let wish = upgrade::wish(&mut parts, unread, proxy.upstream.connects());
    let grpc = grpc::is_spoken(received, &parts.headers);
    let time_limit = grpc.then(|| grpc::time_limit(&parts.headers)).flatten();
    let answer = if take_a_hop(&mut parts) {
        Way::EndsHere
    } else if proxy.pseudonym.is_in(&parts.headers) {
        Way::Circle
    } else {
        let mut parts = prepare(peer, &admission, origin, parts, &span);
        if let (Some(open), Some(route)) = (admission.into_open(), route) {
            cuttable = Some(Cuttable::new(open, route, &span));
            called = parts.uri.path_and_query().cloned();
        }
        call = span.call(proxy.upstream.called(&parts));
        parts.uri = Upstream::uri(&parts.uri);
        if let Some(wish) = &wish {
            wish.write(&mut parts);
        }
        let patience = unread.then(|| Patience::new(proxy.limits.body_timeout, grpc));
        if let Some(patience) = &patience {
            in_flight.uploads(patience.answer());
        }
        let (body, progress) =
            RequestBody::new(body, &proxy.trailers, patience, in_flight.kept.clone(), received);
        let request = http::Request::from_parts(parts, body);
        Way::Service(proxy.upstream.send(request, progress, wish.is_some()))
    };
    async move {
        let answered = match answer {
            Way::Service(answer) => {
                let answer = pin!(answer);
                in_time(time_limit, unless_revoked(answer, cuttable.as_ref())).await
            }
            Way::EndsHere => Ok(None),
            Way::Circle => Err(Setback::Fault(Fault::Loop)),
        };
        let answered = understood(answered, wish.as_ref());
        match answered {
            Ok(Some(answered)) => {
                let switches = answered.switches();
                let Answered { response, lease, place } = answered;
                call.answered(response.status());
                in_flight.holds(place);
                in_flight.answered();
                let answered = (span, asked);
                let mut response = match wish.filter(|_| switches) {
                    Some(wish) => switch::switched(
                        peer,
                        response,
                        (received, wish),
                        in_flight,
                        lease,
                        cuttable,
                        answered,
                    ),
                    None => passed_on(peer, response, (received, grpc), in_flight, lease, cuttable, answered),
                };
                offer(renewal, response.headers_mut());
                response
            }
            unanswered => {
                let mut response = match unanswered {
                    Ok(_) => nothing_to_say(),
                    Err(Setback::Fault(fault)) => {
                        let (telemetry, route) = (&proxy.gate.telemetry, route.map(|route| &*route.path));
                        call.failed(fault.reason());
                        telemetry.unanswered(&mut span, method.as_str(), route, fault.reason());
                        response::fault(fault)
                    }
                    Err(Setback::Revoked) => {
                        call.failed(Cut::Revoked.reason());
                        cuttable.iter().for_each(|cuttable| cuttable.tell(Cut::Revoked, peer));
                        let path = called.as_ref().map_or("/", PathAndQuery::path);
                        refusal::revoked(peer, (route, scheme), path, origin)
                    }
                };
                response::tell_request_id(span.request_id(), &mut response);
                if unread {
                    peer.close_after(received, &mut response);
                }
                proxy.gate.telemetry.answered(span, response.status(), Some(asked.elapsed()));
                response
            }
        }
    }
}

/// Why an admitted request gets no answer from the service.
enum Setback {
    Fault(Fault),
    Revoked,
}

/// The service's answer, unless the request's token is revoked before it is there: then the request ends on the
/// service's side, too, its upload included (RV-039). That the token expires is no reason: the request was in time.
fn unless_revoked<T>(
    mut answer: Pin<&mut impl Future<Output = Result<T, Fault>>>,
    cuttable: Option<&Cuttable>,
) -> impl Future<Output = Result<Option<T>, Setback>> {
    poll_fn(move |cx| {
        if cuttable.is_some_and(|cuttable| cuttable.open.poll_cut(cx) == Poll::Ready(Cut::Revoked)) {
            return Poll::Ready(Err(Setback::Revoked));
        }
        answer.as_mut().poll(cx).map(|answered| answered.map(Some).map_err(Setback::Fault))
    })
}

/// The answer, unless the time that the client gives the call passes before its head is there: then the request ends on
/// the service's side, too.
async fn in_time<T>(
    limit: Option<Duration>,
    answer: impl Future<Output = Result<T, Setback>>,
) -> Result<T, Setback> {
    match limit {
        None => answer.await,
        // Boxed: few have one, and every request's future would be larger by a timer.
        Some(limit) => match Box::pin(timeout(limit, answer)).await {
            Ok(answered) => answered,
            Err(_) => Err(Setback::Fault(Fault::DeadlineExceeded)),
        },
    }
}

/// Where a request goes from here.
enum Way<A> {
    Service(A),
    EndsHere,
    Circle,
}

/// A nonce is for one client: an answer that brings one is not kept by anybody (RFC 9449 section 8.2; DPOP-35,
/// DPOP-37, DPOP-38).
fn offer(nonce: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(nonce) = nonce {
        headers.insert(DPOP_NONCE, nonce);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The service's response as the client gets it, in the order in which it came (HTTP-28).
fn passed_on(
    peer: &Peer,
    response: Response<Answer>,
    (version, grpc): (Version, bool),
    mut in_flight: InFlight,
    lease: Lease,
    cuttable: Option<Cuttable>,
    (span, asked): (RequestSpan, Instant),
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    in_flight.span = peer.proxy.gate.telemetry.passes(span, parts.status, asked.elapsed());
    fields::clean_response(&mut parts.headers);
    parts.version = version;
    parts.extensions.clear();
    // Trailers are safe where nothing but them ends the answer: a length would end it, too.
    let grpc = grpc
        && grpc::is_spoken(version, &parts.headers)
        && !parts.headers.contains_key(header::CONTENT_LENGTH);
    let is_stream = version == Version::HTTP_2;
    let (body, passing) = ResponseBody::service(body, in_flight, lease, cuttable, (is_stream, grpc));
    if is_stream && !body.is_end_stream() {
        peer.activity.watch(passing);
    }
    Response::from_parts(parts, body)
}

/// A 101 or a success that does not fit a CONNECT's wish is no answer to it.
fn understood(
    answered: Result<Option<Answered>, Setback>,
    wish: Option<&Wish>,
) -> Result<Option<Answered>, Setback> {
    match (answered, wish) {
        (Ok(Some(Answered { response, lease, .. })), Some(wish))
            if !wish.is_answered_by(response.status(), response.headers()) =>
        {
            lease.close();
            Err(Setback::Fault(Fault::UpstreamBroken))
        }
        (answered, _) => answered,
    }
}

/// Turns the client's request into ours: first everything of the client's that must not pass, then what we say
/// (HTTP-09), in our own version of HTTP (HTTP-30).
fn prepare(peer: &Peer, admission: &Admission, origin: usize, mut parts: Parts, span: &RequestSpan) -> Parts {
    let proxy = &*peer.proxy;
    let received = parts.version;
    let headers = &mut parts.headers;
    let announced = headers.contains_key(header::TRAILER);
    let trailers = announced.then(|| proxy.trailers.announcement(headers)).flatten();
    // Whoever proved who it is may say more of the trace to the service than that it goes on.
    let baggage = match admission {
        Admission::Granted(_) => span.baggage(headers),
        Admission::Observed(_) | Admission::Unprotected | Admission::Preflight => None,
    };
    fields::clean_request(headers, proxy.identity.forward_authorization);
    identity::strip(headers, &proxy.identity.headers);
    headers.reserve(OUR_FIELDS);
    if let Some(trailers) = trailers {
        headers.insert(header::TRAILER, trailers);
    }
    match admission {
        Admission::Granted(grant) => grant.write_identity(&proxy.identity.headers, headers),
        Admission::Observed(observed) => observed.write(headers),
        Admission::Unprotected | Admission::Preflight => {}
    }
    peer.hop.write(&proxy.hosts, origin, headers);
    proxy.pseudonym.write(received, headers);
    span.write_context(headers);
    span.write_baggage(baggage, headers);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    parts
}

/// About as many fields as we add, so that the map grows once.
const OUR_FIELDS: usize = 16;
