//! What a disk that fails for long, or a process that ends at the worst moment, leaves: a log that is in order.

use super::*;
use crate::state::audit::file::tests::{break_folders, break_writes};
use crate::state::audit::verify::{Demands, Key, Outcome, verify};
use std::fs::{self, File};
use std::io::BufReader;
use std::time::SystemTime;

fn verified(folder: &Folder) -> Outcome {
    let key = config(&folder.at("audit.jsonl")).key.unwrap();
    let (anchors, from) = (Vec::new(), Vec::new());
    let keys = vec![Key::of_pair(&key)];
    let demands = Demands { keys, anchors, from, partial: false, closed: false, max_unsigned: None };
    let ours = |name: &String| name.ends_with(".jsonl");
    let names: Vec<String> = folder.names().into_iter().filter(ours).collect();
    let open = |name: &str| File::open(folder.at(name)).map(BufReader::new);
    verify(&names, open, &demands).unwrap()
}

fn in_order(folder: &Folder) {
    let outcome = verified(folder);
    let faults: Vec<String> =
        outcome.logs.iter().filter_map(|log| log.fault.as_ref()).map(ToString::to_string).collect();
    assert!(outcome.fine, "{faults:?} {:?}", kinds(&folder.records()));
}

/// A decision that was made so long ago, and is written now.
fn decided_before(shared: &Shared, ago: Duration) {
    let mut entry = Entry::of(Said::default().decision(Err(Denial::ProofReplayed)));
    entry.time = SystemTime::now() - ago;
    shared.queue.push(entry).unwrap();
}

const LONG_AGO: Duration = Duration::from_secs(7200);

#[test]
fn an_outage_that_is_longer_than_the_interval_leaves_a_log_that_is_in_order() {
    let folder = Folder::new();
    let (mut writer, shared) = open(&folder, AuditSync::Always);
    writer.tries();
    decided_before(&shared, LONG_AGO);
    writer.take();
    break_syncs(1);
    writer.tries();
    assert!(of_kind(&folder, "unsynced") == 1, "{:?}", kinds(&folder.records()));
    in_order(&folder);
    decided_before(&shared, LONG_AGO);
    writer.take();
    writer.tries();
    // Somebody moves it away, and only long after that another one can be begun.
    fs::rename(folder.at("audit.jsonl"), folder.at("audit.000000000004.jsonl")).unwrap();
    writer.looked -= Duration::from_secs(2);
    writer.tries();
    assert!(of_kind(&folder, "touched") == 1, "{:?}", kinds(&folder.records()));
    in_order(&folder);
}

fn of_kind(folder: &Folder, kind: &str) -> usize {
    kinds(&folder.records()).iter().filter(|found| **found == kind).count()
}

/// Closes the file, whatever its size.
fn rotates(writer: &mut Writer, shared: &Shared) {
    push(shared, 1);
    writer.take();
    writer.plan.rotate_size = 1;
    writer.tries();
    writer.plan.rotate_size = u64::MAX;
}

/// Whatever fails while a file makes way, and if the process ends there: what is open is never empty.
#[test]
fn a_process_that_ends_while_a_file_makes_way_leaves_nothing_that_looks_like_tampering() {
    let breaks: [(&str, fn()); 2] = [
        ("its first records can't be written", || break_writes(9)),
        ("the folder can't be synced", || break_folders(9)),
    ];
    for (what, breaks) in breaks {
        let folder = Folder::new();
        let (mut writer, shared) = open(&folder, AuditSync::Second);
        writer.tries();
        breaks();
        rotates(&mut writer, &shared);
        assert!(shared.failing.load(Relaxed), "{what}");
        assert!(fs::metadata(folder.at("audit.jsonl")).unwrap().len() > 0, "{what}");
        drop(writer);
        heals();
        let (mut writer, shared) = open(&folder, AuditSync::Second);
        writer.tries();
        assert_eq!((shared.metrics.touched.get(), of_kind(&folder, "touched")), (0, 0), "{what}");
        rotates(&mut writer, &shared);
        writer.close(Ending::Orderly);
        in_order(&folder);
    }
}

/// A full disk left half a record, and is still full at the next start: nothing is closed before another can be begun.
#[test]
fn half_a_record_is_left_only_for_a_file_that_has_records() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    push(&shared, 2);
    writer.take();
    writer.tries();
    drop(writer);
    let mut text = fs::read(&path).unwrap();
    text.truncate(text.len() - 10);
    fs::write(&path, &text).unwrap();
    break_writes(9);
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    writer.tries();
    assert!(shared.failing.load(Relaxed));
    assert_eq!(
        (fs::read(&path).unwrap(), folder.names().contains(&"audit.000000000001.jsonl".to_owned())),
        (text, false)
    );
    drop(writer);
    heals();
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    writer.tries();
    assert_eq!((shared.metrics.touched.get(), shared.failing.load(Relaxed)), (0, false));
    writer.close(Ending::Orderly);
    in_order(&folder);
    assert_eq!((of_kind(&folder, "recovered"), of_kind(&folder, "touched")), (1, 0));
}

fn heals() {
    break_writes(0);
    break_folders(0);
}

#[test]
fn who_moved_the_file_is_accused_once_however_long_no_other_can_be_begun() {
    let folder = Folder::new();
    let (mut writer, shared) = open(&folder, AuditSync::Second);
    writer.tries();
    fs::rename(folder.at("audit.jsonl"), folder.at("audit.000000000001.jsonl")).unwrap();
    // Nothing can be made there.
    fs::create_dir(folder.at("audit.jsonl.next")).unwrap();
    let told = told(|| {
        for _ in 0..4 {
            writer.looked -= Duration::from_secs(2);
            writer.tries();
        }
    });
    assert_eq!(told.matches("was moved or removed").count(), 1, "{told}");
    assert_eq!((shared.metrics.touched.get(), shared.failing.load(Relaxed)), (1, true));
    fs::remove_dir(folder.at("audit.jsonl.next")).unwrap();
    writer.looked -= Duration::from_secs(2);
    writer.tries();
    assert_eq!((shared.metrics.touched.get(), of_kind(&folder, "touched")), (1, 1));
    in_order(&folder);
}
