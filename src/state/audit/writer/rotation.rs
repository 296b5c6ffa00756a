//! When one file makes way for the next: by size, by age, or because somebody took it away.
//!
//! The last records of a file are `rotated` and a checkpoint, and they are on the disk before its name changes. While it
//! makes way nothing is written.

use super::Writer;
use std::io;
use std::time::{Duration, Instant, SystemTime};

impl Writer {
    /// When the file will be old enough; nothing grows old without a record.
    pub(super) fn rotation_due(&self) -> Option<Instant> {
        let aged = self.file.begun().checked_add(self.plan.rotate_every)?;
        (self.file.length() > 0).then(|| aged.max(self.rotate_not_before))
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
        if self.next.is_some() {
            self.sync()?;
        }
        self.make_way()
    }

    /// The same without a claim that the file before is on the disk.
    pub(super) fn make_way(&mut self) -> io::Result<()> {
        if let Some(next) = &self.next {
            self.file.make_way_for(next)?;
        }
        if let Some(next) = self.next.take() {
            self.unsynced = None;
            self.file.go_on_in(next, self.scribe.sequence() + 1);
        }
        Ok(())
    }

    /// Looks now and then whether the file is still where it was: what is written to one that was removed is lost.
    pub(super) fn look_after_file(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        if self.file.is_in_place()? {
            return Ok(());
        }
        tracing::warn!("the file of the audit log was moved or removed: another one goes on after it");
        self.next = Some(self.file.prepare()?);
        self.finish_rotation()
    }
}

/// Before another file is tried again.
const PAUSE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);
