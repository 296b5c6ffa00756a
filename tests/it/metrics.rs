//! The metrics page of the shipped binary: its formats, how many series it can have, and its way to a collector.

use crate::support::echo::Echo;
use crate::support::eventually;
use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::proof::{Proof, ProofKey, unique};
use crate::support::wire::{Answer, exchange, plain_get};
use crate::support::world::url;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tokio::net::TcpStream;

const ROUTES: &str = "  - { path: '/a/{*rest}', proof: [dpop], methods: [GET] }
  - { path: '/b/{*rest}', proof: [dpop], clients: [app] }
";

async fn front(more: &str) -> Front {
    let listen = format!("  public_origins: ['https://{HOST}']\n  drain: 1s");
    Front::start(&listen, &format!("{ROUTES}{more}")).await
}

/// The page for whoever asks so.
async fn page_for(admin: SocketAddr, accept: &str) -> Answer {
    let stream = TcpStream::connect(admin).await.unwrap();
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {accept}\r\n\r\n");
    exchange(stream, &request).await
}

/// Every series of the page, without its value.
async fn series(front: &Front) -> BTreeSet<String> {
    let page = plain_get(front.clinch.admin, "/metrics").await.unwrap().body;
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(" # ").next().unwrap().rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// One of everything that a caller chooses, all of it with this number in it. How many were granted.
async fn all_kinds(front: &Front, number: usize) -> usize {
    let mut granted = 0;
    let key = ProofKey::new();
    let client = format!("client-{number}");
    let cnf = json!({ "jkt": key.thumbprint() });
    let claims = json!({ "client_id": client, "sub": format!("user-{number}"), "jti": unique(), "cnf": cnf });
    let token = front.token(&claims);
    let foreign = front.token(&json!({ "iss": format!("https://evil-{number}.example") }));
    let broken = format!("{}AAAA", &token[..token.len() - 4]);
    for (method, path, host, token) in [
        ("GET", format!("/a/{number}"), HOST, &token),
        ("GET", format!("/b/{number}"), HOST, &token),
        ("GET", format!("/a/{number}"), HOST, &foreign),
        ("GET", format!("/a/{number}"), HOST, &broken),
        ("GET", format!("/nowhere-{number}"), HOST, &token),
        (&format!("BREW{number}"), format!("/a/{number}"), HOST, &token),
        ("GET", format!("/a/{number}"), &format!("host-{number}.example"), &token),
    ] {
        let proof = Proof::new(&key, method, &url(&path), token).sign(&key);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: agent-{number}\r\n\
             X-Forwarded-For: 203.0.113.{number}\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n\r\n"
        );
        granted += usize::from(front.caller(None).send(&request).await.status == 200);
    }
    front.ask("GET", &format!("/a/{number}"), &[("DPoP", &format!("proof-{number}"))]).await;
    let authorization = format!("DPoP {token}");
    front.ask("GET", "/a/x", &[("Authorization", &authorization), ("DPoP", &format!("a.{number}.c"))]).await;
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flood_adds_a_series() {
    let front = front("").await;
    assert_eq!(all_kinds(&front, 0).await, 1);
    let before = series(&front).await;
    let reasons = [
        "client_refused",
        "token_issuer",
        "token_signature",
        "route_unknown",
        "method_not_allowed",
        "host_unknown",
        "credentials_missing",
        "proof_malformed",
    ];
    for reason in reasons {
        let label = format!("reason=\"{reason}\"");
        assert!(before.iter().any(|series| series.contains(&label)), "{reason} is not among {before:#?}");
    }
    for number in 1..=40 {
        assert_eq!(all_kinds(&front, number).await, 1);
    }
    let after = series(&front).await;
    assert_eq!(after, before, "new: {:?}", after.difference(&before).collect::<Vec<_>>());
    let page = plain_get(front.clinch.admin, "/metrics").await.unwrap().body;
    for name in ["evil", "client-", "user-", "agent-", "nowhere", "BREW", "203.0.113", "host-"] {
        assert!(!page.contains(name), "{name} is on the page");
    }
    let issuer = format!("clinch_verifications_total{{issuer=\"{}\",result=\"ok\"}} 41", front.issuer.name);
    assert!(page.contains(&issuer), "{page}");
    let named =
        format!("clinch_verifications_total{{issuer=\"{}\",result=\"refused\"}} 123", front.issuer.name);
    assert!(page.contains(&named), "another client, a broken signature, no proof; of 41 each: {page}");
    assert!(page.contains("clinch_verifications_total{issuer=\"-\",result=\"refused\"} 41"), "{page}");
    assert!(
        page.contains("clinch_suspicious_total{kind=\"failures\"} 1"),
        "one address, over and over: {page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_as_it_is_asked_for() {
    let collector = Echo::start().await;
    let front = front(&format!("telemetry: {{ otlp: 'http://{}' }}", collector.address)).await;
    let answer = front.get("/a/1", &url("/a/1"), &front.token(&json!({}))).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let text = page_for(front.clinch.admin, "text/plain;version=0.0.4").await;
    assert_eq!(text.one("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.body.contains("# TYPE clinch_requests_total counter\n"));
    assert!(!text.body.contains("# EOF") && !text.body.contains(" # {"), "{}", text.body);

    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let open = page_for(front.clinch.admin, prometheus).await;
    assert_eq!(open.one("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.contains("# TYPE clinch_requests counter\n") && open.body.ends_with("# EOF\n"));
    let exemplar = open.body.lines().find(|line| line.contains(" # {trace_id=\"")).expect("an exemplar");
    assert!(exemplar.starts_with("clinch_decision_seconds_bucket{le="), "{exemplar}");
    let traceparent = front.service.received().pop().unwrap().header("traceparent").unwrap().to_owned();
    assert!(exemplar.contains(&traceparent[3..35]), "{exemplar} is not of {traceparent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_go_to_the_collector() {
    let collector = Echo::start().await;
    let front =
        front(&format!("telemetry: {{ otlp: 'http://{}', otlp_metrics: 1s }}", collector.address)).await;
    let pages = || collector.received().into_iter().filter(|one| one.target == "/v1/metrics");
    let first = eventually("metrics at the collector", async || pages().next()).await;
    assert_eq!(first.header("content-type"), Some("application/x-protobuf"));
    let has = |body: &[u8], name: &str| body.windows(name.len()).any(|part| part == name.as_bytes());
    for name in ["clinch_decision_seconds", "clinch_connections", "process_open_fds", "service.instance.id"] {
        assert!(has(&first.body, name), "{name}");
    }
    assert!(!has(&first.body, "clinch_requests_total"), "nothing was asked yet");
    front.ask("GET", "/a/1", &[]).await;
    eventually("the request", async || pages().find(|one| has(&one.body, "clinch_requests_total"))).await;
    eventually("the count of what was sent", async || {
        let page = plain_get(front.clinch.admin, "/metrics").await?.body;
        page.contains("clinch_metric_exports_total{result=\"ok\"}").then_some(())
    })
    .await;
}
