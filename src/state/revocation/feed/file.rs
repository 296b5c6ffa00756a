//! The journal: one event a line, appended by anybody who may write the file, tailed here.
//!
//! The whole file is applied before the feed is ready; then its length is looked at every few
//! milliseconds (a `stat` costs a microsecond, works on every file system, and sees replacement as well
//! as growth). A last line without its newline waits for it. A file that was replaced or got shorter is
//! read again from its start, which does no harm because events are idempotent. What can't be seen:
//! a file cut and refilled beyond its former length between two looks; append, or replace by renaming.
//!
//! Bad lines stay where they are, in the journal; the log tells at which byte.
//!
//! Writers and whoever [compacts](Compaction) the journal exclude one another by an advisory lock on the file; readers
//! need none.

mod append;
mod compact;
mod continued;
mod draft;
mod lock;
mod over;
mod tail;
mod upkeep;

use super::{Delivery, Intake, Progress, RETRY_FULL, Taken};
use crate::pop::Timestamp;
use anyhow::Context;
pub use append::{Appended, append};
pub use compact::{Compacted, Compaction};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tail::Tail;
use upkeep::Upkeep;

/// A journal being followed, by a thread of its own, until dropped.
#[derive(Debug)]
pub(in crate::state::revocation) struct Journal {
    stop: Arc<AtomicBool>,
    /// How far it has been read, in bytes.
    read: Arc<AtomicU64>,
    path: PathBuf,
}

impl Journal {
    /// Creates the file if there is none, so that publishers and readers agree on it, and follows it.
    pub(super) fn start(path: &Path, intake: Arc<Intake>) -> anyhow::Result<Journal> {
        if !path.exists() {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("can't create the revocation journal {}", path.display()))?;
        }
        File::open(path).with_context(|| format!("can't read the revocation journal {}", path.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (read, path) = (Arc::default(), path.to_owned());
        let reader = Reader { intake, stop: Arc::clone(&stop), read: Arc::clone(&read), path: path.clone() };
        let alive = reader.intake.health.alive();
        let follow = move || {
            let _alive = alive;
            reader.follow();
        };
        std::thread::Builder::new().name("clinch-journal".to_owned()).spawn(follow)?;
        Ok(Journal { stop, read, path })
    }

    pub(super) fn place(&self) -> u64 {
        self.read.load(Relaxed)
    }

    pub(super) fn progress(&self) -> Progress {
        let place = Place { at: self.read.load(Relaxed), journal: &self.path };
        Progress { position: Some(place.to_string()), ..Progress::default() }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

struct Reader {
    intake: Arc<Intake>,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    path: PathBuf,
}

impl Reader {
    fn follow(self) {
        let mut tail = Tail::new(self.path.clone());
        let mut upkeep = Upkeep::new(&self.path, &self.intake, &self.stop);
        let mut readable = true;
        while !self.stop.load(Relaxed) {
            match tail.advance(&mut |line, at| self.apply(line, at)) {
                Ok(()) if self.stop.load(Relaxed) => return,
                Ok(()) => {
                    readable = true;
                    self.read.store(tail.position(), Relaxed);
                    self.intake.heard();
                    upkeep.look();
                }
                Err(error) => {
                    self.intake.health.lost();
                    if std::mem::replace(&mut readable, false) {
                        tracing::warn!(journal = %self.path.display(), %error, "the revocation journal can't be read");
                    }
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    fn apply(&self, line: &[u8], at: u64) {
        let place = Place { at, journal: &self.path };
        while !self.stop.load(Relaxed) {
            let delivery = Delivery { bytes: line, place: &place, published: None };
            match self.intake.take(&delivery, Timestamp::from_system(SystemTime::now())) {
                Taken::Applied | Taken::Parked | Taken::Refused(_) => {
                    return self.read.store(at, Relaxed);
                }
                Taken::Full => std::thread::sleep(RETRY_FULL),
            }
        }
    }
}

/// Where in the journal an event ends.
struct Place<'a> {
    at: u64,
    journal: &'a Path,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of {}", self.at, self.journal.display())
    }
}

/// The delay that a journal adds to a revocation, at most.
const LOOK: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests;
