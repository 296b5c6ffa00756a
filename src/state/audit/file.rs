//! The file that is open for records: found, continued, and replaced by the next one.
//!
//! Whoever writes it has its lock, and only one has. At each moment the name of the configuration leads to a locked file:
//! the next one takes its name in one step, after the one before got a second name, and when its first records are on the
//! disk: whoever finds it empty knows that it was not left so. Nothing here removes or cuts what was written: a file
//! that a crash left with half a record at its end is closed as it is.

mod found;
mod touched;

pub(super) use touched::Touched;

use super::chain::End;
use super::names::Names;
use super::vouched::Vouched;
use anyhow::{Context, bail};
use aws_lc_rs::signature::Ed25519KeyPair;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

/// A locked file, and what is known of it.
#[derive(Debug)]
pub(super) struct LogFile {
    names: Names,
    file: File,
    length: u64,
    /// The number of its first record.
    first: u64,
    /// When that was written.
    begun: Instant,
    /// What it will be called when it has made way, if not by its first record.
    aside: Option<String>,
}

/// A log that goes on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: LogFile,
    /// The file that the log goes on in, which has to get its first records and then its name: the one that was found
    /// must not get another.
    pub(super) next: Option<File>,
    /// What the next record is bound to.
    pub(super) end: End,
    /// Bytes of half a record that the file before ends with.
    pub(super) cut: Option<u64>,
    /// How far it can be believed; `None` where nothing is signed.
    pub(super) vouched: Option<Vouched>,
    /// What should be there and is not.
    pub(super) touched: Option<Touched>,
    /// Who wrote the record that it goes on after.
    pub(super) replica: Option<String>,
}

impl LogFile {
    /// Continues the log of this name, or if another process writes it, one beside it. With a key: only what that can be
    /// believed to have signed.
    pub(super) fn open(path: &Path, key: Option<&Ed25519KeyPair>) -> anyhow::Result<Opened> {
        let names = Names::of(path);
        let id = std::process::id();
        let beside = (0..MOST_BESIDE).map(|again| names.of_process(id, again));
        for names in std::iter::once(names.clone()).chain(beside) {
            let found = locked(&names).with_context(|| names.open().display().to_string())?;
            let Some(file) = found else { continue };
            if names.open() != Names::of(path).open() {
                let file = names.open();
                tracing::warn!(file = %file.display(), "another process writes the audit log: this one has a log of its own");
            }
            return found::go_on(names, file, key);
        }
        bail!("{}: other processes write it, and all the logs beside it", path.display())
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }
    /// What a file that begins with this record is called when it is closed.
    pub(super) fn name_when_closed(&self, first: u64) -> String {
        self.names.closed(first)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    /// Everything written is on the disk.
    ///
    /// # Errors
    /// It may not be, and will never be known to be: Linux tells a page that it could not write once, and the next call
    /// succeeds without it.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_data(&self.file)
    }

    /// Writes the first records of the file to come, to the disk. Whatever fails: another one has to be made.
    pub(super) fn begin(mut next: &File, records: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        tests::begin()?;
        next.write_all(records)?;
        sync_data(next)
    }

    /// Whether the file to come has its name, or the one that it has until then, as far as that can be seen.
    pub(super) fn is_to_come(&self, next: &File) -> bool {
        [self.names.open(), self.names.next()].iter().any(|path| is_at(next, path).unwrap_or(true))
    }

    /// Makes the file that will be next: locked, and under another name yet.
    pub(super) fn prepare(&self) -> io::Result<File> {
        match fs::remove_file(self.names.next()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = options().create_new(true).open(self.names.next())?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
            Err(error) => Err(error.into()),
        }
    }

    /// The next file, which begins with this record and has so many bytes, is the open one now.
    pub(super) fn go_on_in(&mut self, next: File, first: u64, length: u64) {
        (self.file, self.length, self.first, self.begun) = (next, length, first, Instant::now());
        self.aside = None;
    }

    /// Closes this file and gives its name to the next one. To do it again after it failed halfway does no harm.
    pub(super) fn make_way_for(&self, next: &File) -> io::Result<()> {
        let closed = self.aside.clone().unwrap_or_else(|| self.names.closed(self.first));
        let (open, closed) = (self.names.open(), self.names.folder().join(closed));
        if !is_at(next, &open)? {
            if is_at(&self.file, &open)? {
                self.name_again(&closed)?;
            } else if fs::metadata(&open).is_ok_and(|found| found.len() > 0) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "another file is in the place of the audit log",
                ));
            }
            fs::rename(self.names.next(), &open)?;
        }
        sync_folder(&self.names)
    }

    fn name_again(&self, closed: &Path) -> io::Result<()> {
        if is_at(&self.file, closed)? {
            return Ok(());
        }
        if closed.exists() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file of the name that it gets when closed",
            ));
        }
        // Where a file can have one name only, there is a moment without.
        fs::hard_link(self.names.open(), closed).or_else(|_| fs::rename(self.names.open(), closed))
    }
}

/// Takes the file if nobody has it, and makes it if it is not there.
fn locked(names: &Names) -> io::Result<Option<File>> {
    for _ in 0..MOST_TRIES {
        let file = options().create(true).open(names.open())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    "the file system of the audit log knows no locks: nothing keeps two processes apart"
                );
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // It may have made way for the next one meanwhile.
        if is_at(&file, &names.open())? {
            sync_folder(names)?;
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(test)]
    tests::sync()?;
    file.sync_data()
}

/// The names are on the disk. Some file systems know no such thing of a folder, and say so.
fn sync_folder(names: &Names) -> io::Result<()> {
    #[cfg(test)]
    tests::sync_folder()?;
    unless_unsupported(File::open(names.folder())?.sync_all())
}

fn unless_unsupported(result: io::Result<()>) -> io::Result<()> {
    let unsupported = [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported];
    result.or_else(|error| if unsupported.contains(&error.kind()) { Ok(()) } else { Err(error) })
}

/// Whether the path leads to this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::metadata(path) {
        Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640);
    options
}

/// Processes of one number on several machines that share a folder.
const MOST_BESIDE: usize = 16;
/// How often the file may change under whoever wants its lock.
const MOST_TRIES: usize = 16;

#[cfg(test)]
pub(super) mod tests;
