//! Protected resource metadata (RFC 9728) through the shipped binary, and the path prefix of a load balancer.

use crate::support::clinch::{command, finish};
use crate::support::front::Front;
use crate::support::wire::Answer;
use crate::support::world::url;
use serde_json::{Value, json};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const LISTEN: &str = "  public_origins: ['https://api.example.com']";
const ROUTES: &str = "  - { path: /open, danger_unprotected: true }
  - { path: '/orders/{id}', methods: [GET], proof: [dpop], scopes: [read] }
  - { path: '/orders/{id}', methods: [PUT], proof: { all: [dpop, mtls] }, scopes: [read, write] }
  - { path: '/files/{*rest}', proof: [dpop, mtls] }";

/// What a client makes of a challenge: it fetches the document and compares its `resource` with what it called
/// (RFC 9728 section 3.3).
async fn document_of(front: &Front, refusal: &Answer) -> Value {
    let challenge = refusal.all("www-authenticate")[0].to_owned();
    let url = challenge.split("resource_metadata=\"").nth(1).expect("named").split('"').next().unwrap();
    let answer = front.ask("GET", url.strip_prefix("https://api.example.com").unwrap(), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// PRM-01, PRM-02, PRM-03, PRM-05, PRM-07, PRM-08, PRM-10, PRM-12
#[tokio::test(flavor = "multi_thread")]
async fn every_challenge_leads_to_the_document_of_what_was_called() {
    let front = Front::start(LISTEN, ROUTES).await;
    for path in ["/orders/7", "/orders/%37", "/files/a;v=1/%C3%A9/", "/files/!$&'()*+,=:@~?secret=1"] {
        let refusal = front.ask("GET", path, &[]).await;
        assert_eq!(refusal.status, 401);
        let called = url(path.split('?').next().unwrap());
        assert_eq!(document_of(&front, &refusal).await["resource"], called);
        assert!(!format!("{refusal:?}").contains("secret"));
    }
    let malformed = front.ask("GET", "/files/a", &[("Authorization", "DPoP")]).await;
    let narrow = front.get("/orders/7", &url("/orders/7"), &front.token(&json!({ "scope": "other" }))).await;
    let named = |path: &str| format!(r#"resource_metadata="{}""#, url(&format!("{WELL_KNOWN}{path}")));
    assert_eq!((malformed.status, narrow.status), (400, 403));
    let challenges = malformed.all("www-authenticate");
    assert_eq!(challenges.len(), 2, "both schemes are accepted there");
    assert!(challenges.iter().all(|c| c.matches(&named("/files/a")).count() == 1), "{challenges:?}");
    assert!(narrow.one("www-authenticate").ends_with(&named("/orders/7")), "{narrow:?}");

    let answer = front.ask("GET", &format!("{WELL_KNOWN}/orders/7"), &[]).await;
    assert_eq!(answer.one("content-type"), "application/json");
    assert_eq!(answer.one("cache-control"), "public, max-age=3600");
    assert_eq!(answer.one("access-control-allow-origin"), "*");
    let expected = json!({
        "resource": url("/orders/7"),
        "authorization_servers": [front.issuer.name],
        "scopes_supported": ["read", "write"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
        "dpop_bound_access_tokens_required": true,
        "tls_client_certificate_bound_access_tokens": true,
    });
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected);
    assert!(narrow.one("www-authenticate").contains(r#"algs="ES256 EdDSA""#), "one list, told twice");
    let head = front.ask("HEAD", &format!("{WELL_KNOWN}/orders/7"), &[]).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.one("content-length"), answer.body.len().to_string());
    let origin: Value = serde_json::from_str(&front.ask("GET", WELL_KNOWN, &[]).await.body).unwrap();
    assert_eq!(origin["resource"], "https://api.example.com");
    assert!(front.service.received().is_empty(), "nothing of it is the service's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_protected_or_not_ours_has_no_document() {
    let front = Front::start(LISTEN, ROUTES).await;
    for path in ["/open", "/nowhere", "/orders"] {
        let answer = front.ask("GET", &format!("{WELL_KNOWN}{path}"), &[]).await;
        assert_eq!((answer.status, answer.one("content-type")), (404, "application/problem+json"), "{path}");
        assert!(answer.body.contains("metadata_unknown"), "{answer:?}");
    }
    let elsewhere = format!("GET {WELL_KNOWN} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(front.caller(None).send(&elsewhere).await.status, 421);
    for (method, path) in [("POST", WELL_KNOWN.to_owned()), ("GET", format!("{WELL_KNOWN}x"))] {
        assert_eq!(front.ask(method, &path, &[]).await.status, 403, "{method} {path}");
    }
    let long = front.ask("GET", &format!("/files/{}", "x".repeat(3000)), &[]).await;
    assert!(long.all("www-authenticate").iter().all(|c| c.len() < 200), "{long:?}");
    let page = crate::support::wire::plain_get(front.clinch.admin, "/metrics").await.unwrap().body;
    for counted in [
        r#"clinch_requests_total{route="-",verdict="refused",reason="metadata_unknown"} 3"#,
        r#"clinch_requests_total{route="-",verdict="refused",reason="host_unknown"} 1"#,
    ] {
        assert!(page.contains(counted), "{counted} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_the_operators_own_wins_and_a_key_ends_it_all() {
    let catch_all = "  - { path: '/{*rest}', proof: [dpop] }";
    let open = "  - { path: '/.well-known/{*rest}', danger_unprotected: true }";
    let ours = Front::start(LISTEN, catch_all).await;
    assert_eq!(ours.ask("GET", WELL_KNOWN, &[]).await.status, 200);
    assert!(ours.service.received().is_empty());
    let own = Front::start(LISTEN, &format!("{catch_all}\n{open}")).await;
    assert_eq!(own.ask("GET", &format!("{WELL_KNOWN}/x"), &[]).await.status, 200);
    assert_eq!(own.service.received()[0].target, format!("{WELL_KNOWN}/x"));
    let off = Front::start(&format!("{LISTEN}\n  resource_metadata: false"), catch_all).await;
    let refusal = off.ask("GET", WELL_KNOWN, &[]).await;
    assert_eq!((refusal.status, refusal.one("www-authenticate")), (401, r#"DPoP algs="ES256 EdDSA""#));
}

/// CL-032
#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_the_prefix_that_the_load_balancer_strips() {
    let listen = "  public_origins: ['https://api.example.com/svc2']";
    let front = Front::start(listen, ROUTES).await;
    let token = front.token(&json!({}));
    assert_eq!(front.get("/orders/7", &url("/svc2/orders/7"), &token).await.status, 200);
    for htu in ["/orders/7", "/svc1/orders/7", "/svc2/svc2/orders/7"] {
        assert_eq!(front.get("/orders/7", &url(htu), &token).await.status, 401, "{htu}");
    }
    // A client's word on it counts for nothing.
    let refusal = front.ask("GET", "/orders/7", &[("X-Forwarded-Prefix", "/evil")]).await;
    assert_eq!(document_of(&front, &refusal).await["resource"], url("/svc2/orders/7"));
    assert_eq!(front.ask("GET", "/open", &[("X-Forwarded-Prefix", "/evil")]).await.status, 200);
    let received = front.service.received();
    assert_eq!((received.len(), received[0].target.as_str()), (2, "/orders/7"));
    assert_eq!(received[0].header("host"), Some("api.example.com"));
    assert!(received[0].header("forwarded").unwrap().ends_with("host=api.example.com;proto=https"));
    assert_eq!(received[1].header("x-forwarded-prefix"), None);

    for (called, status) in [("/svc2/orders/7", None), ("/orders/7", Some(421)), ("/svc2/nowhere", Some(403))]
    {
        let mut explain = command();
        explain.args(["explain", "--json", "--config"]).arg(&front.config).args(["GET", &url(called)]);
        let told: Value = serde_json::from_slice(&finish(&mut explain).await.stdout).unwrap();
        assert_eq!(told["status"].as_u64(), status, "{told}");
        assert!(status.is_some() || told["htu"] == url(called), "{told}");
    }
}

/// HTTP-33: the service's own challenge is the service's, and no second one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_the_service_passes_as_it_is() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a, b\"\r\nwww-authenticate: Negotiate\r\n\
                  Content-Length: 0\r\n\r\n";
    let front = Front::of_canned(answer, LISTEN, ROUTES).await;
    let passed = front.get("/orders/7", &url("/orders/7"), &front.token(&json!({}))).await;
    assert_eq!(passed.status, 401);
    assert_eq!(passed.all("www-authenticate"), [r#"Basic realm="a, b""#, "Negotiate"]);
}
