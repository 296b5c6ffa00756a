//! The writer without its thread, and a disk that fails.

mod lasting;

use super::*;
use crate::pop::Denial;
use crate::state::audit::entry::Entry;
use crate::state::audit::file::tests::break_syncs;
use crate::state::audit::queue::{BYTES, Queue};
use crate::state::audit::tests::{Folder, Said, config};
use crate::telemetry::Telemetry;
use crate::telemetry::sink::Sink;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::watch;

fn open(folder: &Folder, sync: AuditSync) -> (Writer, Arc<Shared>) {
    let (failing, progress) = (AtomicBool::new(false), watch::Sender::default());
    let metrics = Telemetry::off().metrics.audit.clone();
    let shared = Arc::new(Shared { queue: Queue::with_room(100, BYTES), failing, progress, metrics });
    let config = config::Audit { sync, ..config(&folder.at("audit.jsonl")) };
    (Writer::open(&config, 1, &shared).unwrap(), shared)
}

fn push(shared: &Shared, count: usize) {
    let said = Said::default();
    for _ in 0..count {
        shared.queue.push(Entry::of(said.decision(Err(Denial::ProofReplayed)))).unwrap();
    }
}

/// What is told in the log meanwhile.
fn told(act: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
    sink.text()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().unwrap()).collect()
}

#[test]
fn what_could_not_be_synced_is_never_durable_and_the_log_goes_on_in_another_file() {
    let folder = Folder::new();
    let (mut writer, shared) = open(&folder, AuditSync::Always);
    writer.tries();
    push(&shared, 2);
    writer.take();
    break_syncs(1);
    writer.tries();
    let progress = *shared.progress.borrow();
    assert!(!progress.reached(1) && !progress.reached(2) && !progress.failing, "{progress:?}");
    assert_eq!(folder.names(), ["audit.000000000001.jsonl", "audit.jsonl"]);
    push(&shared, 1);
    writer.take();
    writer.tries();
    assert!(shared.progress.borrow().reached(3) && !shared.progress.borrow().reached(2));
    let records = folder.records();
    let expected = ["start", "checkpoint", "decision", "decision", "unsynced", "checkpoint", "decision"];
    assert_eq!(kinds(&records), expected);
    assert_eq!((&records[4]["from"], &records[4]["to"]), (&3.into(), &4.into()));

    // Nor can the next one be synced.
    push(&shared, 1);
    writer.take();
    break_syncs(2);
    writer.tries();
    assert!(shared.failing.load(Relaxed) && !shared.progress.borrow().reached(4));
    writer.tries();
    assert!(!shared.failing.load(Relaxed) && !shared.progress.borrow().reached(4));
    let records = folder.records();
    assert_eq!(kinds(&records)[7..], ["decision", "unsynced", "checkpoint"], "and never had its name");
    assert_eq!((&records[8]["from"], &records[8]["to"]), (&8.into(), &8.into()));
}

#[test]
fn an_anchor_is_told_once_it_is_on_the_disk() {
    let folder = Folder::new();
    let (mut writer, _shared) = open(&folder, AuditSync::Always);
    break_syncs(2);
    let unsynced = told(|| writer.tries());
    assert!(!unsynced.contains("audit checkpoint"), "{unsynced}");
    let synced = told(|| writer.tries());
    let last = folder.records().pop().unwrap();
    assert!(last["kind"] == "checkpoint" && synced.contains(last["hash"].as_str().unwrap()), "{synced}");
}

#[test]
fn what_waits_while_the_disk_fails_is_written_at_the_end_if_it_heals() {
    let folder = Folder::new();
    let (writer, shared) = open(&folder, AuditSync::Always);
    push(&shared, 5);
    shared.queue.missed(std::time::SystemTime::now());
    shared.queue.end(Ending::Orderly);
    break_syncs(2);
    writer.run();
    let records = folder.records();
    let kinds = kinds(&records);
    assert_eq!(kinds.iter().filter(|kind| **kind == "decision").count(), 5, "{kinds:?}");
    assert!(kinds.contains(&"lost") && kinds.ends_with(&["stop", "checkpoint"]), "{kinds:?}");
}

#[test]
fn what_is_lost_at_the_end_is_counted() {
    let folder = Folder::new();
    let (writer, shared) = open(&folder, AuditSync::Always);
    push(&shared, 5);
    shared.queue.end(Ending::Orderly);
    // Whoever has to go on in another file needs a folder.
    std::fs::remove_dir_all(folder.at("")).unwrap();
    break_syncs(1);
    let told = told(|| writer.run());
    assert!(told.contains("these records are lost") && told.contains("records=5"), "{told}");
    assert_eq!(shared.metrics.lost.get(), 5);
}

#[test]
fn a_file_that_others_had_is_left_and_the_next_one_says_so() {
    let folder = Folder::new();
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    writer.tries();
    push(&shared, 2);
    writer.take();
    writer.tries();
    std::fs::OpenOptions::new().write(true).open(folder.at("audit.jsonl")).unwrap().set_len(0).unwrap();
    writer.looked -= Duration::from_secs(2);
    push(&shared, 1);
    writer.take();
    let text = told(|| writer.tries());
    assert!(text.contains("others have changed the file") && text.contains("ERROR"), "{text}");
    assert_eq!((shared.metrics.touched.get(), shared.failing.load(Relaxed)), (1, false));
    assert_eq!(folder.names(), ["audit.000000000001.jsonl", "audit.jsonl"]);
    let text = std::fs::read_to_string(folder.at("audit.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kinds(&records), ["touched", "checkpoint", "decision"]);
    assert_eq!(
        (&records[0]["seq"], &records[0]["what"], &records[0]["found"]),
        (&5.into(), &"shortened".into(), &0.into())
    );
    assert!(records[0]["expected"].as_u64() > Some(500));
    // Whoever writes into it is seen as well.
    let mut file = std::fs::OpenOptions::new().append(true).open(folder.at("audit.jsonl")).unwrap();
    std::io::Write::write_all(&mut file, b"{}\n").unwrap();
    writer.looked -= Duration::from_secs(2);
    writer.tries();
    let last = std::fs::read_to_string(folder.at("audit.jsonl")).unwrap();
    assert!(last.contains(r#""what":"extended""#) && shared.metrics.touched.get() == 2, "{last}");
}

#[test]
fn what_waited_for_the_disk_or_the_clock_has_a_checkpoint_of_its_own() {
    let folder = Folder::new();
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    let said = Said::default();
    for minutes in [0, 20, 50, 70, 80, 5, 6, 40, 56, 0, 61] {
        let mut entry = Entry::of(said.decision(Err(Denial::ProofReplayed)));
        entry.time = std::time::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + 60 * minutes);
        shared.queue.push(entry).unwrap();
    }
    writer.tries();
    writer.take();
    writer.tries();
    let kinds: String = kinds(&folder.records()).iter().map(|kind| &kind[..1]).collect();
    assert_eq!(kinds, "scdddcddcdddddcd", "an hour is how long one waits, from the earliest to the latest");
}
