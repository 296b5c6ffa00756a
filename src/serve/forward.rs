//! An admitted request's way to the service and back.
//!
//! The order is the point: first everything of the client's that must not pass goes, then what we say is
//! added. Only a grant writes an identity; on an unprotected route the names are ours all the same, and absent.

use super::body::{RequestBody, ResponseBody};
use super::fields;
use super::proxy::{InFlight, Peer};
use super::response::{self, Fault};
use crate::gate::Admission;
use crate::pop::identity;
use crate::telemetry::RequestSpan;
use http::request::Parts;
use http::{Response, Version};
use hyper::body::{Body as _, Incoming};
use std::time::Instant;

/// Sends the request on and returns what the client gets.
pub(super) async fn forward(
    peer: &Peer,
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
            let (body, passing) = ResponseBody::service(body, in_flight);
            if received == Version::HTTP_2 && !body.is_end_stream() {
                peer.activity.watch(passing);
            }
            Response::from_parts(parts, body)
        }
        Err(fault) => {
            tracing::warn!(reason = fault.reason(), trace_id = span.trace_id(), "no answer from the service");
            let mut response = response::fault(fault);
            if unread {
                peer.close_after(received, &mut response);
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
