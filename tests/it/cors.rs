//! Browsers: preflight requests, and what the scripts of listed origins may read.

use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::proof::Proof;
use crate::support::wire::{Answer, plain_get};
use crate::support::world::url;
use serde_json::json;

const APP: &str = "https://app.example.com";
const LISTEN: &str = "  public_origins: ['https://api.example.com']
  browser_origins: ['https://app.example.com', 'http://localhost:3000']";
const ROUTES: &str = "  - { path: '/orders/{id}', methods: [GET, PUT], proof: [dpop], cors_preflight: true }
  - { path: '/admin/{id}', proof: [dpop] }
  - { path: /open, methods: [GET], danger_unprotected: true }";
const PREFLIGHT: &[(&str, &str)] =
    &[("Origin", APP), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "dpop")];

/// DG-027, SBCP-09, STANDARDS 19.6
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_passes_where_the_route_says_so_and_carries_no_identity() {
    let front = Front::start(LISTEN, ROUTES).await;
    let spoofed = [PREFLIGHT, &[("clinch-subject", "root")]].concat();
    assert_eq!(front.ask("OPTIONS", "/orders/7", &spoofed).await.status, 200);
    let [received] = &front.service.received()[..] else { panic!("one request") };
    assert_eq!((received.method.as_str(), received.target.as_str()), ("OPTIONS", "/orders/7"));
    assert_eq!(received.header("access-control-request-headers"), Some("dpop"));
    assert!(received.headers.iter().all(|(name, _)| !name.starts_with("clinch-")), "{:?}", received.headers);
    let page = plain_get(front.clinch.admin, "/metrics").await.unwrap().body;
    let counted = r#"clinch_requests_total{route="/orders/{id}",verdict="granted",reason="preflight"} 1"#;
    assert!(page.contains(counted), "{page}");
}

/// DG-027: no way in by method.
#[tokio::test(flavor = "multi_thread")]
async fn every_other_options_request_needs_credentials_like_any_method() {
    let front = Front::start(LISTEN, ROUTES).await;
    let asks = |method| ("Access-Control-Request-Method", method);
    let from = ("Origin", APP);
    for (path, fields, status) in [
        ("/admin/7", PREFLIGHT.to_vec(), 401),
        ("/admin/7", vec![], 401),
        ("/orders/7", vec![], 405),
        ("/orders/7", vec![from], 405),
        ("/orders/7", vec![asks("PUT")], 405),
        ("/orders/7", vec![from, from, asks("PUT")], 405),
        ("/orders/7", vec![from, asks("DELETE")], 405),
        ("/orders/7", vec![from, asks("OPTIONS")], 405),
        ("/orders/7", vec![from, asks("PUT"), ("Authorization", "Bearer x")], 405),
        ("/orders/7", vec![from, asks("PUT"), ("Cookie", "a=b")], 405),
        ("/orders/7?access_token=x", PREFLIGHT.to_vec(), 405),
        ("/ORDERS/7", PREFLIGHT.to_vec(), 403),
        ("/open", PREFLIGHT.to_vec(), 405),
        ("/nowhere", PREFLIGHT.to_vec(), 403),
        ("/orders/../admin/7", PREFLIGHT.to_vec(), 400),
    ] {
        let answer = front.ask("OPTIONS", path, &fields).await;
        assert_eq!(answer.status, status, "{path} {fields:?}: {answer:?}");
    }
    for content in
        ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
    {
        let request = format!(
            "OPTIONS /orders/7 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nOrigin: {APP}\r\n\
             Access-Control-Request-Method: PUT\r\n{content}"
        );
        assert_eq!(front.caller(None).send(&request).await.status, 405, "{content}");
    }
    let put = front.ask("PUT", "/orders/7", PREFLIGHT).await;
    assert_eq!(put.status, 401, "the fields of a preflight make none of another method");
    assert!(front.service.received().is_empty());
}

fn assert_readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.one("access-control-allow-origin"), origin, "{answer:?}");
    assert_eq!(answer.one("vary"), "Origin");
    assert_eq!(
        answer.one("access-control-expose-headers"),
        "WWW-Authenticate, DPoP-Nonce, Clinch-Request-Id"
    );
    assert!(answer.all("access-control-allow-credentials").is_empty());
}

/// DPOP-29
#[tokio::test(flavor = "multi_thread")]
async fn listed_origins_may_read_what_we_answer() {
    let front = Front::start(LISTEN, ROUTES).await;
    for origin in [APP, "http://localhost:3000"] {
        for (method, path, status) in [
            ("GET", "/orders/7", 401),
            ("GET", "/nowhere", 403),
            ("DELETE", "/orders/7", 405),
            ("GET", "/a//b", 400),
        ] {
            let answer = front.ask(method, path, &[("Origin", origin)]).await;
            assert_eq!(answer.status, status);
            assert_readable(&answer, origin);
        }
    }
    for other in ["https://evil.example", "https://app.example.com:443", "https://APP.example.com", "null"] {
        let answer = front.ask("GET", "/orders/7", &[("Origin", other)]).await;
        assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{answer:?}");
    }
}

/// DPOP-29, RFC 9449 section 8: a script that is told to use a nonce can read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_reads_the_nonce_that_is_demanded_of_it() {
    let front = Front::start(LISTEN, &format!("{ROUTES}\ndpop: {{ nonce: {{ mode: required }} }}")).await;
    let token = front.token(&json!({}));
    let proof = Proof::new(&front.client, "GET", &url("/orders/7"), &token);
    let authorization = format!("DPoP {token}");
    let ask = async |proof: &str| {
        let fields = [("Origin", APP), ("Authorization", &authorization), ("DPoP", proof)];
        front.ask("GET", "/orders/7", &fields).await
    };
    let demand = ask(&proof.sign(&front.client)).await;
    assert!(demand.one("www-authenticate").contains("use_dpop_nonce"), "{demand:?}");
    assert_readable(&demand, APP);
    let answered = ask(&proof.claim("nonce", json!(demand.one("dpop-nonce"))).sign(&front.client)).await;
    assert_eq!(answered.status, 200);
}

/// The service's answers are the service's to open, a fault on the way to it is ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_services_answers_are_left_alone() {
    let answer =
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://theirs.example\r\nContent-Length: 0\r\n\r\n";
    let front = Front::of_canned(answer, LISTEN, ROUTES).await;
    let passed = front.ask("GET", "/open", &[("Origin", APP)]).await;
    assert_eq!(passed.one("access-control-allow-origin"), "https://theirs.example");
    assert!(passed.all("access-control-expose-headers").is_empty() && passed.all("vary").is_empty());
    let broken = Front::of_canned("no HTTP at all\r\n\r\n", LISTEN, ROUTES).await;
    let fault = broken.ask("GET", "/open", &[("Origin", APP)]).await;
    assert_eq!(fault.status, 502);
    assert_readable(&fault, APP);
    // And with a token it works from a browser as from anywhere.
    assert_eq!(front.get("/orders/7", &url("/orders/7"), &front.token(&json!({}))).await.status, 200);
}
