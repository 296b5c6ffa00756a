//! When one file makes way for the next: by size, by age, or because somebody took it away.
//!
//! The last records of a file are `rotated` and a checkpoint, and they are on the disk before its name changes. While it
//! makes way nothing is written. The next one begins with a checkpoint.

use super::super::file::Touched;
use super::{Writer, health};
use std::io;
use std::time::{Duration, Instant, SystemTime};

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
            Ok(next) => self.next = Some(next),
            Err(error) => {
                tracing::warn!(%error, "the audit log can't begin another file: this one goes on");
                self.rotate_not_before = now + PAUSE;
                return Ok(());
            }
        }
        self.scribe.keep_close(SystemTime::now());
        let first_of_next = self.scribe.sequence() + 3;
        self.scribe.rotated(&self.file.name_when_closed(first_of_next));
        self.scribe.checkpoint();
        self.flush()?;
        self.finish_rotation()
    }

    /// The rest of it, again and again until it is done.
    pub(super) fn finish_rotation(&mut self) -> io::Result<()> {
        if self.next.is_none() {
            return Ok(());
        }
        self.sync()?;
        self.make_way()?;
        // Whoever finds it empty, or not at all, knows that it was not left so.
        if let Some(touched) = self.touched.take() {
            self.scribe.touched(&touched);
        }
        self.scribe.checkpoint();
        self.flush()?;
        self.bare = self.file.length();
        Ok(())
    }

    /// The same without a claim that the file before is on the disk.
    pub(super) fn make_way(&mut self) -> io::Result<()> {
        if let Some(next) = &self.next {
            self.file.make_way_for(next)?;
        }
        if let Some(next) = self.next.take() {
            (self.unsynced, self.bare) = (None, 0);
            self.file.go_on_in(next, self.scribe.sequence() + 1);
        }
        Ok(())
    }

    /// Looks now and then whether the file is still as it was left: what is written to one that was removed is lost.
    pub(super) fn look_after_file(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < LOOK { Ok(()) } else { self.look_at_file() }
    }

    /// A file that others had is closed as it is, and the log goes on in another one, which says so.
    pub(super) fn look_at_file(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let Some(touched) = self.file.touched()? else { return Ok(()) };
        health::accuse(&touched, &self.shared.metrics);
        match (self.file.prepare(), touched) {
            (Ok(next), _) => {
                (self.next, self.touched) = (Some(next), Some(touched));
                self.finish_rotation()
            }
            (Err(_), Touched::Length { .. }) => {
                self.file.accept()?;
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
