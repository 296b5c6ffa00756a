//! The new journal while it is written: a file beside the old one that only one process has.
//!
//! Its lock says whether whoever made it still lives. What somebody left who died is removed.

use super::lock;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Removed when it is dropped, unless it has taken the journal's place.
pub(super) struct Draft {
    pub(super) file: File,
    path: PathBuf,
    placed: bool,
}

impl Draft {
    /// Begins one; `None` while another process is at it.
    pub(super) fn claim(journal: &Path) -> io::Result<Option<Draft>> {
        let path = beside(journal);
        for _ in 0..2 {
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) if lock::at_once(&file, &path)? => {
                    return Ok(Some(Draft { file, path, placed: false }));
                }
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if !remove_left_over(&path)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Gives it the owner and the mode of the journal: nobody may lose or gain anything by a compaction.
    pub(super) fn resemble(&self, journal: &Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (journal.uid(), journal.gid()) {
            fchown(&self.file, Some(journal.uid()), Some(journal.gid()))?;
        }
        self.file.set_permissions(journal.permissions())
    }

    /// Puts it in the journal's place. It stays locked until it is dropped.
    pub(super) fn place(&mut self, journal: &Path) -> io::Result<()> {
        fs::rename(&self.path, journal)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the file is gone, because whoever made it is.
fn remove_left_over(path: &Path) -> io::Result<bool> {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::symlink_metadata(path) {
        Err(error) if is_gone(&error) => return Ok(true),
        Err(error) => return Err(error),
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is beside it is no file")),
    }
    let left = match File::open(path) {
        Err(error) if is_gone(&error) => return Ok(true),
        opened => opened?,
    };
    // While we have the lock nobody else removes it, or makes another of this name.
    let ours = lock::at_once(&left, path)?;
    if ours {
        fs::remove_file(path)?;
    }
    Ok(ours)
}

/// `.NAME.compacting`
pub(super) fn beside(journal: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(journal.file_name().unwrap_or_default());
    name.push(".compacting");
    journal.with_file_name(name)
}
