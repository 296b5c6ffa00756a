//! A running clinch looks after its journal: now and then, whether it is worth compacting.
//!
//! The work is done beside the thread that reads, which must not wait. Several processes may look after one journal.

use super::super::Intake;
use super::compact::{Compacted, Compaction};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

pub(super) struct Upkeep {
    work: Work,
    due: Instant,
    at_work: Option<(Instant, JoinHandle<()>)>,
}

#[derive(Clone)]
struct Work {
    path: PathBuf,
    intake: Arc<Intake>,
    stop: Arc<AtomicBool>,
    /// The log was told that it can't be done.
    told: Arc<AtomicBool>,
}

impl Upkeep {
    pub(super) fn new(path: &Path, intake: &Arc<Intake>, stop: &Arc<AtomicBool>) -> Upkeep {
        let (path, intake, stop) = (path.to_owned(), Arc::clone(intake), Arc::clone(stop));
        Upkeep { work: Work { path, intake, stop, told: Arc::default() }, due: Instant::now(), at_work: None }
    }

    /// Begins the work when it is time; never waits for it.
    pub(super) fn look(&mut self) {
        match self.at_work.take() {
            Some((began, thread)) if thread.is_finished() => {
                let rest = EVERY.max(began.elapsed() * REST);
                self.due =
                    Instant::now() + if self.work.told.load(Relaxed) { rest.max(HOPELESS) } else { rest };
            }
            Some(busy) => self.at_work = Some(busy),
            None if Instant::now() < self.due => {}
            None => {
                self.due = Instant::now() + EVERY;
                if std::fs::metadata(&self.work.path).is_ok_and(|found| found.len() > LEAST) {
                    self.begin();
                }
            }
        }
    }

    fn begin(&mut self) {
        let work = self.work.clone();
        let thread = std::thread::Builder::new().name("clinch-compact".to_owned());
        // Without a thread to spare it is done another time.
        let begun = thread.spawn(move || work.run());
        self.at_work = begun.ok().map(|thread| (Instant::now(), thread));
    }
}

impl Work {
    fn run(&self) {
        let ends = |line: &[u8]| self.intake.line_ends(line);
        let compaction = Compaction { journal: &self.path, least: LEAST, ends: &ends, stop: &self.stop };
        let journal = self.path.display();
        match compaction.run() {
            Ok(None) => {}
            Ok(Some(compacted)) => {
                self.told.store(false, Relaxed);
                let Compacted { before, after, .. } = compacted;
                tracing::info!(%journal, before, after, "the revocation journal was compacted");
                sleep(LATE);
                if let Err(error) = compacted.carry_over(&self.path) {
                    tracing::warn!(%journal, %error, "what was appended without the lock may be lost");
                }
            }
            Err(_) if self.stop.load(Relaxed) => {}
            Err(error) if !self.told.swap(true, Relaxed) => {
                tracing::info!(%journal, %error, "the revocation journal can't be compacted, and grows");
            }
            Err(_) => {}
        }
    }
}

/// A journal of this size is never worth it.
const LEAST: u64 = 1024 * 1024;
const EVERY: Duration = Duration::from_secs(60);
/// What can't be done now needs an operator first.
const HOPELESS: Duration = Duration::from_secs(3600);
/// How much longer than the work the rest after it is.
const REST: u32 = 20;
/// When somebody who does not know of the lock has certainly written to the file that was opened.
const LATE: Duration = Duration::from_secs(1);
