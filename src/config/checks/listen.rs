//! `listen`: the address and the public origins.

use super::{Checks, limits, terminators, tls};
use crate::config::Listen;
use crate::config::file::{Listen as Written, Upstream};
use crate::config::tree::item;
use crate::config::words::quoted;
use crate::pop::target_uri::Origin;
use std::net::SocketAddr;
use std::time::Duration;

/// The listener; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, upstream: &Upstream) -> Option<Listen> {
    let address = address(c, "listen.address", &written.address);
    let public_origins = written.public_origins.as_ref().map(|o| origins(c, o));
    let browser_origins = browser_origins(c, &written.browser_origins);
    let tls = written.tls.as_ref().and_then(|t| tls::check(c, t));
    let asked = written.tls.as_ref().map(|t| t.client_certificate);
    let asked = asked.filter(|_| !c.is_unsound(tls::CLIENT_CERTIFICATE));
    let client_cert_from = written.client_cert_from.as_ref().map(|w| terminators::check(c, w, asked));
    let proxy_protocol_from =
        terminators::networks(c, "listen.proxy_protocol_from", &written.proxy_protocol_from);
    if let Some(terminators) = &client_cert_from {
        terminators::behind(c, terminators, &proxy_protocol_from);
    }
    if proxy_protocol_from.iter().any(|network| network.prefix_len() == 0) {
        c.warn("listen.proxy_protocol_from", ANYBODY);
    }
    let limits = limits::check(c, &written.limits, upstream);
    let drain = c.within("listen.drain", written.drain, Duration::ZERO, Duration::from_secs(3600));
    Some(Listen {
        address: address?,
        also: Vec::new(),
        public_origins: public_origins?,
        browser_origins,
        resource_metadata: written.resource_metadata,
        tls: tls?,
        proxy_protocol_from,
        reuse_port: written.reuse_port,
        client_cert_from: client_cert_from.unwrap_or_default(),
        limits: limits?,
        drain: drain?,
    })
}

/// A socket address: IP and port, no name that could resolve to something else tomorrow.
pub(super) fn address(c: &mut Checks<'_>, path: &str, written: &str) -> Option<SocketAddr> {
    let parsed = written.parse().ok();
    if parsed.is_none() {
        c.fault(path, "this is not a socket address")
            .found(quoted(written))
            .expected("an IP address and a port, such as 0.0.0.0:8443 or [::]:8443");
    }
    parsed
}

fn origins(c: &mut Checks<'_>, written: &[String]) -> Vec<Origin> {
    let mut origins: Vec<Origin> = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let path = item("listen.public_origins", at);
        match Origin::parse(text) {
            Ok(origin) if origins.contains(&origin) => {
                c.fault(&path, "this origin is in the list twice")
                    .found(quoted(text))
                    .expected("each origin once");
            }
            Ok(origin) => origins.push(origin),
            Err(why) => {
                c.fault(&path, format!("this is not a public origin: {why}")).found(quoted(text)).expected(
                    "https://HOST or https://HOST:PORT, and a path prefix only if a load balancer strips it",
                );
            }
        }
    }
    origins
}

/// Origins as browsers serialise them, for they are compared as they are written (Fetch standard, section 3.2).
fn browser_origins(c: &mut Checks<'_>, written: &[String]) -> Vec<String> {
    for (at, text) in written.iter().enumerate() {
        let path = item("listen.browser_origins", at);
        if written[..at].contains(text) {
            c.fault(&path, "this origin is in the list twice")
                .found(quoted(text))
                .expected("each origin once");
        } else if !is_serialised_origin(text) {
            c.fault(&path, "no browser writes an origin like this")
                .found(quoted(text))
                .expected("https://HOST or https://HOST:PORT: lower case, no default port, nothing after it");
        }
    }
    written.to_vec()
}

/// With https, or http for an application under development.
fn is_serialised_origin(text: &str) -> bool {
    let Some(host) = text.strip_prefix("http://") else {
        return Origin::parse(text).is_ok_and(|origin| origin.as_str() == text && origin.prefix().is_empty());
    };
    // The same but for the default port.
    let (host, port) =
        host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unwrap_or((host, "8080"));
    let port_is_sound = port == "443" || is_serialised_origin(&format!("https://h:{port}"));
    port != "80" && port_is_sound && is_serialised_origin(&format!("https://{host}"))
}

const ANYBODY: &str = "everyone who reaches this port can say which address they have, and must: nobody gets in without a \
                       PROXY protocol header";
