//! The service agrees to a WebSocket: what was a request becomes a [tunnel](super::tunnel).

use super::body::ResponseBody;
use super::cut::Cuttable;
use super::fields;
use super::in_flight::InFlight;
use super::proxy::Peer;
use super::tunnel::{Service, Tunnel};
use super::upgrade::Wish;
use super::upstream::{Answer, Lease};
use crate::telemetry::RequestSpan;
use bytes::Bytes;
use http::{Response, Version};
use std::time::Instant;

/// The service agrees: the client is told, and then both have the connection, or its stream, to themselves.
pub(super) fn switched(
    peer: &Peer,
    mut response: Response<Answer>,
    (version, wish): (Version, Wish),
    mut in_flight: InFlight,
    lease: Lease,
    cuttable: Option<Cuttable>,
    (span, asked): (RequestSpan, Instant),
) -> Response<ResponseBody> {
    let upgrade = hyper::upgrade::on(&mut response);
    let (mut parts, answer) = response.into_parts();
    let service = match answer.into_websocket().zip(lease.of_websocket()) {
        Some((socket, seat)) => Service::Stream(Box::new(socket.on(seat))),
        None => Service::Connection(upgrade),
    };
    let is_stream = version == Version::HTTP_2;
    parts.version = version;
    fields::clean_response(&mut parts.headers);
    wish.tell(&mut parts.status, &mut parts.headers);
    in_flight.span = peer.proxy.gate.telemetry.passes(span, parts.status, asked.elapsed());
    let patience = peer.proxy.limits.idle_timeout;
    let tunnel = Tunnel { client: wish.client, service, in_flight, cuttable, is_stream, patience };
    peer.activity.tunnels.begin(tunnel);
    parts.extensions.clear();
    Response::from_parts(parts, ResponseBody::own(Bytes::new()))
}
