//! The advisory lock that writers of a journal hold, and whoever replaces it.
//!
//! It belongs to a file, not to a path: who has it must see whether the path still names that file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until nobody else has the lock, until the deadline at most. Where the file system knows no locks nobody can
/// have it, and nobody compacts either.
pub(super) fn exclusively(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(held()),
            Err(TryLockError::WouldBlock) => sleep(RETRY),
        }
    }
}

pub(super) fn held() -> io::Error {
    let fault = format!("another process has held the journal's lock for {} seconds", PATIENCE.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, fault)
}

/// Takes the lock of a file that is still at this path, if nobody has it.
pub(super) fn at_once(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => is_at(file, path),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the path names this file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(identity(&found) == identity(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Device and inode: what a file is, whatever it is called.
pub(super) fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// How long to wait for the lock, which is held for a write, or for the last lines of a compaction.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(1);
