//! A journal without the events that are long over.
//!
//! Decides when that is worth it, and does it so that nothing else gets lost, whoever else appends, compacts or reads,
//! and wherever it is cut off. What is kept is copied to a [draft](super::draft) first without, then, for what was
//! appended meanwhile, with the journal's lock; the draft is synchronised and takes the journal's name.

use super::continued::Continued;
use super::draft::Draft;
use super::{append, lock};
use crate::pop::Timestamp;
use crate::state::revocation::event::MAX_BYTES;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// What is compacted, and by which rule.
#[derive(Clone, Copy)]
pub struct Compaction<'a> {
    /// Its path; where that is a symbolic link, what it points to is compacted.
    pub journal: &'a Path,
    /// One that is not longer, in bytes, is left alone.
    pub least: u64,
    /// When nothing that a line revokes can be valid any more. A line without an end is kept.
    pub ends: &'a dyn Fn(&[u8]) -> Option<Timestamp>,
    /// Give up.
    pub stop: &'a AtomicBool,
}

/// What has become of a journal.
#[derive(Debug)]
pub struct Compacted {
    /// Its length in bytes.
    pub before: u64,
    /// The length of the one that took its place.
    pub after: u64,
    /// The former journal, which has no name any more.
    former: File,
}

impl Compaction<'_> {
    /// Compacts the journal if more than half of it is over; `None` if it is not, or another process is at it.
    ///
    /// # Errors
    /// Those of the files; also if owner, group or mode could not be kept, or the lock could not be had. The journal is
    /// as it was.
    pub fn run(&self) -> io::Result<Option<Compacted>> {
        let path = fs::canonicalize(self.journal)?;
        // Who may not write it has no business here.
        let old = OpenOptions::new().read(true).write(true).open(&path)?;
        let found = old.metadata()?;
        if found.len() <= self.least {
            return Ok(None);
        }
        if found.nlink() == 0 {
            return Ok(None); // replaced just now
        }
        if !found.is_file() || found.nlink() > 1 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it has other names, or is no file"));
        }
        let Some(complete) = self.survey(&old, as_of(&found)?)? else { return Ok(None) };
        let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
        let Some(mut draft) = Draft::claim(&path)? else { return Ok(None) };
        draft.resemble(&found)?;
        let Some((before, after)) = self.write(&old, complete, &path, &draft.file)? else { return Ok(None) };
        draft.place(&path)?;
        // What is appended from now on must not be in a file that a crash takes the name from.
        directory.sync_all()?;
        // For those who wait with the old one in their hands. Drafts let go by being dropped.
        let _ = old.unlock();
        Ok(Some(Compacted { before, after, former: old }))
    }

    /// Whether it is worth it; if so, where the last line ends.
    fn survey(&self, old: &File, as_of: Timestamp) -> io::Result<Option<u64>> {
        let (mut all, mut over, mut complete) = (0, 0, 0);
        self.each_line(old, 0..u64::MAX, &mut |line, whole| {
            all += line.len() as u64;
            over += if whole && self.is_over(line, as_of) { line.len() as u64 } else { 0 };
            complete = if line.ends_with(b"\n") { all } else { complete };
            Ok(())
        })?;
        Ok((over * 2 > all).then_some(complete))
    }

    /// Writes what is kept, and has the journal's lock then; `None` if the journal is not what it was. Both lengths.
    fn write(&self, old: &File, complete: u64, path: &Path, new: &File) -> io::Result<Option<(u64, u64)>> {
        let as_of = as_of(&old.metadata()?)?;
        let mut out = BufWriter::with_capacity(BUFFER, new);
        out.write_all(&[b' '; Continued::LENGTH as usize])?;
        let mut kept = self.copy(old, 0..complete, as_of, &mut out)?;
        out.flush()?;
        new.sync_data()?;
        lock::exclusively(old, Instant::now() + lock::PATIENCE)?;
        let found = old.metadata()?;
        if !lock::is_at(old, path)? || found.len() < complete {
            return Ok(None);
        }
        kept += self.copy(old, complete..found.len(), as_of, &mut out)?;
        out.flush()?;
        new.write_all_at(Continued::new(&found, found.len(), kept).line().as_bytes(), 0)?;
        new.set_modified(found.modified()?)?;
        new.sync_all()?;
        Ok(Some((found.len(), Continued::LENGTH + kept)))
    }

    /// How many bytes were kept.
    fn copy(
        &self,
        old: &File,
        range: std::ops::Range<u64>,
        as_of: Timestamp,
        out: &mut impl Write,
    ) -> io::Result<u64> {
        let mut kept = 0;
        self.each_line(old, range, &mut |line, whole| {
            if whole && self.is_over(line, as_of) {
                return Ok(());
            }
            kept += line.len() as u64;
            out.write_all(line)
        })?;
        Ok(kept)
    }

    /// With its newline, and whether it is a line: what is too long for an event comes in pieces, and what has no newline
    /// yet may get one.
    fn each_line(
        &self,
        old: &File,
        range: std::ops::Range<u64>,
        take: &mut dyn FnMut(&[u8], bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut old = old;
        old.seek(SeekFrom::Start(range.start))?;
        let mut reader = BufReader::with_capacity(BUFFER, old.take(range.end - range.start));
        let (mut line, mut within) = (Vec::new(), false);
        loop {
            line.clear();
            if (&mut reader).take(MAX_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if self.stop.load(Relaxed) {
                return Err(io::Error::other("it was given up"));
            }
            let ended = line.ends_with(b"\n");
            take(&line, ended && !within)?;
            within = !ended;
        }
    }

    /// Whether the line is worth nothing to anybody.
    fn is_over(&self, line: &[u8], as_of: Timestamp) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.trim_ascii().is_empty()
            || Continued::parse(line).is_some()
            || (self.ends)(line).is_some_and(|end| end.plus(SLACK) < as_of)
    }
}

impl Compacted {
    /// Saves what somebody appended who does not know of the lock, and had the former journal open.
    ///
    /// # Errors
    /// Those of [`append`].
    pub fn carry_over(&self, journal: &Path) -> io::Result<()> {
        let mut former = &self.former;
        former.seek(SeekFrom::Start(self.before))?;
        for line in BufReader::new(former.take(MOST_LATE)).split(b'\n') {
            match String::from_utf8(line?) {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => append(journal, &line).map(drop)?,
                Err(_) => return Err(io::Error::from(io::ErrorKind::InvalidData)),
            }
        }
        Ok(())
    }
}

/// What time it is; not later than the journal was last written, so that a clock that has lost its way drops nothing
/// that is still needed.
fn as_of(journal: &Metadata) -> io::Result<Timestamp> {
    Ok(Timestamp::from_system(SystemTime::now().min(journal.modified()?)))
}

/// How much longer than it counts an event is kept: the clocks of several machines differ.
const SLACK: Duration = Duration::from_secs(600);
/// More than that is no event that came late, but somebody who keeps the file open, and will go on.
const MOST_LATE: u64 = 1024 * 1024;
const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests;
