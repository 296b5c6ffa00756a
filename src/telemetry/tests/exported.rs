//! What reaches a collector, and what becomes of spans when it does not want them.

use super::collectors::Collector;
use super::*;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as Outcome};
use std::time::Instant;

pub(super) fn told(collector: &Collector, sample: f64) -> config::Telemetry {
    config(Some(collector.endpoint.clone()), sample)
}

pub(super) fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|a| a.key == key)?.value.as_ref()?.value.as_ref()?;
    if let Value::StringValue(text) = value {
        return Some(text.clone());
    }
    if let Value::IntValue(number) = value {
        return Some(number.to_string());
    }
    let Value::BoolValue(flag) = value else { panic!("{key}: {value:?}") };
    Some(flag.to_string())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn settled(telemetry: &Telemetry, line: &str) {
    let began = Instant::now();
    while !telemetry.render().contains(line) {
        assert!(began.elapsed() < LIMIT * 2, "{line}\n{}", telemetry.render());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// TRACE-05
#[tokio::test]
async fn a_span_reaches_the_collector_over_either_protocol() {
    for protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
        let mut collector = Collector::start().await;
        let asked = config::Telemetry { otlp_protocol: protocol, ..told(&collector, 1.0) };
        let telemetry = Telemetry::start(&asked).unwrap();
        let mut span = telemetry.begin(&headers(Some(PARENT)));
        let sent = forwarded(&span);
        assert_eq!(sent[..36], PARENT[..36], "the same trace");
        assert_ne!(sent[36..52], PARENT[36..52], "our span is the parent");
        assert!(sent.ends_with("-01"));
        let step = span.steps().begin("verify token");
        step.done();
        telemetry.decided(&mut span, &record(Err(Denial::ProofReplayed)));
        telemetry.answered(span, StatusCode::UNAUTHORIZED, None);
        telemetry.shutdown(LIMIT).await;
        let (path, spans) = collector.message().await;
        match protocol {
            OtlpProtocol::Http => assert_eq!(path, "/v1/traces"),
            OtlpProtocol::Grpc => {
                assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            }
        }
        let [step, server] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(step.parent_span_id, server.span_id);
        assert_eq!(
            (hex(&server.trace_id).as_str(), hex(&server.parent_span_id).as_str()),
            (&PARENT[3..35], &PARENT[36..52])
        );
        assert_eq!(server.flags, 0x301, "sampled, and the parent is in another process");
        assert_eq!((server.kind(), step.kind()), (SpanKind::Server, SpanKind::Internal));
        assert_eq!(server.name, "GET /accounts/{*rest}");
        assert!(server.status.is_none(), "a refusal is no failure of ours");
        assert!(server.start_time_unix_nano <= step.start_time_unix_nano);
        assert!(server.end_time_unix_nano >= step.end_time_unix_nano);
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "401"),
            ("http.route", "/accounts/{*rest}"),
            ("url.scheme", "https"),
            ("url.path", "/accounts/7"),
            ("server.address", "api.example.com"),
            ("server.port", "443"),
            ("client.address", "192.0.2.1"),
            ("clinch.issuer", "https://as.example.com"),
            ("clinch.verdict", "refused"),
            ("clinch.reason", "proof_replayed"),
            ("clinch.scheme", "DPoP"),
        ] {
            assert_eq!(text(server, key).as_deref(), Some(value), "{key}");
        }
        let client = text(server, "clinch.client").unwrap();
        assert!(client.len() == 16 && client.bytes().all(|b| b.is_ascii_hexdigit()), "{client}");
        assert!(telemetry.render().contains("clinch_span_exports_total{result=\"ok\"} 1\n"));
    }
}

#[tokio::test]
async fn a_message_can_be_compressed_over_either_protocol() {
    for protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
        let mut collector = Collector::start().await;
        let otlp_compression = OtlpCompression::Gzip;
        let asked = config::Telemetry { otlp_protocol: protocol, otlp_compression, ..told(&collector, 1.0) };
        let telemetry = Telemetry::start(&asked).unwrap();
        drop(telemetry.begin(&headers(Some(PARENT))));
        telemetry.shutdown(LIMIT).await;
        // The collector reads it only if it is said to be compressed, and is.
        assert_eq!(hex(&collector.spans().await[0].parent_span_id), PARENT[36..52]);
    }
}

#[tokio::test]
async fn a_request_that_goes_away_ends_its_span() {
    let mut collector = Collector::start().await;
    let telemetry = Telemetry::start(&told(&collector, 1.0)).unwrap();
    drop(telemetry.begin(&headers(None)));
    telemetry.shutdown(LIMIT).await;
    let spans = collector.spans().await;
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("cancelled"));
    assert_eq!(spans[0].status.as_ref().map(|status| status.code()), Some(Outcome::Error));
}

/// OpenTelemetry's conventions ask for path and scheme of every request.
#[tokio::test]
async fn a_request_without_a_target_has_its_path_as_it_came() {
    let mut collector = Collector::start().await;
    let telemetry = Telemetry::start(&told(&collector, 1.0)).unwrap();
    let untold = |denial| Record { target: None, route: None, token: None, ..record(Err(denial)) };
    for (method, uri, denial) in [
        ("GET", "/a/../b?secret=1", Denial::PathAmbiguous),
        ("TRACE", "http://alice:hunter2@evil.example/c", Denial::MethodRefused),
        ("CONNECT", "evil.example:443", Denial::MethodRefused),
    ] {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        let mut span = telemetry.begin(&headers(None));
        telemetry.decided(&mut span, &Record { method, ..untold(denial) });
        span.received(&request.into_parts().0, ([192, 0, 2, 1], 4711).into(), || None);
        telemetry.answered(span, denial.status(), None);
    }
    telemetry.shutdown(LIMIT).await;
    let spans = collector.spans().await;
    let paths: Vec<_> = spans.iter().map(|span| text(span, "url.path")).collect();
    assert_eq!(paths, [Some("/a/../b".to_owned()), Some("/c".to_owned()), None]);
    assert!(spans.iter().all(|span| text(span, "url.scheme").as_deref() == Some("https")));
    assert!(!format!("{spans:?}").contains("hunter2"));
}

#[tokio::test]
async fn methods_that_nobody_knows_are_others() {
    let mut collector = Collector::start().await;
    let asked = config::Telemetry { identifiers: Identifiers::Plain, ..told(&collector, 1.0) };
    let telemetry = Telemetry::start(&asked).unwrap();
    let mut span = telemetry.begin(&headers(None));
    let odd = "X".repeat(100);
    telemetry.decided(&mut span, &Record { method: &odd, ..record(Ok(Passed::Request)) });
    telemetry.answered(span, StatusCode::BAD_GATEWAY, None);
    telemetry.shutdown(LIMIT).await;
    let span = collector.spans().await.remove(0);
    assert_eq!(span.name, "HTTP /accounts/{*rest}");
    assert_eq!(text(&span, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(text(&span, "http.request.method_original").map(|method| method.len()), Some(64));
    assert_eq!(text(&span, "error.type").as_deref(), Some("502"));
    assert_eq!(text(&span, "clinch.client").as_deref(), Some(genuine().client()));
}

#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_no_time() {
    let collector = Collector::start().await;
    collector.hangs();
    let telemetry = Telemetry::start(&told(&collector, 1.0)).unwrap();
    let began = Instant::now();
    for _ in 0..20_000 {
        let mut span = telemetry.begin(&headers(None));
        telemetry.decided(&mut span, &record(Ok(Passed::Request)));
        telemetry.answered(span, StatusCode::OK, None);
    }
    let page = telemetry.render();
    assert!(page.contains("clinch_responses_total{code=\"2xx\"} 20000\n"));
    let dropped =
        page.lines().find_map(|l| l.strip_prefix("clinch_spans_dropped_total{reason=\"queue_full\"} "));
    let dropped: u64 = dropped.unwrap().parse().unwrap();
    assert!((20_000 - 8192 - 512..=20_000 - 8192).contains(&dropped), "{dropped}");
    assert!(began.elapsed() < LIMIT, "nothing waits");
    let began = Instant::now();
    telemetry.shutdown(Duration::from_millis(300)).await;
    assert!(began.elapsed() < LIMIT, "the end does not wait for the collector");
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_waited() {
    let mut collector = Collector::start().await;
    collector.answers(StatusCode::SERVICE_UNAVAILABLE);
    for protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
        let asked = config::Telemetry { otlp_protocol: protocol, ..told(&collector, 1.0) };
        let telemetry = Telemetry::start(&asked).unwrap();
        drop(telemetry.begin(&headers(None)));
        settled(&telemetry, "clinch_span_exports_total{result=\"failed\"} 1\n").await;
        assert_eq!(collector.spans().await.len(), 1);
        collector.answers(StatusCode::OK);
        settled(&telemetry, "clinch_span_exports_total{result=\"ok\"} 1\n").await;
        assert_eq!(collector.spans().await.len(), 1);
        assert!(telemetry.render().contains("clinch_spans_dropped_total{reason=\"not_taken\"} 0\n"));
        collector.answers(StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_and_not_tried_again() {
    let collector = Collector::start().await;
    collector.answers(StatusCode::BAD_REQUEST);
    let telemetry = Telemetry::start(&told(&collector, 1.0)).unwrap();
    drop(telemetry.begin(&headers(None)));
    settled(&telemetry, "clinch_spans_dropped_total{reason=\"not_taken\"} 1\n").await;
    collector.rejects_one();
    drop(telemetry.begin(&headers(None)));
    settled(&telemetry, "clinch_spans_dropped_total{reason=\"rejected\"} 1\n").await;
    assert!(telemetry.render().contains("clinch_span_exports_total{result=\"failed\"} 1\n"));
}
