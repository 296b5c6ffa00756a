use super::collectors::Collector;
use super::*;
use crate::telemetry::sink::Sink;
use std::time::Instant;

#[tokio::test]
async fn metrics_reach_the_collector_and_its_loss_is_counted() {
    let sent =
        |telemetry: &Telemetry| telemetry.render().contains("clinch_metric_exports_total{result=\"ok\"} 1\n");
    let contains = |body: &[u8], wanted: &[u8]| body.windows(wanted.len()).any(|window| window == wanted);
    let mut collector = Collector::start().await;
    let every = Some(Duration::from_secs(60));
    let asked = config::Telemetry { otlp_metrics: every, ..config(Some(collector.endpoint.clone()), 1.0) };
    let telemetry = Telemetry::start(&asked).unwrap();
    assert_eq!(telemetry.period(), every);
    telemetry.send_metrics().await;
    let (path, _, body) = collector.whole().await;
    assert_eq!(path, "/v1/metrics");
    for text in
        ["service.name", "service.instance.id", "clinch_decision_seconds", "process_resident_memory_bytes"]
    {
        assert!(contains(&body, text.as_bytes()), "{text}");
    }
    assert!(sent(&telemetry));

    collector.answers(StatusCode::SERVICE_UNAVAILABLE);
    telemetry.send_metrics().await;
    assert!(sent(&telemetry), "once, as before");
    assert!(telemetry.render().contains("clinch_metric_exports_total{result=\"failed\"} 1\n"));
    assert_eq!(Telemetry::off().period(), None);
}

#[tokio::test]
async fn what_the_collector_leaves_out_of_a_page_is_counted() {
    let mut collector = Collector::start().await;
    let every = Some(Duration::from_secs(60));
    for protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
        let known = config(Some(collector.endpoint.clone()), 1.0);
        let asked = config::Telemetry { otlp_metrics: every, otlp_protocol: protocol, ..known };
        let telemetry = Telemetry::start(&asked).unwrap();
        let rejected = |count| {
            let page = telemetry.render();
            assert!(page.contains(&format!("clinch_metric_points_rejected_total {count}\n")), "{page}");
        };
        collector.answers(StatusCode::OK);
        telemetry.send_metrics().await;
        rejected(0);
        collector.rejects_one();
        telemetry.send_metrics().await;
        telemetry.send_metrics().await;
        rejected(2);
        let page = telemetry.render();
        assert!(
            page.contains("clinch_metric_exports_total{result=\"ok\"} 3\n"),
            "the rest was taken: {page}"
        );
        for _ in 0..3 {
            collector.whole().await;
        }
    }
}

#[tokio::test]
async fn only_a_recorded_trace_is_an_exemplar() {
    let endpoint = Collector::start().await.endpoint;
    for (share, expected) in [(0.0, 0), (1.0, 2)] {
        let telemetry = Telemetry::start(&config(Some(endpoint.clone()), share)).unwrap();
        let mut span = telemetry.begin(&headers(None));
        let trace = span.trace_id();
        telemetry.decided(&mut span, &record(Ok(Passed::Request)));
        telemetry.answered(span, StatusCode::OK, Some(Duration::from_millis(3)));
        let page = telemetry.render();
        let exemplar = format!(" # {{trace_id=\"{}\"}} ", trace.as_str());
        assert_eq!(page.matches(&exemplar).count(), expected, "{page}");
        assert_eq!(page.matches("trace_id").count(), expected);
        assert!(!telemetry.page(Format::Text).contains("trace_id"));
    }
}

#[test]
fn a_refused_method_is_no_warning() {
    let telemetry = Telemetry::off();
    let logged = |denial| {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut span = telemetry.begin(&headers(None));
            telemetry.decided(&mut span, &record(Err(denial)));
        });
        sink.text()
    };
    for (denial, level) in [(Denial::MethodRefused, " INFO "), (Denial::KeysUnavailable, " WARN ")] {
        let text = logged(denial);
        assert!(text.contains(level) && text.contains(denial.reason()), "{text}");
    }
}

#[test]
fn a_decision_counts_for_its_issuer() {
    let telemetry = Telemetry::off();
    telemetry.metrics.verifications.expected("https://as.example.com");
    let span = telemetry.begin(&headers(None));
    let begun = Instant::now();
    telemetry.noticed(&span, &record(Ok(Passed::Request)), None, begun);
    let unknown = Record { token: None, ..record(Err(Denial::KeysUnavailable)) };
    telemetry.noticed(&span, &unknown, Some("https://as.example.com"), begun);
    telemetry.noticed(&span, &unknown, None, begun);
    let nothing = Record { scheme: None, ..record(Err(Denial::CredentialsMissing)) };
    telemetry.noticed(&span, &nothing, None, begun);
    let overloaded = Record { scheme: None, ..record(Err(Denial::Overloaded)) };
    telemetry.noticed(&span, &Record { token: None, ..overloaded }, None, begun);
    // A stranger's CONNECT is nobody's outage.
    let tunnel = Record { scheme: None, ..record(Err(Denial::MethodRefused)) };
    telemetry.noticed(&span, &Record { token: None, ..tunnel }, None, begun);
    let page = telemetry.render();
    for line in [
        "clinch_verifications_total{issuer=\"https://as.example.com\",result=\"ok\"} 1\n",
        "clinch_verifications_total{issuer=\"https://as.example.com\",result=\"failed\"} 1\n",
        "clinch_verifications_total{issuer=\"-\",result=\"failed\"} 2\n",
        "clinch_verifications_total{issuer=\"-\",result=\"refused\"} 0\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}
