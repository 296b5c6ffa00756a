//! The log as a whole, on real files.

mod found;
mod stage;

pub(super) use stage::{Folder, Said, config, follow};

use super::*;
use crate::pop::Denial;
use crate::telemetry::{Passed, Telemetry};
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::time::Instant;

fn start(config: &config::Audit) -> Audit {
    Audit::start(config, 1, &Telemetry::off().metrics.audit).unwrap()
}

async fn stop(audit: Audit) {
    audit.stop(Duration::from_secs(20)).await;
    assert!(audit.0.unwrap().shared.progress.borrow().ended);
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_log_begins_and_ends_and_another_process_goes_on() {
    let folder = Folder::new();
    let config = config(&folder.at("audit.jsonl"));
    for _ in 0..2 {
        let audit = start(&config);
        let said = Said::default();
        assert!(audit.decided(&said.record(Ok(Passed::Request)), said.trace, None).unwrap().is_none());
        audit.tell(Event::Feed { state: "current" });
        stop(audit).await;
    }
    let records = folder.records();
    let once = ["start", "checkpoint", "decision", "feed", "stop", "checkpoint"];
    assert_eq!(kinds(&records), [once, once].concat());
    assert_eq!(
        (&records[1]["records"], &records[5]["records"], &records[11]["records"]),
        (&1.into(), &3.into(), &3.into())
    );
    let continues = format!("6:{}", records[5]["hash"].as_str().unwrap());
    assert_eq!((&records[6]["continues"], &records[6]["unsigned"]), (&continues.into(), &0.into()));
    assert!(records[0].get("continues").is_none() && records[0]["unsigned"] == 0);
    assert!(records.iter().all(|record| record["replica"] == "a"));
    assert_ne!(records[0]["log"], records[6]["log"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder.at("audit.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
}

#[tokio::test]
async fn a_grant_waits_for_the_disk_and_a_refusal_does_not() {
    let folder = Folder::new();
    let config = config::Audit { sync: AuditSync::Always, ..config(&folder.at("audit.jsonl")) };
    let (audit, said) = (start(&config), Said::default());
    let waiting = audit.decided(&said.record(Ok(Passed::Request)), said.trace, None).unwrap().unwrap();
    waiting.on_disk().await.unwrap();
    assert_eq!(kinds(&folder.records()), ["start", "checkpoint", "decision"]);
    assert!(audit.decided(&said.record(Err(Denial::ProofReplayed)), said.trace, None).unwrap().is_none());
    stop(audit.clone()).await;
    assert!(
        audit.decided(&said.record(Ok(Passed::Request)), said.trace, None).is_err(),
        "nobody writes any more"
    );
    assert!(audit.decided(&said.record(Err(Denial::ProofReplayed)), said.trace, None).is_ok());
}

#[tokio::test]
async fn checkpoints_come_while_there_is_something_to_vouch_for() {
    let folder = Folder::new();
    let config = config::Audit { checkpoint: Duration::from_millis(20), ..config(&folder.at("audit.jsonl")) };
    let (audit, begun) = (start(&config), Instant::now());
    let at_least = |count: usize| {
        while kinds(&folder.records()).iter().filter(|kind| **kind == "checkpoint").count() < count {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    at_least(1);
    audit.tell(Event::Feed { state: "current" });
    at_least(2);
    std::thread::sleep(Duration::from_millis(100));
    stop(audit).await;
    assert_eq!(kinds(&folder.records()), ["start", "checkpoint", "feed", "checkpoint", "stop", "checkpoint"]);
}

#[tokio::test]
async fn files_make_way_by_size_and_the_chain_goes_through_all_of_them() {
    let folder = Folder::new();
    let config = config::Audit { rotate_size: 2000, ..config(&folder.at("audit.jsonl")) };
    let (audit, said) = (start(&config), Said::default());
    for _ in 0..3 {
        for _ in 0..10 {
            audit.decided(&said.record(Ok(Passed::Request)), said.trace, None).unwrap();
        }
        while audit.queued() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop(audit).await;
    let (records, names) = (folder.records(), folder.names());
    assert!(names.len() >= 3 && names[0] == "audit.000000000001.jsonl", "{names:?}");
    assert_eq!(kinds(&records).iter().filter(|kind| **kind == "decision").count(), 30);
    let mut next = Vec::new();
    for (at, record) in records.iter().enumerate().filter(|(_, record)| record["kind"] == "rotated") {
        assert_eq!(records[at + 1]["kind"], "checkpoint");
        let first = records[at + 2]["seq"].as_u64().unwrap();
        assert_eq!(record["next"], format!("audit.{first:012}.jsonl"));
        next.push(record["next"].as_str().unwrap());
    }
    // The last of them is still open under the name of the configuration.
    assert_eq!(next[..next.len() - 1], names[1..names.len() - 1]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_or_counted() {
    let folder = Folder::new();
    for (on_full, name) in [(OnFull::Deny, "a.jsonl"), (OnFull::DropAndCount, "b.jsonl")] {
        let config = config::Audit { on_full, ..config(&folder.at(name)) };
        let telemetry = Telemetry::off();
        let audit = Audit::with_room(&config, 1, &telemetry.metrics.audit, Queue::with_room(0, queue::BYTES))
            .unwrap();
        let said = Said::default();
        let granted = audit.decided(&said.record(Ok(Passed::Request)), said.trace, None);
        assert_eq!(granted.is_err(), on_full == OnFull::Deny);
        assert!(audit.decided(&said.record(Err(Denial::ProofReplayed)), said.trace, None).is_ok());
        stop(audit).await;
        let records = follow(&[fs::read(folder.at(name)).unwrap()]);
        let lost: u64 = records
            .iter()
            .filter(|record| record["kind"] == "lost")
            .map(|record| record["records"].as_u64().unwrap())
            .sum();
        assert_eq!(lost, if on_full == OnFull::Deny { 1 } else { 2 });
        assert_eq!(telemetry.metrics.audit.lost.get(), lost);
    }
}

#[tokio::test]
async fn a_file_that_is_taken_away_is_followed_by_another() {
    let folder = Folder::new();
    let audit = start(&config(&folder.at("audit.jsonl")));
    while folder.records().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::rename(folder.at("audit.jsonl"), folder.at("moved")).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    audit.tell(Event::Feed { state: "current" });
    stop(audit).await;
    let records = follow(&["moved", "audit.jsonl"].map(|name| fs::read(folder.at(name)).unwrap()));
    assert_eq!(
        kinds(&records),
        ["start", "checkpoint", "touched", "checkpoint", "feed", "stop", "checkpoint"]
    );
    assert_eq!(records[2]["what"], "moved");
}

/// A disk that takes nothing is no healthy one, whether grants wait for it or for room.
#[tokio::test]
async fn a_stalled_disk_is_told_until_the_writer_goes_on() {
    let folder = Folder::new();
    for (room, sync) in [(0, AuditSync::Second), (16, AuditSync::Always)] {
        let metrics = Telemetry::off().metrics.audit.clone();
        let (failing, progress) = (AtomicBool::new(false), watch::Sender::default());
        let queue = Queue::with_room(room, queue::BYTES);
        let shared = Arc::new(Shared { queue, failing, progress, metrics: metrics.clone() });
        let config = config::Audit { sync, ..config(&folder.at(&format!("{room}.jsonl"))) };
        // It is as if the disk let the writer do nothing yet.
        let writer = Writer::open(&config, 1, &shared).unwrap();
        let audit = Audit(Some(Arc::new(Handle { shared, sync, on_full: OnFull::Deny })));
        assert_eq!(audit.status(), AuditStatus::Current);
        let said = Said::default();
        match audit.decided(&said.record(Ok(Passed::Request)), said.trace, None) {
            Ok(waiting) => assert!(waiting.unwrap().on_disk().await.is_err()),
            Err(Unwritten) => assert_eq!(room, 0),
        }
        assert_eq!((audit.status(), metrics.failing.get()), (AuditStatus::Failing, 1));
        let writer = std::thread::spawn(move || writer.run());
        while audit.status() != AuditStatus::Current {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(metrics.failing.get(), 0);
        stop(audit).await;
        writer.join().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Many writers at once, small files, and any cut of the last one: nothing is lost before the cut, and the chain goes
    /// on after it.
    #[test]
    fn concurrent_writers_lose_nothing_and_a_crash_costs_the_cut_record_only(
        writers in 1_usize..5,
        each in 1_usize..200,
        rotate_size in 1000_u64..200_000,
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = Folder::new();
        let config = config::Audit { rotate_size, ..config(&folder.at("audit.jsonl")) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let audit = start(&config);
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let said = Said::default();
                    for _ in 0..each {
                        audit.decided(&said.record(Ok(Passed::Request)), said.trace, None).unwrap();
                    }
                });
            }
        });
        runtime.block_on(stop(audit));
        let decisions = kinds(&folder.records()).iter().filter(|kind| **kind == "decision").count();
        prop_assert_eq!(decisions, writers * each);

        let open = folder.at("audit.jsonl");
        let text = fs::read(&open).unwrap();
        let length = cut.index(text.len() + 1);
        fs::File::options().write(true).open(&open).unwrap().set_len(length as u64).unwrap();
        let (before, closed) = (folder.records().len(), folder.names().len() > 1);
        runtime.block_on(stop(start(&config)));
        let after = folder.records();
        let on_edge = length == 0 || text[length - 1] == b'\n';
        let mut tail = vec!["recovered", "start", "checkpoint", "stop", "checkpoint"];
        if length == 0 && closed {
            tail.insert(2, "touched");
        }
        // Less than the first two records have no signature to go on from.
        let unsigned = folder.names().iter().any(|name| name.contains("unverified"));
        prop_assert!(!unsigned || before == 1, "{} records set aside", before);
        let (from, on_edge) = if unsigned { (0, true) } else { (before, on_edge) };
        prop_assert_eq!(&kinds(&after)[from..], &tail[usize::from(on_edge)..]);
        if !on_edge {
            let whole = text[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            prop_assert_eq!(after[before]["bytes"].as_u64(), Some((length - whole) as u64));
        }
    }
}
