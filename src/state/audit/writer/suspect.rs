//! A file that could not be synced is not trusted with another record.
//!
//! Linux tells of a page that it could not write back once; the next fdatasync succeeds, and the page is gone. So nothing
//! in that file since the last sync counts as durable any more, whatever is said later: the log goes on in another
//! one, whose first records say for which records that is so. It has its name once those are on the disk.

use super::Writer;
use super::rotation::Next;
use std::io;

impl Writer {
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self.file.sync() {
            Ok(()) => {
                self.unsynced = None;
                self.synced = self.scribe.sequence();
                Ok(())
            }
            Err(error) => {
                self.suspects(&error);
                Err(error)
            }
        }
    }

    /// Whether the file must not get another record.
    pub(super) fn must_leave(&self) -> bool {
        self.suspect.is_some()
    }

    /// Goes on in another file if this one can't be trusted, and says why; or because it was to make way anyhow.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        if self.must_leave() && self.next.is_none() {
            self.next = Some(Next::of(self.file.prepare()?, None));
        }
        self.finish_rotation()
    }

    fn suspects(&mut self, error: &io::Error) {
        let from = *self.suspect.get_or_insert(self.synced + 1);
        let (number, to) = (self.number, self.scribe.sequence());
        self.shared.progress.send_modify(|progress| progress.doubted = progress.doubted.max(number));
        tracing::error!(
            %error, from, to,
            "whether these records of the audit log are on the disk is not known: it goes on in another file"
        );
    }
}
