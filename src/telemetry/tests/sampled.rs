//! What is recorded, and what the service and the collector are told of that.

use super::collectors::Collector;
use super::exported::{hex, text, told};
use super::*;

/// HD-054, TRACE-07
#[tokio::test]
async fn sampling_is_the_callers_no_or_our_share() {
    let collector = Collector::start().await;
    let all = Telemetry::start(&told(&collector, 1.0)).unwrap();
    let unsampled = PARENT.replace("-01", "-00");
    let span = all.begin(&headers(Some(&unsampled)));
    assert!(!span.is_recorded());
    assert_eq!(forwarded(&span), unsampled, "unchanged");

    let none = Telemetry::start(&told(&collector, 0.0)).unwrap();
    let span = none.begin(&headers(Some(PARENT)));
    assert!(!span.is_recorded(), "a stranger can't force a span");
    let sent = forwarded(&span);
    assert!(sent.ends_with("-00") && sent[..36] == PARENT[..36] && sent[36..52] != PARENT[36..52], "{sent}");
}

/// TRACE-07: `ParentBased`, where the operator says so.
#[tokio::test]
async fn a_trusted_caller_decides_what_is_recorded() {
    let collector = Collector::start().await;
    let asked = config::Telemetry { context: TraceOrigin::Trust, ..told(&collector, 0.0) };
    let telemetry = Telemetry::start(&asked).unwrap();
    // Beyond the leave that callers have who are not trusted, too.
    for _ in 0..2000 {
        let mut inbound = headers(Some(PARENT));
        inbound.insert("tracestate", "ot=th:0".parse().unwrap());
        inbound.insert("baggage", "b=2".parse().unwrap());
        let span = telemetry.begin(&inbound);
        let mut outbound = HeaderMap::new();
        span.write_context(&mut outbound);
        span.write_baggage(span.baggage(&inbound), &mut outbound);
        let sent = outbound["traceparent"].to_str().unwrap();
        assert!(span.is_recorded() && sent.ends_with("-01") && sent[..36] == PARENT[..36], "{sent}");
        assert_eq!(
            (&outbound["tracestate"], &outbound["baggage"]),
            (&inbound["tracestate"], &inbound["baggage"])
        );
    }
    let unsampled = PARENT.replace("-01", "-00");
    let span = telemetry.begin(&headers(Some(&unsampled)));
    assert!(!span.is_recorded() && forwarded(&span) == unsampled);
    assert!(!telemetry.begin(&headers(None)).is_recorded(), "the share decides where nobody has");
}

#[tokio::test]
async fn refusals_are_kept_where_they_are_wanted() {
    let mut collector = Collector::start().await;
    let asked = config::Telemetry { sample_refusals: true, ..told(&collector, 0.0) };
    let telemetry = Telemetry::start(&asked).unwrap();
    for verdict in [Ok(Passed::Request), Err(Denial::ProofReplayed)] {
        let mut inbound = headers(Some(PARENT));
        inbound.insert("tracestate", "a=1,ot=th:0".parse().unwrap());
        let mut span = telemetry.begin(&inbound);
        let mut outbound = HeaderMap::new();
        span.write_context(&mut outbound);
        assert!(outbound["traceparent"].to_str().unwrap().ends_with("-00"), "nobody is told");
        assert_eq!(outbound["tracestate"], "a=1", "nor that it is in a share");
        telemetry.decided(&mut span, &record(verdict));
        telemetry.answered(span, StatusCode::UNAUTHORIZED, None);
    }
    telemetry.shutdown(LIMIT).await;
    let spans = collector.spans().await;
    assert_eq!(spans.len(), 1, "the grant is not kept");
    assert_eq!(text(&spans[0], "clinch.reason").as_deref(), Some("proof_replayed"));
    assert_eq!(text(&spans[0], "clinch.kept").as_deref(), Some("refusal"));
    assert_eq!(hex(&spans[0].parent_span_id), PARENT[36..52]);
    assert_eq!((spans[0].trace_state.as_str(), spans[0].flags), ("a=1", 0x301));
    let exemplar = format!(" # {{trace_id=\"{}\"}} ", &PARENT[3..35]);
    assert_eq!(telemetry.render().matches(&exemplar).count(), 1, "the refusal's");
}

/// Who counts spans by the share that `tracestate` tells needs it in each.
#[tokio::test]
async fn every_span_of_a_trace_has_its_flags_and_its_state() {
    let mut collector = Collector::start().await;
    let telemetry = Telemetry::start(&told(&collector, 1.0)).unwrap();
    let mut inbound = headers(Some(&PARENT.replace("-01", "-03")));
    inbound.insert("tracestate", "a=1".parse().unwrap());
    let span = telemetry.begin(&inbound);
    let (method, path, version) = (&http::Method::GET, "/", http::Version::HTTP_11);
    let call = span.call(Called { method, base: "http://127.0.0.1:9", path, version });
    let step = span.steps().begin("verify token");
    step.steps().ask("introspection").done();
    step.done();
    call.answered(StatusCode::OK);
    drop(span);
    telemetry.shutdown(LIMIT).await;
    let spans = collector.spans().await;
    let told: Vec<_> = spans.iter().map(|span| (span.flags, span.trace_state.as_str())).collect();
    assert_eq!(told, [(0x103, "a=1"), (0x103, "a=1"), (0x103, "a=1"), (0x303, "a=1")]);
}
