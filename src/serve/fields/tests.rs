//! Which header fields cross the proxy: the tricks that were tried on others.

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

/// HTTP-07, HD-007, HD-009
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

/// HTTP-08, HTTP-38, SBCP-04, CC-03, CC-04, CC-07, DPOP-30, HD-003, AU-010, AU-011, TL-014, DG-028, CL-035
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
        "Remote-User",
        "REMOTE_USER",
        "X-Remote-Groups",
        "X-Auth-Subject",
        "OAUTH2_CLAIM_sub",
        "X-WebAuth-User",
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

/// HTTP-29, HTTP-28
#[test]
fn what_the_application_may_need_stays() {
    let names = ["accept", "content-length", "cookie", "user-agent", "via", "x-request-id", "x_own"];
    let lines: Vec<(&str, &str)> = names.iter().map(|name| (*name, "1")).collect();
    assert_eq!(left(&lines), names);
    let mut twice = headers(&[("x-list", "b"), ("x-list", "a")]);
    clean_request(&mut twice, false);
    assert_eq!(twice.get_all("x-list").iter().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn long_names_are_not_mistaken_for_their_beginnings() {
    let name = format!("dpop{}", "-x".repeat(40));
    assert_eq!(left(&[(&name, "1")]), [name]);
    assert!(left(&[(&format!("x-forwarded-{}", "x".repeat(80)), "1")]).is_empty());
}

#[test]
fn credentials_stay_when_asked_for_but_never_in_disguise() {
    let mut headers = headers(&[("authorization", "a"), ("dpop", "b"), ("content_type", "c"), ("via", "d")]);
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

/// HTTP-28, HTTP-33, DPOP-30, DPOP-35, CC-05, HD-056
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
    assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
}
