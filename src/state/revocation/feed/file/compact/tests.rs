//! What a compaction keeps, and what it survives.

use super::*;
use crate::state::revocation::feed::file::draft::beside;
use crate::state::revocation::feed::file::tail::Tail;
use crate::state::revocation::tests::Directory;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

struct Bench {
    directory: Directory,
    journal: PathBuf,
}

/// Lines that begin with `over` are over for an hour, those with `just` for a minute.
fn ends(line: &[u8]) -> Option<Timestamp> {
    let ago = |secs| Timestamp::from_system(SystemTime::now()).minus(Duration::from_secs(secs));
    match line {
        line if line.starts_with(b"over") => Some(ago(3600)),
        line if line.starts_with(b"just") => Some(ago(60)),
        _ => None,
    }
}

impl Bench {
    fn new(text: &str) -> Bench {
        let directory = Directory::new();
        let journal = directory.path().join("journal");
        fs::write(&journal, text).unwrap();
        Bench { directory, journal }
    }
    fn at(&self, journal: &Path) -> io::Result<Option<Compacted>> {
        let stop = AtomicBool::new(false);
        Compaction { journal, least: 8, ends: &ends, stop: &stop }.run()
    }
    fn run(&self) -> io::Result<Option<Compacted>> {
        self.at(&self.journal)
    }
    /// What is left, without the first line that says what the journal continues.
    fn left(&self) -> Vec<u8> {
        let left = fs::read(&self.journal).unwrap();
        assert!(Continued::parse(left.split(|byte| *byte == b'\n').next().unwrap()).is_some());
        left[Continued::LENGTH as usize..].to_vec()
    }
    fn untouched(&self, text: &str) {
        assert_eq!(fs::read_to_string(&self.journal).unwrap(), text);
        assert!(!beside(&self.journal).exists());
    }
}

const WORTH_IT: &str = "over over over over\nkept\nover\n";

#[test]
fn what_is_over_goes_and_all_else_stays_in_its_order() {
    let long = format!("over{}\n", "x".repeat(3 * MAX_BYTES));
    let over = "over over over over\n".repeat(20_000);
    let text =
        format!("over\nfirst\n  \n{over}{{not JSON\njust ended\n{long}over\n\u{fffd}\nover, not ended");
    let bench = Bench::new(&text);
    let compacted = bench.run().unwrap().unwrap();
    let kept = format!("first\n{{not JSON\njust ended\n{long}\u{fffd}\nover, not ended");
    assert_eq!(bench.left(), kept.as_bytes());
    assert_eq!(compacted.before, text.len() as u64);
    assert_eq!(compacted.after, fs::metadata(&bench.journal).unwrap().len());
    assert!(!beside(&bench.journal).exists());
}

#[test]
fn little_or_nothing_over_is_left_alone() {
    for text in ["over\n", "over over\nkept kept\n", "kept kept\n", ""] {
        let bench = Bench::new(text);
        assert!(bench.run().unwrap().is_none(), "{text}");
        bench.untouched(text);
    }
}

#[test]
fn twice_is_once() {
    let bench = Bench::new(WORTH_IT);
    bench.run().unwrap().unwrap();
    append(&bench.journal, &"over ".repeat(100)).unwrap();
    bench.run().unwrap().unwrap();
    assert_eq!(bench.left(), b"kept\n");
}

/// A clock that has run away can't judge what was written before it did.
#[test]
fn the_time_is_not_later_than_the_journal_was_written() {
    let bench = Bench::new(WORTH_IT);
    let file = File::options().append(true).open(&bench.journal).unwrap();
    let written = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(written).unwrap();
    assert!(bench.run().unwrap().is_none());
    bench.untouched(WORTH_IT);
    file.set_modified(written + Duration::from_secs(700)).unwrap();
    let compacted = bench.run().unwrap().unwrap();
    let modified = fs::metadata(&bench.journal).unwrap().modified().unwrap();
    assert_eq!(modified, compacted.former.metadata().unwrap().modified().unwrap());
}

#[test]
fn a_draft_of_the_dead_is_removed_and_one_of_the_living_respected() {
    let bench = Bench::new(WORTH_IT);
    let draft = beside(&bench.journal);
    fs::write(&draft, "half a li").unwrap();
    let living = File::open(&draft).unwrap();
    living.lock().unwrap();
    assert!(bench.run().unwrap().is_none());
    assert_eq!(fs::read_to_string(&draft).unwrap(), "half a li");
    drop(living);
    bench.run().unwrap().unwrap();
    assert_eq!(bench.left(), b"kept\n");
    assert!(!draft.exists());
}

#[test]
fn a_name_that_is_taken_or_a_second_name_is_a_reason_not_to() {
    let bench = Bench::new(WORTH_IT);
    fs::create_dir(beside(&bench.journal)).unwrap();
    assert!(bench.run().is_err());
    fs::remove_dir(beside(&bench.journal)).unwrap();
    fs::hard_link(&bench.journal, bench.directory.path().join("again")).unwrap();
    assert!(bench.run().is_err());
    bench.untouched(WORTH_IT);
    fs::remove_file(&bench.journal).unwrap();
    assert!(bench.run().is_err());
}

#[test]
fn the_mode_stays_and_so_does_a_link_to_the_journal() {
    let bench = Bench::new(WORTH_IT);
    fs::set_permissions(&bench.journal, fs::Permissions::from_mode(0o664)).unwrap();
    let link = bench.directory.path().join("link");
    std::os::unix::fs::symlink(&bench.journal, &link).unwrap();
    bench.at(&link).unwrap().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&bench.journal).unwrap().mode() & 0o7777, 0o664);
    assert_eq!(bench.left(), b"kept\n");
}

#[test]
fn who_gives_up_leaves_everything_as_it_was() {
    let bench = Bench::new(WORTH_IT);
    // As late as can be: while the last line is looked at for the second time.
    let (stop, looked) = (AtomicBool::new(false), std::cell::Cell::new(0));
    let ends_then_stops = |line: &[u8]| {
        looked.set(looked.get() + 1);
        stop.store(looked.get() == 5, Relaxed);
        ends(line)
    };
    let compaction = Compaction { journal: &bench.journal, least: 8, ends: &ends_then_stops, stop: &stop };
    assert!(compaction.run().is_err());
    assert_eq!(looked.get(), 5);
    bench.untouched(WORTH_IT);
}

#[test]
fn a_journal_that_is_replaced_meanwhile_is_not_replaced_again() {
    let bench = Bench::new(WORTH_IT);
    let (stop, looked) = (AtomicBool::new(false), std::cell::Cell::new(0));
    let ends = |line: &[u8]| {
        looked.set(looked.get() + 1);
        if looked.get() == 5 {
            fs::remove_file(&bench.journal).unwrap();
            fs::write(&bench.journal, "somebody else's\n").unwrap();
        }
        ends(line)
    };
    let compaction = Compaction { journal: &bench.journal, least: 8, ends: &ends, stop: &stop };
    assert!(compaction.run().unwrap().is_none());
    bench.untouched("somebody else's\n");
}

#[test]
fn a_reader_goes_on_where_it_was_and_has_nothing_twice() {
    let bench = Bench::new(&format!("{WORTH_IT}half a l"));
    let mut tail = Tail::new(bench.journal.clone());
    let mut lines = || {
        let mut lines = Vec::new();
        tail.advance(&mut |line, _| lines.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
        lines
    };
    assert_eq!(lines().len(), 3);
    bench.run().unwrap().unwrap();
    File::options().append(true).open(&bench.journal).unwrap().write_all(b"ine\n").unwrap();
    assert_eq!(lines(), ["half a line"]);
    append(&bench.journal, &"over ".repeat(10)).unwrap();
    bench.run().unwrap().unwrap();
    append(&bench.journal, "next").unwrap();
    assert_eq!(lines(), ["over ".repeat(10), "next".to_owned()]);
    // Two at once, and it has not seen the one between: all that is left is read again.
    for _ in 0..2 {
        append(&bench.journal, &"over ".repeat(20)).unwrap();
        bench.run().unwrap().unwrap();
    }
    assert_eq!(lines(), ["over ".repeat(20).as_str(), "kept", "half a line", "next"]);
    // Who begins to read begins with the first event.
    let mut first = Vec::new();
    Tail::new(bench.journal.clone()).advance(&mut |line, _| first.push(line.to_vec())).unwrap();
    assert_eq!(first, [&b"kept"[..], b"half a line", b"next"]);
}

#[test]
fn what_was_appended_without_the_lock_is_carried_over() {
    let bench = Bench::new(WORTH_IT);
    let mut stranger = File::options().append(true).open(&bench.journal).unwrap();
    let compacted = bench.run().unwrap().unwrap();
    stranger.write_all(b"late\nlater\n").unwrap();
    compacted.carry_over(&bench.journal).unwrap();
    assert_eq!(bench.left(), b"kept\nlate\nlater\n");
}

/// Writers, two that compact, and a reader, all at once.
#[test]
fn nothing_is_lost_between_writers_and_compactions() {
    const EACH: usize = 200;
    let bench = Bench::new("");
    let done = AtomicBool::new(false);
    let (mut seen, mut compactions) = (Vec::new(), 0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let journal = &bench.journal;
                scope.spawn(move || {
                    for n in 0..EACH {
                        append(journal, &format!("{writer} {n}")).unwrap();
                        append(journal, &"over ".repeat(20)).unwrap();
                    }
                })
            })
            .collect();
        let compact = || {
            let mut times = 0;
            while !done.load(Relaxed) {
                times += usize::from(bench.run().unwrap().is_some());
            }
            times
        };
        let compactors = [scope.spawn(compact), scope.spawn(compact)];
        let mut tail = Tail::new(bench.journal.clone());
        let mut read = || tail.advance(&mut |line, _| seen.push(String::from_utf8(line.to_vec()).unwrap()));
        while writers.iter().any(|writer| !writer.is_finished()) {
            read().unwrap();
        }
        done.store(true, Relaxed);
        compactions = compactors.into_iter().map(|compactor| compactor.join().unwrap()).sum();
        read().unwrap();
    });
    assert!(compactions > 1, "{compactions}");
    let left = String::from_utf8(bench.left()).unwrap();
    for writer in 0..4 {
        let wanted: Vec<String> = (0..EACH).map(|n| format!("{writer} {n}")).collect();
        let of = |line: &&str| line.starts_with(&format!("{writer} "));
        assert_eq!(left.lines().filter(of).collect::<Vec<_>>(), wanted);
        assert!(wanted.iter().all(|line| seen.contains(line)));
    }
}
