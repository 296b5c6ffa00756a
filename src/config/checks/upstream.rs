//! `upstream`: the hop to the service is in clear, so it must not leave the machine (RFC 9700 section 4.13).

use super::Checks;
use crate::config::Upstream;
use crate::config::file::{Listen, Upstream as Written};
use crate::config::words::quoted;
use http::uri::Authority;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The upstream; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, listen: Option<&Listen>) -> Option<Upstream> {
    let most = Duration::from_secs(3600);
    let least = Duration::from_millis(1);
    let connect = c.within("upstream.connect_timeout", written.connect_timeout, least, most);
    let response = c.within("upstream.response_timeout", written.response_timeout, least, most);
    let authority = authority(c, &written.url);
    if let (Some(authority), Some(listen)) = (&authority, listen)
        && is_ourselves(authority, &listen.address)
    {
        c.fault(URL, "this is the address clinch itself listens on")
            .found(quoted(&written.url))
            .expected("the address of the service behind clinch");
        return None;
    }
    Some(Upstream { authority: authority?, connect_timeout: connect?, response_timeout: response? })
}

/// The hop is in clear, so it stays on this machine (SBCP-05, CC-11).
fn authority(c: &mut Checks<'_>, url: &str) -> Option<Authority> {
    for later in ["unix:", "https://"] {
        if url.starts_with(later) {
            c.fault(URL, format!("an upstream at {later} is not supported yet"))
                .found(quoted(url))
                .expected(EXPECTED);
            return None;
        }
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
    Some(authority)
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
const EXPECTED: &str = "http://127.0.0.1:PORT, http://[::1]:PORT or http://localhost:PORT";
