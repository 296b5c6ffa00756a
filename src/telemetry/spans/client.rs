//! The span of the call to the service: OpenTelemetry's HTTP conventions for clients.
//!
//! Its id is the parent that the service sees, so that a trace reads caller, clinch, service.

use super::server::{known, version};
use super::{Kind, LONGEST_TEXT, OpenSpan, SpanRef, cut};
use http::{Method, StatusCode, Version};

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where the service is, `http://host:port` or `unix:///path`.
    pub base: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The version of HTTP that it is asked in.
    pub version: Version,
}

impl Called<'_> {
    /// Begins its span, within that of the request, under the id that the service has been told.
    pub(in crate::telemetry) fn begin(self, server: &OpenSpan, told: [u8; 8]) -> Option<OpenSpan> {
        let of = SpanRef { trace: server.of()?.trace, span: told };
        let mut open = server.part(of, (Kind::Client, "HTTP"))?;
        let method = known(self.method.as_str());
        open.rename(method.unwrap_or("HTTP"));
        open.set("http.request.method", method.unwrap_or("_OTHER"));
        open.set("url.full", cut(&format!("{}{}", self.base, self.path), LONGEST_TEXT));
        open.maybe("network.protocol.version", version(self.version));
        self.address(&mut open);
        Some(open)
    }

    fn address(&self, open: &mut OpenSpan) {
        if let Some(socket) = self.base.strip_prefix("unix://") {
            open.set("server.address", socket);
            return open.set("network.transport", "unix");
        }
        let authority = self.base.split_once("://").map_or(self.base, |(_, authority)| authority);
        let Ok(authority) = authority.parse::<http::uri::Authority>() else { return };
        open.set("server.address", authority.host().trim_matches(['[', ']']));
        open.set("server.port", i64::from(authority.port_u16().unwrap_or(80)));
    }
}

/// The response head; for a client, a refusal is an error, too.
pub(in crate::telemetry) fn answered(open: &mut OpenSpan, status: StatusCode) {
    open.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        open.fail(status.as_str());
    }
    open.complete();
}
