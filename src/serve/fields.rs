//! Which header fields cross the proxy, in which order of steps.
//!
//! Sources: RFC 9110 section 7.6.1 (Connection), RFC 9440 section 2.4 (Client-Cert), RFC 7239 section 8.1
//! (Forwarded), and the advisories where a proxy ran `Connection` options over its own headers
//! (CVE-2024-45410, CVE-2022-31813). Hence the order: the client's `Connection` options act on the
//! client's fields, then everything protected goes, and only then do we write ours. Names are compared
//! with `_` and `.` folded to `-`, because CGI-like services can't tell them apart.
//! The `clinch-*` headers are [`identity`](crate::pop::identity)'s; verification has seen the request before.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Removes from a request everything that concerns the connection only, and everything that a service
/// would believe to come from us. `keep_credentials`: Authorization and DPoP stay.
pub(super) fn clean_request(headers: &mut HeaderMap, keep_credentials: bool) {
    remove_connection_options(headers);
    remove_where(headers, |name| match classify(name) {
        Fate::Keep => false,
        Fate::Drop => true,
        Fate::Credential => !keep_credentials,
    });
    join_cookies(headers);
}

/// Removes from a response (or its trailers) what concerns the connection only and what is not for clients.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove_connection_options(headers);
    remove_where(headers, |name| {
        let mut buffer = [0; LONGEST];
        let folded = fold(name.as_str(), &mut buffer);
        RESPONSE_DROPPED.contains(&folded) || folded.starts_with(b"clinch-")
    });
}

/// The fields that `Connection` names, and `Connection` itself.
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

fn remove_where(headers: &mut HeaderMap, dropped: impl Fn(&HeaderName) -> bool) {
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

fn classify(name: &HeaderName) -> Fate {
    let name = name.as_str();
    let mut buffer = [0; LONGEST];
    let folded = fold(name, &mut buffer);
    if REQUEST_DROPPED.contains(&folded) || DROPPED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix)) {
        return Fate::Drop;
    }
    let disguised = folded != &name.as_bytes()[..folded.len()];
    if disguised && MEANINGFUL.contains(&folded) {
        return Fate::Drop;
    }
    if folded == b"authorization" || folded == b"dpop" { Fate::Credential } else { Fate::Keep }
}

/// The name with `_` and `.` as `-`, cut where no rule looks any further.
fn fold<'b>(name: &str, buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
    let length = name.len().min(LONGEST);
    for (to, from) in buffer.iter_mut().zip(name.bytes()) {
        *to = if from == b'_' || from == b'.' { b'-' } else { from };
    }
    &buffer[..length]
}

/// Longer than any name below, so a name that is cut can't be equal to one of them.
const LONGEST: usize = 32;

const REQUEST_DROPPED: &[&[u8]] = &[
    // Hop by hop (RFC 9110 section 7.6.1), and what only concerns the client and us
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"http2-settings",
    b"trailer",
    b"expect",
    b"proxy-authenticate",
    b"proxy-authorization",
    // The environment variable HTTP_PROXY of CGI programs
    b"proxy",
    // Certificates are ours to tell (RFC 9440)
    b"client-cert",
    b"client-cert-chain",
    b"x-ssl-client-cert",
    b"x-client-cert",
    // Addresses and origins are ours to tell (RFC 7239)
    b"forwarded",
    b"x-forwarded",
    b"x-real-ip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"true-client-ip",
    b"cf-connecting-ip",
    b"fastly-client-ip",
    // The service must see the method and path that were verified
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-rewrite-url",
    // A service's answer, not a client's word (RFC 9449 section 8)
    b"dpop-nonce",
    // The trace context is continued, not copied (W3C Trace Context)
    b"traceparent",
    b"tracestate",
    b"baggage",
];

const DROPPED_PREFIXES: &[&[u8]] =
    &[b"x-forwarded-", b"x-original-", b"x-auth-request-", b"ssl-client-", b"x-ssl-client-"];

/// Disguised with `_` or `.`, these would change framing, target or identity in a CGI-like service.
const MEANINGFUL: &[&[u8]] =
    &[b"authorization", b"content-length", b"content-type", b"cookie", b"dpop", b"host", b"via"];

const RESPONSE_DROPPED: &[&[u8]] = &[
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"http2-settings",
    b"proxy-authenticate",
    b"client-cert",
    b"client-cert-chain",
    b"dpop-nonce",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }
    fn left(lines: &[(&str, &str)]) -> Vec<String> {
        let mut headers = headers(lines);
        clean_request(&mut headers, false);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn connection_options_take_the_clients_fields_with_them() {
        let lines = [
            ("connection", "close, X-Hop ,"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-end", "1"),
        ];
        assert_eq!(left(&lines), ["x-end"]);
    }

    #[test]
    fn what_only_we_may_say_is_dropped_however_it_is_spelt() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "x.forwarded.host",
            "X-Forwarded-Client-Cert",
            "X-Forwarded-Access-Token",
            "X-Real-IP",
            "Client-Cert",
            "client_cert",
            "Client-Cert-Chain",
            "SSL_CLIENT_S_DN",
            "X-SSL-Client-Cert",
            "X-SSL-Client-Verify",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X-HTTP-Method-Override",
            "X_HTTP_Method_Override",
            "X-Auth-Request-User",
            "DPoP-Nonce",
            "baggage",
            "tracestate",
            "Expect",
            "TE",
            "Upgrade",
            "Keep-Alive",
            "Trailer",
            "transfer_encoding",
            "content_length",
            "Proxy",
            "Proxy-Authorization",
            "Authorization",
            "DPoP",
        ] {
            assert_eq!(left(&[(name, "x"), (name, "y"), ("accept", "*/*")]), ["accept"], "{name}");
        }
    }

    #[test]
    fn what_the_application_may_need_stays() {
        let names = ["accept", "content-length", "cookie", "user-agent", "via", "x-request-id", "x_own"];
        let lines: Vec<(&str, &str)> = names.iter().map(|name| (*name, "1")).collect();
        assert_eq!(left(&lines), names);
    }

    #[test]
    fn long_names_are_not_mistaken_for_their_beginnings() {
        let name = format!("dpop{}", "-x".repeat(40));
        assert_eq!(left(&[(&name, "1")]), [name]);
        assert!(left(&[(&format!("x-forwarded-{}", "x".repeat(80)), "1")]).is_empty());
    }

    #[test]
    fn credentials_stay_when_asked_for_but_never_in_disguise() {
        let mut headers =
            headers(&[("authorization", "a"), ("dpop", "b"), ("content_type", "c"), ("via", "d")]);
        clean_request(&mut headers, true);
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["authorization", "dpop", "via"]);
    }

    #[test]
    fn cookies_become_one_line() {
        let mut headers = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        clean_request(&mut headers, false);
        let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn responses_lose_what_is_not_for_clients() {
        let mut headers = headers(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("clinch_subject", "a"),
            ("dpop-nonce", "n"),
            ("client-cert", "c"),
            ("www-authenticate", "Basic"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ]);
        clean_response(&mut headers);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["set-cookie", "www-authenticate"]);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    }
}
