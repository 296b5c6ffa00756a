mod metrics;

use super::*;
use crate::config::{self, OtlpCompression, OtlpProtocol};
use crate::pop::forge;
use crate::telemetry::trace_context::TraceContext;
use std::sync::LazyLock;

mod collectors;
mod exported;
mod sampled;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LIMIT: Duration = Duration::from_secs(10);

fn config(otlp: Option<http::Uri>, sample: f64) -> config::Telemetry {
    config::Telemetry { otlp, sample, ..config::Telemetry::default() }
}

fn genuine() -> &'static Arc<AccessToken> {
    static TOKEN: LazyLock<Arc<AccessToken>> =
        LazyLock::new(|| Arc::new(forge::establish(&forge::token(|_, _| ())).unwrap()));
    &TOKEN
}

fn record(verdict: Result<Passed, Denial>) -> Record<'static> {
    Record {
        request: RequestId::random(),
        generation: 1,
        revoked_by: None,
        because: None,
        host: None,
        method: "GET",
        target: Some("https://api.example.com/accounts/7"),
        route: Some("/accounts/{*rest}"),
        peer: ([192, 0, 2, 1], 4711).into(),
        scheme: Some("DPoP"),
        proof: Some(ProofKind::Dpop),
        token: Some(genuine()),
        revocation: None,
        verdict,
        elapsed: Duration::from_micros(60),
    }
}

fn headers(traceparent: Option<&str>) -> HeaderMap {
    traceparent.map(|t| ("traceparent".parse().unwrap(), t.parse().unwrap())).into_iter().collect()
}

fn forwarded(span: &RequestSpan) -> String {
    let mut headers = HeaderMap::new();
    span.write_context(&mut headers);
    headers["traceparent"].to_str().unwrap().to_owned()
}

#[test]
fn without_an_exporter_the_callers_context_passes_unchanged() {
    let telemetry = Telemetry::off();
    let span = telemetry.begin(&headers(Some(PARENT)));
    assert_eq!(span.trace_id().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(forwarded(&span), PARENT);
}

#[tokio::test]
async fn without_an_exporter_a_trace_can_begin_here_too() {
    let restart = config::Telemetry { context: TraceOrigin::Restart, ..config(None, 1.0) };
    let telemetry = Telemetry::start(&restart).unwrap();
    let mut inbound = headers(Some(PARENT));
    inbound.insert("tracestate", "a=1".parse().unwrap());
    inbound.insert("baggage", "b=2".parse().unwrap());
    let span = telemetry.begin(&inbound);
    let mut outbound = HeaderMap::new();
    span.write_context(&mut outbound);
    span.write_baggage(span.baggage(&inbound), &mut outbound);
    let sent = outbound["traceparent"].to_str().unwrap();
    assert!(!sent.contains("4bf92f3577b34da6a3ce929d0e0e4736") && sent.ends_with("-03"), "{sent}");
    assert_eq!(outbound.len(), 1, "{outbound:?}");
}

#[test]
fn without_a_context_a_trace_begins() {
    let telemetry = Telemetry::off();
    let (one, two) = (telemetry.begin(&headers(None)), telemetry.begin(&headers(Some("bogus"))));
    assert_ne!(one.trace_id().as_str(), two.trace_id().as_str());
    let sent = forwarded(&one);
    assert!(TraceContext::of(&headers(Some(&sent))).is_some_and(|c| c.sampled()), "{sent}");
    assert_eq!(&sent[3..35], one.trace_id().as_str());
}

#[test]
fn the_page_has_every_metric_and_ends() {
    let telemetry = Telemetry::off();
    let mut span = telemetry.begin(&headers(None));
    telemetry.decided(&mut span, &record(Ok(Passed::Request)));
    telemetry.metrics.in_flight.set(1);
    telemetry.answered(span, StatusCode::OK, Some(Duration::from_millis(3)));
    telemetry.metrics.revocations.set_feed_state("current");
    telemetry.metrics.revocations.set_events(1, 2, [("malformed", 1)].into_iter());
    let lags = |lag| {
        telemetry.metrics.revocations.set_feed(&[("stale", 3)], Duration::from_millis(1500), lag);
        telemetry.render().contains("clinch_feed_lag_events 7\n")
    };
    assert!(!lags(None) && lags(Some(7)) && !lags(None) && lags(Some(7)), "absent where it is not known");
    let issuer: Arc<str> = "https://as.example.com".into();
    telemetry.metrics.jwks_expected(&issuer, Duration::from_secs(300));
    let before = telemetry.render();
    let fetches = "clinch_jwks_fetches_total{issuer=\"https://as.example.com\",result=\"ok\"} 0\n";
    assert!(before.contains(fetches) && !before.contains("clinch_jwks_age_seconds{"), "{before}");
    telemetry.metrics.jwks_fetched(&issuer, "ok", Duration::from_millis(7));
    let page = telemetry.render();
    for line in [
        "clinch_requests_total{route=\"/accounts/{*rest}\",verdict=\"granted\",reason=\"-\"} 1\n",
        "clinch_decision_seconds_count 1\n",
        "clinch_upstream_seconds_count 1\n",
        "clinch_responses_total{code=\"2xx\"} 1\n",
        "clinch_in_flight 1\n",
        "clinch_feed_state{state=\"current\"} 1\n",
        "clinch_feed_state{state=\"stale\"} 0\n",
        "clinch_feed_transitions_total{state=\"stale\"} 3\n",
        "clinch_feed_silence_seconds 1.5\n",
        "clinch_revocation_events_total{result=\"applied\"} 1\n",
        "clinch_revocation_events_total{result=\"ignored\"} 2\n",
        "clinch_revocation_rejected_total{reason=\"malformed\"} 1\n",
        "clinch_jwks_fetches_total{issuer=\"https://as.example.com\",result=\"ok\"} 1\n",
        "clinch_jwks_fetch_seconds_count{issuer=\"https://as.example.com\"} 1\n",
        "clinch_revocation_unchecked_requests_total{how=\"unchecked\"} 0\n",
        "clinch_revocation_unchecked_requests_total{how=\"introspected\"} 0\n",
        "clinch_suspicious_total{kind=\"replay\"} 0\n",
        "clinch_nonce_challenges_total{kind=\"missing\"} 0\n",
        "clinch_tls_handshakes_total{version=\"1.3\",resumed=\"no\"} 0\n",
        "clinch_jwks_age_seconds{issuer=\"https://as.example.com\"} ",
        "clinch_token_cache_hits_total 0\n",
        "clinch_token_cache_misses_total 0\n",
        "clinch_replay_entries 0\n",
        "clinch_revocation_entries 0\n",
        "clinch_connections 0\n",
        "clinch_log_lines_dropped_total 0\n",
        "clinch_build_info{version=\"",
        "clinch_start_time_seconds 1",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}
