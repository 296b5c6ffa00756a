//! What the files of a log are called.
//!
//! The one that is open has the name of the configuration, `audit.jsonl`; one that was closed is called by its first
//! record, `audit.000000000001.jsonl`, so that names sort as records do. A second process at the same time has a log of
//! its own beside it, `audit.4711.jsonl`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names of one log's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    folder: PathBuf,
    stem: String,
    extension: String,
}

impl Names {
    /// Of the log whose open file this is.
    pub(crate) fn of(file: &Path) -> Names {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let extension = text(file.extension()).map(|extension| format!(".{extension}"));
        Names {
            folder: folder(file),
            stem: text(file.file_stem()).unwrap_or_default(),
            extension: extension.unwrap_or_default(),
        }
    }

    /// Of the log of another process; `again`: the how manieth of those that have this number on machines of their own.
    pub(super) fn of_process(&self, id: u32, again: usize) -> Names {
        let mark = if again == 0 { id.to_string() } else { format!("{id}-{again}") };
        Names { stem: format!("{}.{mark}", self.stem), ..self.clone() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that is open.
    pub(super) fn open(&self) -> PathBuf {
        self.folder.join(format!("{}{}", self.stem, self.extension))
    }

    /// The one that will be, before it is in its place.
    pub(super) fn next(&self) -> PathBuf {
        self.folder.join(format!("{}{}.next", self.stem, self.extension))
    }

    /// A closed one, by its first record.
    pub(crate) fn closed(&self, first: u64) -> String {
        format!("{}.{first:012}{}", self.stem, self.extension)
    }

    /// One that was found without a single record, aside from the others.
    pub(super) fn aside(&self, next: u64, again: usize) -> String {
        format!("{}.{next:012}{}.cut{}", self.stem, self.extension, mark(again))
    }

    /// One of a log that could not be believed.
    pub(super) fn unverified(&self, first: u64, again: usize) -> String {
        format!("{}.{first:012}.unverified{}{}", self.stem, mark(again), self.extension)
    }

    /// The closed file with the highest number.
    pub(super) fn newest_closed(&self) -> io::Result<Option<PathBuf>> {
        let newest = self.all_closed()?.pop();
        Ok(newest.map(|first| self.folder.join(self.closed(first))))
    }

    /// The numbers of all closed files, in order.
    pub(crate) fn all_closed(&self) -> io::Result<Vec<u64>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            all.extend(entry?.file_name().to_str().and_then(|name| self.first_of(name)));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// The number of the first record of a closed file, if that is its name.
    pub(crate) fn first_of(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.stem)?.strip_prefix('.')?.strip_suffix(&self.extension)?;
        let sound = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let first = digits.parse().ok().filter(|_| sound)?;
        (self.closed(first) == name).then_some(first)
    }
}

/// Tells files apart that would have the same name.
fn mark(again: usize) -> String {
    if again == 0 { String::new() } else { format!("-{}", again + 1) }
}

/// `file` alone is in the folder that is current.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_records_do_and_are_told_from_those_of_others() {
        let names = Names::of(Path::new("/var/log/audit.jsonl"));
        assert_eq!(names.open(), Path::new("/var/log/audit.jsonl"));
        assert_eq!(names.closed(17), "audit.000000000017.jsonl");
        assert_eq!(names.first_of("audit.000000000017.jsonl"), Some(17));
        assert_eq!(names.first_of("audit.1000000000000.jsonl"), Some(1_000_000_000_000));
        let process = names.of_process(4711, 0);
        assert_eq!(process.open(), Path::new("/var/log/audit.4711.jsonl"));
        for of_others in [
            "audit.jsonl",
            "audit.4711.jsonl",
            &process.closed(1),
            &names.aside(17, 0),
            &names.unverified(17, 1),
            "x",
        ] {
            assert_eq!(names.first_of(of_others), None, "{of_others}");
        }
        assert_eq!(names.aside(17, 1), "audit.000000000017.jsonl.cut-2");
        assert_eq!(names.unverified(17, 0), "audit.000000000017.unverified.jsonl");
        let bare = Names::of(Path::new("audit"));
        assert_eq!(
            (bare.open(), bare.closed(1)),
            (Path::new("./audit").into(), "audit.000000000001".to_owned())
        );
    }
}
