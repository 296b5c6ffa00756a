//! When it can't be written: a disk that is full, and has room again.

use super::{Audited, of_kind};
use crate::support::eventually;
use crate::support::stage::status;
use crate::support::wire::get;

async fn ask(audited: &Audited, path: &str) -> (u16, String) {
    let answer = audited.stage.ask(&audited.stage.anonymous(), &get(path, &[])).await.unwrap();
    (status(Some(&answer)).unwrap(), answer)
}

/// Asks until the sidecar says that the log can't be written.
async fn fills_up(audited: &Audited) {
    let failing = async || {
        audited.flood(40).await;
        (audited.stage.metric("clinch_audit_failing").await == 1).then_some(())
    };
    eventually("the disk to be full", failing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_would_be_granted_until_there_is_room() {
    let mut audited = Audited::start_on_a_small_disk("on_full: deny", 256).await;
    assert_eq!(ask(&audited, "/open/1").await.0, 200);
    fills_up(&audited).await;
    let (status, answer) = ask(&audited, "/open/2").await;
    assert!(status == 503 && answer.contains("audit_unavailable"), "{answer}");
    assert_eq!(ask(&audited, "/nowhere").await.0, 403, "what is refused stays as it is");
    assert_eq!(ask(&audited, "/either/1").await.0, 401);
    let unready = audited.stage.clinch.becomes_unready().await;
    assert!(unready.body.contains(r#""audit":"failing""#), "{unready:?}");
    let reached = audited.stage.service.count();
    audited.give_room();
    let heals = async || (ask(&audited, "/open/3").await.0 == 200).then_some(());
    eventually("the log to be written again", heals).await;
    assert_eq!(audited.stage.service.count(), reached + 1, "nobody got through meanwhile");
    audited.stage.clinch.becomes_ready().await;
    assert_eq!(audited.stage.metric("clinch_audit_failing").await, 0);
    audited.end().await;
    let records = audited.records();
    let refused: Vec<_> = of_kind(&records, "decision")
        .into_iter()
        .filter(|one| one["reason"] == "audit_unavailable")
        .collect();
    assert!(!refused.is_empty() && refused.iter().all(|one| one["verdict"] == "refused"));
    let granted = of_kind(&records, "decision").iter().filter(|one| one["verdict"] == "granted").count();
    assert_eq!(granted, audited.stage.service.count(), "whatever reached the service is in the log");
    assert!(of_kind(&records, "lost").is_empty() && of_kind(&records, "recovered").is_empty());
    let output = audited.stage.clinch.program.output();
    for once in ["the audit log can't be written", "the audit log is written again"] {
        assert_eq!(output.matches(once).count(), 1, "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_through_and_counts_where_the_operator_wants_that() {
    let mut audited = Audited::start_on_a_small_disk("on_full: drop-and-count", 256).await;
    fills_up(&audited).await;
    let mut floods = 0;
    while audited.stage.metric("clinch_audit_lost_total").await == 0 {
        assert!(floods < 20, "memory is bounded");
        audited.flood(2000).await;
        floods += 1;
    }
    assert_eq!(ask(&audited, "/open/2").await.0, 200);
    let ready = audited.stage.clinch.ready().await.unwrap();
    assert!(ready.status == 200 && ready.body.contains(r#""audit":"dropping""#), "{ready:?}");
    let lost = audited.stage.metric("clinch_audit_lost_total").await;
    audited.give_room();
    let heals = async || (audited.stage.metric("clinch_audit_failing").await == 0).then_some(());
    eventually("the log to be written again", heals).await;
    assert_eq!(ask(&audited, "/open/3").await.0, 200);
    let last =
        |record: &serde_json::Value| record["target"].as_str().is_some_and(|at| at.ends_with("/open/3"));
    let there = async || audited.records().iter().any(last).then_some(());
    eventually("the last decision to be in the file", there).await;
    audited.end().await;
    let records = audited.records();
    let told: u64 = of_kind(&records, "lost").iter().map(|lost| lost["records"].as_u64().unwrap()).sum();
    assert_eq!(told, lost);
    let targets: Vec<_> =
        of_kind(&records, "decision").iter().filter_map(|one| one["target"].as_str()).collect();
    assert!(targets.last().unwrap().ends_with("/open/3"));
}

/// Half a record is closed only once another file has its first ones: an empty one would look as if it had been emptied.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_on_a_full_disk_leave_a_log_that_is_in_order() {
    let mut audited = Audited::start_on_a_small_disk("on_full: drop-and-count", 256).await;
    fills_up(&audited).await;
    audited.stage.clinch.program.kill();
    let open = audited.stage.folder().join("audit.jsonl");
    let half = std::fs::read(&open).unwrap();
    assert!(!half.ends_with(b"\n"), "it ends within a record");
    audited.restart_on_a_small_disk(0).await;
    let failing = async || (audited.stage.metric("clinch_audit_failing").await == 1).then_some(());
    eventually("the log to fail", failing).await;
    audited.stage.clinch.program.kill();
    assert!(std::fs::read(&open).unwrap() == half, "nothing is in its place yet");
    audited.stage.restart().await;
    assert_eq!(audited.stage.metric("clinch_audit_touched_total").await, 0);
    audited.end().await;
    let records = audited.records();
    assert_eq!((of_kind(&records, "recovered").len(), of_kind(&records, "touched").len()), (1, 0));
}
