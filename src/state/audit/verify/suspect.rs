//! A line that is not the next record: what it is, as far as what comes after it can tell.

use super::super::chain::{End, FIRST, Hash, Seal, sequence, unseal};
use super::fault::What;
use super::lines::{Line, Lines};
use std::io::{self, BufRead};

/// Something is wrong with a line by itself, or with where it stands.
pub(super) enum Suspect {
    /// It is not what was sealed; whether it claims to be the one that is expected.
    Broken {
        /// By its number, or by what it is bound to.
        claims: bool,
    },
    /// Another number than expected.
    Number(u64),
    /// The number that is expected, bound to something else. This is its hash.
    Binding(Hash),
    /// Beyond doubt.
    Clear {
        /// The first record that may be meant.
        record: u64,
        /// What it is.
        what: What,
    },
}

/// A line that is no record, after `end`.
pub(super) fn broken(line: &[u8], end: End) -> Suspect {
    let numbered = sequence(line) == Some(end.sequence + 1);
    let bound = line.windows(end.hash.len()).any(|part| part == end.hash.as_slice());
    Suspect::Broken { claims: numbered || bound }
}

impl Suspect {
    /// Names what is wrong after `end`, by what comes next in the file. Also the first record that may be meant.
    pub(super) fn explained<R: BufRead>(
        self,
        end: End,
        vouched: u64,
        lines: &mut Lines<R>,
    ) -> io::Result<(u64, What)> {
        let expected = end.sequence + 1;
        Ok(match self {
            Suspect::Clear { record, what } => (record, what),
            Suspect::Broken { claims: true } => (expected, What::Changed),
            Suspect::Broken { claims: false } => match next_seal(lines)? {
                Some(Next { sequence, .. }) if sequence == expected => (expected, What::Inserted),
                Some(Next { sequence, .. }) if sequence == expected + 1 => (expected, What::Changed),
                Some(_) | None => (expected, What::NoRecord),
            },
            Suspect::Number(found) if found < expected => (expected, What::Misplaced { found }),
            Suspect::Number(found) => (expected, gap(expected, found, lines)?),
            Suspect::Binding(hash) => match next_seal(lines)? {
                Some(Next { prev, .. }) if prev != hash => (expected, What::Replaced),
                Some(_) | None if vouched == end.sequence || end.hash == FIRST => (expected, What::Elsewhere),
                Some(_) | None => (end.sequence, What::Unbound),
            },
        })
    }
}

/// Records are missing, unless they turn up later.
fn gap<R: BufRead>(expected: u64, found: u64, lines: &mut Lines<R>) -> io::Result<What> {
    while let Some(next) = next_seal(lines)? {
        if (expected..found).contains(&next.sequence) {
            return Ok(What::Misplaced { found });
        }
    }
    Ok(What::Missing { to: found - 1 })
}

/// A later record.
struct Next {
    sequence: u64,
    prev: Hash,
}

fn next_seal<R: BufRead>(lines: &mut Lines<R>) -> io::Result<Option<Next>> {
    loop {
        match lines.next()? {
            Line::Whole(line) => {
                if let Ok(Seal { sequence, prev, .. }) = unseal(line) {
                    return Ok(Some(Next { sequence, prev }));
                }
            }
            Line::Partial(_) | Line::TooLong => {}
            Line::End => return Ok(None),
        }
    }
}
