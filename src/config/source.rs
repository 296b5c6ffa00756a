//! The files that a configuration was made of, and how they looked when they were read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is, as far as it was said.
    pub path: PathBuf,
    /// What was read; `None` where nothing was there.
    pub look: Option<Look>,
}

/// What tells one content of a file from the next: which file it is, how long, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    /// Of an open file.
    pub(super) fn of(is: &Metadata) -> Look {
        Look {
            file: (is.dev(), is.ino()),
            size: is.size(),
            modified: (is.mtime(), is.mtime_nsec()),
            changed: (is.ctime(), is.ctime_nsec()),
        }
    }

    /// Of what is there now, through symbolic links.
    pub fn at(path: &Path) -> Option<Look> {
        std::fs::metadata(path).ok().map(|is| Look::of(&is))
    }
}
