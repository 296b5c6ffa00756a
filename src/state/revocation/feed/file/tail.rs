//! A file read line by line as it grows, through replacement and shortening.
//!
//! A journal that was [compacted](super::compact) says which file it continues; who has read that one to its end goes
//! on behind what was kept of it, so that no event is handed on twice. Every other file is read from its start.

use super::continued::Continued;
use super::lock::identity;
use crate::state::revocation::event::MAX_BYTES;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file that is being followed.
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    identity: (u64, u64),
    /// How far the file has been read.
    offset: u64,
    /// The beginning of a line whose end has not been written yet.
    line: Vec<u8>,
    /// The line was too long and has been handed on; its rest is passed over.
    passing: bool,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Tail {
        Tail { path, open: None }
    }

    /// Hands on every line that was completed since, with the offset of its end.
    pub(super) fn advance(&mut self, take: &mut dyn FnMut(&[u8], u64)) -> io::Result<()> {
        let found = fs::metadata(&self.path)?;
        let mut before = None;
        if let Some(open) = &mut self.open {
            if open.identity != identity(&found) {
                open.read(take)?;
                before = self.open.take();
            } else if found.len() < open.offset {
                self.open = None;
            } else if found.len() == open.offset {
                return Ok(());
            }
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::new(&self.path, before)?),
        };
        open.read(take)
    }

    /// Up to where every line was handed on.
    pub(super) fn position(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.offset - open.line.len() as u64)
    }
}

impl Open {
    /// `before`: what was at the path until now, read to its end.
    fn new(path: &Path, before: Option<Open>) -> io::Result<Open> {
        let mut file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        let (mut offset, mut line, mut passing) = (0, Vec::new(), false);
        if let Some(continued) = Continued::read(&file)? {
            offset = Continued::LENGTH;
            let goes_on = |before: &Open| continued.of == before.identity && continued.bytes == before.offset;
            if let Some(before) = before.filter(goes_on) {
                offset += continued.kept;
                (line, passing) = (before.line, before.passing);
            }
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Open { file, identity, offset, line, passing })
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8], u64)) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for piece in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                self.offset += piece.len() as u64;
                self.piece(piece, take);
            }
        }
    }

    fn piece(&mut self, piece: &[u8], take: &mut dyn FnMut(&[u8], u64)) {
        let (text, ended) = match piece.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (piece, false),
        };
        if !self.passing {
            self.line.extend_from_slice(text);
        }
        let too_long = self.line.len() > MAX_BYTES;
        if (ended || too_long) && !self.line.trim_ascii().is_empty() {
            take(&self.line, self.offset);
        }
        if ended || too_long {
            self.line.clear();
            self.passing = (self.passing || too_long) && !ended;
        }
    }
}
