//! A file that could not be synced is not trusted with another record.
//!
//! Linux tells of a page that it could not write back once; the next fdatasync succeeds, and the page is gone. So nothing
//! in that file since the last sync counts as durable any more, whatever is said later: the log goes on in another
//! one, whose first record says for which records that is so.

use super::Writer;
use std::io;

/// What is not known to be on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// The first such record.
    from: u64,
    /// The log goes on in another file, which says so; that may not be on the disk yet.
    left: bool,
}

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
        self.suspect.is_some_and(|suspect| !suspect.left)
    }

    /// Goes on in another file, and says why.
    pub(super) fn leave_suspect(&mut self) -> io::Result<()> {
        let Some(Suspect { from, left }) = self.suspect else { return Ok(()) };
        if !left {
            if self.next.is_none() {
                self.next = Some(self.file.prepare()?);
            }
            self.make_way()?;
            self.scribe.unsynced(from, self.scribe.sequence());
            self.scribe.checkpoint();
            self.suspect = Some(Suspect { from, left: true });
        }
        self.flush()?;
        self.sync()?;
        self.suspect = None;
        Ok(())
    }

    fn suspects(&mut self, error: &io::Error) {
        let from = self.suspect.map_or(self.synced + 1, |suspect| suspect.from);
        self.suspect = Some(Suspect { from, left: false });
        let (number, to) = (self.number, self.scribe.sequence());
        self.shared.progress.send_modify(|progress| progress.doubted = progress.doubted.max(number));
        tracing::error!(
            %error, from, to,
            "whether these records of the audit log are on the disk is not known: it goes on in another file"
        );
    }
}
