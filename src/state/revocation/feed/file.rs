//! The journal: one event a line, appended by anybody who may write the file, tailed here.
//!
//! The whole file is applied before the feed is ready; then its length is looked at every few
//! milliseconds (a `stat` costs a microsecond, works on every file system, and sees replacement as well
//! as growth). A last line without its newline waits for it. A file that was replaced or got shorter is
//! read again from its start, which does no harm because events are idempotent. What can't be seen:
//! a file cut and refilled beyond its former length between two looks; append, or replace by renaming.
//!
//! Bad lines stay where they are, in the journal; the log tells at which byte.

use super::{Delivery, Intake, Progress, RETRY_FULL, Taken};
use crate::pop::Timestamp;
use crate::state::revocation::event::MAX_BYTES;
use anyhow::Context;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

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

/// Where an event was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// To a journal that was there.
    Existing,
    /// To one that was made for it, which perhaps nobody reads.
    Created,
}

/// Appends one event, in one write, so that writers in several processes don't mix.
///
/// # Errors
/// Those of the file; also if only a part of the line could be written. `event` is one line, without its newline.
pub fn append(path: &Path, event: &str) -> io::Result<Appended> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    let (mut file, appended) = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (options.create(true).open(path)?, Appended::Created)
        }
        opened => (opened?, Appended::Existing),
    };
    let mut line = format!("{event}\n");
    if ends_within_a_line(&mut file)? {
        line.insert(0, '\n');
    }
    let written = file.write(line.as_bytes())?;
    if written < line.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "only a part of the line was written"));
    }
    file.sync_data()?;
    Ok(appended)
}

/// Somebody died while writing: what follows must not become a part of that.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
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
        let mut readable = true;
        while !self.stop.load(Relaxed) {
            match tail.advance(&mut |line, at| self.apply(line, at)) {
                Ok(()) if self.stop.load(Relaxed) => return,
                Ok(()) => {
                    readable = true;
                    self.intake.heard();
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

/// A file read line by line as it grows.
struct Tail {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    identity: (u64, u64),
    /// How far the file has been read.
    offset: u64,
    /// The beginning of a line whose end has not been written yet.
    line: Vec<u8>,
    /// The line was too long and has been handed on; its rest is passed over.
    passing: bool,
}

impl Tail {
    fn new(path: PathBuf) -> Tail {
        Tail { path, open: None }
    }

    /// Hands on every line that was completed since, with the offset of its end.
    fn advance(&mut self, take: &mut dyn FnMut(&[u8], u64)) -> io::Result<()> {
        let found = fs::metadata(&self.path)?;
        if let Some(open) = &mut self.open {
            if open.identity != identity(&found) {
                open.read(take)?;
                self.open = None;
            } else if found.len() < open.offset {
                self.open = None;
            } else if found.len() == open.offset {
                return Ok(());
            }
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::new(&self.path)?),
        };
        open.read(take)
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Open> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Open { file, identity, offset: 0, line: Vec::new(), passing: false })
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8], u64)) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for piece in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                self.offset += piece.len() as u64;
                self.piece(piece, take);
            }
        }
    }

    fn piece(&mut self, piece: &[u8], take: &mut dyn FnMut(&[u8], u64)) {
        let (text, ended) = match piece.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (piece, false),
        };
        if !self.passing {
            self.line.extend_from_slice(text);
        }
        let too_long = self.line.len() > MAX_BYTES;
        if (ended || too_long) && !self.line.trim_ascii().is_empty() {
            take(&self.line, self.offset);
        }
        if ended || too_long {
            self.line.clear();
            self.passing = (self.passing || too_long) && !ended;
        }
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The delay that a journal adds to a revocation, at most.
const LOOK: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests;
