//! A connection's TLS handshake, as a trace of its own, to which the first recorded request of the connection links.
//!
//! Not a child of that request: it was over before the request began, perhaps long before, so tools would show a trace
//! that lasts as long as the connection was idle, or move the span to where they think it belongs. It is recorded with
//! the request, so both are there or neither. One that failed has no request: it is recorded in the configured share.

use super::spans::{Kind, OpenSpan, SpanRef};
use super::{Tracer, ids};
use std::net::SocketAddr;
use std::time::SystemTime;

/// A handshake that went well.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// When its first byte was there.
    pub began: SystemTime,
    /// When it was done.
    pub ended: SystemTime,
    /// The version of TLS, such as `1.3`.
    pub version: Option<&'static str>,
    /// The protocol inside, as ALPN names it.
    pub protocol: &'static str,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the client showed a certificate.
    pub certificate: bool,
}

impl Handshake {
    /// Makes its span, and the links between it and the request's.
    pub(super) fn record(self, request: &mut OpenSpan, socket: SocketAddr) {
        let of = SpanRef { trace: ids::random(), span: ids::random() };
        let what = (Kind::Internal, NAME);
        let mut open = OpenSpan::begun(request.exporter(), of, None, what, self.began);
        open.set("tls.protocol.name", "tls");
        open.maybe("tls.protocol.version", self.version);
        open.set("tls.next_protocol", self.protocol);
        open.set("tls.resumed", self.resumed);
        open.set("tls.established", true);
        open.set("clinch.client_certificate", self.certificate);
        open.set("network.peer.address", &*socket.ip().to_string());
        open.set("network.peer.port", i64::from(socket.port()));
        if let Some(request) = request.of() {
            open.link(request, "request");
        }
        open.end_at(self.ended);
        request.link(of, "handshake");
    }
}

impl Tracer {
    /// A handshake failed, for a reason of a closed set. `began`: when its connection was there.
    pub fn handshake_failed(&self, began: Option<SystemTime>, socket: SocketAddr, reason: &'static str) {
        let mut step = self.root_since(NAME, began);
        if let Some(open) = &mut step.0 {
            open.set("tls.established", false);
            open.set("network.peer.address", &*socket.ip().to_string());
            open.set("network.peer.port", i64::from(socket.port()));
        }
        step.failed(reason);
    }
}

const NAME: &str = "TLS handshake";
