use super::super::chain::NOTHING;
use super::*;
use crate::state::audit::scribe::Scribe;
use crate::state::audit::tests::{Folder, follow};
use std::cell::Cell;

thread_local! {
    static SYNCS: Cell<u32> = const { Cell::new(0) };
    static WRITES: Cell<u32> = const { Cell::new(0) };
    static FOLDERS: Cell<u32> = const { Cell::new(0) };
}

/// On this thread the next so many syncs fail, as Linux has it: each is told once, and what it was about is gone.
pub(in crate::state::audit) fn break_syncs(count: u32) {
    SYNCS.set(count);
}

/// On this thread the next so many files can't get their first records.
pub(in crate::state::audit) fn break_writes(count: u32) {
    WRITES.set(count);
}

/// On this thread the next so many syncs of the folder fail.
pub(in crate::state::audit) fn break_folders(count: u32) {
    FOLDERS.set(count);
}

pub(super) fn sync() -> io::Result<()> {
    fails(&SYNCS)
}

pub(super) fn begin() -> io::Result<()> {
    fails(&WRITES)
}

pub(super) fn sync_folder() -> io::Result<()> {
    fails(&FOLDERS)
}

fn fails(count: &'static std::thread::LocalKey<Cell<u32>>) -> io::Result<()> {
    let left = count.get();
    count.set(left.saturating_sub(1));
    if left > 0 { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
}

/// Opens the log, writes so many records, and says how it was found.
fn write(path: &Path, records: usize) -> (Opened, Scribe) {
    let mut opened = LogFile::open(path, None).unwrap();
    let mut scribe = Scribe::new(opened.end, "a".to_owned(), None, std::time::Duration::MAX);
    (0..records).for_each(|_| scribe.stop());
    if let Some(next) = opened.next.take() {
        makes_way(&mut opened.file, next, &mut scribe);
    }
    scribe.write(|bytes| opened.file.write(bytes)).unwrap();
    (opened, scribe)
}

fn makes_way(file: &mut LogFile, next: File, scribe: &mut Scribe) {
    let head = scribe.take();
    LogFile::begin(&next, &head.bytes).unwrap();
    file.make_way_for(&next).unwrap();
    file.make_way_for(&next).unwrap();
    file.go_on_in(next, head.first, head.bytes.len() as u64);
}

fn read(folder: &Folder, names: &[&str]) -> usize {
    let texts: Vec<_> = names.iter().map(|name| fs::read(folder.at(name)).unwrap()).collect();
    follow(&texts).len()
}

#[test]
fn a_second_process_has_a_log_of_its_own_and_takes_it_up_again() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    let first = write(&path, 2);
    let beside = format!("audit.{}.jsonl", std::process::id());
    drop(write(&path, 3));
    let (second, _) = write(&path, 1);
    assert_eq!((second.end.sequence, read(&folder, &[&beside]), read(&folder, &["audit.jsonl"])), (3, 4, 2));
    let third = format!("audit.{}-1.jsonl", std::process::id());
    let (other, _) = write(&path, 1);
    assert_eq!((other.end, read(&folder, &[&third])), (NOTHING, 1), "nor do those of another machine mix");
    drop(first);
    assert_eq!(write(&path, 0).0.end.sequence, 2, "what is free is continued");
}

#[test]
fn a_log_goes_on_after_its_newest_closed_file() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    let (mut opened, mut scribe) = write(&path, 3);
    let next = opened.file.prepare().unwrap();
    makes_way(&mut opened.file, next, &mut scribe);
    assert_eq!(opened.file.touched().unwrap(), None);
    assert_eq!(folder.names(), ["audit.000000000001.jsonl", "audit.jsonl"]);
    drop(opened);
    fs::remove_file(&path).unwrap();
    let (opened, _) = write(&path, 1);
    assert_eq!((opened.end.sequence, opened.cut), (3, None));
    drop(opened);
    assert_eq!(read(&folder, &["audit.000000000001.jsonl", "audit.jsonl"]), 4);
}

#[test]
fn a_crash_between_two_names_is_no_end_of_the_log() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    drop(write(&path, 3));
    fs::hard_link(&path, folder.at("audit.000000000001.jsonl")).unwrap();
    fs::write(folder.at("audit.jsonl.next"), "").unwrap();
    let (mut opened, mut scribe) = write(&path, 1);
    assert_eq!((opened.end.sequence, opened.cut), (3, None));
    let next = opened.file.prepare().unwrap();
    makes_way(&mut opened.file, next, &mut scribe);
    assert_eq!(folder.names(), ["audit.000000000001.jsonl", "audit.jsonl"]);
    assert_eq!(read(&folder, &["audit.000000000001.jsonl", "audit.jsonl"]), 4);
}

#[test]
fn half_a_record_stays_as_it_is_under_another_name() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    drop(write(&path, 2));
    let mut text = fs::read(&path).unwrap();
    text.truncate(text.len() - 10);
    fs::write(&path, &text).unwrap();
    let (opened, _) = write(&path, 1);
    let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    assert_eq!((opened.end.sequence, opened.cut), (1, Some((text.len() - whole) as u64)));
    assert_eq!(fs::read(folder.at("audit.000000000001.jsonl")).unwrap(), text, "untouched");
    assert_eq!(read(&folder, &["audit.000000000001.jsonl", "audit.jsonl"]), 2);
}

#[test]
fn less_than_one_record_is_put_aside_and_what_is_no_log_is_left_alone() {
    let folder = Folder::new();
    let path = folder.at("audit.jsonl");
    fs::write(&path, "{\"seq\":1,\"ti").unwrap();
    let (opened, _) = write(&path, 1);
    assert_eq!((opened.end, opened.cut), (NOTHING, Some(12)));
    assert_eq!(folder.names(), ["audit.000000000001.jsonl.cut", "audit.jsonl"]);
    drop(opened);
    fs::write(&path, "{\"se").unwrap();
    assert_eq!(write(&path, 1).0.cut, Some(4), "there may be one of that name");
    assert_eq!(folder.names()[..2], ["audit.000000000001.jsonl.cut", "audit.000000000001.jsonl.cut-2"]);
    for other in ["listen:\n", "{\"seq\":1}\n{\"a\":1}\n"] {
        let path = folder.at("other.yaml");
        fs::write(&path, other).unwrap();
        let opened = LogFile::open(&path, None);
        if other.starts_with("{\"seq\":") {
            assert_eq!(opened.unwrap().cut, Some(other.len() as u64));
            continue;
        }
        assert!(format!("{:#}", opened.unwrap_err()).contains("this is no audit log"));
        assert_eq!(fs::read_to_string(&path).unwrap(), other);
    }
}

#[test]
fn a_folder_that_knows_no_sync_is_no_failure() {
    for (code, fine) in [(EINVAL, true), (ENOTSUP, true), (EIO, false)] {
        assert_eq!(unless_unsupported(Err(io::Error::from_raw_os_error(code))).is_ok(), fine, "{code}");
    }
}

const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOTSUP: i32 = 95;
