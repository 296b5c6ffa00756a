//! The span of a request as its server sees it, with the names of OpenTelemetry's HTTP conventions and `clinch.*`
//! beside them.
//!
//! What is recorded is what the log line says: no query, no token, no proof, no baggage. Clients, subjects and token
//! ids are named as `telemetry.identifiers` has it.

use super::{LONGEST_TEXT, OpenSpan, cut};
use crate::config::Identifiers;
use crate::pop::policy::ProofKind;
use crate::pop::sha256;
use crate::telemetry::trace_context::write_hex;
use crate::telemetry::{Passed, Record, verdict};
use http::request::Parts;
use http::{StatusCode, Uri, Version, header};
use std::net::SocketAddr;
use std::time::Duration;

/// What the connection and the request's head say. `socket`: the other end of the connection, be it a balancer's.
/// Where the decision had no target, the path is as it came; CONNECT has none. Every origin is one of `https`.
pub(in crate::telemetry) fn received(
    open: &mut OpenSpan,
    parts: &Parts,
    socket: SocketAddr,
    has_target: bool,
) {
    if !has_target {
        let path = Some(parts.uri.path()).filter(|path| !path.is_empty());
        open.maybe("url.path", path.map(|path| cut(path, LONGEST_TEXT)));
        open.set("url.scheme", "https");
    }
    open.maybe("network.protocol.version", version(parts.version));
    open.set("network.peer.address", &*socket.ip().to_string());
    open.set("network.peer.port", i64::from(socket.port()));
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    open.maybe("user_agent.original", agent.map(|agent| cut(agent, LONGEST_AGENT)));
}

/// The gate's decision. Returns whether it had a target.
pub(in crate::telemetry) fn decided(
    open: &mut OpenSpan,
    record: &Record<'_>,
    identifiers: Identifiers,
) -> bool {
    let method = known(record.method);
    let named = method.unwrap_or("HTTP");
    match record.route {
        Some(route) => open.rename(format!("{named} {route}")),
        None => open.rename(named),
    }
    open.set("http.request.method", method.unwrap_or("_OTHER"));
    if method.is_none() {
        open.set("http.request.method_original", cut(record.method, LONGEST_METHOD));
    }
    open.maybe("http.route", record.route);
    let target: Option<Uri> = record.target.and_then(|target| target.parse().ok());
    if let Some(target) = &target {
        open.set("url.path", cut(target.path(), LONGEST_TEXT));
        open.maybe("url.scheme", target.scheme_str());
        open.maybe("server.address", target.host());
        open.maybe("server.port", port(target));
    }
    open.set("client.address", &*record.peer.ip().to_string());
    open.set("client.port", i64::from(record.peer.port()));
    open.set("clinch.request_id", record.request.as_str());
    open.set("clinch.decision_us", micros(record.elapsed));
    open.maybe("clinch.scheme", record.scheme);
    open.maybe("clinch.proof", record.proof.map(ProofKind::as_str));
    if let Some(issuer) = record.issuer() {
        open.set("clinch.issuer", issuer);
        let called = [
            ("clinch.client", record.client()),
            ("clinch.subject", record.subject()),
            ("clinch.token_id", record.token_id()),
        ];
        for (key, value) in called {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                open.set(key, identifier(issuer, value, identifiers, &mut [0; 16]));
            }
        }
    }
    open.maybe("clinch.revocation", record.revocation);
    if let Some(event) = record.revoked_by {
        open.set("clinch.revocation.event", cut(&event.id, LONGEST_TEXT));
        open.set("clinch.revocation.at", event.at.as_secs());
        if let Some(span) = event.span {
            open.link(span, "revocation");
        }
    }
    open.set("clinch.verdict", verdict(record.verdict));
    open.maybe("clinch.reason", record.verdict.map_or_else(|denial| Some(denial.reason()), Passed::reason));
    open.maybe("clinch.rule", record.because.map(|because| because.rule));
    target.is_some_and(|target| target.scheme().is_some())
}

/// The response head. Only a failure of the server's is an error of its span.
pub(in crate::telemetry) fn answered(open: &mut OpenSpan, status: StatusCode, upstream: Option<Duration>) {
    open.set("http.response.status_code", i64::from(status.as_u16()));
    open.maybe("clinch.upstream_us", upstream.map(micros));
    if status.is_server_error() {
        open.fail(status.as_str());
    }
}

/// The methods that the conventions know: of RFC 9110, PATCH (RFC 5789) and QUERY. Any other is the caller's invention.
pub(super) fn known(method: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method)
}

pub(super) fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

/// The first 16 hex digits of the SHA-256 of issuer, NUL and value, or the value itself.
fn identifier<'a>(issuer: &str, value: &'a str, identifiers: Identifiers, room: &'a mut [u8; 16]) -> &'a str {
    match identifiers {
        Identifiers::Plain => cut(value, LONGEST_TEXT),
        Identifiers::Hashed => {
            let hash = sha256::of(&[issuer.as_bytes(), b"\0", value.as_bytes()].concat());
            write_hex(&hash[..8], room);
            std::str::from_utf8(room).unwrap_or_default()
        }
    }
}

fn port(target: &Uri) -> Option<i64> {
    let by_scheme = match target.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        Some(_) | None => None,
    };
    target.port_u16().or(by_scheme).map(i64::from)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"];
const LONGEST_AGENT: usize = 256;
const LONGEST_METHOD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'https://as.example.com\0app-1' | sha256sum | cut -c1-16`
    #[test]
    fn identifiers_are_what_a_shell_computes() {
        let named = |how| identifier("https://as.example.com", "app-1", how, &mut [0; 16]).to_owned();
        assert_eq!(named(Identifiers::Hashed), "fc698273a373c671");
        assert_eq!(named(Identifiers::Plain), "app-1");
    }

    #[test]
    fn methods_are_known_as_they_are_written() {
        assert_eq!(known("PATCH"), Some("PATCH"));
        assert_eq!(known("get"), None);
        assert_eq!(known("BREW"), None);
    }

    #[test]
    fn a_port_that_is_not_written_is_that_of_the_scheme() {
        let of = |target: &str| port(&target.parse().unwrap());
        assert_eq!(of("https://api.example.com/x"), Some(443));
        assert_eq!(of("https://api.example.com:8443/x"), Some(8443));
        assert_eq!(of("/x"), None);
    }
}
