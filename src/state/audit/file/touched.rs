//! What others did to the files of the log: nobody but their writer may change, move or remove them.
//!
//! The writer knows how long its file has to be. At the start it is known only what has to be there besides: the record
//! that the open file begins after, and an open file, where there are closed ones.

use super::super::chain::{End, Hash};
use super::super::names::Names;
use super::super::tail::{self, Head};
use super::{LogFile, is_at};
use std::fs::File;
use std::io;

/// What was done, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::audit) enum Touched {
    /// The file has another length than what was written gives it.
    Length {
        /// In bytes.
        expected: u64,
        /// In bytes.
        found: u64,
    },
    /// The name does not lead to it any more.
    Moved,
    /// The record that the open file begins after is in no closed one.
    NotBefore {
        /// Its number.
        record: u64,
    },
    /// There are closed files, and no open one, or an empty one.
    NoOpenFile,
}

impl Touched {
    /// In the log, and in the log's record.
    pub(in crate::state::audit) fn what(&self) -> &'static str {
        match self {
            Touched::Length { expected, found } if found < expected => "shortened",
            Touched::Length { .. } => "extended",
            Touched::Moved => "moved",
            Touched::NotBefore { .. } => "not_before",
            Touched::NoOpenFile => "no_open_file",
        }
    }
}

impl LogFile {
    /// Whether somebody else had the file since it was opened. Nothing of the writer's may be under way.
    pub(in crate::state::audit) fn touched(&self) -> io::Result<Option<Touched>> {
        if !is_at(&self.file, &self.names.open())? {
            return Ok(Some(Touched::Moved));
        }
        let found = self.file.metadata()?.len();
        Ok((found != self.length).then_some(Touched::Length { expected: self.length, found }))
    }

    /// It is as long as it is: for want of another one this is gone on with.
    pub(in crate::state::audit) fn accept(&mut self) -> io::Result<()> {
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

/// What is missing of a log that is gone on with, its open file having this beginning and this length.
pub(super) fn at_the_start(names: &Names, head: Option<Head>, length: u64) -> io::Result<Option<Touched>> {
    let closed = names.all_closed()?;
    let Some(head) = head else {
        // A crash leaves the beginning of a record, or more than that.
        return Ok((length == 0 && !closed.is_empty()).then_some(Touched::NoOpenFile));
    };
    let before = head.sequence - 1;
    if before == 0 {
        return Ok(None);
    }
    // The newest one, as a rule: but one that others had changed may be called by a later number than it has.
    for first in closed.into_iter().rev().take(MOST_LOOKED_AT) {
        if ends_with(names, first, before, head.prev)? {
            return Ok(None);
        }
    }
    Ok(Some(Touched::NotBefore { record: before }))
}

fn ends_with(names: &Names, first: u64, sequence: u64, hash: Hash) -> io::Result<bool> {
    let file = File::open(names.folder().join(names.closed(first)))?;
    Ok(tail::tail(&file)?.end == Some(End { sequence, hash }))
}

/// Closed files that are asked for their end.
const MOST_LOOKED_AT: usize = 4;
