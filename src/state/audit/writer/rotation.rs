//! When one file makes way for the next: by size, by age, because somebody took it away, or because it must not get
//! another record.
//!
//! The last records of a file are `rotated` and a checkpoint, and they are on the disk before its name changes. So are the
//! first records of the next one, a checkpoint the last of them: a crash leaves no empty file, and where they can't be
//! written the file before keeps its name. While it makes way nothing else is written.

use super::super::file::{LogFile, Touched};
use super::super::scribe::Head;
use super::{Writer, health, tell};
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

/// The file to come, while the one before makes way.
#[derive(Debug)]
pub(super) struct Next {
    /// None if it has to be made again.
    file: Option<File>,
    /// What it begins with, from when that is sealed.
    head: Option<Head>,
    /// Whether that is in it and on the disk.
    begun: bool,
}

impl Next {
    pub(super) fn of(file: File, head: Option<Head>) -> Next {
        Next { file: Some(file), head, begun: false }
    }

    /// How many records are in none of the files.
    pub(super) fn unwritten(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.brought.records)
    }

    /// Gives the file its first records and then its name, in place of the one before.
    fn comes(&mut self, before: &LogFile) -> io::Result<()> {
        let Some(head) = &self.head else { return Ok(()) };
        let begun = std::mem::take(&mut self.begun);
        let file = match self.file.take() {
            Some(file) => file,
            None => before.prepare()?,
        };
        if !begun {
            LogFile::begin(&file, &head.bytes)?;
        }
        let done = before.make_way_for(&file);
        // What somebody took away meanwhile is made again.
        if done.is_ok() || before.is_to_come(&file) {
            (self.file, self.begun) = (Some(file), true);
        }
        done
    }
}

impl Writer {
    /// When the file will be old enough; nothing grows old without a record.
    pub(super) fn rotation_due(&self) -> Option<Instant> {
        let aged = self.file.begun().checked_add(self.plan.rotate_every)?;
        (self.file.length() > self.bare).then(|| aged.max(self.rotate_not_before))
    }

    pub(super) fn rotate_if_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let large = self.file.length() >= self.plan.rotate_size && now >= self.rotate_not_before;
        if !large && self.rotation_due().is_none_or(|due| now < due) {
            return Ok(());
        }
        // What fails most easily comes first: without a next file this one goes on.
        match self.file.prepare() {
            Ok(next) => self.next = Some(Next::of(next, None)),
            Err(error) => {
                tracing::warn!(%error, "the audit log can't begin another file: this one goes on");
                self.rotate_not_before = now + PAUSE;
                return Ok(());
            }
        }
        self.scribe.rotated(|first| self.file.name_when_closed(first));
        self.scribe.checkpoint();
        self.flush()?;
        self.finish_rotation()
    }

    /// The rest of it, again and again until it is done.
    pub(super) fn finish_rotation(&mut self) -> io::Result<()> {
        let Some(Next { head, .. }) = &self.next else { return Ok(()) };
        if head.is_none() {
            // Of one that is suspect nobody claims that it is on the disk.
            if !self.must_leave() {
                self.sync()?;
            }
            self.seal_head();
        }
        if let Some(next) = &mut self.next {
            next.comes(&self.file)?;
        }
        if let Some(Next { file: Some(file), head: Some(head), .. }) = self.next.take() {
            let Head { first, bytes, brought } = head;
            self.file.go_on_in(file, first, bytes.len() as u64);
            (self.unsynced, self.suspect) = (None, None);
            (self.synced, self.bare) = (first + brought.records - 1, self.file.length());
            self.counts(brought.records);
            if let Some(checkpoint) = &brought.checkpoint {
                tell(checkpoint);
            }
        }
        Ok(())
    }

    /// Why the file before was left, if it was not for its size or age, and a checkpoint.
    fn seal_head(&mut self) {
        if let Some(from) = self.suspect {
            self.scribe.unsynced(from, self.scribe.sequence());
        }
        if let Some(touched) = self.touched.take() {
            self.scribe.touched(&touched);
        }
        self.scribe.checkpoint();
        if let Some(next) = &mut self.next {
            next.head = Some(self.scribe.take());
        }
    }

    /// Looks now and then whether the file is still as it was left: what is written to one that was removed is lost.
    pub(super) fn look_after_file(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < LOOK { Ok(()) } else { self.look_at_file() }
    }

    /// A file that others had is closed as it is, and the log goes on in another one, which says so.
    pub(super) fn look_at_file(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let before = self.touched.take();
        let Some(touched) = self.file.touched()? else { return Ok(()) };
        // Once, however often it is tried to go on elsewhere.
        if before != Some(touched) {
            health::accuse(&touched, &self.shared.metrics);
        }
        self.touched = Some(touched);
        match (self.file.prepare(), touched) {
            (Ok(next), _) => {
                self.next = Some(Next::of(next, None));
                self.finish_rotation()
            }
            (Err(_), Touched::Length { .. }) => {
                self.file.accept()?;
                self.touched = None;
                self.scribe.touched(&touched);
                self.scribe.checkpoint();
                self.flush()
            }
            (Err(error), Touched::Moved | Touched::NotBefore { .. } | Touched::NoOpenFile) => Err(error),
        }
    }
}

/// Before another file is tried again.
const PAUSE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);
