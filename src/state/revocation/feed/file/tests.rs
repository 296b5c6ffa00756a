//! The tail, against a file that is written to in every unkind way.

use super::*;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::event::{Fact, MAX_BYTES};
use crate::state::revocation::tests::{Directory, event};
use std::fs;
use std::io::{ErrorKind, Write};
use std::time::Instant;

struct Journaled {
    directory: Directory,
    tail: Tail,
}

impl Journaled {
    fn new() -> Journaled {
        let directory = Directory::new();
        let tail = Tail::new(directory.path().join("journal"));
        Journaled { directory, tail }
    }
    fn path(&self) -> PathBuf {
        self.directory.path().join("journal")
    }
    fn write(&self, text: &str) {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path())
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .unwrap();
    }
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.tail.advance(&mut |line, _| lines.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
        lines
    }
}

#[test]
fn a_line_counts_when_its_newline_is_there() {
    let mut journal = Journaled::new();
    journal.write("one\ntw");
    assert_eq!(journal.lines(), ["one"]);
    assert!(journal.lines().is_empty());
    journal.write("o\n\n  \nthree\n");
    assert_eq!(journal.lines(), ["two", "three"]);
}

#[test]
fn a_file_that_got_shorter_is_read_again() {
    let mut journal = Journaled::new();
    journal.write("one\ntwo\nunfin");
    assert_eq!(journal.lines(), ["one", "two"]);
    File::create(journal.path()).unwrap();
    journal.write("three\n");
    assert_eq!(journal.lines(), ["three"]);
}

#[test]
fn a_replaced_file_is_read_again_after_the_rest_of_the_old_one() {
    let mut journal = Journaled::new();
    journal.write("one\n");
    assert_eq!(journal.lines(), ["one"]);
    journal.write("late\n");
    fs::rename(journal.path(), journal.directory.path().join("old")).unwrap();
    journal.write("one\nnew and longer than what was\n");
    assert_eq!(journal.lines(), ["late", "one", "new and longer than what was"]);
}

#[test]
fn a_missing_file_is_an_error_until_it_is_back() {
    let mut journal = Journaled::new();
    assert!(journal.tail.advance(&mut |_, _| ()).is_err());
    journal.write("one\n");
    assert_eq!(journal.lines(), ["one"]);
}

#[test]
fn a_line_without_end_is_handed_on_once_and_the_next_one_is_whole() {
    let mut journal = Journaled::new();
    for _ in 0..5 {
        journal.write(&"x".repeat(MAX_BYTES));
    }
    let lines = journal.lines();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() > MAX_BYTES);
    journal.write("still the same\nnext\n");
    assert_eq!(journal.lines(), ["next"]);
}

#[test]
fn writers_do_not_mix_and_do_not_suffer_from_one_that_died() {
    let mut journal = Journaled::new();
    journal.write("{\"id\":\"died whi");
    let path = journal.path();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for n in 0..50 {
                    append(path, &event(Fact::TokenId, &format!("{writer}/{n}")).to_json()).unwrap();
                }
            });
        }
    });
    let events: Vec<_> =
        journal.lines().iter().filter_map(|line| Plain::parse(line.as_bytes()).ok()).collect();
    assert_eq!(events.len(), 200);
}

#[test]
fn a_writer_who_waits_writes_to_the_file_that_is_there_then() {
    let mut journal = Journaled::new();
    journal.write("old\n");
    let (path, new) = (journal.path(), journal.directory.path().join("new"));
    let held = File::open(&path).unwrap();
    held.lock().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| append(&path, "late").unwrap());
        fs::write(&new, "new\n").unwrap();
        fs::rename(&new, &path).unwrap();
        drop(held);
        assert_eq!(writer.join().unwrap(), Appended::Existing);
    });
    assert_eq!(journal.lines(), ["new", "late"]);
}

#[test]
fn a_lock_that_is_never_given_back_is_no_endless_wait() {
    let journal = Journaled::new();
    journal.write("one\n");
    let [held, file] = [(), ()].map(|()| File::open(journal.path()).unwrap());
    held.lock().unwrap();
    let told = lock::exclusively(&file, Instant::now() + Duration::from_millis(20)).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::TimedOut);
    assert_eq!(told.to_string(), "another process has held the journal's lock for 5 seconds");
}

#[test]
fn what_is_more_than_one_line_is_not_appended() {
    let journal = Journaled::new();
    assert_eq!(append(&journal.path(), "{}\n{}").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!journal.path().exists());
    assert_eq!(append(&journal.path(), "{}").unwrap(), Appended::Created);
}
