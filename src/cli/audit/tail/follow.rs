//! A file that grows, across its rotation: what is written to the old file until the end, what became of files in between,
//! and then the new one.

use super::super::files;
use crate::state::audit::verify::{LONGEST, Line, Lines};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Reads whole lines as they come.
pub(super) struct Follow {
    path: PathBuf,
    file: File,
    position: u64,
    /// The beginning of a line whose end is not yet there.
    part: Vec<u8>,
    /// The number of the last record that was given.
    last: u64,
}

impl Follow {
    /// Goes on at this place of a file that is open already: it may have been rotated since.
    pub(super) fn new(path: &Path, file: File, position: u64, last: u64) -> Follow {
        Follow { path: path.to_owned(), file, position, part: Vec::new(), last }
    }

    /// Gives every line that has come since.
    pub(super) fn poll(&mut self, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            self.drain(give)?;
            let now = match std::fs::metadata(&self.path) {
                Ok(now) => now,
                // Between two renames there is none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let held = self.file.metadata()?;
            if same(&now, &held) {
                if held.len() < self.position {
                    (self.position, self.part) = (0, Vec::new());
                    continue;
                }
                return Ok(());
            }
            // Nothing is written to the old one any more, but something may have been since it was read.
            self.drain(give)?;
            self.part.clear();
            self.in_between(give)?;
            self.file = File::open(&self.path)?;
            self.position = 0;
        }
    }

    fn drain(&mut self, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut block = vec![0; LONGEST];
        loop {
            let read = self.file.read_at(&mut block, self.position)?;
            if read == 0 {
                return Ok(());
            }
            self.position += read as u64;
            for piece in block[..read].split_inclusive(|byte| *byte == b'\n') {
                if self.part.len() <= LONGEST {
                    self.part.extend_from_slice(piece);
                }
                if piece.ends_with(b"\n") {
                    let line = std::mem::take(&mut self.part);
                    if line.len() <= LONGEST {
                        self.last = sequence(&line).unwrap_or(self.last);
                        give(&line[..line.len() - 1])?;
                    }
                }
            }
        }
    }

    /// Files that were begun and rotated since the last look.
    fn in_between(&mut self, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let held = self.file.metadata()?;
        for (first, path) in files::rotated(&self.path)? {
            let file = File::open(path)?;
            if first <= self.last || same(&file.metadata()?, &held) {
                continue;
            }
            let mut lines = Lines::new(io::BufReader::new(file));
            loop {
                match lines.next()? {
                    Line::Whole(line) => {
                        self.last = sequence(line).unwrap_or(self.last);
                        give(line)?;
                    }
                    Line::Partial(_) | Line::TooLong => {}
                    Line::End => break,
                }
            }
        }
        Ok(())
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The number that a line begins with.
pub(super) fn sequence(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(br#"{"seq":"#)?;
    let mut text = String::new();
    digits.take(20).read_to_string(&mut text).ok();
    text.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    struct Directory(PathBuf);
    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn record(sequence: u64) -> String {
        format!("{{\"seq\":{sequence},\"time\":\"T\"}}\n")
    }

    #[test]
    fn nothing_is_missed_when_files_are_rotated() {
        let directory = Directory(std::env::temp_dir().join(format!("clinch-follow-{}", std::process::id())));
        std::fs::create_dir(&directory.0).unwrap();
        let path = directory.0.join("audit.jsonl");
        let append = |text: &str| {
            let mut file = File::options().create(true).append(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let rotate = |first: u64| {
            std::fs::rename(&path, directory.0.join(format!("audit.{first:012}.jsonl"))).unwrap()
        };
        append(&record(1));
        let mut follow = Follow::new(&path, File::open(&path).unwrap(), 0, 0);
        let mut seen = Vec::new();
        let mut poll = |follow: &mut Follow| {
            let mut now = Vec::new();
            follow
                .poll(&mut |line| {
                    now.push(sequence(line).unwrap());
                    Ok(())
                })
                .unwrap();
            seen.extend(now.clone());
            now
        };
        assert_eq!(poll(&mut follow), [1]);
        append(&record(2)[..10]);
        assert_eq!(poll(&mut follow), [0_u64; 0]);
        append(&record(2)[10..]);
        assert_eq!(poll(&mut follow), [2]);
        append(&record(3));
        rotate(1);
        assert_eq!(poll(&mut follow), [3], "there is no new file yet");
        append(&record(4));
        rotate(4);
        append(&record(5));
        rotate(5);
        append(&record(6));
        assert_eq!(poll(&mut follow), [4, 5, 6]);
        append(&record(7));
        assert_eq!(poll(&mut follow), [7]);
        append(&"x".repeat(3 * LONGEST));
        append("\n");
        append(&record(8));
        assert_eq!(poll(&mut follow), [8], "a line that is too long is left out");
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
