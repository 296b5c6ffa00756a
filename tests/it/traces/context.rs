//! One trace from the caller to the service, and what of the caller's context goes with it.

use super::{CALLER, PATH, SERVER, TRACE, Traced};
use crate::support::otlp::Collector;
use crate::support::pki::Pki;
use crate::support::wire::get;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

async fn reads_caller_clinch_service(world: &Traced, path: &str) {
    let token = world.token();
    let more = [("tracestate", "a=1,b=2"), ("baggage", "team=blue,b a d=1"), ("User-Agent", "test/1")];
    let answer = world.get(&token, Some(TRACE), &more).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());

    let collector = &world.collector;
    let server = collector.named(SERVER, TRACE).await;
    let client = collector.named("GET", TRACE).await;
    let verified = collector.named("verify token", TRACE).await;
    assert_eq!((server.parent().as_str(), server.0.kind()), (CALLER, SpanKind::Server));
    assert_eq!((client.parent(), client.0.kind()), (server.id(), SpanKind::Client));
    assert_eq!((verified.parent(), verified.0.kind()), (server.id(), SpanKind::Internal));
    assert_eq!(server.0.trace_state, "a=1,b=2");

    // What the service was told: the call to it is its parent.
    assert_eq!(world.told("traceparent"), Some(format!("00-{TRACE}-{}-01", client.id())));
    assert_eq!(world.told("tracestate").as_deref(), Some("a=1,b=2"));
    assert_eq!(world.told("baggage").as_deref(), Some("team=blue"));

    let request =
        answer.headers.iter().find(|(name, _)| name == "clinch-request-id").map(|(_, id)| id.clone());
    let peer = server.says("network.peer.port").unwrap();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/accounts/{*rest}"),
        ("http.response.status_code", "200"),
        ("url.scheme", "https"),
        ("url.path", PATH),
        ("server.address", "api.example.com"),
        ("server.port", "443"),
        ("client.address", "127.0.0.1"),
        ("client.port", peer.as_str()),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "test/1"),
        ("clinch.issuer", world.issuer.name.as_str()),
        ("clinch.scheme", "DPoP"),
        ("clinch.proof", "dpop"),
        ("clinch.verdict", "granted"),
    ] {
        assert_eq!(server.says(key).as_deref(), Some(value), "{key}");
    }
    assert!(request.is_none() || server.says("clinch.request_id") == request);
    let service = world.service.address;
    for (key, value) in [
        ("url.full", format!("http://{service}{PATH}")),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", service.port().to_string()),
        ("http.response.status_code", "200".to_owned()),
    ] {
        assert_eq!(client.says(key), Some(value), "{key}");
    }

    // The handshake is a trace of its own, and each of the two says which the other is.
    let shook = collector.span("the handshake", |span| span.links_to(&server, "request")).await;
    assert!(server.links_to(&shook, "handshake") && shook.parent().is_empty() && shook.trace() != TRACE);
    assert_eq!(
        (shook.0.name.as_str(), shook.says("tls.protocol.version").as_deref()),
        ("TLS handshake", Some("1.3"))
    );
    assert!(shook.0.end_time_unix_nano <= server.0.start_time_unix_nano);

    // The token is known now: there is nothing to verify.
    let other = TRACE.replace("4bf9", "5bf9");
    world.get(&token, Some(&other), &[]).await;
    collector.named("GET", &other).await;
    collector.named(SERVER, &other).await;
    assert!(!collector.spans().iter().any(|s| s.trace() == other && s.0.name == "verify token"));

    let keys = collector.span("the fetch of the keys", |span| span.0.name == "fetch keys").await;
    assert_eq!((keys.says("clinch.issuer"), keys.parent()), (Some(world.issuer.name.clone()), String::new()));
    for (to, fields) in collector.requests() {
        assert_eq!((to.as_str(), fields["x-api-key"].to_str().unwrap()), (path, "a key"));
    }
    let tests = Some("test".to_owned());
    assert!(collector.resource("deployment.environment.name").iter().all(|name| *name == tests));
    assert!(collector.resource("service.name").iter().all(|name| name.as_deref() == Some("clinch")));

    let [_, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
    for secret in [token.as_str(), signature, "in-the-query", "blue", "\"alice\"", "DPoP ey"] {
        assert!(!collector.has_seen(secret), "{secret} got out");
    }
    assert!(!collector.spans().iter().any(|span| span.says("clinch.subject").as_deref() == Some("alice")));
}

/// TRACE-01, TRACE-05, TRACE-06
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_reads_caller_clinch_service_over_http() {
    let world = Traced::start("sample: 1.0").await;
    reads_caller_clinch_service(&world, "/v1/traces").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_reads_caller_clinch_service_over_grpc_with_tls() {
    let pki = Pki::new();
    let collector = Collector::start_with_tls(&pki).await;
    let telemetry = format!("otlp: 'https://localhost:{}', otlp_protocol: grpc", collector.address.port());
    let world = Traced::before(pki, collector, &telemetry, |text| text).await;
    let method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    reads_caller_clinch_service(&world, method).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_works_with_tls_too() {
    let pki = Pki::new();
    let collector = Collector::start_with_tls(&pki).await;
    let telemetry = format!("otlp: 'https://localhost:{}'", collector.address.port());
    let world = Traced::before(pki, collector, &telemetry, |text| text).await;
    assert_eq!(world.get(&world.token(), Some(TRACE), &[]).await.status, 200);
    world.collector.named(SERVER, TRACE).await;
}

/// A collector with a certificate of one's own, far away.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_trusted_by_configuration_and_gets_less_to_read() {
    for (protocol, field) in [("http", "content-encoding"), ("grpc", "grpc-encoding")] {
        let pki = Pki::new();
        let collector = Collector::start_with_tls(&pki).await;
        let telemetry = format!(
            "otlp: 'https://localhost:{}', otlp_protocol: {protocol}, otlp_ca: ca.crt, otlp_compression: gzip",
            collector.address.port()
        );
        let world = Traced::before(pki, collector, &telemetry, |text| text).await;
        assert_eq!(world.get(&world.token(), Some(TRACE), &[]).await.status, 200);
        world.collector.named(SERVER, TRACE).await;
        let (_, fields) = world.collector.requests().remove(0);
        assert_eq!(fields[field], "gzip");
    }
}

/// TRACE-07, TRACE-08, HD-054
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_begins_here_links_to_the_callers() {
    let world = Traced::start("context: restart, identifiers: plain").await;
    let more = [("tracestate", "a=1"), ("baggage", "team=blue")];
    assert_eq!(world.get(&world.token(), Some(TRACE), &more).await.status, 200);
    let server = world.collector.span("the request", |span| span.0.name == SERVER).await;
    assert!(server.trace() != TRACE && server.parent().is_empty() && server.0.trace_state.is_empty());
    let link = &server.0.links[0];
    assert_eq!(link.trace_id, server_id(TRACE));
    assert_eq!(link.span_id, server_id(CALLER));
    let client = world.collector.named("GET", &server.trace()).await;
    assert_eq!(world.told("traceparent"), Some(format!("00-{}-{}-03", server.trace(), client.id())));
    assert_eq!((world.told("tracestate"), world.told("baggage")), (None, None));
    assert_eq!(server.says("clinch.subject").as_deref(), Some("alice"));
    assert_eq!(server.says("clinch.client").as_deref(), Some("app"));
}

/// TRACE-07
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_gateway_is_not_cut_off_by_a_small_share() {
    let world = Traced::start("sample: 0.0, context: trust").await;
    assert_eq!(world.get(&world.token(), Some(TRACE), &[]).await.status, 200);
    let server = world.collector.named(SERVER, TRACE).await;
    let client = world.collector.named("GET", TRACE).await;
    assert_eq!((server.parent().as_str(), client.parent()), (CALLER, server.id()));
    assert_eq!(world.told("traceparent"), Some(format!("00-{TRACE}-{}-01", client.id())));
}

/// TRACE-08: nobody vouches for what a caller says who has not proved who it is.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_no_baggage() {
    let world = Traced::start("sample: 1.0").await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let fields = [("traceparent", parent.as_str()), ("baggage", "team=blue")];
    assert_eq!(world.caller().send(&get("/healthz", &fields)).await.status, 200);
    assert!(world.told("traceparent").unwrap().starts_with(&parent[..36]));
    assert_eq!(world.told("baggage"), None);
}

fn server_id(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}
