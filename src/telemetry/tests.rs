mod metrics;

use super::*;
use crate::config;
use crate::pop::forge;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LIMIT: Duration = Duration::from_secs(10);

fn config(otlp: Option<http::Uri>, sample: f64) -> config::Telemetry {
    let level = tracing::level_filters::LevelFilter::OFF;
    config::Telemetry { otlp, otlp_metrics: None, sample, format: config::LogFormat::Json, level }
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

fn forwarded(span: &RequestSpan, headers: &HeaderMap) -> String {
    let mut headers = headers.clone();
    span.write_context(&mut headers);
    headers["traceparent"].to_str().unwrap().to_owned()
}

/// A collector on loopback: every path and body it is sent.
async fn collector(status: StatusCode) -> (http::Uri, mpsc::UnboundedReceiver<(String, Bytes)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let send = send.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let send = send.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let _ = send.send((path, body));
                    let mut response = http::Response::new(Full::new(Bytes::new()));
                    *response.status_mut() = status;
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (format!("http://{address}").parse().unwrap(), receive)
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn without_an_exporter_the_callers_context_passes_unchanged() {
    let telemetry = Telemetry::off();
    let inbound = headers(Some(PARENT));
    let span = telemetry.begin(&inbound);
    assert_eq!(span.trace_id().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(forwarded(&span, &inbound), PARENT);
}

#[test]
fn without_a_context_a_trace_begins() {
    let telemetry = Telemetry::off();
    let (one, two) = (telemetry.begin(&headers(None)), telemetry.begin(&headers(Some("bogus"))));
    assert_ne!(one.trace_id().as_str(), two.trace_id().as_str());
    let sent = forwarded(&one, &headers(None));
    assert!(TraceContext::of(&headers(Some(&sent))).is_some_and(|c| c.sampled()), "{sent}");
    assert_eq!(&sent[3..35], one.trace_id().as_str());
}

#[tokio::test]
async fn a_span_reaches_the_collector() {
    let (endpoint, mut received) = collector(StatusCode::OK).await;
    let telemetry = Telemetry::start(&config(Some(endpoint), 1.0)).unwrap();
    let inbound = headers(Some(PARENT));
    let mut span = telemetry.begin(&inbound);
    let sent = forwarded(&span, &inbound);
    assert_eq!(sent[..36], PARENT[..36], "the same trace");
    assert_ne!(sent[36..52], PARENT[36..52], "our span is the parent");
    assert!(sent.ends_with("-01"));
    telemetry.decided(&mut span, &record(Err(Denial::ProofReplayed)));
    telemetry.answered(span, StatusCode::UNAUTHORIZED, None);
    telemetry.shutdown(LIMIT).await;
    let Ok(Some((path, body))) = tokio::time::timeout(LIMIT, received.recv()).await else {
        panic!("nothing came: {}", telemetry.render())
    };
    assert_eq!(path, "/v1/traces");
    let ours = TraceContext::of(&headers(Some(&sent))).unwrap();
    let parent = TraceContext::of(&inbound).unwrap();
    for id in [&ours.trace_id[..], &ours.parent_id, &parent.parent_id] {
        assert!(contains(&body, id));
    }
    for text in [
        "GET /accounts/{*rest}",
        "http.response.status_code",
        "url.path",
        "api.example.com",
        "192.0.2.1",
        "https://as.example.com",
        "proof_replayed",
        "clinch.decision_us",
        "service.name",
    ] {
        assert!(contains(&body, text.as_bytes()), "{text}");
    }
    assert!(telemetry.render().contains("clinch_span_exports_total{result=\"ok\"} 1\n"));
}

#[tokio::test]
async fn a_request_that_goes_away_ends_its_span() {
    let (endpoint, mut received) = collector(StatusCode::OK).await;
    let telemetry = Telemetry::start(&config(Some(endpoint), 1.0)).unwrap();
    drop(telemetry.begin(&headers(None)));
    telemetry.shutdown(LIMIT).await;
    let Ok(Some((_, body))) = tokio::time::timeout(LIMIT, received.recv()).await else {
        panic!("nothing came")
    };
    assert!(contains(&body, b"cancelled"));
}

/// HD-054
#[tokio::test]
async fn sampling_is_the_callers_no_or_our_share() {
    let (endpoint, _received) = collector(StatusCode::OK).await;
    let all = Telemetry::start(&config(Some(endpoint.clone()), 1.0)).unwrap();
    let unsampled = headers(Some(&PARENT.replace("-01", "-00")));
    let span = all.begin(&unsampled);
    assert!(span.open.is_none());
    assert_eq!(forwarded(&span, &unsampled), PARENT.replace("-01", "-00"), "unchanged");

    let none = Telemetry::start(&config(Some(endpoint), 0.0)).unwrap();
    let wished = headers(Some(PARENT));
    let span = none.begin(&wished);
    assert!(span.open.is_none(), "a stranger can't force a span");
    let sent = forwarded(&span, &wished);
    assert!(sent.ends_with("-00") && sent[..36] == PARENT[..36] && sent[36..52] != PARENT[36..52], "{sent}");
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_requests_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let telemetry = Telemetry::start(&config(Some(endpoint), 1.0)).unwrap();
    for _ in 0..20_000 {
        let mut span = telemetry.begin(&headers(None));
        telemetry.decided(&mut span, &record(Ok(Passed::Request)));
        telemetry.answered(span, StatusCode::OK, None);
    }
    let begun = Instant::now();
    telemetry.shutdown(Duration::from_millis(300)).await;
    assert!(begun.elapsed() < LIMIT, "the end does not wait for the collector");
    assert!(telemetry.render().contains("clinch_responses_total{code=\"2xx\"} 20000\n"));
}

#[test]
fn the_page_has_every_metric_and_ends() {
    let telemetry = Telemetry::off();
    let mut span = telemetry.begin(&headers(None));
    telemetry.decided(&mut span, &record(Ok(Passed::Request)));
    let during = telemetry.render();
    assert!(during.contains("clinch_in_flight 1\n"), "{during}");
    telemetry.answered(span, StatusCode::OK, Some(Duration::from_millis(3)));
    telemetry.metrics.revocations.set_feed_state("current");
    telemetry.metrics.revocations.set_events(1, 2, [("malformed", 1)].into_iter());
    let lags = |lag| {
        telemetry.metrics.revocations.set_feed(&[("stale", 3)], Duration::from_millis(1500), lag);
        telemetry.render().contains("clinch_feed_lag_events 7\n")
    };
    assert!(!lags(None) && lags(Some(7)) && !lags(None) && lags(Some(7)), "absent where it is not known");
    let issuer: Arc<str> = "https://as.example.com".into();
    telemetry.metrics.jwks_expected(&issuer);
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
        "clinch_in_flight 0\n",
        "clinch_feed_state{state=\"current\"} 1\n",
        "clinch_feed_state{state=\"stale\"} 0\n",
        "clinch_feed_transitions_total{state=\"stale\"} 3\n",
        "clinch_feed_silence_seconds 1.5\n",
        "clinch_revocation_events_total{result=\"applied\"} 1\n",
        "clinch_revocation_events_total{result=\"ignored\"} 2\n",
        "clinch_revocation_rejected_total{reason=\"malformed\"} 1\n",
        "clinch_jwks_fetches_total{issuer=\"https://as.example.com\",result=\"ok\"} 1\n",
        "clinch_jwks_fetch_seconds_count{issuer=\"https://as.example.com\"} 1\n",
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
