//! What is recorded, and that nobody waits for it.

use super::{TRACE, Traced};
use crate::support::eventually;
use crate::support::wire::{get, h2_get};
use crate::support::world::url;
use std::time::{Duration, Instant};

const REQUESTS: usize = 1000;

/// The flag is the id's, by OpenTelemetry's rule: whoever samples by the id agrees.
fn is_in_share(traceparent: &str, share: f64) -> bool {
    let randomness = u64::from_str_radix(&traceparent[21..35], 16).unwrap();
    randomness >= ((1.0 - share) * 2_f64.powi(56)) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_traces_is_recorded_and_told_of() {
    let world = Traced::start("sample: 0.25").await;
    let client = world.caller().connect_h2().await;
    for _ in 0..REQUESTS {
        let fields = [("x-nothing", String::new()), ("x-no", String::new())];
        assert_eq!(h2_get(client.clone(), url("/healthz"), fields).await, 200);
    }
    let received = world.service.received();
    let parents: Vec<&str> = received.iter().map(|r| r.header("traceparent").unwrap()).collect();
    assert_eq!(parents.len(), REQUESTS);
    for parent in &parents {
        let flags = if is_in_share(parent, 0.25) { "03" } else { "02" };
        assert_eq!(&parent[53..], flags, "{parent}");
    }
    let recorded = parents.iter().filter(|parent| parent.ends_with("03")).count();
    assert!((190..=310).contains(&recorded), "{recorded} of {REQUESTS}");
    let servers = || world.collector.spans().into_iter().filter(|s| s.0.name == "GET /healthz").count();
    eventually("all that is recorded", async || (servers() == recorded).then_some(())).await;
}

/// HD-054, TRACE-07
#[tokio::test(flavor = "multi_thread")]
async fn who_chooses_an_id_gets_no_more_than_the_share() {
    let world = Traced::start("sample: 0.01").await;
    let client = world.caller().connect_h2().await;
    let chosen = format!("00-{}-00f067aa0ba902b7-01", "f".repeat(32));
    for _ in 0..1500 {
        let fields = [("traceparent", chosen.clone()), ("x-no", String::new())];
        assert_eq!(h2_get(client.clone(), url("/healthz"), fields).await, 200);
    }
    let received = world.service.received();
    let recorded = received.iter().filter(|r| r.header("traceparent").unwrap().ends_with("-01")).count();
    assert!((1000..=1020).contains(&recorded), "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_kept_and_nothing_else() {
    let world = Traced::start("sample: 0.0, sample_refusals: true").await;
    assert_eq!(world.caller().send(&get("/healthz", &[])).await.status, 200);
    assert!(world.told("traceparent").unwrap().ends_with("-02"));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let answer = world.caller().send(&get("/accounts/1", &[("traceparent", &parent)])).await;
    assert_eq!(answer.status, 401);
    let span = world.collector.named("GET /accounts/{*rest}", TRACE).await;
    assert_eq!(span.says("clinch.reason").as_deref(), Some("credentials_missing"));
    assert_eq!(
        (span.says("clinch.kept").as_deref(), span.parent().as_str()),
        (Some("refusal"), "00f067aa0ba902b7")
    );
    assert_eq!(world.collector.spans().iter().filter(|span| span.0.kind == 2).count(), 1);
}

/// A collector that hangs is nothing to requests, nor to the end of the process; one that comes back gets spans again.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_collector() {
    let mut world = Traced::start("sample: 1.0").await;
    world.collector.hangs(true);
    let began = Instant::now();
    // More than may wait, for each request has two spans.
    let callers = (0..20).map(|_| {
        let caller = world.caller();
        tokio::spawn(async move {
            let client = caller.connect_h2().await;
            for _ in 0..300 {
                let fields = [("x-nothing", String::new()), ("x-no", String::new())];
                assert_eq!(h2_get(client.clone(), url("/healthz"), fields).await, 200);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let each = began.elapsed() / 6000;
    assert!(each < Duration::from_millis(20), "{each:?}");
    let dropped = world.metric("clinch_spans_dropped_total{reason=\"queue_full\"} ").await;
    assert!(dropped > 1000, "{dropped}");
    world.collector.hangs(false);
    world.collector.span("the collector to get spans again", |span| span.0.name == "GET /healthz").await;

    world.collector.hangs(true);
    world.caller().send(&get("/healthz", &[])).await;
    let began = Instant::now();
    world.clinch.program.terminate();
    assert!(world.clinch.program.ended().await.success());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
