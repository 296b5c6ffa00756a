//! `upstream`: the hop to the service is in clear, so it must not leave the machine (RFC 9700 section 4.13).

use super::{Checks, limits};
use crate::config::file::{Listen, Readiness as WrittenReadiness, Upstream as Written, UpstreamProtocol};
use crate::config::words::quoted;
use crate::config::{Readiness, Upstream, UpstreamAddress};
use http::uri::{Authority, PathAndQuery};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The upstream; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, listen: Option<&Listen>) -> Option<Upstream> {
    let most = Duration::from_secs(3600);
    let least = Duration::from_millis(1);
    let connect = c.within("upstream.connect_timeout", written.connect_timeout, least, most);
    let response = c.within("upstream.response_timeout", written.response_timeout, least, most);
    let queue_timeout = c.within("upstream.queue_timeout", written.queue_timeout, Duration::ZERO, most);
    let readiness = written.readiness.as_ref().map(|readiness| readiness_of(c, readiness));
    let address = address(c, &written.url);
    if let (Some(UpstreamAddress::Tcp(authority)), Some(listen)) = (&address, listen)
        && is_ourselves(authority, &listen.address)
    {
        c.fault(URL, "this is the address clinch itself listens on")
            .found(quoted(&written.url))
            .expected("the address of the service behind clinch");
        return None;
    }
    if let (Some(UpstreamAddress::Tcp(_)), Some(_)) = (&address, written.peer_uid) {
        c.fault("upstream.peer_uid", "who serves a TCP port can't be told")
            .found(quoted(&written.url))
            .expected("`url: unix:///PATH`, or no `peer_uid`");
    }
    Some(Upstream {
        address: address?,
        http2: written.protocol == UpstreamProtocol::Http2,
        connect_timeout: connect?,
        response_timeout: response?,
        in_flight: limits::count(written.in_flight),
        queue: usize::try_from(written.queue).ok()?,
        queue_timeout: queue_timeout?,
        readiness: match readiness {
            Some(readiness) => Some(readiness?),
            None => None,
        },
        peer_uid: written.peer_uid,
    })
}

fn readiness_of(c: &mut Checks<'_>, written: &WrittenReadiness) -> Option<Readiness> {
    let interval = c.within(
        "upstream.readiness.interval",
        written.interval,
        Duration::from_millis(100),
        Duration::from_secs(3600),
    );
    let path = written.path.as_ref().map(|path| {
        let parsed = Some(path).filter(|path| path.starts_with('/')).and_then(|path| path.parse().ok());
        if parsed.is_none() {
            c.fault("upstream.readiness.path", "this is not a path")
                .found(quoted(path))
                .expected("a path such as /healthz");
        }
        parsed
    });
    let path: Option<PathAndQuery> = match path {
        Some(path) => Some(path?),
        None => None,
    };
    Some(Readiness { path, interval: interval? })
}

/// The hop is in clear, so it stays on this machine (SBCP-05, CC-11).
fn address(c: &mut Checks<'_>, url: &str) -> Option<UpstreamAddress> {
    if url.starts_with("https://") {
        c.fault(URL, "an upstream at https:// is not supported").found(quoted(url)).expected(EXPECTED);
        return None;
    }
    if let Some(path) = url.strip_prefix("unix:") {
        return socket(c, url, path.strip_prefix("//").unwrap_or(path));
    }
    let plain = url.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let authority = plain.and_then(reachable).filter(|authority| !authority.as_str().contains('@'));
    let Some(authority) = authority else {
        c.fault(URL, "this is not the URL of a service").found(quoted(url)).expected(EXPECTED);
        return None;
    };
    if !is_loopback(authority.host()) {
        c.fault(URL, "this hop is not encrypted and would leave the machine")
            .found(format!("the host {}", quoted(authority.host())))
            .expected(EXPECTED);
        return None;
    }
    Some(UpstreamAddress::Tcp(authority))
}

/// A path that the kernel takes for a socket (unix(7)): absolute, for a relative one would mean the working directory.
fn socket(c: &mut Checks<'_>, url: &str, path: &str) -> Option<UpstreamAddress> {
    let sound = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
    if !sound || path.len() > LONGEST_SOCKET {
        c.fault(URL, "this is not the path of a socket")
            .found(quoted(url))
            .expected(format!("unix:///PATH, absolute, of at most {LONGEST_SOCKET} bytes"));
        return None;
    }
    Some(UpstreamAddress::Unix(path.into()))
}

/// An authority that somebody can be reached at: with a host, and a port that is one if there is any.
pub(super) fn reachable(written: &str) -> Option<Authority> {
    let authority: Authority = written.parse().ok()?;
    let (_, port) = authority.as_str().rsplit_once(authority.host())?;
    let port_is_fine = port.is_empty() || authority.port_u16().is_some_and(|port| port != 0);
    (!authority.host().is_empty() && port_is_fine).then_some(authority)
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ip(host).is_some_and(|ip| ip.is_loopback())
}

fn is_ourselves(upstream: &Authority, listen: &str) -> bool {
    let Ok(listen) = listen.parse::<SocketAddr>() else { return false };
    let reached = match ip(upstream.host()) {
        Some(ip) => ip == listen.ip() || listen.ip().is_unspecified(),
        None => listen.ip().is_loopback() || listen.ip().is_unspecified(),
    };
    reached && listen.port() != 0 && upstream.port_u16().unwrap_or(80) == listen.port()
}

const URL: &str = "upstream.url";
const EXPECTED: &str = "http://127.0.0.1:PORT, http://[::1]:PORT, http://localhost:PORT or unix:///PATH";
/// `sun_path` has 108 bytes, the last one a NUL.
const LONGEST_SOCKET: usize = 107;
