//! Which header fields cross the proxy, in which order of steps.
//!
//! Sources: RFC 9110 section 7.6.1 (Connection), RFC 9440 section 2.4 (Client-Cert), RFC 7239 section 8.1
//! (Forwarded), and the advisories where a proxy ran `Connection` options over its own headers
//! (CVE-2024-45410, CVE-2022-31813). Hence the order: the client's `Connection` options act on the
//! client's fields, then everything protected goes, and only then do we write ours. Names are compared
//! with all but letters and digits folded to `-`, because CGI-like services can't tell them apart.
//! The `clinch-*` headers are [`identity`](crate::pop::identity)'s; verification has seen the request before.

use crate::pop::identity;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Removes from a request everything that concerns the connection only, and everything that a service
/// would believe to come from us, in whatever spelling (HTTP-07, HTTP-08, HTTP-38, SBCP-04, CC-03, CC-04).
/// `keep_credentials`: Authorization and DPoP stay.
pub(super) fn clean_request(headers: &mut HeaderMap, keep_credentials: bool) {
    let trailers = headers.get_all(header::TE).iter().any(accepts_trailers);
    remove_connection_options(headers);
    remove_where(headers, |name| match classify(name) {
        Fate::Keep => false,
        Fate::Drop => true,
        Fate::Credential => !keep_credentials,
    });
    join_cookies(headers);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// We pass trailers on, so the client's wish for them is ours (RFC 9110 section 10.1.4).
fn accepts_trailers(te: &HeaderValue) -> bool {
    te.as_bytes().split(|b| *b == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Removes from a response (or its trailers) what concerns the connection only and what is not for clients: a nonce
/// that is not ours (DPOP-35), certificates (CC-05). A challenge of the service stays as it is (HTTP-33).
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove_connection_options(headers);
    remove_where(headers, |name| {
        let mut buffer = [0; LONGEST];
        let folded = fold(name.as_str(), &mut buffer);
        is_hop_by_hop(folded) || is_dropped_from_response(folded)
    });
}

/// The fields that `Connection` names, and `Connection` itself (HTTP-07).
fn remove_connection_options(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .collect();
    headers.remove(header::CONNECTION);
    for name in named {
        headers.remove(name);
    }
}

pub(super) fn remove_where(headers: &mut HeaderMap, dropped: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| dropped(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// RFC 9113 section 8.2.3: HTTP/2 clients may split Cookie; a service expects one field line.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(header::COOKIE, joined);
    }
}

enum Fate {
    Keep,
    Drop,
    Credential,
}

/// What is not named here passes, whatever it means (HTTP-29).
fn classify(name: &HeaderName) -> Fate {
    let name = name.as_str();
    let mut buffer = [0; LONGEST];
    let folded = fold(name, &mut buffer);
    if is_hop_by_hop(folded) || is_dropped(folded) || is_of_dropped_family(folded) {
        return Fate::Drop;
    }
    let disguised = folded != &name.as_bytes()[..folded.len()];
    if disguised && is_meaningful(folded) {
        return Fate::Drop;
    }
    if folded == b"authorization" || folded == b"dpop" { Fate::Credential } else { Fate::Keep }
}

/// The name with all but letters and digits as `-`, cut where no rule looks any further.
pub(super) fn fold<'b>(name: &str, buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    let length = name.len().min(LONGEST);
    for (to, from) in buffer.iter_mut().zip(name.bytes()) {
        *to = identity::fold(from);
    }
    &buffer[..length]
}

/// Longer than any name below, so a name that is cut can't be equal to one of them.
pub(super) const LONGEST: usize = 32;

/// Hop by hop (RFC 9110 section 7.6.1), in both directions (HTTP-08). The wish for an upgrade goes, too; that for a
/// WebSocket is written anew (HTTP-15).
fn is_hop_by_hop(folded: &[u8]) -> bool {
    matches!(
        folded,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
            | b"http2-settings"
    )
}

/// Fields of requests. Matched, not looked for in a list: the length alone settles most names.
fn is_dropped(folded: &[u8]) -> bool {
    match folded {
        // What only concerns the client and us (DPOP-30)
        b"trailer" | b"expect" | b"proxy-authenticate" | b"proxy-authorization" => true,
        // The environment variable HTTP_PROXY of CGI programs
        b"proxy" => true,
        // Certificates are ours to tell (RFC 9440)
        b"client-cert" | b"client-cert-chain" | b"x-ssl-client-cert" | b"x-client-cert" => true,
        // Addresses and origins are ours to tell (RFC 7239)
        b"forwarded" | b"x-forwarded" | b"x-real-ip" | b"x-client-ip" | b"x-cluster-client-ip" => true,
        b"true-client-ip" | b"cf-connecting-ip" | b"fastly-client-ip" => true,
        // Who is calling is ours to tell: the names that other proxies and servers say it by
        b"remote-user" | b"x-auth-subject" | b"x-auth-user" | b"x-auth-email" => true,
        b"x-auth-groups" | b"x-auth-roles" => true,
        // The service must see the method and path that were verified
        b"x-http-method-override" | b"x-http-method" | b"x-method-override" | b"x-rewrite-url" => true,
        // A service's answer, not a client's word (RFC 9449 section 8)
        b"dpop-nonce" => true,
        // The trace context is continued, not copied (W3C Trace Context)
        b"traceparent" | b"tracestate" | b"baggage" => true,
        _ => false,
    }
}

/// The same for whole families of names.
fn is_of_dropped_family(folded: &[u8]) -> bool {
    match folded {
        [b'x', b'-', rest @ ..] => DROPPED_AFTER_X.iter().any(|family| rest.starts_with(family)),
        _ => folded.starts_with(b"ssl-client-") || folded.starts_with(b"oauth2-claim-"),
    }
}

const DROPPED_AFTER_X: &[&[u8]] = &[
    b"forwarded-",
    b"original-",
    b"ssl-client-",
    b"remote-",
    b"auth-request-",
    b"authenticated-",
    b"webauth-",
];

/// Disguised, these would change framing, target or identity in a CGI-like service.
fn is_meaningful(folded: &[u8]) -> bool {
    matches!(
        folded,
        b"authorization" | b"content-length" | b"content-type" | b"cookie" | b"dpop" | b"host" | b"via"
    )
}

/// Fields of responses and their trailers.
fn is_dropped_from_response(folded: &[u8]) -> bool {
    let named =
        matches!(folded, b"proxy-authenticate" | b"client-cert" | b"client-cert-chain" | b"dpop-nonce");
    named || folded.starts_with(b"clinch-")
}

#[cfg(test)]
mod tests;
