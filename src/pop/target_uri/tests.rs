use super::*;
use http::Request;

fn origins() -> Vec<Origin> {
    ["https://api.example.com", "https://API.example.com:8443", "https://[2001:DB8::1]:9000"]
        .map(|text| Origin::parse(text).unwrap())
        .to_vec()
}

fn h1(target: &str, hosts: &[&str]) -> Result<TargetUri, Denial> {
    let mut request = Request::builder().uri(target);
    for host in hosts {
        request = request.header("host", *host);
    }
    TargetUri::of(&request.body(()).unwrap().into_parts().0, &origins())
}

fn h2(target: &str, host: Option<&str>) -> Result<TargetUri, Denial> {
    let mut request = Request::builder().uri(target).version(Version::HTTP_2);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    TargetUri::of(&request.body(()).unwrap().into_parts().0, &origins())
}

fn path(path: &str) -> Result<String, Denial> {
    h1(path, &["api.example.com"]).map(|t| t.path().to_owned())
}

/// HTTP-05, BEAR-10
#[test]
fn origins_are_https_and_nothing_else() {
    assert_eq!(Origin::parse("HTTPS://API.Example.com:443").unwrap().as_str(), "https://api.example.com");
    for wrong in [
        "http://a",
        "https://",
        "https://a/",
        "https://a/b/",
        "https://a//b",
        "https://a/b/../c",
        "https://a/b%2Fc",
        "https://a/%62",
        "https://a/b c",
        "https://a/b?c",
        "https://a?b",
        "https://u@a",
        "https://a:0",
        "https://a:065",
        "https://a:65536",
        "https://a b",
        "https://bücher.example",
        "https://[::1",
        "a",
    ] {
        assert!(Origin::parse(wrong).is_err(), "{wrong}");
    }
}

/// HTTP-01, HTTP-02, HTTP-05, HTTP-06, HTTP-31, HD-023, HD-024, HD-025
#[test]
fn the_authority_comes_from_the_target_or_the_one_host() {
    assert_eq!(h1("/a", &["API.EXAMPLE.COM:443"]).unwrap().as_str(), "https://api.example.com/a");
    assert_eq!(h1("/a", &["api.example.com:8443"]).unwrap().as_str(), "https://api.example.com:8443/a");
    assert_eq!(h1("/a", &["[2001:db8::1]:9000"]).unwrap().origin(), 2);
    // Absolute form: the target wins.
    assert!(h1("https://api.example.com/a", &["evil.example"]).is_ok());
    assert_eq!(h1("https://evil.example/a", &["api.example.com"]), Err(Denial::HostUnknown));
    assert_eq!(h1("http://api.example.com/a", &["api.example.com"]), Err(Denial::RequestMalformed));
    assert_eq!(h1("https://api.example.com/a", &["a b"]), Err(Denial::RequestMalformed));
    assert_eq!(h1("https://u@api.example.com/a", &["api.example.com"]), Err(Denial::RequestMalformed));
    // A bare host is for CONNECT.
    assert_eq!(h1("api.example.com:443", &["api.example.com"]), Err(Denial::RequestMalformed));
    for (hosts, denial) in [
        (&[][..], Denial::RequestMalformed),
        (&["api.example.com", "api.example.com"], Denial::RequestMalformed),
        (&["a b/c@d"], Denial::RequestMalformed),
        (&["u@api.example.com"], Denial::RequestMalformed),
        (&[""], Denial::RequestMalformed),
        (&["evil.example"], Denial::HostUnknown),
        (&["api.example.com."], Denial::HostUnknown),
        (&["api.example.com:8444"], Denial::HostUnknown),
    ] {
        assert_eq!(h1("/a", hosts), Err(denial), "{hosts:?}");
    }
}

/// H2-01, H2-02, H2-03, HTTP-05, HD-035, HD-036
#[test]
fn in_http2_authority_and_host_must_agree() {
    assert!(h2("https://api.example.com/a", None).is_ok());
    assert!(h2("https://api.example.com/a", Some("API.example.com")).is_ok());
    assert_eq!(h2("https://api.example.com/a", Some("evil.example")), Err(Denial::RequestMalformed));
    assert_eq!(h2("http://api.example.com/a", None), Err(Denial::RequestMalformed));
    assert_eq!(h2("https://u@api.example.com/a", None), Err(Denial::RequestMalformed));
    assert_eq!(h2("/a", None), Err(Denial::RequestMalformed));
}

/// HTTP-03, HTTP-04, CL-017, CL-018, CL-019, CL-027
#[test]
fn ambiguous_paths_are_refused() {
    for ambiguous in [
        "/public/../orders/7",
        "/public/%2e%2e/orders/7",
        "/a/%2E%2e%2forders",
        "/a/..;/b",
        "/a/..%3bx/b",
        "/a/.%3B",
        "/a/.%2e/b",
        "/a/.",
        "/a/..",
        "/./a",
        "//orders/7",
        "/orders//7",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a%00b",
        "/a%0ab",
        "/a%7F",
    ] {
        assert_eq!(path(ambiguous), Err(Denial::PathAmbiguous), "{ambiguous}");
    }
    for malformed in ["*", "/a%", "/a%2", "/a%zz", "/a\"b", "/a{b}", "/a|b", "/a^b", "/é"] {
        assert_eq!(path(malformed), Err(Denial::RequestMalformed), "{malformed}");
    }
}

#[test]
fn routes_see_the_normalised_path() {
    assert_eq!(path("/%61ccounts/%7e7?x=%zz").unwrap(), "/accounts/~7");
    assert_eq!(path("/a%c3%a9;v=1/b:c@d").unwrap(), "/a%C3%A9;v=1/b:c@d");
    assert_eq!(path("/a/.../b..c").unwrap(), "/a/.../b..c");
    assert_eq!(path("/Orders/").unwrap(), "/Orders/");
    assert_eq!(h1("https://api.example.com", &["api.example.com"]).unwrap().path(), "/");
}

/// DPOP-10, DPOP-11, DPOP-12, CL-001, CL-003, CL-004, CL-006, CL-007, CL-008, CL-009, CL-010, CL-012, CL-013,
/// CL-014, CL-015, CL-021, CL-023, CL-033
#[test]
fn htu_is_compared_after_normalisation() {
    let target = h1("/orders/~7?q=1", &["api.example.com"]).unwrap();
    for same in [
        "https://api.example.com/orders/~7",
        "HTTPS://API.EXAMPLE.COM/orders/~7",
        "https://api.example.com:443/orders/~7",
        "https://api.example.com:/orders/~7",
        "https://api.example.com/orders/%7e7",
        "https://api.example.com/%6frders/~7",
        "https://api.example.com/orders/~7?q=2#f",
        "https://api.example.com/x/../orders/./~7",
    ] {
        assert!(target.is_named_by(same), "{same}");
    }
    for other in [
        "https://api.example.com:8443/orders/~7",
        "https://api.example.com:0443/orders/~7",
        "https://api.example.com:-1/orders/~7",
        "https://api.example.com:65979/orders/~7",
        "/orders/~7",
        "//api.example.com/orders/~7",
        "",
        "https:",
        "https:api.example.com/orders/~7",
        "https:/api.example.com/orders/~7",
        "https:///api.example.com/orders/~7",
        "https:\\\\api.example.com\\orders\\~7",
        "https://api.exam\tple.com/orders/~7",
        " https://api.example.com/orders/~7",
        "https://api.example.com/orders/~7 ",
        "https://api.example.com@evil.com/orders/~7",
        "https://u:p@api.example.com/orders/~7",
        "https://api.example.com/Orders/~7",
        "https://api.example.com//orders/~7",
        "https://api.example.com/orders/~7/",
        "http://api.example.com/orders/~7",
        "wss://api.example.com/orders/~7",
        "https://api.example.com/orders%2f~7",
        "https://аpi.example.com/orders/~7",
        "https://api.example.com./orders/~7",
    ] {
        assert!(!target.is_named_by(other), "{other}");
    }
    let root = h1("/", &["api.example.com"]).unwrap();
    assert!(root.is_named_by("https://api.example.com"));
    assert!(root.is_named_by("https://api.example.com?x"));
}

fn behind_prefixes(path: &str, origins: &[&str]) -> TargetUri {
    let origins: Vec<Origin> = origins.iter().map(|text| Origin::parse(text).unwrap()).collect();
    let request = Request::builder().uri(path).header("host", "api.example.com").body(()).unwrap();
    TargetUri::of(&request.into_parts().0, &origins).unwrap()
}

/// CL-032
#[test]
fn a_prefix_that_the_load_balancer_strips_is_in_the_htu_and_not_in_the_path() {
    let target = behind_prefixes("/orders/7", &["https://other.example", "https://api.example.com/svc2"]);
    assert_eq!((target.path(), target.as_str()), ("/orders/7", "https://api.example.com/svc2/orders/7"));
    assert_eq!(target.origin(), 1);
    assert!(target.is_named_by("https://api.example.com/svc2/orders/7"));
    assert!(target.is_named_by("https://API.example.com:443/%73vc2/orders/7?x"));
    for other in [
        "https://api.example.com/orders/7",
        "https://api.example.com/svc2/svc2/orders/7",
        "https://api.example.com/SVC2/orders/7",
        "https://api.example.com/svc2orders/7",
        "https://api.example.com/svc1/orders/7",
        "https://api.example.com/svc2/../orders/7",
        "https://other.example/svc2/orders/7",
        "https://api.example.com/svc2",
    ] {
        assert!(!target.is_named_by(other), "{other}");
    }
}

#[test]
fn several_prefixes_of_one_host_name_it_and_only_these() {
    let origins =
        ["https://api.example.com", "https://api.example.com/svc2", "https://api.example.com/v1/svc2"];
    let target = behind_prefixes("/orders/7", &origins);
    assert_eq!((target.as_str(), target.origin()), ("https://api.example.com/orders/7", 0));
    for origin in origins {
        assert!(target.is_named_by(&format!("{origin}/orders/7")), "{origin}");
    }
    assert!(!target.is_named_by("https://api.example.com/v1/orders/7"));
}

#[test]
fn below_a_prefix_nothing_and_a_slash_are_one_path() {
    let target = behind_prefixes("/", &["https://api.example.com/svc2"]);
    for same in
        ["https://api.example.com/svc2", "https://api.example.com/svc2/", "https://api.example.com/svc2?x"]
    {
        assert!(target.is_named_by(same), "{same}");
    }
    assert!(!target.is_named_by("https://api.example.com/"));
    assert!(!target.is_named_by("https://api.example.com/svc2//"));
}

#[test]
fn a_prefix_ends_where_a_segment_ends() {
    let origin = Origin::parse("https://api.example.com/svc2").unwrap();
    assert_eq!(origin.path_within("/svc2/orders"), Some("/orders"));
    assert_eq!(origin.path_within("/svc2"), Some(""));
    assert_eq!(origin.path_within("/svc2x/orders"), None);
    assert_eq!(origin.path_within("/orders"), None);
    assert_eq!((origin.without_prefix(), origin.prefix()), ("https://api.example.com", "/svc2"));
}
